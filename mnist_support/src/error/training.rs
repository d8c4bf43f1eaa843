//! Errors of training.

use super::Cause;

/// Why a fit cannot go on, or cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// A loss that is no longer a number.
    #[error(
        "the training loss is {loss} at iteration {iteration}: lower learning_rate, or scale the features"
    )]
    Diverged { iteration: usize, loss: f64 },
    /// A checkpoint that is damaged, or of another fit.
    #[error("the checkpoint {url} cannot be used: {reason}")]
    InvalidCheckpoint {
        url: String,
        #[source]
        reason: Cause,
    },
    /// A device that this machine or this libtorch does not have.
    #[error("device {device:?} is not available: {reason}")]
    DeviceUnavailable { device: String, reason: String },
}
