//! A convolution.

use tch::{TchError, Tensor};

use super::{Conv2d, Definition, Layer, Mode};
use crate::network::onnx::{Attribute, OnnxGraph};
use crate::network::shape::{Window, at_least_one, image};
use crate::network::sizes::{Padding, Size2};
use crate::network::state::StateTensor;

/// The settings of [`Layer::Conv2d`] that have defaults in PyTorch, with the same defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dConfig {
    /// The stride of the kernel: 1.
    pub stride: Size2,
    /// Zero padding: 0.
    pub padding: Padding,
    /// The distance between the values that the kernel takes: 1.
    pub dilation: Size2,
    /// The groups into which the channels are divided, each with kernels of its own: 1.
    pub groups: i64,
    /// Whether a bias is added: true.
    pub bias: bool,
}

impl Default for Conv2dConfig {
    fn default() -> Self {
        Self {
            stride: 1.into(),
            padding: 0.into(),
            dilation: 1.into(),
            groups: 1,
            bias: true,
        }
    }
}

impl Layer {
    /// A [`Layer::Conv2d`]. `Conv2dConfig::default()` has stride 1 and no padding. The kernel's
    /// size is one number, or height and width.
    ///
    /// ```
    /// use mnist_support::network::{Conv2dConfig, Layer, Padding};
    ///
    /// let config = Conv2dConfig { stride: 2.into(), padding: 1.into(), ..Default::default() };
    /// let square = Layer::conv2d(3, 16, 3, config);
    /// let config = Conv2dConfig { padding: Padding::Same, ..Default::default() };
    /// let wide = Layer::conv2d(3, 16, [1, 7], config);
    /// assert_eq!(
    ///     wide.to_string(),
    ///     "Conv2d(3, 16, kernel_size=(1, 7), stride=1, padding='same')"
    /// );
    /// ```
    pub fn conv2d(
        in_channels: i64,
        out_channels: i64,
        kernel_size: impl Into<Size2>,
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
            kernel_size: kernel_size.into(),
            stride,
            padding,
            dilation,
            groups,
            bias,
        }
    }
}

/// A convolution in `N` dimensions.
pub(super) struct Convolution<const N: usize> {
    pub(super) in_channels: i64,
    pub(super) out_channels: i64,
    pub(super) kernel_size: [i64; N],
    pub(super) stride: [i64; N],
    pub(super) padding: Padding<[i64; N]>,
    pub(super) dilation: [i64; N],
    pub(super) groups: i64,
    pub(super) bias: bool,
}

