//! Finds the files of images and labels in a folder by their names.
//!
//! MNIST, Fashion-MNIST and KMNIST use `train-images-idx3-ubyte` and `t10k-labels-idx1-ubyte` (or a
//! dot, as in `train-images.idx3-ubyte`), EMNIST `emnist-letters-train-images-idx3-ubyte`, and
//! QMNIST `qmnist-test-labels-idx2-int`. Each may be plain or `.gz`.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::content::io_error;
use crate::error::FolderError;
use crate::{Error, Result, error::MnistError};

/// How many folders deep to search if the given folder has no IDX files itself: `MNIST/raw`, as in
/// torchvision, or `package/data`.
const DEPTH: usize = 2;
/// How many names of other files an error lists.
const NAMES: usize = 4;

/// What the four files hold, in the order in which they are read.
pub(super) const ROLES: [&str; 4] = [
    "training images",
    "training labels",
    "test images",
    "test labels",
];

/// The four files of a set, in the order of [`ROLES`].
#[derive(Debug, PartialEq)]
pub(super) struct Set {
    pub(super) files: [PathBuf; 4],
    /// The part of their names before `train` and `test`: `emnist-letters`, or nothing.
    pub(super) prefix: String,
}

/// A file whose name is that of an IDX file.
struct Candidate {
    path: PathBuf,
    prefix: String,
    role: usize,
    gzip: bool,
}

impl Set {
    /// Whether rows and columns of the images are swapped, as in EMNIST's files.
    pub(super) fn is_transposed(&self) -> bool {
        self.prefix == "emnist" || self.prefix.starts_with("emnist-")
    }

    /// Finds the four files in a folder. If the folder has several sets, `place` can be its path
    /// followed by the beginning of the file names: `gzip/emnist-letters`.
    ///
    /// # Errors
    /// [`MnistError::IdxFolder`], which says which files are missing or ambiguous, or
    /// [`LakeError::AccessDenied`](crate::error::LakeError::AccessDenied).
    pub(super) fn find(place: &Path) -> Result<Set> {
        let refused = |source| Err(folder_error(place, source));
        let candidates = match fs::metadata(place) {
            Ok(found) if found.is_dir() => candidates_in(place)?,
            Ok(_) => return refused(FolderError::NotAFolder),
            Err(error) if error.kind() == ErrorKind::NotFound => candidates_named(place)?,
            Err(error) => return Err(io_error("reading", place, error)),
        };
        // A set is the files of one folder with the same prefix.
        let mut sets: BTreeMap<(PathBuf, String), Vec<Candidate>> = BTreeMap::new();
        for candidate in candidates {
            let folder = candidate.path.parent().unwrap_or(place).to_path_buf();
            let set = sets.entry((folder, candidate.prefix.clone())).or_default();
            set.push(candidate);
        }
        if sets.len() > 1 {
            return refused(several_sets(place, &sets));
        }
        match sets.pop_first() {
            Some(((_, prefix), set)) => Set::of(place, prefix, set),
            None if place.is_dir() => refused(no_idx_files(place)?),
            None => refused(FolderError::NoSuchFolder),
        }
    }

    fn of(place: &Path, prefix: String, candidates: Vec<Candidate>) -> Result<Set> {
        let mut files: [Option<Candidate>; 4] = [const { None }; 4];
        for candidate in candidates {
            let role = candidate.role;
            match &mut files[role] {
                // An unpacked file may sit next to the archive it came from.
                Some(file) if unpacked_name(&file.path) == unpacked_name(&candidate.path) => {
                    if file.gzip {
                        *file = candidate;
                    }
                }
                Some(file) => {
                    let source = FolderError::SeveralFiles {
                        first: file.path.clone(),
                        second: candidate.path,
                        what: ROLES[role],
                    };
                    return Err(folder_error(place, source));
                }
                empty => *empty = Some(candidate),
            }
        }
        let missing: Vec<usize> = (0..4).filter(|role| files[*role].is_none()).collect();
        match files {
            [Some(a), Some(b), Some(c), Some(d)] => Ok(Set {
                files: [a, b, c, d].map(|file| file.path),
                prefix,
            }),
            _ => {
                let names: Vec<&str> = missing.iter().map(|role| ROLES[*role]).collect();
                let source = FolderError::Missing {
                    missing: names.join(" and no "),
                    example: usual_name(&prefix, missing[0]),
                };
                Err(folder_error(place, source))
            }
        }
    }
}

