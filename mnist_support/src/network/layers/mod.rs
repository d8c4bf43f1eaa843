//! The layers of a network, each in a file of its own.
//!
//! To add a layer, give it an entry in the list below and a file that implements [`Definition`] for
//! it. Everything else follows from these two. The settings are declared in the list, because Rust
//! wants the fields of an enum in one place. What they mean is documented in the layer's file.

mod adaptive_avg_pool2d;
mod adaptive_max_pool2d;
mod avg_pool2d;
mod batch_norm;
mod batch_norm1d;
mod batch_norm2d;
mod conv1d;
mod conv2d;
mod conv_transpose2d;
mod dropout;
mod dropout2d;
mod elu;
mod embedding;
mod flatten;
mod gelu;
mod group_norm;
mod gru;
mod hardswish;
mod layer_norm;
mod leaky_relu;
mod linear;
mod log_softmax;
mod lstm;
mod max_pool2d;
mod parallel;
mod recurrent;
mod relu;
mod residual;
mod sigmoid;
mod silu;
mod softmax;
mod softplus;
mod tanh;
mod unflatten;
mod upsample;

use std::fmt;

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

use super::onnx::OnnxGraph;
use super::shape::elements;
use super::sizes::{Padding, Size2};
use super::state::{Role, StateTensor};

pub use batch_norm::BatchNormConfig;
pub use batch_norm1d::BatchNorm1dConfig;
pub use batch_norm2d::BatchNorm2dConfig;
pub use conv_transpose2d::ConvTranspose2dConfig;
pub use conv1d::Conv1dConfig;
pub use conv2d::Conv2dConfig;
pub use dropout::DropoutMasks;
pub use gelu::GeluApproximate;
pub use parallel::Combine;
pub(super) use recurrent::Cell;
pub use recurrent::{RecurrentConfig, RecurrentOutput};
pub use upsample::UpsampleMode;

/// The mode in which a network runs.
pub(crate) enum Mode<'a> {
    /// Evaluation: the output for a row depends on that row alone.
    Evaluation,
    /// Training. Dropout uses reproducible masks, or else draws from libtorch's generator, which
    /// the whole process shares.
    Training(Option<&'a mut DropoutMasks>),
}

/// The definition of a layer.
///
/// No method has a default, so that none can be forgotten, but for [`Definition::nested`], which
/// most layers don't have.
trait Definition {
    /// Infers the output shape, without the row dimension. The error says what is wrong with the
    /// settings or the input.
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String>;

    /// The layer's tensors, in the order of PyTorch's `state_dict`: parameters, then buffers.
    fn state(&self) -> Vec<StateTensor>;

    /// Runs the layer on a batch of rows. `state` holds the tensors that [`Definition::state`]
    /// lists. In training, a layer may update its buffers.
    fn forward(
        &self,
        state: &[Tensor],
        input: &Tensor,
        mode: &mut Mode<'_>,
    ) -> Result<Tensor, TchError>;

    /// Adds the layer in evaluation to an ONNX graph, and returns the name of its result. `input`
    /// is the name of its input, and `shape` that of a row of it. The error says what ONNX lacks.
    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        state: &[Tensor],
        input: &str,
        shape: &[i64],
    ) -> Result<String, String>;

    /// The settings, as PyTorch prints them between the parentheses. PyTorch's constructor takes
    /// them, too.
    fn extra_repr(&self) -> String;

    /// The lists of layers within the layer, with their names in its state.
    fn nested(&self) -> Vec<(String, Vec<Layer>)> {
        Vec::new()
    }
}

