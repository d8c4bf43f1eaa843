//! The logarithm of the softmax.

use tch::{TchError, Tensor};

use super::{Definition, LogSoftmax, Mode};
use crate::network::onnx::{Attribute, OnnxGraph};
use crate::network::state::StateTensor;

impl Definition for LogSoftmax {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        Ok(input.to_vec())
    }

    fn state(&self) -> Vec<StateTensor> {
        Vec::new()
    }

    fn forward(&self, _: &[Tensor], input: &Tensor, _: &mut Mode<'_>) -> Result<Tensor, TchError> {
        input.f_log_softmax(1, None)
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        _: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        Ok(graph.node("LogSoftmax", &[input], &[("axis", Attribute::Int(1))]))
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
    fn it_is_the_logarithm_of_the_softmax() {
        let input = Tensor::from_slice(&[0.0_f32, 3.0_f32.ln()]).view([1, 2]);
        let output = evaluate(&Layer::LogSoftmax, &[], &input);
        let expected = [0.25_f64.ln(), 0.75_f64.ln()];
        assert!((output[0] - expected[0]).abs() < 1e-6 && (output[1] - expected[1]).abs() < 1e-6);
    }
}
