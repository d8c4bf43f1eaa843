//! Max pooling.

use tch::{TchError, Tensor};

use super::{Definition, Layer, MaxPool2d, Mode};
use crate::network::onnx::{Attribute, OnnxGraph};
use crate::network::shape::pooled;
use crate::network::state::StateTensor;

impl Layer {
    /// A [`Layer::MaxPool2d`] with PyTorch's default stride, the kernel size.
    pub fn max_pool2d(kernel_size: i64) -> Self {
        Self::MaxPool2d {
            kernel_size,
            stride: kernel_size,
            padding: 0,
        }
    }
}

impl Definition for MaxPool2d {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        let (kernel_size, padding) = (self.kernel_size, self.padding);
        let output = pooled(input, kernel_size, self.stride, padding.max(0))?;
        if !(0..=kernel_size / 2).contains(&padding) {
            return Err(format!(
                "padding is {padding}, it must be from 0 to half of the kernel, {}",
                kernel_size / 2
            ));
        }
        Ok(output)
    }

    fn state(&self) -> Vec<StateTensor> {
        Vec::new()
    }

    fn forward(&self, _: &[Tensor], input: &Tensor, _: &mut Mode<'_>) -> Result<Tensor, TchError> {
        let (kernel, stride) = ([self.kernel_size; 2], [self.stride; 2]);
        input.f_max_pool2d(kernel, stride, [self.padding; 2], [1, 1], false)
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        _: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        Ok(graph.node(
            "MaxPool",
            &[input],
            &[
                ("kernel_shape", Attribute::Ints(vec![self.kernel_size; 2])),
                ("strides", Attribute::Ints(vec![self.stride; 2])),
                ("pads", Attribute::Ints(vec![self.padding; 4])),
            ],
        ))
    }

    fn extra_repr(&self) -> String {
        let mut text = format!("kernel_size={}, stride={}", self.kernel_size, self.stride);
        if self.padding != 0 {
            text += &format!(", padding={}", self.padding);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::layers::tests::evaluate;

    #[test]
    fn each_whole_window_becomes_its_maximum() {
        let values: Vec<f32> = (0..15).map(|value| value as f32).collect();
        let image = Tensor::from_slice(&values).view([1, 1, 3, 5]);
        let layer = Layer::max_pool2d(2);
        assert_eq!(evaluate(&layer, &[], &image), [6.0, 8.0]);
        assert_eq!(layer.to_string(), "MaxPool2d(kernel_size=2, stride=2)");
    }
}
