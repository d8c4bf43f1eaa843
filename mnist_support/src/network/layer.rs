//! The layers that a network is made of.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One layer of a [`Network`](super::Network), named and set as in PyTorch's `torch.nn`.
///
/// As JSON a layer is an object with its kind under `"type"`:
///
/// ```
/// use mnist_support::network::{Conv2dConfig, Layer};
///
/// let layer = Layer::conv2d(1, 4, 3, Conv2dConfig { padding: 1, ..Default::default() });
/// assert_eq!(
///     serde_json::to_string(&layer)?,
///     r#"{"type":"Conv2d","in_channels":1,"out_channels":4,"kernel_size":3,"stride":1,"padding":1}"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum Layer {
    /// A convolution with a square kernel and a bias, on inputs of shape [channels, height, width].
    Conv2d {
        in_channels: i64,
        out_channels: i64,
        kernel_size: i64,
        stride: i64,
        /// Zeros added on each of the four sides.
        padding: i64,
    },
    /// max(x, 0).
    ReLU,
    /// The hyperbolic tangent.
    Tanh,
    /// 1 / (1 + exp(-x)).
    Sigmoid,
    /// The largest value of each square of the image; what a last, smaller square would cover is
    /// left out.
    MaxPool2d { kernel_size: i64, stride: i64 },
    /// The mean of each square of the image; what a last, smaller square would cover is left out.
    AvgPool2d { kernel_size: i64, stride: i64 },
    /// All values of a row in one line.
    Flatten,
    /// x W^T + b, over the last dimension.
    Linear { in_features: i64, out_features: i64 },
    /// In training, each value is zeroed with probability `p`, the others divided by 1 - `p`.
    Dropout { p: f64 },
    /// log(softmax(x)) over the dimension after the rows, as `LogSoftmax(dim=1)`.
    LogSoftmax,
    /// softmax(x) over the dimension after the rows, as `Softmax(dim=1)`.
    Softmax,
}

/// The settings of a convolution that have defaults, PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dConfig {
    /// How far the kernel moves: 1.
    pub stride: i64,
    /// Zeros added on each of the four sides: 0.
    pub padding: i64,
}

impl Default for Conv2dConfig {
    fn default() -> Self {
        Self {
            stride: 1,
            padding: 0,
        }
    }
}

impl Layer {
    /// A [`Layer::Conv2d`]; `Conv2dConfig::default()` is stride 1 and no padding.
    pub fn conv2d(
        in_channels: i64,
        out_channels: i64,
        kernel_size: i64,
        config: Conv2dConfig,
    ) -> Self {
        let Conv2dConfig { stride, padding } = config;
        Self::Conv2d {
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
        }
    }

    /// A [`Layer::MaxPool2d`] with PyTorch's default stride, the kernel's size.
    pub fn max_pool2d(kernel_size: i64) -> Self {
        Self::MaxPool2d {
            kernel_size,
            stride: kernel_size,
        }
    }

    /// A [`Layer::AvgPool2d`] with PyTorch's default stride, the kernel's size.
    pub fn avg_pool2d(kernel_size: i64) -> Self {
        Self::AvgPool2d {
            kernel_size,
            stride: kernel_size,
        }
    }

    /// A [`Layer::Linear`].
    pub fn linear(in_features: i64, out_features: i64) -> Self {
        Self::Linear {
            in_features,
            out_features,
        }
    }

    /// A [`Layer::Dropout`].
    pub fn dropout(p: f64) -> Self {
        Self::Dropout { p }
    }

    /// The name of the layer's kind, as in PyTorch.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Conv2d { .. } => "Conv2d",
            Self::ReLU => "ReLU",
            Self::Tanh => "Tanh",
            Self::Sigmoid => "Sigmoid",
            Self::MaxPool2d { .. } => "MaxPool2d",
            Self::AvgPool2d { .. } => "AvgPool2d",
            Self::Flatten => "Flatten",
            Self::Linear { .. } => "Linear",
            Self::Dropout { .. } => "Dropout",
            Self::LogSoftmax => "LogSoftmax",
            Self::Softmax => "Softmax",
        }
    }

    /// The shapes of the layer's parameters, weight before bias; empty for a layer without any.
    pub fn parameter_shapes(&self) -> Vec<Vec<i64>> {
        match *self {
            Self::Conv2d {
                in_channels,
                out_channels,
                kernel_size,
                ..
            } => {
                vec![
                    vec![out_channels, in_channels, kernel_size, kernel_size],
                    vec![out_channels],
                ]
            }
            Self::Linear {
                in_features,
                out_features,
            } => {
                vec![vec![out_features, in_features], vec![out_features]]
            }
            _ => Vec::new(),
        }
    }

    /// How many values each output of the layer is made from: what PyTorch calls `fan_in`.
    pub(super) fn fan_in(&self) -> i64 {
        match *self {
            Self::Conv2d {
                in_channels,
                kernel_size,
                ..
            } => in_channels * kernel_size * kernel_size,
            Self::Linear { in_features, .. } => in_features,
            _ => 0,
        }
    }
}

/// As PyTorch prints a layer, for example `Linear(in_features=64, out_features=128)`.
impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::Conv2d {
                in_channels,
                out_channels,
                kernel_size,
                stride,
                padding,
            } => write!(
                f,
                "{kind}({in_channels}, {out_channels}, kernel_size={kernel_size}, stride={stride}, padding={padding})"
            ),
            Self::MaxPool2d {
                kernel_size,
                stride,
            }
            | Self::AvgPool2d {
                kernel_size,
                stride,
            } => {
                write!(f, "{kind}(kernel_size={kernel_size}, stride={stride})")
            }
            Self::Linear {
                in_features,
                out_features,
            } => {
                write!(
                    f,
                    "{kind}(in_features={in_features}, out_features={out_features})"
                )
            }
            Self::Dropout { p } => write!(f, "{kind}(p={p})"),
            Self::LogSoftmax | Self::Softmax => write!(f, "{kind}(dim=1)"),
            Self::ReLU | Self::Tanh | Self::Sigmoid | Self::Flatten => write!(f, "{kind}()"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_goes_through_json_and_comes_back_the_same() {
        let layers = vec![
            Layer::conv2d(
                1,
                4,
                3,
                Conv2dConfig {
                    stride: 2,
                    padding: 1,
                },
            ),
            Layer::ReLU,
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

    #[test]
    fn defaults_are_those_of_pytorch() {
        assert_eq!(
            Layer::conv2d(1, 2, 3, Conv2dConfig::default()),
            Layer::Conv2d {
                in_channels: 1,
                out_channels: 2,
                kernel_size: 3,
                stride: 1,
                padding: 0
            }
        );
        assert_eq!(
            Layer::max_pool2d(2),
            Layer::MaxPool2d {
                kernel_size: 2,
                stride: 2
            }
        );
        assert_eq!(
            Layer::avg_pool2d(3),
            Layer::AvgPool2d {
                kernel_size: 3,
                stride: 3
            }
        );
    }
}
