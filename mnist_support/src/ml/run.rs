//! A run's folder: what a fit keeps outside its copies while it runs.

use tempfile::TempDir;

use crate::{
    Error, Result,
    lake::{Credentials, Lake},
    train::CHECKPOINT_FILE,
};

/// The folder of one fit.
pub(super) struct Run {
    folder: Lake,
    /// Is removed with the run.
    _temporary: Option<TempDir>,
}

impl Run {
    /// A run in a folder of the user's.
    pub(super) fn in_folder(folder: &Lake) -> Self {
        Run {
            folder: folder.clone(),
            _temporary: None,
        }
    }

    /// A run in a folder of its own on this machine.
    pub(super) fn temporary() -> Result<Self> {
        let failed = |source| Error::Io {
            operation: "making a folder below",
            path: std::env::temp_dir(),
            source,
        };
        let folder = TempDir::with_prefix("mnist_support-run-").map_err(failed)?;
        let path = folder.path().display().to_string();
        Ok(Run {
            folder: Lake::open(&path, &Credentials::local())?,
            _temporary: Some(folder),
        })
    }

    pub(super) fn folder(&self) -> &Lake {
        &self.folder
    }

    /// Removes the checkpoints of a fit that has ended well, so that the next one starts anew.
    pub(super) fn finish(self) -> Result<()> {
        for name in self.folder.list()? {
            if name.rsplit('/').next() == Some(CHECKPOINT_FILE) {
                self.folder.delete(&name)?;
            }
        }
        Ok(())
    }
}
