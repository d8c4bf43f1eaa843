//! The exponential linear unit.

use tch::{TchError, Tensor};

use super::{Definition, ELU, Layer, Mode};
use crate::network::onnx::{Attribute, OnnxGraph};
use crate::network::state::StateTensor;

impl Layer {
    /// A [`Layer::ELU`] with PyTorch's default alpha of 1.
    pub fn elu() -> Self {
        Self::ELU { alpha: 1.0 }
    }
}

impl Definition for ELU {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        Ok(input.to_vec())
    }

    fn state(&self) -> Vec<StateTensor> {
        Vec::new()
    }

    fn forward(&self, _: &[Tensor], input: &Tensor, _: &mut Mode<'_>) -> Result<Tensor, TchError> {
        // Without the large values, whose exponential would be infinite, and its gradient NaN.
        let below = input
            .f_clamp_max(0.0)?
            .f_expm1()?
            .f_mul_scalar(self.alpha)?;
        input.f_where_self(&input.f_gt(0.0)?, &below)
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        _: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        Ok(graph.node("Elu", &[input], &[("alpha", Attribute::Float(self.alpha))]))
    }

    fn extra_repr(&self) -> String {
        format!("alpha={:?}", self.alpha)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::layers::tests::evaluate;

    #[test]
    fn values_far_from_zero_are_those_of_the_limits() {
        let input = Tensor::from_slice(&[-30.0_f32, 0.0, 2.0]);
        let found = evaluate(&Layer::elu(), &[], &input);
        for (found, expected) in found.iter().zip([-1.0, 0.0, 2.0]) {
            assert!((found - expected).abs() < 1e-5_f64, "{found} {expected}");
        }
    }
}
