//! The errors of the crate: one [`Error`], and an enum for each part of it.

// The messages say what the fields hold.
#![allow(missing_docs)]

mod collective;
mod job;
mod lake;
mod mnist;
mod network;
mod pipeline;
mod secret;
mod spark;
mod table;
mod training;

use std::path::PathBuf;

pub use collective::CollectiveError;
pub use job::JobError;
pub use lake::LakeError;
pub use mnist::{FolderError, IdxError, MnistError};
pub use network::NetworkError;
pub use pipeline::PipelineError;
pub use secret::SecretError;
pub use spark::SparkError;
pub use table::TableError;
pub use training::TrainingError;

/// What the crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something failed: the error of the library that found out, or a sentence of ours. Where the sentence
/// is the library's, [`source`](std::error::Error::source) leads to its error.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Everything that can go wrong, each with what names the place and what to do about it.
///
/// No error ever carries a secret: credentials are [`Secret`](crate::secrets::Secret)s, which print as
/// `[redacted]`, and messages that come from a storage service are stripped of query strings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A secret scope.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The lake: its URLs, its files, the service that keeps them.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A table: its file, its columns, its values.
    #[error(transparent)]
    Table(#[from] TableError),
    /// MNIST's files, and files like them.
    #[error(transparent)]
    Mnist(#[from] MnistError),
    /// A network and its weights.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Training.
    #[error(transparent)]
    Training(#[from] TrainingError),
    /// What joins the ranks.
    #[error(transparent)]
    Collective(#[from] CollectiveError),
    /// A rank of a job.
    #[error(transparent)]
    Job(#[from] JobError),
    /// A Spark cluster.
    #[error(transparent)]
    Spark(#[from] SparkError),
    /// A pipeline and its saved models.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A setting outside its range.
    #[error("{setting} = {value} {reason}")]
    InvalidSetting {
        setting: &'static str,
        value: String,
        reason: String,
    },
    /// Something that has to be fitted before it is used.
    #[error("{what} is not fitted yet: call fit first")]
    NotFitted { what: &'static str },
    /// An array or tensor of another shape than needed.
    #[error("{what} has shape {found:?}, where {expected} is needed")]
    ShapeMismatch {
        what: String,
        found: Vec<i64>,
        expected: String,
    },
    /// A local file operation that failed.
    #[error("{operation} {} failed: {source}", path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    /// What ran was ended on request, by Stop or Ctrl-C; see [`interrupt`](crate::interrupt).
    #[error(
        "{operation} {url} was stopped on request; nothing is half written, so it can be run again"
    )]
    Interrupted {
        operation: &'static str,
        url: String,
    },
    /// libtorch refused an operation.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
    /// A picture that could not be drawn.
    #[error("drawing {picture} failed: {reason}")]
    Drawing {
        picture: &'static str,
        #[source]
        reason: Cause,
    },
}
