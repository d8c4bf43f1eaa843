//! Average pooling.

use tch::{TchError, Tensor};

use super::{AvgPool2d, Definition, Layer, Mode};
use crate::network::onnx::{Attribute, OnnxGraph};
use crate::network::shape::pooled;
use crate::network::state::StateTensor;

impl Layer {
    /// A [`Layer::AvgPool2d`] with PyTorch's default stride, the kernel size.
    pub fn avg_pool2d(kernel_size: i64) -> Self {
        Self::AvgPool2d {
            kernel_size,
            stride: kernel_size,
        }
    }
}

impl Definition for AvgPool2d {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        pooled(input, self.kernel_size, self.stride, 0)
    }

    fn state(&self) -> Vec<StateTensor> {
        Vec::new()
    }

    fn forward(&self, _: &[Tensor], input: &Tensor, _: &mut Mode<'_>) -> Result<Tensor, TchError> {
        let (kernel, stride) = ([self.kernel_size; 2], [self.stride; 2]);
        input.f_avg_pool2d(kernel, stride, [0, 0], false, true, None::<i64>)
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        _: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        Ok(graph.node(
            "AveragePool",
            &[input],
            &[
                ("kernel_shape", Attribute::Ints(vec![self.kernel_size; 2])),
                ("strides", Attribute::Ints(vec![self.stride; 2])),
            ],
        ))
    }

    fn extra_repr(&self) -> String {
        format!("kernel_size={}, stride={}", self.kernel_size, self.stride)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::layers::tests::evaluate;

    #[test]
    fn each_whole_window_becomes_its_mean() {
        let values: Vec<f32> = (0..15).map(|value| value as f32).collect();
        let image = Tensor::from_slice(&values).view([1, 1, 3, 5]);
        let layer = Layer::avg_pool2d(2);
        assert_eq!(evaluate(&layer, &[], &image), [3.0, 5.0]);
        assert_eq!(layer.to_string(), "AvgPool2d(kernel_size=2, stride=2)");
    }
}
