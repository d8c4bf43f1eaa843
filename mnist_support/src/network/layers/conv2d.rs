//! A convolution.

use tch::{TchError, Tensor};

use super::{Conv2d, Definition, Layer, Mode};
use crate::network::onnx::{Attribute, OnnxGraph};
use crate::network::shape::{Window, at_least_one, image};
use crate::network::state::StateTensor;

/// The settings of [`Layer::Conv2d`] that have defaults in PyTorch, with the same defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dConfig {
    /// The stride of the kernel: 1.
    pub stride: i64,
    /// Zero padding on each of the four sides: 0.
    pub padding: i64,
    /// The distance between the values that the kernel takes: 1.
    pub dilation: i64,
    /// The groups into which the channels are divided, each with kernels of its own: 1.
    pub groups: i64,
    /// Whether a bias is added: true.
    pub bias: bool,
}

impl Default for Conv2dConfig {
    fn default() -> Self {
        Self {
            stride: 1,
            padding: 0,
            dilation: 1,
            groups: 1,
            bias: true,
        }
    }
}

impl Layer {
    /// A [`Layer::Conv2d`]. `Conv2dConfig::default()` has stride 1 and no padding.
    pub fn conv2d(
        in_channels: i64,
        out_channels: i64,
        kernel_size: i64,
        config: Conv2dConfig,
    ) -> Self {
        let Conv2dConfig {
            stride,
            padding,
            dilation,
            groups,
            bias,
        } = config;
        Self::Conv2d {
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
        }
    }
}

/// A convolution, whatever the number of dimensions.
pub(super) struct Convolution {
    pub(super) in_channels: i64,
    pub(super) out_channels: i64,
    pub(super) kernel_size: i64,
    pub(super) config: Conv2dConfig,
}

impl Convolution {
    /// Checks the settings, for an input with this number of channels.
    pub(super) fn check(&self, channels: i64) -> Result<(), String> {
        let Conv2dConfig {
            stride,
            padding,
            dilation,
            groups,
            ..
        } = self.config;
        if padding < 0 {
            return Err(format!("padding is {padding}, it must be at least 0"));
        }
        at_least_one(&[
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("kernel_size", self.kernel_size),
            ("stride", stride),
            ("dilation", dilation),
            ("groups", groups),
        ])?;
        for (setting, value) in [
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
        ] {
            if value % groups != 0 {
                return Err(format!(
                    "{setting} is {value}, which {groups} groups can't share equally"
                ));
            }
        }
        if channels != self.in_channels {
            return Err(format!(
                "in_channels is {}, but the input has {channels} {}",
                self.in_channels,
                if channels == 1 { "channel" } else { "channels" }
            ));
        }
        Ok(())
    }

    pub(super) fn window(&self) -> Window {
        Window {
            verb: "a kernel of",
            kernel_size: self.kernel_size,
            stride: self.config.stride,
            padding: self.config.padding,
            dilation: self.config.dilation,
        }
    }

    /// The weight and the bias of a convolution in so many dimensions.
    pub(super) fn state(&self, dimensions: usize) -> Vec<StateTensor> {
        let inputs = self.in_channels / self.config.groups.max(1);
        let sides = vec![self.kernel_size; dimensions];
        let fan_in = sides
            .iter()
            .fold(inputs, |product, side| product.saturating_mul(*side));
        let weight = [vec![self.out_channels, inputs], sides].concat();
        let mut state = StateTensor::weight_and_bias(weight, self.out_channels, fan_in);
        state.truncate(if self.config.bias { 2 } else { 1 });
        state
    }

