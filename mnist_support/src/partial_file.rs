//! Files that appear under their name only when they are complete.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use crate::{Error, Result};

/// A file that is being written next to its final path. If it is dropped before
/// [`keep`](Self::keep), it is deleted.
pub(crate) struct PartialFile {
    file: File,
    partial: PathBuf,
    path: PathBuf,
    kept: bool,
}

impl PartialFile {
    /// Creates the file next to `path`, under the same name with `suffix` appended.
    pub(crate) fn create(path: &Path, suffix: &str) -> Result<PartialFile> {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(suffix);
        let partial = path.with_file_name(name);
        let file = File::create(&partial).map_err(|source| Error::Io {
            operation: "creating",
            path: partial.clone(),
            source,
        })?;
        Ok(PartialFile {
            file,
            partial,
            path: path.to_owned(),
            kept: false,
        })
    }

    /// The open file, to write to.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The final path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs the file to disk and renames it to its final path.
    pub(crate) fn keep(mut self) -> Result<()> {
        let failed = |operation, source| Error::Io {
            operation,
            path: self.partial.clone(),
            source,
        };
        self.file
            .sync_all()
            .map_err(|source| failed("writing", source))?;
        fs::rename(&self.partial, &self.path).map_err(|source| failed("renaming", source))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.kept {
            // The first error is the one to report. A file left behind does no harm.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_has_its_name_when_it_is_kept_and_none_when_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("best.safetensors");
        let there = || fs::read_dir(folder.path()).unwrap().count();

        let file = PartialFile::create(&path, ".partial").unwrap();
        file.file().write_all(b"half").unwrap();
        assert!(!path.exists() && there() == 1);
        drop(file);
        assert_eq!(there(), 0);

        let file = PartialFile::create(&path, ".partial").unwrap();
        file.file().write_all(b"whole").unwrap();
        file.keep().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(there(), 1);
    }

    #[test]
    fn a_path_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing/best.safetensors");
        let error = PartialFile::create(&path, ".partial").err().unwrap();
        assert!(
            error.to_string().contains("best.safetensors.partial"),
            "{error}"
        );
    }
}
