//! The rectified linear unit.

use tch::{TchError, Tensor};

use super::{Definition, Mode, ReLU};
use crate::network::onnx::OnnxGraph;
use crate::network::state::StateTensor;

impl Definition for ReLU {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        Ok(input.to_vec())
    }

    fn state(&self) -> Vec<StateTensor> {
        Vec::new()
    }

    fn forward(&self, _: &[Tensor], input: &Tensor, _: &mut Mode<'_>) -> Result<Tensor, TchError> {
        input.f_relu()
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        _: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        Ok(graph.node("Relu", &[input], &[]))
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
    fn negative_values_become_zero() {
        let input = Tensor::from_slice(&[-1.0_f32, 0.0, 2.5]);
        assert_eq!(evaluate(&Layer::ReLU, &[], &input), [0.0, 0.0, 2.5]);
    }
}
