//! Shape inference: what a layer makes of an input shape, or why it cannot.

use super::layer::Layer;

/// Above this many values a size is a typing mistake rather than a network: 8 GB of `f32`.
const MAX_ELEMENTS: i64 = i32::MAX as i64;

impl Layer {
    /// The shape of the layer's output, without the rows; the error says what is wrong.
    pub(super) fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        self.check_settings()?;
        let output = match *self {
            Self::Conv2d {
                in_channels,
                out_channels,
                kernel_size,
                stride,
                padding,
            } => {
                let [channels, height, width] = image(input)?;
                if channels != in_channels {
                    return Err(format!(
                        "in_channels is {in_channels}, but the input has {channels} {}",
                        if channels == 1 { "channel" } else { "channels" }
                    ));
                }
                let window = Window {
                    verb: "a kernel of",
                    kernel_size,
                    stride,
                    padding,
                };
                vec![
                    out_channels,
                    window.slide(height, "height")?,
                    window.slide(width, "width")?,
                ]
            }
            Self::MaxPool2d {
                kernel_size,
                stride,
            }
            | Self::AvgPool2d {
                kernel_size,
                stride,
            } => {
                let [channels, height, width] = image(input)?;
                let window = Window {
                    verb: "pooling by",
                    kernel_size,
                    stride,
                    padding: 0,
                };
                vec![
                    channels,
                    window.slide(height, "height")?,
                    window.slide(width, "width")?,
                ]
            }
            Self::Flatten => vec![elements(input)?],
            Self::Linear {
                in_features,
                out_features,
            } => {
                let Some((&width, before)) = input.split_last() else {
                    return Err("the input has no dimension besides the rows".to_string());
                };
                if width != in_features {
                    return Err(linear_mismatch(
                        in_features,
                        width,
                        before,
                        elements(input)?,
                    ));
                }
                before.iter().copied().chain([out_features]).collect()
            }
            Self::ReLU
            | Self::Tanh
            | Self::Sigmoid
            | Self::Dropout { .. }
            | Self::LogSoftmax
            | Self::Softmax => input.to_vec(),
        };
        elements(&output)?;
        for shape in self.parameter_shapes() {
            elements(&shape)?;
        }
        Ok(output)
    }

    fn check_settings(&self) -> Result<(), String> {
        let at_least_one: &[(&str, i64)] = match *self {
            Self::Conv2d {
                in_channels,
                out_channels,
                kernel_size,
                stride,
                padding,
            } => {
                if padding < 0 {
                    return Err(format!("padding is {padding}, it must be at least 0"));
                }
                &[
                    ("in_channels", in_channels),
                    ("out_channels", out_channels),
                    ("kernel_size", kernel_size),
                    ("stride", stride),
                ]
            }
            Self::MaxPool2d {
                kernel_size,
                stride,
            }
            | Self::AvgPool2d {
                kernel_size,
                stride,
            } => &[("kernel_size", kernel_size), ("stride", stride)],
            Self::Linear {
                in_features,
                out_features,
            } => &[("in_features", in_features), ("out_features", out_features)],
            Self::Dropout { p } if !(0.0..1.0).contains(&p) => {
                return Err(format!("p is {p}, it must be at least 0 and below 1"));
            }
            _ => &[],
        };
        match at_least_one.iter().find(|(_, value)| *value < 1) {
            Some((setting, value)) => Err(format!("{setting} is {value}, it must be at least 1")),
            None => Ok(()),
        }
    }
}

/// A square that slides over an image.
struct Window {
    verb: &'static str,
    kernel_size: i64,
    stride: i64,
    padding: i64,
}

impl Window {
    /// In how many places the window fits along a side: (length + 2 padding - kernel) / stride + 1.
    fn slide(&self, length: i64, side: &str) -> Result<i64, String> {
        let Self {
            verb,
            kernel_size,
            stride,
            padding,
        } = *self;
        let padded = padding
            .checked_mul(2)
            .and_then(|both| both.checked_add(length));
        let Some(padded) = padded else {
            return Err(format!("padding {padding} is too large"));
        };
        if padded < kernel_size {
            let padding = if padding > 0 {
                format!(" and padding {padding}")
            } else {
                String::new()
            };
            return Err(format!(
                "{verb} {kernel_size} leaves nothing of {side} {length}{padding}"
            ));
        }
        Ok((padded - kernel_size) / stride + 1)
    }
}

fn image(input: &[i64]) -> Result<[i64; 3], String> {
    <[i64; 3]>::try_from(input)
        .map_err(|_| "it needs an image of shape [channels, height, width]".to_string())
}

/// How many values a shape holds.
pub(super) fn elements(shape: &[i64]) -> Result<i64, String> {
    shape
        .iter()
        .try_fold(1_i64, |product, &size| product.checked_mul(size))
        .filter(|&product| product <= MAX_ELEMENTS)
        .ok_or_else(|| format!("a tensor of shape {shape:?} is too large"))
}

fn linear_mismatch(in_features: i64, width: i64, before: &[i64], flattened: i64) -> String {
    if before.is_empty() {
        format!(
            "in_features is {in_features}, but the input has {width}: set in_features to {width}"
        )
    } else if flattened == in_features {
        "put a Flatten before it".to_string()
    } else {
        format!(
            "in_features is {in_features}, but the input is not flat: \
             put a Flatten before it and set in_features to {flattened}"
        )
    }
}
