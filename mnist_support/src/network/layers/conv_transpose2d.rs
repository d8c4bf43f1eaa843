//! A transposed convolution.

use tch::{TchError, Tensor};

use super::{ConvTranspose2d, Definition, Layer, Mode};
use crate::network::onnx::{Attribute, OnnxGraph};
use crate::network::shape::{at_least_one, image};
use crate::network::state::StateTensor;

/// The settings of [`Layer::ConvTranspose2d`] that have defaults in PyTorch, with the same
/// defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvTranspose2dConfig {
    /// The stride of the kernel: 1.
    pub stride: i64,
    /// What is cut off on each of the four sides: 0.
    pub padding: i64,
    /// What is added at the bottom and at the right: 0.
    pub output_padding: i64,
}

impl Default for ConvTranspose2dConfig {
    fn default() -> Self {
        Self {
            stride: 1,
            padding: 0,
            output_padding: 0,
        }
    }
}

impl Layer {
    /// A [`Layer::ConvTranspose2d`] with a square kernel and a bias.
    pub fn conv_transpose2d(
        in_channels: i64,
        out_channels: i64,
        kernel_size: i64,
        config: ConvTranspose2dConfig,
    ) -> Self {
        let ConvTranspose2dConfig {
            stride,
            padding,
            output_padding,
        } = config;
        Self::ConvTranspose2d {
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            output_padding,
        }
    }
}

impl ConvTranspose2d {
    /// The length of a side of the output: (length - 1) stride - 2 padding + kernel + output
    /// padding.
    fn side(&self, length: i64, side: &str) -> Result<i64, String> {
        let grown = (length - 1)
            .checked_mul(self.stride)
            .and_then(|sum| sum.checked_add(self.kernel_size))
            .and_then(|sum| sum.checked_add(self.output_padding))
            .and_then(|sum| sum.checked_sub(self.padding.checked_mul(2)?));
        match grown {
            Some(grown) if grown >= 1 => Ok(grown),
            Some(_) => Err(format!(
                "padding {} leaves nothing of {side} {length}",
                self.padding
            )),
            None => Err("its settings are too large".to_owned()),
        }
    }
}

impl Definition for ConvTranspose2d {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        at_least_one(&[
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("kernel_size", self.kernel_size),
            ("stride", self.stride),
        ])?;
        for (setting, value) in [
            ("padding", self.padding),
            ("output_padding", self.output_padding),
        ] {
            if value < 0 {
                return Err(format!("{setting} is {value}, it must be at least 0"));
            }
        }
        if self.output_padding >= self.stride {
            return Err(format!(
                "output_padding is {}, it must be below the stride, {}",
                self.output_padding, self.stride
            ));
        }
        let [channels, height, width] = image(input)?;
        if channels != self.in_channels {
            return Err(format!(
                "in_channels is {}, but the input has {channels} channels",
                self.in_channels
            ));
        }
        let sides = [self.side(height, "height")?, self.side(width, "width")?];
        Ok(vec![self.out_channels, sides[0], sides[1]])
    }

    fn state(&self) -> Vec<StateTensor> {
        let (inputs, outputs, side) = (self.in_channels, self.out_channels, self.kernel_size);
        // PyTorch takes the second size of the weight for the inputs.
        let fan_in = outputs.saturating_mul(side).saturating_mul(side);
        StateTensor::weight_and_bias(vec![inputs, outputs, side, side], outputs, fan_in)
    }

    fn forward(
        &self,
        state: &[Tensor],
        input: &Tensor,
        _: &mut Mode<'_>,
    ) -> Result<Tensor, TchError> {
        input.f_conv_transpose2d(
            &state[0],
            Some(&state[1]),
            [self.stride; 2],
            [self.padding; 2],
            [self.output_padding; 2],
            1,
            [1, 1],
        )
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        state: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        let state = graph.state(state)?;
        Ok(graph.node(
            "ConvTranspose",
            &[input, &state[0], &state[1]],
            &[
                ("strides", Attribute::Ints(vec![self.stride; 2])),
                ("pads", Attribute::Ints(vec![self.padding; 4])),
                (
                    "output_padding",
                    Attribute::Ints(vec![self.output_padding; 2]),
                ),
            ],
        ))
    }

    fn extra_repr(&self) -> String {
        format!(
            "{}, {}, kernel_size={}, stride={}, padding={}, output_padding={}",
            self.in_channels,
            self.out_channels,
            self.kernel_size,
            self.stride,
            self.padding,
            self.output_padding
        )
    }
}
