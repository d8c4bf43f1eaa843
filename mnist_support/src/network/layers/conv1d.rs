//! A convolution of sequences.

use tch::{TchError, Tensor};

use super::{Conv1d, Conv2dConfig, Definition, Layer, Mode, conv2d::Convolution};
use crate::network::onnx::OnnxGraph;
use crate::network::state::StateTensor;

/// The settings of [`Layer::Conv1d`].
pub type Conv1dConfig = Conv2dConfig;

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
    fn convolution(&self) -> Convolution {
        Convolution {
            in_channels: self.in_channels,
            out_channels: self.out_channels,
            kernel_size: self.kernel_size,
            config: Conv1dConfig {
                stride: self.stride,
                padding: self.padding,
                dilation: self.dilation,
                groups: self.groups,
                bias: self.bias,
            },
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
        let length = convolution.window().slide(length, "length")?;
        Ok(vec![self.out_channels, length])
    }

    fn state(&self) -> Vec<StateTensor> {
        self.convolution().state(1)
    }

    fn forward(
        &self,
        state: &[Tensor],
        input: &Tensor,
        _: &mut Mode<'_>,
    ) -> Result<Tensor, TchError> {
        input.f_conv1d(
            &state[0],
            state.get(1),
            self.stride,
            self.padding,
            self.dilation,
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
        self.convolution().onnx(graph, state, input, 1)
    }

    fn extra_repr(&self) -> String {
        self.convolution().repr()
    }
}
