//! Max pooling.

use tch::{TchError, Tensor};

use super::{Definition, Layer, MaxPool2d, Mode};
use crate::network::shape::pooled;
use crate::network::state::StateTensor;

impl Layer {
    /// A [`Layer::MaxPool2d`] with PyTorch's default stride, the kernel size.
    pub fn max_pool2d(kernel_size: i64) -> Self {
        Self::MaxPool2d {
            kernel_size,
            stride: kernel_size,
        }
    }
}

impl Definition for MaxPool2d {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        pooled(input, self.kernel_size, self.stride)
    }

    fn state(&self) -> Vec<StateTensor> {
        Vec::new()
    }

    fn forward(&self, _: &[Tensor], input: &Tensor, _: &mut Mode<'_>) -> Result<Tensor, TchError> {
        let (kernel, stride) = ([self.kernel_size; 2], [self.stride; 2]);
        input.f_max_pool2d(kernel, stride, [0, 0], [1, 1], false)
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
    fn each_whole_window_becomes_its_maximum() {
        let values: Vec<f32> = (0..15).map(|value| value as f32).collect();
        let image = Tensor::from_slice(&values).view([1, 1, 3, 5]);
        let layer = Layer::max_pool2d(2);
        assert_eq!(evaluate(&layer, &[], &image), [6.0, 8.0]);
        assert_eq!(layer.to_string(), "MaxPool2d(kernel_size=2, stride=2)");
    }
}
