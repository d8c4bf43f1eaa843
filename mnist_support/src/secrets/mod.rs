//! Secrets and where they come from.
//!
//! A [`SecretScope`] is a named set of keys, as in `dbutils.secrets.get(scope, key)` on Databricks.
//! It returns [`Secret`]s, which print as `[redacted]`.

mod scope;
mod secret;

pub use scope::SecretScope;
pub use secret::Secret;