    /// Adds the convolution to an ONNX graph.
    pub(super) fn onnx(
        &self,
        graph: &mut OnnxGraph,
        state: &[Tensor],
        input: &str,
        dimensions: usize,
    ) -> Result<String, String> {
        let state = graph.state(state)?;
        let mut inputs = vec![input];
        inputs.extend(state.iter().map(String::as_str));
        let all = |value: i64, count: usize| Attribute::Ints(vec![value; count]);
        Ok(graph.node(
            "Conv",
            &inputs,
            &[
                ("strides", all(self.config.stride, dimensions)),
                ("pads", all(self.config.padding, 2 * dimensions)),
                ("dilations", all(self.config.dilation, dimensions)),
                ("group", Attribute::Int(self.config.groups)),
            ],
        ))
    }

    pub(super) fn repr(&self) -> String {
        let Conv2dConfig {
            stride,
            padding,
            dilation,
            groups,
            bias,
        } = self.config;
        let mut text = format!(
            "{}, {}, kernel_size={}, stride={stride}, padding={padding}",
            self.in_channels, self.out_channels, self.kernel_size
        );
        if dilation != 1 {
            text += &format!(", dilation={dilation}");
        }
        if groups != 1 {
            text += &format!(", groups={groups}");
        }
        if !bias {
            text += ", bias=False";
        }
        text
    }
}

impl Conv2d {
    fn convolution(&self) -> Convolution {
        Convolution {
            in_channels: self.in_channels,
            out_channels: self.out_channels,
            kernel_size: self.kernel_size,
            config: Conv2dConfig {
                stride: self.stride,
                padding: self.padding,
                dilation: self.dilation,
                groups: self.groups,
                bias: self.bias,
            },
        }
    }
}

impl Definition for Conv2d {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        let convolution = self.convolution();
        // The settings first: they may be wrong whatever the input is.
        convolution.check(match input {
            [channels, ..] if input.len() == 3 => *channels,
            _ => self.in_channels,
        })?;
        let [_, height, width] = image(input)?;
        let window = convolution.window();
        Ok(vec![
            self.out_channels,
            window.slide(height, "height")?,
            window.slide(width, "width")?,
        ])
    }

    fn state(&self) -> Vec<StateTensor> {
        self.convolution().state(2)
    }

    fn forward(
        &self,
        state: &[Tensor],
        input: &Tensor,
        _: &mut Mode<'_>,
    ) -> Result<Tensor, TchError> {
        let (stride, padding, dilation) = ([self.stride; 2], [self.padding; 2], [self.dilation; 2]);
        input.f_conv2d(
            &state[0],
            state.get(1),
            stride,
            padding,
            dilation,
            self.groups,
        )
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        state: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        self.convolution().onnx(graph, state, input, 2)
    }

    fn extra_repr(&self) -> String {
        self.convolution().repr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::layers::tests::evaluate;

    #[test]
    fn defaults_are_those_of_pytorch() {
        assert_eq!(
            Layer::conv2d(1, 2, 3, Conv2dConfig::default()),
            Layer::Conv2d {
                in_channels: 1,
                out_channels: 2,
                kernel_size: 3,
                stride: 1,
                padding: 0,
                dilation: 1,
                groups: 1,
                bias: true,
            }
        );
    }

    #[test]
    fn each_output_is_the_sum_under_the_kernel_plus_the_bias() {
        let image = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0]).view([1, 1, 2, 2]);
        let state = [
            Tensor::ones([1, 1, 2, 2], (tch::Kind::Float, tch::Device::Cpu)),
            Tensor::from_slice(&[0.5_f32]),
        ];
        let config = Conv2dConfig {
            stride: 2,
            padding: 1,
            ..Default::default()
        };
        let output = evaluate(&Layer::conv2d(1, 1, 2, config), &state, &image);
        assert_eq!(output, [1.5, 2.5, 3.5, 4.5]);
    }

    #[test]
    fn it_prints_as_in_pytorch() {
        let layer = Layer::conv2d(1, 4, 3, Conv2dConfig::default());
        let expected = "Conv2d(1, 4, kernel_size=3, stride=1, padding=0)";
        assert_eq!(layer.to_string(), expected);
    }
}
