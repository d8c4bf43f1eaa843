//! A sequence of layers that fit together.

use tch::{TchError, Tensor};

use super::forward;
use super::layers::{Layer, Mode};
use super::shape::elements;
use super::state::StateTensor;
use crate::{Error, Result, error::NetworkError};

/// A sequence of layers, like PyTorch's `nn.Sequential`, with the shapes between them.
///
/// The layers always fit together: [`Sequential::new`] infers every shape.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sequential {
    input_shape: Vec<i64>,
    layers: Vec<Layer>,
    /// The output shape of each layer.
    shapes: Vec<Vec<i64>>,
}

impl Sequential {
    /// Checks that the layers fit each other and rows of shape `input_shape`.
    pub(super) fn new(input_shape: &[i64], layers: Vec<Layer>) -> Result<Self> {
        let first = layers.first().map_or("none", Layer::kind);
        let invalid = |layer: usize, kind: &'static str, shape: &[i64], reason: String| {
            Error::Network(NetworkError::InvalidLayer {
                layer,
                kind,
                input_shape: shape.to_vec(),
                reason,
            })
        };
        if layers.is_empty() {
            let reason = "the list of layers is empty".to_owned();
            return Err(invalid(0, first, input_shape, reason));
        }
        if input_shape.is_empty() || input_shape.iter().any(|&size| size < 1) {
            let reason = "the input shape needs sizes of at least 1".to_owned();
            return Err(invalid(0, first, input_shape, reason));
        }
        elements(input_shape).map_err(|reason| invalid(0, first, input_shape, reason))?;
        let mut shapes: Vec<Vec<i64>> = Vec::with_capacity(layers.len());
        for (index, layer) in layers.iter().enumerate() {
            let input = shapes.last().map_or(input_shape, Vec::as_slice);
            let output = layer
                .output_shape(input)
                .map_err(|reason| invalid(index, layer.kind(), input, reason))?;
            shapes.push(output);
        }
        Ok(Self {
            input_shape: input_shape.to_vec(),
            layers,
            shapes,
        })
    }

    /// The shape of one row of the input.
    pub(super) fn input_shape(&self) -> &[i64] {
        &self.input_shape
    }

    /// The layers, in order.
    pub(super) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The output shape of each layer, for one row.
    pub(super) fn shapes(&self) -> &[Vec<i64>] {
        &self.shapes
    }

    /// The shape of one row of the output.
    pub(super) fn output_shape(&self) -> &[i64] {
        self.shapes.last().unwrap_or(&self.input_shape)
    }

    /// All tensors with their names, in the order of PyTorch's `state_dict`. The index counts every
    /// layer, including those without tensors.
    pub(super) fn state(&self) -> Vec<(String, StateTensor)> {
        named_state(&self.layers).collect()
    }
}

/// The tensors of layers, with their names: `0.weight`.
fn named_state(layers: &[Layer]) -> impl Iterator<Item = (String, StateTensor)> {
    layers.iter().enumerate().flat_map(|(index, layer)| {
        let tensors = layer.state().into_iter();
        tensors.map(move |tensor| (format!("{index}.{}", tensor.name), tensor))
    })
}

// Layers within a layer, which knows them by a name.

/// The output shape of layers within a layer. The error says which layer it is about.
pub(super) fn output_shape(
    name: &str,
    layers: &[Layer],
    input: &[i64],
) -> std::result::Result<Vec<i64>, String> {
    match Sequential::new(input, layers.to_vec()) {
        Ok(layers) => Ok(layers.output_shape().to_vec()),
        Err(error) => Err(format!("in its {name}, {error}")),
    }
}

/// The tensors of layers within a layer: `layers.0.weight`.
pub(super) fn nested_state(name: &str, layers: &[Layer]) -> Vec<StateTensor> {
    let state = named_state(layers);
    state
        .map(|(tensor, state)| StateTensor {
            name: format!("{name}.{tensor}").into(),
            ..state
        })
        .collect()
}

/// The number of tensors of layers.
pub(super) fn state_count(layers: &[Layer]) -> usize {
    layers.iter().map(|layer| layer.state().len()).sum()
}

/// Runs layers within a layer.
pub(super) fn run(
    name: &str,
    layers: &[Layer],
    state: &[Tensor],
    input: &Tensor,
    mode: &mut Mode<'_>,
) -> std::result::Result<Tensor, TchError> {
    let output = forward::run(layers, state, input.shallow_clone(), mode);
    output.map_err(|error| TchError::Shape(format!("in its {name}, {error}")))
}
