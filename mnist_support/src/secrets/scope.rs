//! A named set of secrets, from environment variables or a file.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::Secret;
use crate::{
    Error, Result,
    error::{Cause, SecretError},
};

/// The environment variable that names another folder for the secrets files.
const FOLDER_VARIABLE: &str = "MNIST_SUPPORT_SECRETS";

/// A named set of secrets.
///
/// A key is looked up in two places, in this order:
/// 1. the environment variable `SCOPE_KEY`, in upper case and with `_` for `-`: the key
///    `client-secret` of the scope `adls` is `ADLS_CLIENT_SECRET`. An empty variable counts as not
///    set.
/// 2. the file `SCOPE.json`, one JSON object of strings, in the folder
///    `~/.config/mnist_support/secrets` or the one that the variable `MNIST_SUPPORT_SECRETS` names.
///    Other users must not be able to read the file.
///
/// ```
/// use mnist_support::secrets::SecretScope;
///
/// # fn main() -> mnist_support::Result<()> {
/// let scope = SecretScope::open("example-scope")?;
/// assert!(scope.get("client-secret").is_err()); // nothing is configured
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SecretScope {
    name: String,
    file: Option<PathBuf>,
    secrets: BTreeMap<String, Secret>,
}

impl SecretScope {
    /// Opens the scope `name`. A missing file is no error, because the variables may be enough.
    ///
    /// # Errors
    /// - [`Error::InvalidSetting`] for a name with anything but letters, digits, `-` and `_`.
    /// - [`SecretError::File`] for a file that others can read, or that is not a JSON object of
    ///   strings.
    pub fn open(name: &str) -> Result<SecretScope> {
        let folder = match std::env::var_os(FOLDER_VARIABLE).filter(|value| !value.is_empty()) {
            Some(folder) => Some(PathBuf::from(folder)),
            None => std::env::home_dir().map(|home| home.join(".config/mnist_support/secrets")),
        };
        SecretScope::load(name, folder.as_deref())
    }

    /// Opens the scope `name`, with its file in `folder`.
    ///
    /// # Errors
    /// Same as [`SecretScope::open`].
    pub fn open_in(name: &str, folder: &Path) -> Result<SecretScope> {
        SecretScope::load(name, Some(folder))
    }

    fn load(name: &str, folder: Option<&Path>) -> Result<SecretScope> {
        let is_plain =
            |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err(Error::InvalidSetting {
                setting: "scope",
                value: format!("{name:?}"),
                reason: "is not a name of letters, digits, - and _".into(),
            });
        }
        let file = folder.map(|folder| folder.join(format!("{name}.json")));
        let secrets = match &file {
            Some(file) => read_file(file)?,
            None => BTreeMap::new(),
        };
        Ok(SecretScope {
            name: name.into(),
            file,
            secrets,
        })
    }

    /// The scope's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the secret of `key`.
    ///
    /// # Errors
    /// [`SecretError::NotFound`], which names the scope, the key, and the variable and the file
    /// that were searched.
    pub fn get(&self, key: &str) -> Result<Secret> {
        self.find(key)?.ok_or_else(|| Error::Secret(SecretError::NotFound {
            scope: self.name.clone(),
            key: key.into(),
            hint: match &self.file {
                Some(file) => format!(
                    "set the environment variable {}, or add the key to {} (a JSON object of strings, chmod 600)",
                    self.variable(key),
                    file.display()
                ),
                None => format!("set the environment variable {}", self.variable(key)),
            },
        }))
    }

    /// Returns the secret of `key`, or `None` if it is not configured.
    ///
    /// # Errors
    /// [`SecretError::NotFound`] if the variable is set but is not UTF-8.
    pub fn find(&self, key: &str) -> Result<Option<Secret>> {
        let variable = self.variable(key);
        match std::env::var(&variable) {
            Ok(value) if !value.is_empty() => Ok(Some(Secret::new(value))),
            Err(std::env::VarError::NotUnicode(_)) => Err(Error::Secret(SecretError::NotFound {
                scope: self.name.clone(),
                key: key.into(),
                hint: format!("the environment variable {variable} is not UTF-8"),
            })),
            Ok(_) | Err(std::env::VarError::NotPresent) => Ok(self.secrets.get(key).cloned()),
        }
    }

    /// The environment variable of `key`.
    fn variable(&self, key: &str) -> String {
        format!("{}_{key}", self.name)
            .to_uppercase()
            .replace('-', "_")
    }
}

impl fmt::Debug for SecretScope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SecretScope")
            .field("name", &self.name)
            .field("file", &self.file)
            .field("keys", &self.secrets.keys().collect::<Vec<_>>())
            .finish()
    }
}

