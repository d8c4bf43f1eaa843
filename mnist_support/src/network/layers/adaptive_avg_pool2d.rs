//! Pooling to a size, by the mean.

use tch::{TchError, Tensor};

use super::{AdaptiveAvgPool2d, Definition, Layer, Mode};
use crate::network::onnx::{Attribute, OnnxGraph};
use crate::network::shape::{at_least_one, image};
use crate::network::state::StateTensor;

impl Layer {
    /// A [`Layer::AdaptiveAvgPool2d`] to images of this height and width.
    pub fn adaptive_avg_pool2d(output_size: [i64; 2]) -> Self {
        Self::AdaptiveAvgPool2d { output_size }
    }
}

impl Definition for AdaptiveAvgPool2d {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        let [height, width] = self.output_size;
        at_least_one(&[("output_size", height), ("output_size", width)])?;
        let [channels, ..] = image(input)?;
        Ok(vec![channels, height, width])
    }

    fn state(&self) -> Vec<StateTensor> {
        Vec::new()
    }

    fn forward(&self, _: &[Tensor], input: &Tensor, _: &mut Mode<'_>) -> Result<Tensor, TchError> {
        input.f_adaptive_avg_pool2d(self.output_size)
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        _: &[Tensor],
        input: &str,
        shape: &[i64],
    ) -> Result<String, String> {
        // ONNX's poolings have windows of one size.
        let sizes = shape[1..].iter().zip(self.output_size);
        let windows: Vec<i64> = sizes
            .map(|(length, output)| {
                if length % output == 0 {
                    length / output
                } else {
                    0
                }
            })
            .collect();
        if windows.contains(&0) {
            return Err(format!(
                "ONNX has it for sizes alone that {:?} divides: choose another output_size",
                self.output_size
            ));
        }
        let windows = Attribute::Ints(windows);
        Ok(graph.node(
            "AveragePool",
            &[input],
            &[("kernel_shape", windows.clone()), ("strides", windows)],
        ))
    }

    fn extra_repr(&self) -> String {
        format!("output_size={:?}", self.output_size)
    }
}
