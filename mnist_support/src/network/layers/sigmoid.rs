//! The logistic function.

use tch::{TchError, Tensor};

use super::{Definition, Mode, Sigmoid};
use crate::network::onnx::OnnxGraph;
use crate::network::state::StateTensor;

impl Definition for Sigmoid {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        Ok(input.to_vec())
    }

    fn state(&self) -> Vec<StateTensor> {
        Vec::new()
    }

    fn forward(&self, _: &[Tensor], input: &Tensor, _: &mut Mode<'_>) -> Result<Tensor, TchError> {
        input.f_sigmoid()
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        _: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        Ok(graph.node("Sigmoid", &[input], &[]))
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
    fn zero_becomes_a_half_and_ln_3_three_quarters() {
        let input = Tensor::from_slice(&[0.0_f32, 3.0_f32.ln()]);
        let output = evaluate(&Layer::Sigmoid, &[], &input);
        assert!((output[0] - 0.5).abs() < 1e-6 && (output[1] - 0.75).abs() < 1e-6);
    }
}
