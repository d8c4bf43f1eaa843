//! A string that does not print.

use std::fmt;

/// A secret string: `Debug` and `Display` print `[redacted]`, and it cannot be serialised.
///
/// ```
/// use mnist_support::secrets::Secret;
///
/// let secret = Secret::new("correct horse");
/// assert_eq!(format!("{secret} {secret:?}"), "[redacted] [redacted]");
/// assert_eq!(secret.expose(), "correct horse");
/// ```
///
/// It does not implement `Serialize`, so that no settings file or saved model can contain one:
///
/// ```compile_fail
/// serde_json::to_string(&mnist_support::secrets::Secret::new("correct horse"));
/// ```
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps `value`, so that it does not print.
    pub fn new(value: impl Into<String>) -> Secret {
        Secret(value.into())
    }

    /// Returns the secret itself, for the call that needs it. Don't keep or print it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints_in_any_format() {
        let secret = Secret::new("hunter2");
        for printed in [
            format!("{secret}"),
            format!("{secret:?}"),
            format!("{secret:#?}"),
            format!("{:?}", Some(vec![secret.clone()])),
        ] {
            assert!(!printed.contains("hunter2"), "{printed}");
            assert!(printed.contains("[redacted]"), "{printed}");
        }
        assert_eq!(secret.expose(), "hunter2");
    }
}
