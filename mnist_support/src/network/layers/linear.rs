//! A linear layer.

use tch::{TchError, Tensor};

use super::{Definition, Layer, Linear, Mode};
use crate::network::onnx::OnnxGraph;
use crate::network::shape::{at_least_one, elements};
use crate::network::state::StateTensor;

impl Layer {
    /// A [`Layer::Linear`].
    pub fn linear(in_features: i64, out_features: i64) -> Self {
        Self::Linear {
            in_features,
            out_features,
        }
    }
}

impl Definition for Linear {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        let (in_features, out_features) = (self.in_features, self.out_features);
        at_least_one(&[("in_features", in_features), ("out_features", out_features)])?;
        let Some((&width, before)) = input.split_last() else {
            return Err("the input has no dimension besides the rows".to_owned());
        };
        if width != in_features {
            return Err(mismatch(in_features, width, before, elements(input)?));
        }
        Ok(before.iter().copied().chain([out_features]).collect())
    }

    fn state(&self) -> Vec<StateTensor> {
        let (inputs, outputs) = (self.in_features, self.out_features);
        StateTensor::weight_and_bias(vec![outputs, inputs], outputs, inputs)
    }

    fn forward(
        &self,
        state: &[Tensor],
        input: &Tensor,
        _: &mut Mode<'_>,
    ) -> Result<Tensor, TchError> {
        input.f_linear(&state[0], Some(&state[1]))
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        state: &[Tensor],
        input: &str,
        _: &[i64],
    ) -> Result<String, String> {
        let transposed = [state[0].tr(), state[1].shallow_clone()];
        let state = graph.state(&transposed)?;
        let product = graph.node("MatMul", &[input, &state[0]], &[]);
        Ok(graph.node("Add", &[&product, &state[1]], &[]))
    }

    fn extra_repr(&self) -> String {
        format!(
            "in_features={}, out_features={}",
            self.in_features, self.out_features
        )
    }
}

fn mismatch(in_features: i64, width: i64, before: &[i64], flattened: i64) -> String {
    if before.is_empty() {
        format!(
            "in_features is {in_features}, but the input has {width}: set in_features to {width}"
        )
    } else if flattened == in_features {
        "put a Flatten before it".to_owned()
    } else {
        format!(
            "in_features is {in_features}, but the input is not flat: \
             put a Flatten before it and set in_features to {flattened}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::layers::tests::evaluate;

    #[test]
    fn each_output_is_a_weighted_sum_plus_the_bias() {
        let rows = Tensor::from_slice(&[1.0_f32, 2.0]).view([1, 2]);
        let weight = Tensor::from_slice(&[1.0_f32, 0.0, 3.0, 4.0]).view([2, 2]);
        let state = [weight, Tensor::from_slice(&[0.5_f32, -1.0])];
        assert_eq!(evaluate(&Layer::linear(2, 2), &state, &rows), [1.5, 10.0]);
    }
}
