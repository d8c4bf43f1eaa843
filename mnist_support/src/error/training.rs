//! Errors of training.

use super::Cause;

/// Why a fit cannot start or cannot continue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// The loss is no longer a finite number.
    #[error(
        "the training loss is {loss} at iteration {iteration}: lower learning_rate, or scale the features"
    )]
    Diverged { iteration: usize, loss: f64 },
    /// A mini-batch whose rows all weigh 0.
    #[error(
        "the rows of iteration {iteration} all weigh 0: raise mini_batch, or give more rows a weight"
    )]
    NoWeight { iteration: usize },
    /// A parameter that the loss does not depend on.
    #[error(
        "the parameter {parameter:?} gets no gradient, since the loss does not depend on it: \
         freeze it with freeze([{parameter:?}])"
    )]
    NoGradient { parameter: String },
    /// A checkpoint that is damaged or belongs to another fit.
    #[error("the checkpoint {url} cannot be used: {reason}")]
    InvalidCheckpoint {
        url: String,
        #[source]
        reason: Cause,
    },
    /// A device that this machine or this build of libtorch does not have.
    #[error("device {device:?} is not available: {reason}")]
    DeviceUnavailable { device: String, reason: String },
}
