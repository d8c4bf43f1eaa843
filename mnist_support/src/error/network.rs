//! Errors of networks.

use super::Cause;

/// What is wrong with a network or its weights.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// A list of layers whose shapes do not fit, or a setting of a layer that makes no sense.
    #[error("layer {layer} ({kind}) on an input of shape {input_shape:?}: {reason}")]
    InvalidLayer {
        layer: usize,
        kind: &'static str,
        input_shape: Vec<i64>,
        reason: String,
    },
    /// A configuration of the CNN that contradicts itself.
    #[error("CnnConfig.{field}: {reason}")]
    InvalidCnn { field: &'static str, reason: String },
    /// Weights that are not those of the network.
    #[error("weights, parameter {parameter:?}: {reason}")]
    InvalidWeights {
        parameter: String,
        #[source]
        reason: Cause,
    },
}
