//! A piecewise approximation of SiLU.

use tch::{TchError, Tensor};

use super::{Definition, Hardswish, Mode};
use crate::network::onnx::OnnxGraph;
use crate::network::state::StateTensor;

impl Definition for Hardswish {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        Ok(input.to_vec())
    }

    fn state(&self) -> Vec<StateTensor> {
        Vec::new()
    }

    fn forward(&self, _: &[Tensor], input: &Tensor, _: &mut Mode<'_>) -> Result<Tensor, TchError> {
        input.f_hardswish()
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        _: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        Ok(graph.node("HardSwish", &[input], &[]))
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
        let input = Tensor::from_slice(&[-4.0_f32, 0.0, 5.0]);
        let found = evaluate(&Layer::Hardswish, &[], &input);
        for (found, expected) in found.iter().zip([0.0, 0.0, 5.0]) {
            assert!((found - expected).abs() < 1e-5_f64, "{found} {expected}");
        }
    }
}