impl<const N: usize> Convolution<N> {
    /// Checks the settings, for an input with this number of channels.
    pub(super) fn check(&self, channels: i64) -> Result<(), String> {
        if let Padding::Zeros(zeros) = self.padding
            && let Some(zeros) = zeros.iter().find(|zeros| **zeros < 0)
        {
            return Err(format!("padding is {zeros}, it must be at least 0"));
        }
        at_least_one(&[
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("groups", self.groups),
        ])?;
        for (setting, values) in [
            ("kernel_size", self.kernel_size),
            ("stride", self.stride),
            ("dilation", self.dilation),
        ] {
            at_least_one(&values.map(|value| (setting, value)))?;
        }
        if self.padding == Padding::Same && self.stride != [1; N] {
            return Err(
                "padding is 'same', which needs stride 1: give the padding as a number".to_owned(),
            );
        }
        for (setting, value) in [
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
        ] {
            if value % self.groups != 0 {
                return Err(format!(
                    "{setting} is {value}, which {} groups can't share equally",
                    self.groups
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

    /// The zeros before the first value and after the last, in each dimension.
    pub(super) fn zeros(&self) -> [[i64; 2]; N] {
        std::array::from_fn(|dimension| match self.padding {
            Padding::Zeros(zeros) => [zeros[dimension]; 2],
            Padding::Valid => [0; 2],
            Padding::Same => {
                let taken = self.kernel_size[dimension].saturating_sub(1);
                let all = self.dilation[dimension].saturating_mul(taken);
                [all / 2, all - all / 2]
            }
        })
    }

    /// The window along one dimension.
    pub(super) fn window(&self, dimension: usize) -> Window {
        Window {
            verb: "a kernel of",
            kernel_size: self.kernel_size[dimension],
            stride: self.stride[dimension],
            padding: self.zeros()[dimension],
            dilation: self.dilation[dimension],
        }
    }

    /// The weight and the bias.
    pub(super) fn state(&self) -> Vec<StateTensor> {
        let inputs = self.in_channels / self.groups.max(1);
        let fan_in = self
            .kernel_size
            .iter()
            .fold(inputs, |product, side| product.saturating_mul(*side));
        let weight = [&[self.out_channels, inputs][..], &self.kernel_size].concat();
        let mut state = StateTensor::weight_and_bias(weight, self.out_channels, fan_in);
        state.truncate(if self.bias { 2 } else { 1 });
        state
    }

    /// Adds the convolution to an ONNX graph.
    pub(super) fn onnx(
        &self,
        graph: &mut OnnxGraph,
        state: &[Tensor],
        input: &str,
    ) -> Result<String, String> {
        let state = graph.state(state)?;
        let mut inputs = vec![input];
        inputs.extend(state.iter().map(String::as_str));
        let zeros = self.zeros();
        let pads = [
            zeros.map(|[before, _]| before),
            zeros.map(|[_, after]| after),
        ];
        Ok(graph.node(
            "Conv",
            &inputs,
            &[
                ("strides", Attribute::Ints(self.stride.to_vec())),
                ("pads", Attribute::Ints(pads.concat())),
                ("dilations", Attribute::Ints(self.dilation.to_vec())),
                ("group", Attribute::Int(self.groups)),
            ],
        ))
    }

    /// `shown` is how a size is printed.
    pub(super) fn repr<S: std::fmt::Display>(&self, shown: impl Fn([i64; N]) -> S) -> String {
        let padding = match self.padding {
            Padding::Zeros(zeros) => Padding::Zeros(shown(zeros)),
            Padding::Same => Padding::Same,
            Padding::Valid => Padding::Valid,
        };
        let mut text = format!(
            "{}, {}, kernel_size={}, stride={}, padding={padding}",
            self.in_channels,
            self.out_channels,
            shown(self.kernel_size),
            shown(self.stride)
        );
        if self.dilation != [1; N] {
            text += &format!(", dilation={}", shown(self.dilation));
        }
        if self.groups != 1 {
            text += &format!(", groups={}", self.groups);
        }
        if !self.bias {
            text += ", bias=False";
        }
        text
    }
}

impl Conv2d {
    fn convolution(&self) -> Convolution<2> {
        Convolution {
            in_channels: self.in_channels,
            out_channels: self.out_channels,
            kernel_size: self.kernel_size.to_array(),
            stride: self.stride.to_array(),
            padding: match self.padding {
                Padding::Zeros(zeros) => Padding::Zeros(zeros.to_array()),
                Padding::Same => Padding::Same,
                Padding::Valid => Padding::Valid,
            },
            dilation: self.dilation.to_array(),
            groups: self.groups,
            bias: self.bias,
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
        Ok(vec![
            self.out_channels,
            convolution.window(0).slide(height, "height")?,
            convolution.window(1).slide(width, "width")?,
        ])
    }

    fn state(&self) -> Vec<StateTensor> {
        self.convolution().state()
    }

    fn forward(
        &self,
        state: &[Tensor],
        input: &Tensor,
        _: &mut Mode<'_>,
    ) -> Result<Tensor, TchError> {
        let (stride, dilation) = (self.stride.to_array(), self.dilation.to_array());
        let (weight, bias) = (&state[0], state.get(1));
        match self.padding {
            Padding::Zeros(zeros) => {
                let zeros = zeros.to_array();
                input.f_conv2d(weight, bias, stride, zeros, dilation, self.groups)
            }
            Padding::Same => {
                input.f_conv2d_padding(weight, bias, stride, "same", dilation, self.groups)
            }
            Padding::Valid => input.f_conv2d(weight, bias, stride, [0, 0], dilation, self.groups),
        }
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        state: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        self.convolution().onnx(graph, state, input)
    }

    fn extra_repr(&self) -> String {
        self.convolution().repr(Size2::from)
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
                kernel_size: 3.into(),
                stride: 1.into(),
                padding: 0.into(),
                dilation: 1.into(),
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
            stride: 2.into(),
            padding: 1.into(),
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
