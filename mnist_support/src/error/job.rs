//! Errors of the ranks of a job.

use super::Cause;
use std::path::PathBuf;

/// What became of a rank, or of the description of its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// A rank failed; the others were stopped.
    #[error("rank {rank} of {world_size} failed: {reason}")]
    RankFailed {
        rank: usize,
        world_size: usize,
        reason: String,
    },
    /// A rank that is a process reported an error of its own.
    #[error("rank {rank} of {world_size}: {message}")]
    InRank {
        rank: usize,
        world_size: usize,
        message: String,
    },
    /// A file that describes no job of a worker.
    #[error("{} is not a job: {reason}", path.display())]
    InvalidJob {
        path: PathBuf,
        #[source]
        reason: Cause,
    },
}
