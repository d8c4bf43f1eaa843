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
}
