//! Errors of pipelines.

use super::Cause;

/// What is wrong with a pipeline or with a saved model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// Stages that do not fit together.
    #[error("pipeline stage {stage} ({kind}): {reason}")]
    InvalidStage {
        stage: usize,
        kind: &'static str,
        reason: String,
    },
    /// A saved model that is truncated, altered or of another version.
    #[error("the saved model {url} cannot be loaded: {file}: {reason}")]
    InvalidModel {
        url: String,
        file: String,
        #[source]
        reason: Cause,
    },
}
