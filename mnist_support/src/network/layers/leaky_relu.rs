//! The leaky rectified linear unit.

use tch::{TchError, Tensor};

use super::{Definition, Layer, LeakyReLU, Mode};
use crate::network::onnx::{Attribute, OnnxGraph};
use crate::network::state::StateTensor;

impl Layer {
    /// A [`Layer::LeakyReLU`] with PyTorch's default slope of 0.01 below 0.
    pub fn leaky_relu() -> Self {
        Self::LeakyReLU {
            negative_slope: 0.01,
        }
    }
}

impl Definition for LeakyReLU {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        Ok(input.to_vec())
    }

    fn state(&self) -> Vec<StateTensor> {
        Vec::new()
    }

    fn forward(&self, _: &[Tensor], input: &Tensor, _: &mut Mode<'_>) -> Result<Tensor, TchError> {
        let below = input.f_mul_scalar(self.negative_slope)?;
        input.f_where_self(&input.f_gt(0.0)?, &below)
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        _: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        Ok(graph.node(
            "LeakyRelu",
            &[input],
            &[("alpha", Attribute::Float(self.negative_slope))],
        ))
    }

    fn extra_repr(&self) -> String {
        format!("negative_slope={}", self.negative_slope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::layers::tests::evaluate;

    #[test]
    fn values_far_from_zero_are_those_of_the_limits() {
        let input = Tensor::from_slice(&[-100.0_f32, 0.0, 2.0]);
        let found = evaluate(&Layer::leaky_relu(), &[], &input);
        for (found, expected) in found.iter().zip([-1.0, 0.0, 2.0]) {
            assert!((found - expected).abs() < 1e-5_f64, "{found} {expected}");
        }
    }
}
