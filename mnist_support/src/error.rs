//! The crate's errors: one [`Error`], and an enum for each part of the crate.

// The messages say what the fields hold.
#![allow(missing_docs)]

mod collective;
mod image;
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
pub use image::ImageError;
pub use job::JobError;
pub use lake::LakeError;
pub use mnist::{FolderError, IdxError, MnistError};
pub use network::NetworkError;
pub use pipeline::PipelineError;
pub use secret::SecretError;
pub use spark::SparkError;
pub use table::TableError;
pub use training::TrainingError;

/// The result type of the crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something failed: the error of the underlying library, or a message of our own.
/// [`source`](std::error::Error::source) returns the library's error.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Everything that can go wrong. Each error says where it happened and what to do about it.
///
/// No error contains a secret: credentials are [`Secret`](crate::secrets::Secret)s, which print as
/// `[redacted]`, and query strings are stripped from a storage service's messages.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A secret scope.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The lake: its URLs, files and storage service.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A table: its file, columns and values.
    #[error(transparent)]
    Table(#[from] TableError),
    /// IDX files: MNIST's, and others in that format.
    #[error(transparent)]
    Mnist(#[from] MnistError),
    /// A network and its weights.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Training.
    #[error(transparent)]
    Training(#[from] TrainingError),
    /// The collective that connects the ranks.
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
    /// Something that must be fitted before it is used.
    #[error("{what} is not fitted yet: call fit first")]
    NotFitted { what: &'static str },
    /// An array or tensor of the wrong shape.
    #[error("{what} has shape {found:?}, where {expected} is needed")]
    ShapeMismatch {
        what: String,
        found: Vec<i64>,
        expected: String,
    },
    /// A sample that a [`Dataset`](crate::traditional::Dataset) could not get, or whose transform
    /// failed.
    #[error("sample {index} of the dataset: {reason}")]
    Sample {
        index: usize,
        #[source]
        reason: Cause,
    },
    /// A local file operation that failed.
    #[error("{operation} {} failed: {source}", path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    /// An operation that was ended by Stop or Ctrl-C. See [`interrupt`](crate::interrupt).
    #[error(
        "{operation} {url} was stopped on request; nothing is half written, so it can be run again"
    )]
    Interrupted {
        operation: &'static str,
        url: String,
    },
    /// An operation that libtorch refused.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
    /// A plot that could not be drawn.
    #[error("drawing {picture} failed: {reason}")]
    Drawing {
        picture: &'static str,
        #[source]
        reason: Cause,
    },
}
