//! Errors of the ranks of a job.

use super::Cause;
use std::path::PathBuf;

/// What went wrong in a rank, or with the description of its job.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// A rank failed, and the others were stopped.
    #[error("rank {rank} of {world_size} failed: {reason}")]
    RankFailed {
        rank: usize,
        world_size: usize,
        reason: String,
    },
    /// A rank that runs as a process reported an error.
    #[error("rank {rank} of {world_size}: {message}")]
    InRank {
        rank: usize,
        world_size: usize,
        message: String,
        /// Whether it was [`WiderValue`](super::TableError::WiderValue): the rows can be read
        /// again.
        wider_value: bool,
    },
    /// A file that does not describe a job for a worker.
    #[error("{} is not a job: {reason}", path.display())]
    InvalidJob {
        path: PathBuf,
        #[source]
        reason: Cause,
    },
}
