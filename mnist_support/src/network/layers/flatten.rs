//! Flattening.

use tch::{TchError, Tensor};

use super::{Definition, Flatten, Mode};
use crate::network::onnx::{Attribute, OnnxGraph};
use crate::network::shape::elements;
use crate::network::state::StateTensor;

impl Definition for Flatten {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        Ok(vec![elements(input)?])
    }

    fn state(&self) -> Vec<StateTensor> {
        Vec::new()
    }

    fn forward(&self, _: &[Tensor], input: &Tensor, _: &mut Mode<'_>) -> Result<Tensor, TchError> {
        input.f_flatten(1, -1)
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        _: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        Ok(graph.node("Flatten", &[input], &[("axis", Attribute::Int(1))]))
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
    fn the_values_of_a_row_keep_their_order() {
        let values: Vec<f32> = (0..12).map(|value| value as f32).collect();
        let input = Tensor::from_slice(&values).view([2, 3, 1, 2]);
        let expected: Vec<f64> = (0..12).map(f64::from).collect();
        assert_eq!(evaluate(&Layer::Flatten, &[], &input), expected);
        assert_eq!(Flatten {}.output_shape(&[3, 1, 2]).unwrap(), [6]);
    }
}
