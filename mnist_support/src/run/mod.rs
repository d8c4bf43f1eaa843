//! A run's folder: what a fit keeps outside its copies while it runs, so that it outlasts them.
//!
//! The folder is reached by all copies and by the program that started them. Checkpoints lie in it, the
//! progress that copies elsewhere tell of, the lease by which they know that somebody still waits, and the
//! request to stop.

mod lease;
mod progress;
mod stop;

use tempfile::TempDir;

use crate::{
    Error, Result,
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
    /// Whether the folder is this run's alone.
    own: bool,
    /// Is removed with the run.
    _temporary: Option<TempDir>,
}

/// Names the folder, local or in the lake, below which every run makes a folder of its own.
const RUNS_VARIABLE: &str = "MNIST_RUNS";

impl Run {
    /// A run in a folder of the user's, local or in the lake.
    pub fn in_folder(folder: &Lake) -> Self {
        Run {
            folder: folder.clone(),
            own: false,
            _temporary: None,
        }
    }

    /// A run in a folder of its own: below the one that the variable `MNIST_RUNS` names, with the
    /// credentials of the secret scope `adls`, or on this machine, in the folder for temporary files.
    ///
    /// # Errors
    /// [`Error::Io`] where it can't be made; those of opening the folder.
    pub fn new() -> Result<Self> {
        let failed = |source| Error::Io {
            operation: "making a folder below",
            path: std::env::temp_dir(),
            source,
        };
        // In the lake, too, the name is then one that no other run has.
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

    /// Cleans up after a fit that was stopped: a folder of its own is removed, in the user's the checkpoints
    /// stay, so that the same fit goes on from there.
    pub fn leave(self) -> Result<()> {
        if self.own { self.finish() } else { Ok(()) }
    }

    /// Cleans up after a fit that has ended well: removes a folder of its own, and the checkpoints in the
    /// user's, so that the next fit starts anew.
    pub fn finish(self) -> Result<()> {
        for name in self.folder.list()? {
            if self.own || name.rsplit('/').next() == Some(CHECKPOINT_FILE) {
                self.folder.delete(&name)?;
            }
        }
        Ok(())
    }
}
