//! A convolution.

use tch::{TchError, Tensor};

use super::{Conv2d, Definition, Layer, Mode};
use crate::network::shape::{Window, at_least_one, image};
use crate::network::state::StateTensor;

/// The settings of [`Layer::Conv2d`] that have defaults in PyTorch, with the same defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dConfig {
    /// The stride of the kernel: 1.
    pub stride: i64,
    /// Zero padding on each of the four sides: 0.
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
    /// A [`Layer::Conv2d`]. `Conv2dConfig::default()` has stride 1 and no padding.
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
}

impl Definition for Conv2d {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        if self.padding < 0 {
            let padding = self.padding;
            return Err(format!("padding is {padding}, it must be at least 0"));
        }
        at_least_one(&[
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("kernel_size", self.kernel_size),
            ("stride", self.stride),
        ])?;
        let [channels, height, width] = image(input)?;
        if channels != self.in_channels {
            return Err(format!(
                "in_channels is {}, but the input has {channels} {}",
                self.in_channels,
                if channels == 1 { "channel" } else { "channels" }
            ));
        }
        let window = Window {
            verb: "a kernel of",
            kernel_size: self.kernel_size,
            stride: self.stride,
            padding: self.padding,
        };
        Ok(vec![
            self.out_channels,
            window.slide(height, "height")?,
            window.slide(width, "width")?,
        ])
    }

    fn state(&self) -> Vec<StateTensor> {
        let (inputs, outputs, side) = (self.in_channels, self.out_channels, self.kernel_size);
        let fan_in = inputs.saturating_mul(side).saturating_mul(side);
        StateTensor::weight_and_bias(vec![outputs, inputs, side, side], outputs, fan_in)
    }

    fn forward(
        &self,
        state: &[Tensor],
        input: &Tensor,
        _: &mut Mode<'_>,
    ) -> Result<Tensor, TchError> {
        let (weight, bias) = (&state[0], &state[1]);
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        input.f_conv2d(weight, Some(bias), stride, padding, [1, 1], 1)
    }

    fn extra_repr(&self) -> String {
        format!(
            "{}, {}, kernel_size={}, stride={}, padding={}",
            self.in_channels, self.out_channels, self.kernel_size, self.stride, self.padding
        )
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
                padding: 0
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