fn read_file(file: &Path) -> Result<BTreeMap<String, Secret>> {
    let unusable = |reason: Cause| {
        Error::Secret(SecretError::File {
            path: file.to_path_buf(),
            reason,
        })
    };
    let metadata = match fs::metadata(file) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(unusable(error.into())),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(unusable(
                format!(
                    "others can read it (mode {mode:03o}); run: chmod 600 {}",
                    file.display()
                )
                .into(),
            ));
        }
    }
    if !metadata.is_file() {
        return Err(unusable("it is not a file".into()));
    }
    let text = fs::read_to_string(file).map_err(|error| unusable(error.into()))?;
    // Some editors begin files with this mark.
    let text = text.trim_start_matches('\u{feff}');
    // serde_json's message may quote a value of the file, so report only the position.
    let secrets: BTreeMap<String, String> = serde_json::from_str(text).map_err(|error| {
        unusable(
            format!(
                "it is not a JSON object of strings (line {}, column {})",
                error.line(),
                error.column()
            )
            .into(),
        )
    })?;
    Ok(secrets
        .into_iter()
        .map(|(key, value)| (key, Secret::new(value)))
        .collect())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn scope_file(folder: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
        let file = folder.join(format!("{name}.json"));
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn a_key_of_the_file_is_found_and_does_not_print() {
        let folder = tempfile::tempdir().unwrap();
        scope_file(
            folder.path(),
            "filed",
            r#"{"client-secret": "hunter2"}"#,
            0o600,
        );
        let scope = SecretScope::open_in("filed", folder.path()).unwrap();
        assert_eq!(scope.get("client-secret").unwrap().expose(), "hunter2");
        assert!(!format!("{scope:?}").contains("hunter2"));
        let marked = "\u{feff}{\"client-secret\": \"hunter2\"}";
        scope_file(folder.path(), "marked", marked, 0o600);
        let scope = SecretScope::open_in("marked", folder.path()).unwrap();
        assert_eq!(scope.get("client-secret").unwrap().expose(), "hunter2");
    }

    #[test]
    fn a_missing_key_names_scope_key_variable_and_file() {
        let folder = tempfile::tempdir().unwrap();
        let scope = SecretScope::open_in("lake-test", folder.path()).unwrap();
        let error = scope.get("client-secret").unwrap_err();
        assert!(matches!(error, Error::Secret(SecretError::NotFound { .. })));
        let message = error.to_string();
        for part in [
            "\"lake-test\"",
            "\"client-secret\"",
            "LAKE_TEST_CLIENT_SECRET",
            "lake-test.json",
        ] {
            assert!(message.contains(part), "{message} lacks {part}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_command_to_run() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o644, 0o640, 0o604, 0o620] {
            let file = scope_file(folder.path(), "open", r#"{"sas": "hunter2"}"#, mode);
            let error = SecretScope::open_in("open", folder.path()).unwrap_err();
            assert!(matches!(error, Error::Secret(SecretError::File { .. })));
            let message = error.to_string();
            assert!(
                message.contains(&format!("chmod 600 {}", file.display())),
                "{message}"
            );
            assert!(!message.contains("hunter2"));
        }
    }

    #[test]
    fn an_invalid_file_is_refused_without_quoting_it() {
        let folder = tempfile::tempdir().unwrap();
        for text in [r#"{"sas": 731846}"#, r#"["hunter2"]"#, "hunter2", ""] {
            scope_file(folder.path(), "broken", text, 0o600);
            let message = SecretScope::open_in("broken", folder.path())
                .unwrap_err()
                .to_string();
            assert!(
                message.contains("not a JSON object of strings (line"),
                "{message}"
            );
            assert!(
                !message.contains("hunter2") && !message.contains("731846"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_scope_name_cannot_leave_the_folder() {
        for name in ["../adls", "", "a/b", "a.b"] {
            assert!(matches!(
                SecretScope::open_in(name, Path::new("/tmp")),
                Err(Error::InvalidSetting { .. })
            ));
        }
    }

    #[test]
    fn a_variable_is_the_scope_and_the_key_in_upper_case() {
        let folder = tempfile::tempdir().unwrap();
        let scope = SecretScope::open_in("adls", folder.path()).unwrap();
        assert_eq!(scope.variable("client-secret"), "ADLS_CLIENT_SECRET");
        // cargo sets CARGO_PKG_NAME for its tests.
        let scope = SecretScope::open_in("cargo", folder.path()).unwrap();
        assert_eq!(scope.get("pkg-name").unwrap().expose(), "mnist_support");
    }
}
