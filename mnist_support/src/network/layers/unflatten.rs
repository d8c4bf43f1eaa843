//! From one dimension to several.

use tch::{TchError, Tensor};

use super::{Definition, Layer, Mode, Unflatten};
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

    fn extra_repr(&self) -> String {
        format!("dim=1, unflattened_size={:?}", self.unflattened_size)
    }
}
