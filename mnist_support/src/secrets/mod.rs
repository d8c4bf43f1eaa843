//! Secrets and where they come from.
//!
//! A [`SecretScope`] is a named set of keys, as in `dbutils.secrets.get(scope, key)` on Databricks. What it
//! hands out is a [`Secret`], which prints as `[redacted]`.

mod scope;
mod secret;

pub use scope::SecretScope;
pub use secret::Secret;
