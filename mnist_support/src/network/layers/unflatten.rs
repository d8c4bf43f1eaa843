//! From one dimension to several.

use tch::{TchError, Tensor};

use super::{Definition, Layer, Mode, Unflatten};
use crate::network::onnx::OnnxGraph;
use crate::network::shape::elements;
use crate::network::state::StateTensor;

impl Layer {
    /// A [`Layer::Unflatten`] of each row to this shape, like `Unflatten(1, shape)`.
    pub fn unflatten(unflattened_size: impl Into<Vec<i64>>) -> Self {
        Self::Unflatten {
            unflattened_size: unflattened_size.into(),
        }
    }
}

impl Definition for Unflatten {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        let shape = &self.unflattened_size;
        let fits = !shape.is_empty() && shape.iter().all(|&size| size >= 1);
        if !fits || elements(shape)? != input.first().copied().unwrap_or_default() {
            return Err(format!(
                "unflattened_size is {shape:?}, which the input can't fill"
            ));
        }
        Ok(shape.iter().chain(&input[1..]).copied().collect())
    }

    fn state(&self) -> Vec<StateTensor> {
        Vec::new()
    }

    fn forward(&self, _: &[Tensor], input: &Tensor, _: &mut Mode<'_>) -> Result<Tensor, TchError> {
        input.f_unflatten(1, self.unflattened_size.as_slice())
    }

    fn onnx(
        &self,
        graph: &mut OnnxGraph,
        _: &[Tensor],
        input: &str,
        shape: &[i64],
    ) -> Result<String, String> {
        let shape: Vec<i64> = self
            .unflattened_size
            .iter()
            .chain(&shape[1..])
            .copied()
            .collect();
        graph
            .reshape(input, &shape)
            .map_err(|error| error.to_string())
    }

    fn extra_repr(&self) -> String {
        format!("dim=1, unflattened_size={:?}", self.unflattened_size)
    }
}
