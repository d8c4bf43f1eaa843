//! A shortcut around layers.

use tch::{TchError, Tensor};

use super::{Definition, Layer, Mode, Residual};
use crate::network::sequential;
use crate::network::state::StateTensor;

impl Layer {
    /// A [`Layer::Residual`]: the input is added to what the layers make of it, whose shape must be
    /// the same.
    pub fn residual(layers: impl Into<Vec<Layer>>) -> Self {
        Self::Residual {
            layers: layers.into(),
            shortcut: Vec::new(),
        }
    }

    /// A [`Layer::Residual`] with layers on the shortcut, too, such as the convolution with which a
    /// ResNet changes the shape.
    pub fn residual_with_shortcut(
        layers: impl Into<Vec<Layer>>,
        shortcut: impl Into<Vec<Layer>>,
    ) -> Self {
        Self::Residual {
            layers: layers.into(),
            shortcut: shortcut.into(),
        }
    }
}

impl Definition for Residual {
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>, String> {
        let output = sequential::output_shape("layers", &self.layers, input)?;
        let added = match self.shortcut.as_slice() {
            [] => input.to_vec(),
            shortcut => sequential::output_shape("shortcut", shortcut, input)?,
        };
        if output != added {
            return Err(format!(
                "its layers make {output:?} of it, and the shortcut {added:?}: \
                 their sum needs the same shape"
            ));
        }
        Ok(output)
    }

    fn state(&self) -> Vec<StateTensor> {
        let mut state = sequential::nested_state("layers", &self.layers);
        state.extend(sequential::nested_state("shortcut", &self.shortcut));
        state
    }

    fn forward(
        &self,
        state: &[Tensor],
        input: &Tensor,
        mode: &mut Mode<'_>,
    ) -> Result<Tensor, TchError> {
        let (own, shortcut) = state.split_at(sequential::state_count(&self.layers));
        let output = sequential::run("layers", &self.layers, own, input, mode)?;
        let added = sequential::run("shortcut", &self.shortcut, shortcut, input, mode)?;
        output.f_add(&added)
    }

    fn extra_repr(&self) -> String {
        let shortcut = match self.shortcut.len() {
            0 => String::new(),
            count => format!(", {count} on the shortcut"),
        };
        format!("{} layers{shortcut}", self.layers.len())
    }
}
