//! Errors of the lake.

use super::Cause;

/// What is wrong with a location in a lake, or with its storage service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LakeError {
    /// A URL other than `abfss://`, `https://`, `az://`, `s3://`, `gs://`, `file://` or a path, or
    /// one that lacks a part.
    #[error("{url:?} is not a location in a lake: {reason}")]
    InvalidUrl { url: String, reason: String },
    /// No such container, blob or file.
    #[error("{url} was not found: {hint}")]
    NotFound { url: String, hint: String },
    /// The service refused the credentials, or there are none.
    #[error("access to {url} was refused ({reason}): {hint}")]
    AccessDenied {
        url: String,
        reason: String,
        hint: String,
    },
    /// The service did not answer, even after the retries, or was busy for all the time that it was
    /// asked.
    #[error("{url} could not be reached after {retries} retries: {reason}")]
    Unreachable {
        url: String,
        retries: usize,
        reason: String,
    },
    /// Any other storage error.
    #[error("{operation} {url} failed: {reason}")]
    Storage {
        operation: &'static str,
        url: String,
        #[source]
        reason: Cause,
    },
}