/// The IDX files in `folder`, judging by their names. If there are none, the IDX files in the
/// folders below it.
fn candidates_in(folder: &Path) -> Result<Vec<Candidate>> {
    let mut folders = vec![folder.to_path_buf()];
    for depth in 0..=DEPTH {
        let mut found = Vec::new();
        let mut below = Vec::new();
        for folder in &folders {
            let entries = match list(folder) {
                Ok(entries) => entries,
                // A subfolder that someone else owns.
                Err(_) if depth > 0 => continue,
                Err(error) => return Err(error),
            };
            for path in entries {
                if path.is_dir() {
                    below.push(path);
                } else if path.is_file() {
                    found.extend(candidate(path));
                }
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
        folders = below;
    }
    Ok(Vec::new())
}

/// The files in the parent folder whose names begin with the last component of `place`.
fn candidates_named(place: &Path) -> Result<Vec<Candidate>> {
    let (Some(folder), Some(start)) = (place.parent(), place.file_name()) else {
        return Ok(Vec::new());
    };
    let folder = if folder == Path::new("") {
        Path::new(".")
    } else {
        folder
    };
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let start = start.to_string_lossy();
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        path.is_file() && name.to_string_lossy().starts_with(&*start)
    };
    let paths = list(folder)?.into_iter().filter(named);
    Ok(paths.filter_map(candidate).collect())
}

/// The paths in a folder, sorted by name.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| io_error("reading", folder, source);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// Derives from a file's name what it holds.
fn candidate(path: PathBuf) -> Option<Candidate> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let (name, gzip) = match name.strip_suffix(".gz") {
        Some(name) => (name, true),
        None => (name.as_str(), false),
    };
    let at = name.rfind("-idx").or_else(|| name.rfind(".idx"))?;
    let (name, end) = (&name[..at], &name[at + 4..]);
    let (dimensions, value_type) = end.split_once('-')?;
    if dimensions.parse::<u8>().is_err()
        || !value_type.bytes().all(|byte| byte.is_ascii_alphabetic())
    {
        return None;
    }
    let (name, kind) = match (name.strip_suffix("images"), name.strip_suffix("labels")) {
        (Some(name), _) => (name, 0),
        (_, Some(name)) => (name, 1),
        _ => return None,
    };
    let name = name.strip_suffix(['-', '_'])?;
    let (prefix, table) = [("train", 0), ("t10k", 2), ("test", 2)]
        .into_iter()
        .find_map(|(word, table)| Some((name.strip_suffix(word)?, table)))?;
    let prefix = match prefix {
        "" => prefix,
        _ => prefix.strip_suffix(['-', '_'])?,
    };
    Some(Candidate {
        prefix: prefix.to_owned(),
        role: table + kind,
        gzip,
        path,
    })
}

/// The name of a file without `.gz`.
fn unpacked_name(path: &Path) -> PathBuf {
    let packed = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    if packed {
        path.with_extension("")
    } else {
        path.into()
    }
}

/// The usual file name for this role.
fn usual_name(prefix: &str, role: usize) -> String {
    let (table, kind) = match (role / 2, role % 2) {
        (0, 0) => ("train", "images-idx3"),
        (0, _) => ("train", "labels-idx1"),
        (_, 0) => ("test", "images-idx3"),
        (_, _) => ("test", "labels-idx1"),
    };
    match prefix {
        "" => format!("{}-{kind}-ubyte", table.replace("test", "t10k")),
        _ => format!("{prefix}-{table}-{kind}-ubyte"),
    }
}

/// The error for a folder without IDX files: what it contains instead.
fn no_idx_files(folder: &Path) -> Result<FolderError> {
    let paths = list(folder)?;
    if paths.is_empty() {
        return Ok(FolderError::Empty);
    }
    let more = paths.len().saturating_sub(NAMES);
    let mut names: Vec<String> = paths
        .iter()
        .take(NAMES)
        .map(|path| {
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    if more > 0 {
        names.push(format!("{more} more"));
    }
    Ok(FolderError::NoIdxFiles {
        found: names.join(", "),
    })
}

fn several_sets(place: &Path, sets: &BTreeMap<(PathBuf, String), Vec<Candidate>>) -> FolderError {
    let first_files: Vec<String> = sets
        .values()
        .filter_map(|set| set.first())
        .map(|file| {
            let path = file.path.strip_prefix(place).unwrap_or(&file.path);
            path.display().to_string()
        })
        .collect();
    // Within a folder, a set can be told apart only by its prefix.
    let example = sets.keys().find_map(|(folder, prefix)| {
        let alone = sets.keys().filter(|(other, _)| other == folder).count() == 1;
        match (alone, prefix.as_str()) {
            (true, _) => Some(folder.clone()),
            (false, "") => None,
            (false, prefix) => Some(folder.join(prefix)),
        }
    });
    FolderError::SeveralSets {
        sets: first_files.join(", "),
        example,
    }
}

fn folder_error(place: &Path, source: FolderError) -> Error {
    Error::Mnist(MnistError::IdxFolder {
        path: place.into(),
        source,
    })
}

#[cfg(test)]
mod tests;
