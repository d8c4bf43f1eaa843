//! A convolution of sequences.

use tch::{TchError, Tensor};

use super::{Conv1d, Definition, Layer, Mode, conv2d::Convolution};
use crate::network::onnx::OnnxGraph;
use crate::network::sizes::Padding;
use crate::network::state::StateTensor;

/// The settings of [`Layer::Conv1d`] that have defaults in PyTorch, with the same defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv1dConfig {
    /// The stride of the kernel: 1.
    pub stride: i64,
    /// Zero padding: 0.
    pub padding: Padding<i64>,
    /// The distance between the values that the kernel takes: 1.
    pub dilation: i64,
    /// The groups into which the channels are divided, each with kernels of its own: 1.
    pub groups: i64,
    /// Whether a bias is added: true.
    pub bias: bool,
}

impl Default for Conv1dConfig {
    fn default() -> Self {
        Self {
            stride: 1,
            padding: 0.into(),
            dilation: 1,
            groups: 1,
            bias: true,
        }
    }
}

impl Layer {
    /// A [`Layer::Conv1d`] on inputs of shape [channels, length].
    pub fn conv1d(
        in_channels: i64,
        out_channels: i64,
        kernel_size: i64,
        config: Conv1dConfig,
    ) -> Self {
        let Conv1dConfig {
            stride,
            padding,
            dilation,
            groups,
            bias,
        } = config;
        Self::Conv1d {
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

impl Conv1d {
    fn convolution(&self) -> Convolution<1> {
        Convolution {
            in_channels: self.in_channels,
            out_channels: self.out_channels,
            kernel_size: [self.kernel_size],
            stride: [self.stride],
            padding: match self.padding {
                Padding::Zeros(zeros) => Padding::Zeros([zeros]),
                Padding::Same => Padding::Same,
                Padding::Valid => Padding::Valid,
            },
            dilation: [self.dilation],
            groups: self.groups,
            bias: self.bias,
        }
    }
}

impl Definition for Conv1d {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        let &[channels, length] = input else {
            return Err("it needs a sequence of shape [channels, length]".to_owned());
        };
        let convolution = self.convolution();
        convolution.check(channels)?;
        let length = convolution.window(0).slide(length, "length")?;
        Ok(vec![self.out_channels, length])
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
        let (stride, dilation) = (self.stride, self.dilation);
        let (weight, bias) = (&state[0], state.get(1));
        match self.padding {
            Padding::Zeros(zeros) => {
                input.f_conv1d(weight, bias, stride, zeros, dilation, self.groups)
            }
            Padding::Same => {
                input.f_conv1d_padding(weight, bias, stride, "same", dilation, self.groups)
            }
            Padding::Valid => input.f_conv1d(weight, bias, stride, 0, dilation, self.groups),
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
        self.convolution().repr(|[size]| size)
    }
}
