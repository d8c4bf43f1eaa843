//! MNIST's own four files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::content::io_error;
use crate::{Error, Result, error::MnistError};

/// One of MNIST's four files.
pub(super) struct Source {
    /// The usual file name.
    pub(super) name: &'static str,
    /// The SHA-256 of its contents.
    pub(super) sha256: &'static str,
}

/// Training images and labels, then test images and labels.
pub(super) const SOURCES: [Source; 4] = [
    Source {
        name: "train-images-idx3-ubyte",
        sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    },
    Source {
        name: "train-labels-idx1-ubyte",
        sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    },
    Source {
        name: "t10k-images-idx3-ubyte",
        sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    },
    Source {
        name: "t10k-labels-idx1-ubyte",
        sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
];

impl Source {
    /// Checks that a downloaded file is MNIST's.
    ///
    /// Any other file is renamed to `NAME.rejected`, so that the next run does not take a wrong
    /// download for the right one.
    pub(super) fn verify(&self, path: &Path, found: &str) -> Result<()> {
        if found == self.sha256 {
            return Ok(());
        }
        Err(Error::Mnist(MnistError::HashMismatch {
            path: path.into(),
            expected: self.sha256.into(),
            found: found.into(),
            kept_as: move_aside(path)?,
        }))
    }
}

/// Whether these are the hashes of MNIST's four files.
pub(super) fn are_mnist(hashes: &BTreeMap<String, String>) -> bool {
    let same = |source: &Source| {
        hashes
            .get(source.name)
            .is_some_and(|hash| hash == source.sha256)
    };
    SOURCES.iter().all(same)
}

fn move_aside(path: &Path) -> Result<PathBuf> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".rejected");
    let kept_as = path.with_file_name(name);
    fs::rename(path, &kept_as).map_err(|source| Error::Io {
        operation: "moving aside",
        path: path.into(),
        source,
    })?;
    Ok(kept_as)
}

/// The SHA-256 of a file, in hexadecimal.
pub(super) fn sha256_of(path: &Path) -> Result<String> {
    let unread = |source| io_error("reading", path, source);
    let mut file = File::open(path).map_err(unread)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hex(hash)),
            Ok(length) => hash.update(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unread(error)),
        }
    }
}

/// A finished hash in hexadecimal.
pub(super) fn hex(hash: Sha256) -> String {
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    #[test]
    fn a_download_with_another_hash_is_moved_aside_and_never_used() {
        let (_folder, path) = folder_with("t10k-labels-idx1-ubyte", b"not MNIST");
        let hash = sha256_of(&path).unwrap();
        let error = SOURCES[3].verify(&path, &hash).unwrap_err();
        let Error::Mnist(MnistError::HashMismatch {
            kept_as,
            expected,
            found,
            ..
        }) = &error
        else {
            panic!("{error}")
        };
        assert_eq!(expected, SOURCES[3].sha256);
        assert_eq!(found, &hash);
        assert!(!path.exists());
        assert_eq!(fs::read(kept_as).unwrap(), b"not MNIST");
    }

    #[test]
    fn the_hash_of_nothing_is_the_known_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(
            sha256_of(file.path()).unwrap(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
