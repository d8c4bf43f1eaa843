//! Networks that were exported from PyTorch, as `.pt2` files.
//!
//! A `.pt2` file holds a graph of ATen operators in JSON, and weights. The graph becomes calls of
//! libtorch's operators by name ([`native`]), which compute the values and, by themselves, the
//! gradients. No Python is needed, and no code of the file's is run.

mod archive;
mod compile;
mod native;
mod onnx;
mod read;
mod run;
mod schema;
mod summary;
mod tensors;
mod write;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use self::{archive::Archive, compile::Place, native::Graph, summary::Row};
use super::{layers::Layer, state::StateTensor};
use crate::{
    Error, Result,
    error::{Cause, NetworkError},
};

/// A program that `torch.export` wrote, and weights to start from.
#[derive(Clone)]
pub(super) struct Program {
    source: Arc<Source>,
    /// The values of its state, as a safetensors file. A program in a saved model has none: the
    /// model has them.
    weights: Option<Arc<[u8]>>,
}

/// A program without weights.
struct Source {
    /// The file without weights.
    archive: Archive,
    graph: Graph,
    /// Where the operators stand, in the graph's order.
    places: Vec<Place>,
    /// The operator with the largest result, and the bytes of that for each row.
    largest: Option<(usize, u64)>,
    input: Input,
    output: Output,
    state: Vec<(String, StateTensor)>,
    warnings: Vec<String>,
    /// The layer that the last operator is, if it is one that makes probabilities.
    activation: Option<Layer>,
    rows: Vec<Row>,
}

/// The one tensor that a program takes.
struct Input {
    /// The shape of one row.
    shape: Vec<i64>,
    kind: Kind,
    /// The most rows in a batch.
    max_rows: Option<i64>,
}

/// The one tensor that a program returns.
struct Output {
    /// The shape of one row.
    shape: Vec<i64>,
    /// Whether it is a vector with one number for each row.
    flat: bool,
}

/// A [`Program`] in JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProgramData {
    /// The `.pt2` file without weights, in base64.
    archive: String,
    /// The weights as a safetensors file, in base64.
    weights: Option<String>,
}

impl Program {
    pub(super) fn input_shape(&self) -> &[i64] {
        &self.source.input.shape
    }

    pub(super) fn output_shape(&self) -> &[i64] {
        &self.source.output.shape
    }

    /// The tensors that training knows, in the order of the file.
    pub(super) fn state(&self) -> &[(String, StateTensor)] {
        &self.source.state
    }

    /// What the user should know about the program.
    pub(super) fn warnings(&self) -> &[String] {
        &self.source.warnings
    }

    pub(super) fn activation(&self) -> Option<&Layer> {
        self.source.activation.as_ref()
    }

    /// The most rows that it takes at once.
    pub(super) fn max_rows(&self) -> Option<i64> {
        self.source.input.max_rows
    }

    /// The weights as a safetensors file, if the program has any.
    pub(super) fn weights(&self) -> Option<&[u8]> {
        self.weights.as_deref()
    }

    /// The program with other weights, a safetensors file, or without any.
    pub(super) fn with_weights(&self, weights: Option<Vec<u8>>) -> Self {
        Program {
            source: self.source.clone(),
            weights: weights.map(Into::into),
        }
    }

    pub(super) fn to_data(&self) -> Result<ProgramData> {
        Ok(ProgramData {
            archive: BASE64_STANDARD.encode(self.source.archive.write()?),
            weights: self
                .weights()
                .map(|weights| BASE64_STANDARD.encode(weights)),
        })
    }

    pub(super) fn from_data(data: &ProgramData) -> Result<Self> {
        let decode = |text: &str| {
            let decoded = BASE64_STANDARD.decode(text);
            decoded.map_err(|error| invalid("the JSON", error.to_string()))
        };
        let archive = Archive::read(&decode(&data.archive)?)?;
        Ok(Program {
            source: Arc::new(Source::read(archive)?),
            weights: data
                .weights
                .as_deref()
                .map(decode)
                .transpose()?
                .map(Into::into),
        })
    }
}

impl PartialEq for Program {
    fn eq(&self, other: &Self) -> bool {
        let same = Arc::ptr_eq(&self.source, &other.source);
        (same || self.source.archive == other.source.archive) && self.weights == other.weights
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("input_shape", &self.input_shape())
            .field("output_shape", &self.output_shape())
            .field("operators", &self.source.places.len())
            .finish_non_exhaustive()
    }
}

fn invalid(part: impl Into<String>, reason: impl Into<Cause>) -> Error {
    Error::Network(NetworkError::InvalidProgram {
        part: part.into(),
        reason: reason.into(),
    })
}

/// The values of a state, in its order, by PyTorch's names.
fn to_safetensors(state: &[(String, StateTensor)], tensors: &[Tensor]) -> Result<Vec<u8>> {
    let names = state.iter().map(|(name, _)| name.as_str());
    crate::tensor_file::serialize(names.zip(tensors), None)
}
