//! The sigmoid linear unit, also known as swish.

use tch::{TchError, Tensor};

use super::{Definition, Mode, SiLU};
use crate::network::onnx::OnnxGraph;
use crate::network::state::StateTensor;

impl Definition for SiLU {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        Ok(input.to_vec())
    }

    fn state(&self) -> Vec<StateTensor> {
        Vec::new()
    }

    fn forward(&self, _: &[Tensor], input: &Tensor, _: &mut Mode<'_>) -> Result<Tensor, TchError> {
        input.f_silu()
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        _: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        let sigmoid = graph.node("Sigmoid", &[input], &[]);
        Ok(graph.node("Mul", &[input, &sigmoid], &[]))
    }

    fn extra_repr(&self) -> String {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::layers::{Layer, tests::evaluate};

    #[test]
    fn values_far_from_zero_are_those_of_the_limits() {
        let input = Tensor::from_slice(&[-30.0_f32, 0.0, 30.0]);
        let found = evaluate(&Layer::SiLU, &[], &input);
        for (found, expected) in found.iter().zip([0.0, 0.0, 30.0]) {
            assert!((found - expected).abs() < 1e-5_f64, "{found} {expected}");
        }
    }
}
