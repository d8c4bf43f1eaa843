//! A run's folder: what a fit keeps outside its ranks so that it outlasts them.
//!
//! All ranks and the program that started them can reach the folder. It holds the checkpoints, the
//! progress events of remote ranks, the lease that tells ranks that somebody is still waiting for
//! them, and the stop request.

mod lease;
mod progress;
mod stop;

use tempfile::TempDir;

use crate::{
    Error, Result,
    error::LakeError,
    lake::{Credentials, Lake},
    secrets::SecretScope,
    train::CHECKPOINT_FILE,
};
pub use lease::{LeaseHolder, end_without_lease};
pub use progress::{FolderProgress, ProgressReader};
pub use stop::{StopFile, stop_on_request};

/// The folder of one fit.
pub struct Run {
    folder: Lake,
    /// Whether the folder belongs to this run alone.
    own: bool,
    /// Removed with the run.
    _temporary: Option<TempDir>,
}

/// The rows of a fit that came from this process's memory.
pub(crate) const ROWS_FILE: &str = "rows.parquet";

/// The rows to validate with, if they are from another table.
pub(crate) const VALIDATION_FILE: &str = "validation.parquet";

/// Names the folder, local or in the lake, in which every run creates a folder of its own.
const RUNS_VARIABLE: &str = "MNIST_RUNS";

impl Run {
    /// Uses a folder of the user's, local or in the lake.
    pub fn in_folder(folder: &Lake) -> Self {
        Run {
            folder: folder.clone(),
            own: false,
            _temporary: None,
        }
    }

    /// Creates a folder of its own for the run: in the folder that the variable `MNIST_RUNS` names,
    /// with the credentials of the secret scope `adls`, or else in this machine's folder for
    /// temporary files.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be created; those of opening it.
    pub fn new() -> Result<Self> {
        let failed = |source| Error::Io {
            operation: "making a folder below",
            path: std::env::temp_dir(),
            source,
        };
        // The name is unique, so it can be used in the lake too.
        let temporary = TempDir::with_prefix("mnist_support-run-").map_err(failed)?;
        let runs = std::env::var(RUNS_VARIABLE).unwrap_or_default();
        let folder = if runs.is_empty() {
            Lake::open(&temporary.path().to_string_lossy(), &Credentials::local())?
        } else {
            let credentials = Credentials::from_scope(&SecretScope::open("adls")?)?;
            let name = temporary.path().file_name().unwrap_or_default();
            Lake::open(&runs, &credentials)?.folder(&name.to_string_lossy())
        };
        Ok(Run {
            folder,
            own: true,
            _temporary: Some(temporary),
        })
    }

    /// The folder.
    pub fn folder(&self) -> &Lake {
        &self.folder
    }

    /// Cleans up after a fit that has completed: removes the run's own folder, or the checkpoints
    /// in the user's, so that the next fit starts from scratch.
    pub fn finish(self) -> Result<()> {
        let is_checkpoint = |name: &str| name.rsplit('/').next() == Some(CHECKPOINT_FILE);
        remove(&self.folder, |name| {
            self.own || is_checkpoint(name) || is_leftover(name)
        })
    }

    /// Cleans up after a fit that was stopped: like [`finish`](Self::finish), but keeps the
    /// checkpoints in the user's folder, so that the same fit can resume from them.
    pub fn leave(self) -> Result<()> {
        remove(&self.folder, |name| self.own || is_leftover(name))
    }
}

/// Removes what a killed fit has left in a run's folder, except for its checkpoints: its events
/// would be mistaken for those of the new fit.
pub(crate) fn remove_leftovers(folder: &Lake) -> Result<()> {
    match remove(folder, is_leftover) {
        // The folder is created with its first file.
        Err(Error::Lake(LakeError::NotFound { .. })) => Ok(()),
        result => result,
    }
}

/// Whether a file in a run's folder is of no use to a later fit.
fn is_leftover(name: &str) -> bool {
    let files = [lease::FILE, stop::FILE, ROWS_FILE, VALIDATION_FILE];
    files.contains(&name) || name.starts_with(progress::FOLDER)
}

fn remove(folder: &Lake, which: impl Fn(&str) -> bool) -> Result<()> {
    for name in folder.list()? {
        if which(&name) {
            folder.delete(&name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_a_later_fit_can_use_stays_in_the_users_folder_and_nothing_else() {
        const CHECKPOINT: &str = "prediction/checkpoint.safetensors";
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap();
        let fill = || {
            for name in ["lease", "stop", "rows.parquet", "notes.txt", CHECKPOINT] {
                lake.put(name, Bytes::from_static(b"something")).unwrap();
            }
            StopFile::new(&lake).write().unwrap();
            let event = crate::train::ProgressEvent::Stopped {
                iteration: 1,
                iterations: 2,
            };
            crate::train::Progress::report(&FolderProgress::new(&lake, 0), &event);
        };
        fill();
        remove_leftovers(&lake).unwrap();
        assert_eq!(lake.list().unwrap(), ["notes.txt", CHECKPOINT]);
        assert!(ProgressReader::new(&lake, 0).take().unwrap().is_empty());
        fill();
        Run::in_folder(&lake).leave().unwrap();
        assert_eq!(lake.list().unwrap(), ["notes.txt", CHECKPOINT]);
        fill();
        Run::in_folder(&lake).finish().unwrap();
        assert_eq!(lake.list().unwrap(), ["notes.txt"]);
        remove_leftovers(&lake.folder("not/there/yet")).unwrap();
    }
}
