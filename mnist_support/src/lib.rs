//! Trains networks with libtorch on data from a data lake, data-parallel, from a Rust notebook.
//!
//! The modules stand in the order of the data's way: lake, shard, features, step, weights, predictions.
//!
//! A fit is one program that runs in many ranks: [`ml::fit`] takes a [`Shard`](shard::Shard) of the
//! data, a [`Collective`](collective::Collective) that joins it with the other ranks, and a
//! [`FitSpec`](ml::FitSpec), and returns weights and a report. An [`Engine`](engine::Engine) decides only
//! where the ranks run, and a [`Session`](engine::Session) keeps one for a program. Nothing above an engine
//! knows which one it is; nothing below the trainer knows what is trained; and what crosses from one rank to
//! another is data, never code.
//!
//! Stop in a notebook, and Ctrl-C in a program that calls [`interrupt::install`], end a fit after the
//! iteration that runs; it returns the model so far. All else that takes long can be stopped, too.
//!
//! ```no_run
//! use mnist_support::prelude::*;
//!
//! let lake = Lake::connect("torchtut", &SecretScope::open("adls")?)?;
//! let train = lake.csv("train.csv")?;
//! let pixels = train.columns().into_iter().filter(|name| name != "label");
//! let model = Pipeline::new()
//!     .stage(VectorAssembler::new().input_cols(pixels).output_col("features"))
//!     .stage(MinMaxScaler::new().input_col("features").output_col("scaledFeatures"))
//!     .stage(
//!         TorchEstimator::new(CnnConfig::default().network()?)
//!             .features_col("scaledFeatures")
//!             .iterations(150)
//!             .mini_batch(300),
//!     )
//!     .fit(&train)?;
//! let predictions = model.transform(&lake.csv("test.csv")?)?;
//! let accuracy = MulticlassClassificationEvaluator::new().metric_name(Metric::Accuracy);
//! println!("{:.4}", accuracy.evaluate(&predictions)?);
//! # Ok::<(), mnist_support::Error>(())
//! ```

// The floors of the house, from the bottom to the top: a module imports from those above it in this list
// and from none below it. tests/floors.rs fails otherwise.

/// Writes numbers for people.
mod text;

pub mod error;

pub mod interrupt;

/// Waits for requests.
mod runtime;

/// Finds errors of the C++ below `native/`.
mod native;

/// Tensors to and from safetensors.
mod tensor_file;

pub mod secrets;

pub mod lake;

pub mod shard;

pub mod data;

pub mod network;

pub mod collective;

pub mod train;

pub mod stages;

pub mod program;

pub mod run;

pub mod worker;

pub mod spark;

pub mod engine;

pub mod ml;

pub mod evaluate;

pub mod display;

pub mod mnist;

pub mod traditional;

pub mod prelude;

pub use error::{Error, Result};
pub use network::{CnnConfig, DropoutMasks, Layer, Network};
pub use {ndarray, plotters, polars, tch};
