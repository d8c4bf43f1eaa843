//! Networks as data: lists of layers that can be checked, printed, sent to another process and run.
//!
//! A [`Network`] is an input shape and a list of [`Layer`]s, without weights, or a program that was
//! exported from PyTorch ([`Network::from_pt2`]). Its parameters and buffers are a plain
//! `Vec<Tensor>` in the order of [`Network::state_names`]. These names are the keys of the
//! `state_dict` of a PyTorch `nn.Sequential` with the same layers, so weights can be exchanged with
//! PyTorch in both directions as safetensors ([`read_safetensors`],
//! [`write_safetensors`]).
//!
//! ```
//! use mnist_support::network::CnnConfig;
//!
//! let network = CnnConfig::default().network()?;
//! let parameters = network.initialize(42);
//! let images = tch::Tensor::zeros([5, 28 * 28], (tch::Kind::Float, tch::Device::Cpu));
//! let logits = network.forward(&parameters, &images, None)?;
//! assert_eq!(logits.size(), [5, 10]);
//! # Ok::<(), mnist_support::Error>(())
//! ```

mod cnn;
mod data;
mod execution;
mod exported;
mod forward;
mod fused;
mod initialize;
mod layers;
mod module;
mod onnx;
mod predict;
mod python;
mod sequential;
mod shape;
mod sizes;
mod state;
mod summary;
mod weights;

pub use cnn::CnnConfig;
pub use data::Network;
#[cfg(test)]
pub(crate) use layers::tests::{assert_close, fixture};
pub use layers::*;
pub use module::NetworkModule;
pub(crate) use onnx::OnnxOutput;
pub(crate) use predict::prediction_batch_size;
pub use sizes::{Padding, Size2};
pub(crate) use state::Role;
pub use weights::{read_safetensors, write_safetensors};
