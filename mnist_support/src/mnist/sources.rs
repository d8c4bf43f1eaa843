//! The four raw files: where they are, and whether they are MNIST's.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// One of MNIST's four files.
pub(super) struct Source {
    /// The name that it is best known by.
    pub(super) name: &'static str,
    /// The SHA-256 of MNIST's.
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

/// Where in a given folder the files may be: there, in an unpacked npm package, in torchvision's layout.
const FOLDERS: [&str; 5] = ["", "data", "package/data", "raw", "MNIST/raw"];

impl Source {
    /// Finds the file in `folder` under one of its usual names.
    pub(super) fn find(&self, folder: &Path) -> Result<PathBuf> {
        let with_dot = self.name.replacen("-idx", ".idx", 1);
        for inner in FOLDERS {
            for name in [self.name, &with_dot] {
                let path = folder.join(inner).join(name);
                if path.is_file() {
                    return Ok(path);
                }
            }
        }
        let compressed = FOLDERS
            .iter()
            .map(|inner| folder.join(inner).join(format!("{}.gz", self.name)));
        let hint = match compressed.into_iter().find(|path| path.is_file()) {
            Some(path) => format!("unpack it first: gunzip --keep {}", path.display()),
            None => format!("the folder needs {} or {with_dot}", self.name),
        };
        Err(Error::NotFound {
            url: folder.join(self.name).display().to_string(),
            hint,
        })
    }

    /// Checks the file's SHA-256 against MNIST's, and returns it. With `any_content` another one will do.
    ///
    /// A file of other content is renamed to `NAME.rejected` if `move_aside`: a download that is wrong must
    /// not be taken for a right one by the next run.
    pub(super) fn verify(
        &self,
        path: &Path,
        move_aside: bool,
        any_content: bool,
    ) -> Result<String> {
        let found = sha256_of(path)?;
        if found == self.sha256 || any_content {
            return Ok(found);
        }
        let kept_as = if move_aside {
            aside(path)?
        } else {
            path.to_path_buf()
        };
        Err(Error::HashMismatch {
            path: path.into(),
            expected: self.sha256.into(),
            found,
            kept_as,
        })
    }
}

fn aside(path: &Path) -> Result<PathBuf> {
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
    let unread = |source| Error::Io {
        operation: "reading",
        path: path.into(),
        source,
    };
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
    fn the_files_are_found_under_their_usual_names() {
        for name in [
            "train-images-idx3-ubyte",
            "train-images.idx3-ubyte",
            "package/data/train-images-idx3-ubyte",
            "MNIST/raw/train-images-idx3-ubyte",
        ] {
            let (folder, path) = folder_with(name, b"x");
            assert_eq!(SOURCES[0].find(folder.path()).unwrap(), path);
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named_with_what_to_do() {
        let (folder, _) = folder_with("train-images-idx3-ubyte.gz", b"x");
        assert!(
            SOURCES[0]
                .find(folder.path())
                .unwrap_err()
                .to_string()
                .contains("gunzip --keep")
        );
        let error = SOURCES[1].find(folder.path()).unwrap_err();
        assert!(
            error.to_string().contains("train-labels.idx1-ubyte"),
            "{error}"
        );
    }

    #[test]
    fn a_download_with_another_hash_is_moved_aside_and_never_used() {
        let (folder, path) = folder_with("t10k-labels-idx1-ubyte", b"not MNIST");
        let error = SOURCES[3].verify(&path, true, false).unwrap_err();
        let Error::HashMismatch {
            kept_as,
            expected,
            found,
            ..
        } = &error
        else {
            panic!("{error}")
        };
        assert_eq!(expected, SOURCES[3].sha256);
        assert_ne!(found, expected);
        assert!(!path.exists());
        assert_eq!(fs::read(kept_as).unwrap(), b"not MNIST");
        assert!(matches!(
            SOURCES[3].find(folder.path()),
            Err(Error::NotFound { .. })
        ));
    }

    #[test]
    fn a_users_own_file_stays_where_it_is_and_may_be_accepted() {
        let (_folder, path) = folder_with("t10k-labels-idx1-ubyte", b"not MNIST");
        assert!(matches!(
            SOURCES[3].verify(&path, false, false),
            Err(Error::HashMismatch { .. })
        ));
        assert!(path.exists());
        let hash = SOURCES[3].verify(&path, false, true).unwrap();
        assert_eq!(hash, sha256_of(&path).unwrap());
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
