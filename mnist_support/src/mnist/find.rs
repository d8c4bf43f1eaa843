//! Which of a folder's files hold the images and labels, told by their names.
//!
//! MNIST, Fashion-MNIST and KMNIST: `train-images-idx3-ubyte`, `t10k-labels-idx1-ubyte` (or with a
//! dot, as in `train-images.idx3-ubyte`). EMNIST: `emnist-letters-train-images-idx3-ubyte`. QMNIST:
//! `qmnist-test-labels-idx2-int`. Each plain or as `.gz`.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::content::io_error;
use crate::error::FolderError;
use crate::{Error, Result, error::MnistError};

/// How far below the given folder files are looked for if it has none itself: `MNIST/raw`, as
/// torchvision lays it out, or `package/data`.
const DEPTH: usize = 2;
/// How many names of other files a message gives.
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
    /// What stands before `train` and `test` in their names: `emnist-letters`, or nothing.
    pub(super) prefix: String,
}

/// A file with the name of an IDX file.
struct Candidate {
    path: PathBuf,
    prefix: String,
    role: usize,
    gzip: bool,
}

impl Set {
    /// Whether the images are stored with rows and columns exchanged, as EMNIST's are.
    pub(super) fn is_transposed(&self) -> bool {
        self.prefix == "emnist" || self.prefix.starts_with("emnist-")
    }

    /// Finds the four files in a folder; of several sets that are there, `place` may be the
    /// folder's path and the beginning of the names: `gzip/emnist-letters`.
    ///
    /// # Errors
    /// [`MnistError::IdxFolder`](crate::error::MnistError::IdxFolder) says which files are missing or too many; [`LakeError::AccessDenied`](crate::error::LakeError::AccessDenied).
    pub(super) fn find(place: &Path) -> Result<Set> {
        let refused = |source| Err(folder_error(place, source));
        let candidates = match fs::metadata(place) {
            Ok(found) if found.is_dir() => candidates_in(place)?,
            Ok(_) => return refused(FolderError::NotAFolder),
            Err(error) if error.kind() == ErrorKind::NotFound => candidates_named(place)?,
            Err(error) => return Err(io_error("reading", place, error)),
        };
        // A set is what lies in one folder and has one beginning of its names.
        let mut sets: BTreeMap<(PathBuf, String), Vec<Candidate>> = BTreeMap::new();
        for candidate in candidates {
            let folder = candidate.path.parent().unwrap_or(place).to_path_buf();
            let set = sets.entry((folder, candidate.prefix.clone())).or_default();
            set.push(candidate);
        }
        if sets.len() > 1 {
            return refused(several(place, &sets));
        }
        match sets.pop_first() {
            Some(((_, prefix), set)) => Set::of(place, prefix, set),
            None if place.is_dir() => refused(none_there(place)?),
            None => refused(FolderError::NoSuchFolder),
        }
    }

    fn of(place: &Path, prefix: String, candidates: Vec<Candidate>) -> Result<Set> {
        let mut files: [Option<Candidate>; 4] = [const { None }; 4];
        for candidate in candidates {
            let role = candidate.role;
            match &mut files[role] {
                // Who unpacks a file may keep the packed one beside it.
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

/// The files in `folder` that have the name of an IDX file; if there are none, those in folders
/// below.
fn candidates_in(folder: &Path) -> Result<Vec<Candidate>> {
    let mut folders = vec![folder.to_path_buf()];
    for depth in 0..=DEPTH {
        let mut found = Vec::new();
        let mut below = Vec::new();
        for folder in &folders {
            let entries = match list(folder) {
                Ok(entries) => entries,
                // Somebody else's folder below the given one.
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

/// The files in the parent folder whose names begin with the last part of `place`.
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

/// The paths in a folder, by name.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| io_error("reading", folder, source);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// What the name of a file says that it holds.
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

/// The name of a file's content: without `.gz`.
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

/// The name that the file of this role has in most sets.
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

/// What there is in a folder without IDX files.
fn none_there(folder: &Path) -> Result<FolderError> {
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

fn several(place: &Path, sets: &BTreeMap<(PathBuf, String), Vec<Candidate>>) -> FolderError {
    let first_files: Vec<String> = sets
        .values()
        .filter_map(|set| set.first())
        .map(|file| {
            let path = file.path.strip_prefix(place).unwrap_or(&file.path);
            path.display().to_string()
        })
        .collect();
    // Of the names in one folder only a beginning of its own tells a set from the others.
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
