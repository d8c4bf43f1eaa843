//! Errors of a secret scope.

use super::Cause;
use std::path::PathBuf;

/// What is wrong with a secret scope.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The scope has no such key.
    #[error("the secret scope {scope:?} has no key {key:?}: {hint}")]
    NotFound {
        scope: String,
        key: String,
        hint: String,
    },
    /// The scope's file cannot be used, for example because others can read it.
    #[error("the secrets file {} cannot be used: {reason}", path.display())]
    File {
        path: PathBuf,
        #[source]
        reason: Cause,
    },
}
