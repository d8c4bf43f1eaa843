//! Errors of the lake.

use super::Cause;

/// What is wrong with a place in a lake, or with the service that keeps it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LakeError {
    /// A URL that is not `abfss://`, `az://`, `file://` or a path, or that lacks a part.
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
    /// The service did not answer within the retries.
    #[error("{url} could not be reached after {retries} retries: {reason}")]
    Unreachable {
        url: String,
        retries: usize,
        reason: String,
    },
    /// Any other failure of the storage.
    #[error("{operation} {url} failed: {reason}")]
    Storage {
        operation: &'static str,
        url: String,
        #[source]
        reason: Cause,
    },
}