/// Generates [`Layer`] from the list, and for each entry a struct with the same settings, which
/// implements [`Definition`].
macro_rules! layers {
    ($(#[$attribute:meta])* pub enum Layer { $(
        $(#[$doc:meta])*
        $kind:ident $({ $( $(#[$setting_attribute:meta])* $setting:ident: $type:ty ),* $(,)? })?
    ),* $(,)? }) => {
        $(#[$attribute])*
        pub enum Layer { $(
            $(#[$doc])*
            $kind $({ $( $(#[$setting_attribute])* $setting: $type ),* })?
        ),* }

        // The names are PyTorch's, such as GELU.
        $( #[allow(clippy::upper_case_acronyms)] struct $kind { $($( $setting: $type ),*)? } )*

        impl Layer {
            /// The layer's kind: its name in PyTorch.
            pub fn kind(&self) -> &'static str {
                match self { $( Self::$kind { .. } => stringify!($kind) ),* }
            }

            fn with_definition<T>(&self, ask: impl FnOnce(&dyn Definition) -> T) -> T {
                match self { $(
                    Self::$kind { $($( $setting ),*)? } => {
                        ask(&$kind { $($( $setting: $setting.clone() ),*)? })
                    }
                ),* }
            }
        }
    };
}

layers! {
/// One layer of a [`Network`](super::Network), with the names and settings of `torch.nn`.
///
/// In JSON, a layer is an object with its kind as `"type"`:
///
/// ```
/// use mnist_support::network::{Conv2dConfig, Layer};
///
/// let layer = Layer::conv2d(1, 4, 3, Conv2dConfig { padding: 1.into(), ..Default::default() });
/// assert_eq!(
///     serde_json::to_value(&layer)?,
///     serde_json::json!({
///         "type": "Conv2d", "in_channels": 1, "out_channels": 4, "kernel_size": 3,
///         "stride": 1, "padding": 1,
///     })
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
// The settings are named as in `torch.nn`.
#[allow(missing_docs)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum Layer {
    /// A convolution of sequences, on inputs of shape [channels, length].
    Conv1d {
        in_channels: i64,
        out_channels: i64,
        kernel_size: i64,
        stride: i64,
        padding: Padding<i64>,
        dilation: i64,
        groups: i64,
        bias: bool,
    },
    /// A convolution of images, on inputs of shape [channels, height, width].
    Conv2d {
        in_channels: i64,
        out_channels: i64,
        kernel_size: Size2,
        stride: Size2,
        padding: Padding,
        #[serde(default = "one", skip_serializing_if = "is_one")]
        dilation: Size2,
        #[serde(default = "one", skip_serializing_if = "is_one")]
        groups: i64,
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        bias: bool,
    },
    /// A transposed convolution with a square kernel and a bias, on inputs of shape [channels,
    /// height, width]: with a stride, images become larger.
    ConvTranspose2d {
        in_channels: i64,
        out_channels: i64,
        kernel_size: i64,
        stride: i64,
        padding: i64,
        output_padding: i64,
    },
    /// Like BatchNorm2d, for each feature of a row, or for each channel of a sequence.
    BatchNorm1d {
        num_features: i64,
        eps: f64,
        #[serde(deserialize_with = "Option::deserialize")]
        momentum: Option<f64>,
        affine: bool,
        track_running_stats: bool,
    },
    /// (x - mean) / sqrt(variance + `eps`) for each channel of images, times a weight plus a bias.
    /// In training, the mean and variance are those of the mini-batch. In evaluation, they are the
    /// running statistics.
    BatchNorm2d {
        num_features: i64,
        eps: f64,
        /// `None` is the mean over all iterations. Leaving it out of the JSON is an error.
        #[serde(deserialize_with = "Option::deserialize")]
        momentum: Option<f64>,
        affine: bool,
        track_running_stats: bool,
    },
    /// (x - mean) / sqrt(variance + `eps`) over the last dimensions of each row, times a weight
    /// plus a bias.
    LayerNorm { normalized_shape: Vec<i64>, eps: f64, elementwise_affine: bool },
    /// (x - mean) / sqrt(variance + `eps`) over groups of channels of each row, times a weight plus
    /// a bias.
    GroupNorm { num_groups: i64, num_channels: i64, eps: f64, affine: bool },
    /// max(x, 0).
    ReLU,
    /// x above 0, `negative_slope` x below.
    LeakyReLU { negative_slope: f64 },
    /// x above 0, `alpha` (exp(x) - 1) below.
    ELU { alpha: f64 },
    /// x times the sigmoid of x.
    SiLU,
    /// x clamp(x + 3, 0, 6) / 6.
    Hardswish,
    /// log(1 + exp(x)), and x above 20.
    Softplus,
    /// x times the standard normal cumulative distribution function of x.
    GELU { approximate: GeluApproximate },
    /// The hyperbolic tangent.
    Tanh,
    /// 1 / (1 + exp(-x)).
    Sigmoid,
    /// The maximum of each window of an image. Incomplete windows at the edges are dropped.
    MaxPool2d {
        kernel_size: i64,
        stride: i64,
        #[serde(default, skip_serializing_if = "is_zero")]
        padding: i64,
    },
    /// The maximum of each part of an image, with as many parts as the output has pixels.
    AdaptiveMaxPool2d { output_size: [i64; 2] },
    /// The mean of each part of an image, with as many parts as the output has pixels.
    AdaptiveAvgPool2d { output_size: [i64; 2] },
    /// An image whose height and width are multiplied.
    Upsample { scale_factor: i64, mode: UpsampleMode },
    /// The mean of each window of an image. Incomplete windows at the edges are dropped.
    AvgPool2d { kernel_size: i64, stride: i64 },
    /// Flattens each row to one dimension.
    Flatten,
    /// Gives the first dimension of each row this shape.
    Unflatten { unflattened_size: Vec<i64> },
    /// The vectors of a table at the indices that the features are.
    Embedding { num_embeddings: i64, embedding_dim: i64 },
    /// Long short-term memory, on inputs of shape [steps, features].
    LSTM {
        input_size: i64,
        hidden_size: i64,
        num_layers: i64,
        bidirectional: bool,
        output: RecurrentOutput,
    },
    /// Gated recurrent units, on inputs of shape [steps, features].
    GRU {
        input_size: i64,
        hidden_size: i64,
        num_layers: i64,
        bidirectional: bool,
        output: RecurrentOutput,
    },
    /// The sum of what `layers` and `shortcut` make of the input. An empty shortcut passes it on.
    Residual { layers: Vec<Layer>, shortcut: Vec<Layer> },
    /// What several lists of layers make of the input, added or concatenated.
    Parallel { branches: Vec<Vec<Layer>>, combine: Combine },
    /// x W^T + b, over the last dimension.
    Linear { in_features: i64, out_features: i64 },
    /// In training, zeroes each value with probability `p` and divides the others by 1 - `p`.
    Dropout { p: f64 },
    /// Like Dropout, for whole channels of images.
    Dropout2d { p: f64 },
    /// log(softmax(x)) over the dimension after the rows, like `LogSoftmax(dim=1)`.
    LogSoftmax,
    /// softmax(x) over the dimension after the rows, like `Softmax(dim=1)`.
    Softmax,
}
}

// Settings that were added later are left out of the JSON where they have their default, so that
// saved models and checkpoints stay what they are.

fn one<T: From<i64>>() -> T {
    1.into()
}

fn is_one<T: From<i64> + PartialEq>(value: &T) -> bool {
    *value == one()
}

fn is_zero(value: &i64) -> bool {
    *value == 0
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}

impl Layer {
    /// Infers the output shape, without the row dimension. The error says what is wrong.
    pub(super) fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        let output = self.with_definition(|layer| layer.output_shape(input))?;
        elements(&output)?;
        for tensor in self.state() {
            elements(&tensor.shape)?;
        }
        Ok(output)
    }

    /// The layer's tensors, in the order of PyTorch's `state_dict`.
    pub(super) fn state(&self) -> Vec<StateTensor> {
        self.with_definition(|layer| layer.state())
    }

    /// Adds the layer to an ONNX graph.
    pub(super) fn onnx(
        &self,
        graph: &mut OnnxGraph,
        state: &[Tensor],
        input: &str,
        shape: &[i64],
    ) -> Result<String, String> {
        self.with_definition(|layer| layer.onnx(graph, state, input, shape))
    }

    /// The lists of layers within the layer, with their names.
    pub(super) fn nested(&self) -> Vec<(String, Vec<Layer>)> {
        self.with_definition(|layer| layer.nested())
    }

    /// The shapes of the parameters, weight before bias. Empty for a layer without parameters.
    pub fn parameter_shapes(&self) -> Vec<Vec<i64>> {
        let parameters = self.state().into_iter();
        parameters
            .filter(|tensor| tensor.role == Role::Parameter)
            .map(|tensor| tensor.shape)
            .collect()
    }

    /// Runs the layer on a batch of rows. The caller has checked `state`.
    pub(super) fn forward(
        &self,
        state: &[Tensor],
        input: &Tensor,
        mode: &mut Mode<'_>,
    ) -> Result<Tensor, TchError> {
        self.with_definition(|layer| layer.forward(state, input, mode))
    }
}

/// Prints a layer as PyTorch does, for example `Linear(in_features=64, out_features=128)`.
impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.with_definition(|layer| layer.extra_repr());
        write!(f, "{}({settings})", self.kind())
    }
}

#[cfg(test)]
mod cases;
#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::{collections::HashMap, path::Path};

    /// The tensors of a file in `tests/fixtures`, written by PyTorch.
    pub(crate) fn fixture(name: &str) -> HashMap<String, Tensor> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let tensors = Tensor::read_safetensors(folder.join(name)).unwrap();
        tensors.into_iter().collect()
    }

    /// Checks that two tensors agree up to rounding.
    pub(crate) fn assert_close(found: &Tensor, expected: &Tensor) {
        assert_eq!(found.size(), expected.size());
        assert!(
            found.allclose(expected, 1e-5, 1e-6, false),
            "{found} {expected}"
        );
    }

    /// The layer's output in evaluation, flattened.
    pub(super) fn evaluate(layer: &Layer, state: &[Tensor], input: &Tensor) -> Vec<f64> {
        let output = layer.forward(state, input, &mut Mode::Evaluation).unwrap();
        Vec::try_from(output.reshape([-1]).to_kind(tch::Kind::Double)).unwrap()
    }

    #[test]
    fn every_layer_survives_json() {
        let layers = vec![
            Layer::conv2d(
                1,
                4,
                3,
                Conv2dConfig {
                    stride: 2.into(),
                    padding: 1.into(),
                    ..Default::default()
                },
            ),
            Layer::batch_norm2d(4, BatchNorm2dConfig::default()),
            Layer::ReLU,
            Layer::gelu(),
            Layer::Tanh,
            Layer::Sigmoid,
            Layer::max_pool2d(2),
            Layer::AvgPool2d {
                kernel_size: 3,
                stride: 2,
            },
            Layer::Flatten,
            Layer::linear(64, 10),
            Layer::dropout(0.1),
            Layer::LogSoftmax,
            Layer::Softmax,
        ];
        let json = serde_json::to_string(&layers).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Layer>>(&json).unwrap(), layers);
        for layer in &layers {
            assert!(
                json.contains(&format!(r#"{{"type":"{}""#, layer.kind())),
                "{json}"
            );
            assert!(layer.to_string().starts_with(&format!("{}(", layer.kind())));
        }
    }

    #[test]
    fn a_layer_of_an_unknown_kind_or_with_an_unknown_setting_is_refused() {
        let unknown_kind = serde_json::from_str::<Layer>(r#"{"type":"Conv9d"}"#).unwrap_err();
        assert!(
            unknown_kind.to_string().contains("Conv9d"),
            "{unknown_kind}"
        );
        let unknown_setting = r#"{"type":"Dropout","p":0.1,"q":2}"#;
        let unknown_setting = serde_json::from_str::<Layer>(unknown_setting).unwrap_err();
        assert!(
            unknown_setting.to_string().contains('q'),
            "{unknown_setting}"
        );
    }
}
