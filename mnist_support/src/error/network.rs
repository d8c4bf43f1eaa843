//! Errors of networks.

use super::Cause;

/// What is wrong with a network or its weights.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// A list of layers whose shapes do not fit together, or an invalid setting of a layer.
    #[error("layer {layer} ({kind}) on an input of shape {input_shape:?}: {reason}")]
    InvalidLayer {
        layer: usize,
        kind: &'static str,
        input_shape: Vec<i64>,
        reason: String,
    },
    /// A contradictory configuration of the CNN.
    #[error("CnnConfig.{field}: {reason}")]
    InvalidCnn { field: &'static str, reason: String },
    /// Weights that do not fit the network.
    #[error("weights, parameter {parameter:?}: {reason}")]
    InvalidWeights {
        parameter: String,
        #[source]
        reason: Cause,
    },
    /// A `.pt2` file that can't be read, or whose program can't run here.
    #[error("exported program, {part}: {reason}")]
    InvalidProgram {
        /// The part of the file: a path in the archive, a parameter, an operator with its place in
        /// the user's Python.
        part: String,
        #[source]
        reason: Cause,
    },
    /// A value that the network cannot take.
    #[error("row {row}, column {column} of a batch: {value}: {reason}")]
    InvalidInput {
        row: i64,
        column: i64,
        value: f64,
        reason: String,
    },
    /// A network that was read without weights, and needs some.
    #[error(
        "the exported program has no weights: give it the initial weights of a safetensors file"
    )]
    NoWeights,
}
