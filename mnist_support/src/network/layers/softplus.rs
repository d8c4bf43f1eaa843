//! A smooth ReLU.

use tch::{TchError, Tensor};

use super::{Definition, Mode, Softplus};
use crate::network::onnx::OnnxGraph;
use crate::network::state::StateTensor;

impl Definition for Softplus {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        Ok(input.to_vec())
    }

    fn state(&self) -> Vec<StateTensor> {
        Vec::new()
    }

    fn forward(&self, _: &[Tensor], input: &Tensor, _: &mut Mode<'_>) -> Result<Tensor, TchError> {
        // PyTorch's defaults: beta 1, and linear above 20.
        input.f_softplus()
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        _: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        Ok(graph.node("Softplus", &[input], &[]))
    }

    fn extra_repr(&self) -> String {
        "beta=1.0, threshold=20.0".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::layers::{Layer, tests::evaluate};

    #[test]
    fn values_far_from_zero_are_those_of_the_limits() {
        let input = Tensor::from_slice(&[-30.0_f32, 0.0, 30.0]);
        let found = evaluate(&Layer::Softplus, &[], &input);
        for (found, expected) in found.iter().zip([0.0, 2.0_f64.ln(), 30.0]) {
            assert!((found - expected).abs() < 1e-5_f64, "{found} {expected}");
        }
    }
}
