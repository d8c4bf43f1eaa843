//! The softmax.

use tch::{TchError, Tensor};

use super::{Definition, Mode, Softmax};
use crate::network::onnx::{Attribute, OnnxGraph};
use crate::network::state::StateTensor;

impl Definition for Softmax {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        Ok(input.to_vec())
    }

    fn state(&self) -> Vec<StateTensor> {
        Vec::new()
    }

    fn forward(&self, _: &[Tensor], input: &Tensor, _: &mut Mode<'_>) -> Result<Tensor, TchError> {
        input.f_softmax(1, None)
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        _: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        Ok(graph.node("Softmax", &[input], &[("axis", Attribute::Int(1))]))
    }

    fn extra_repr(&self) -> String {
        "dim=1".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::layers::{Layer, tests::evaluate};

    #[test]
    fn the_values_of_a_row_become_probabilities() {
        let input = Tensor::from_slice(&[0.0_f32, 3.0_f32.ln()]).view([1, 2]);
        let output = evaluate(&Layer::Softmax, &[], &input);
        assert!((output[0] - 0.25).abs() < 1e-6 && (output[1] - 0.75).abs() < 1e-6);
    }
}
