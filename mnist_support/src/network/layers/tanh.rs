//! The hyperbolic tangent.

use tch::{TchError, Tensor};

use super::{Definition, Mode, Tanh};
use crate::network::onnx::OnnxGraph;
use crate::network::state::StateTensor;

impl Definition for Tanh {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        Ok(input.to_vec())
    }

    fn state(&self) -> Vec<StateTensor> {
        Vec::new()
    }

    fn forward(&self, _: &[Tensor], input: &Tensor, _: &mut Mode<'_>) -> Result<Tensor, TchError> {
        input.f_tanh()
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        _: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        Ok(graph.node("Tanh", &[input], &[]))
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
    fn each_value_becomes_its_hyperbolic_tangent() {
        let output = evaluate(
            &Layer::Tanh,
            &[],
            &Tensor::from_slice(&[-1.0_f32, 0.0, 1.0]),
        );
        assert!((output[2] - 1.0_f64.tanh()).abs() < 1e-6);
        assert_eq!((output[0], output[1]), (-output[2], 0.0));
    }
}
