//! Writes the local lake.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::content::io_error;
use super::digits::{Digits, classes_of, read_set};
use super::find::Set;
use super::manifest::{Counts, Entry, Manifest};
use super::sources::{SOURCES, hex, sha256_of};
use crate::{
    Error, Result,
    error::{LakeError, TableError},
    partial_file::PartialFile,
    text::grouped,
};

/// The container of the original notebooks.
pub const CONTAINER: &str = "torchtut";

/// Where the raw files come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A download of MNIST. A file with the wrong hash is moved aside, so that it is downloaded
    /// again.
    Download,
    /// A folder of the user's. Its files may have any content and are left as they are.
    Own {
        /// Whether the images are stored column by column. `None` assumes so for sets named
        /// `emnist`.
        transposed: Option<bool>,
    },
}

/// What [`prepare`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The container already exists and was made from the same files.
    AlreadyComplete {
        /// Its contents: "MNIST (60,000 + 10,000 images)".
        holds: String,
    },
    /// The container was written.
    Written {
        /// Its files and their sizes in bytes.
        files: Vec<(PathBuf, u64)>,
        /// Its contents.
        holds: String,
        /// Its previous contents, if they were made from other files.
        replaced: Option<String>,
    },
}

/// Finds the four raw files in `idx` and writes `train.csv`, `test.csv`, `train.parquet` and
/// `test.parquet` to the container `torchtut` of the lake in folder `lake`.
///
/// The files are those of MNIST, Fashion-MNIST, KMNIST, EMNIST or QMNIST, or others with the same
/// names and format, each plain or `.gz`. In the container, classes start at 0, whatever the first
/// label is, and images are upright. `idx` is the folder of the files. If it has several sets, it
/// is the folder followed by the beginning of their names (`gzip/emnist-letters`).
///
/// All input is read and checked before anything is replaced. Each file is written under a
/// temporary name, and the files are renamed when all are complete. A manifest of what was made
/// from what, `torchtut.json` next to the container, is written last. If it says that the container
/// was made from the same files, nothing is written. `report` receives what is being done.
///
/// # Errors
/// - [`MnistError::IdxFolder`](crate::error::MnistError::IdxFolder) for a folder without the four
///   files.
/// - [`MnistError::HashMismatch`](crate::error::MnistError::HashMismatch) for a download that is
///   not MNIST.
/// - [`MnistError::InvalidIdx`](crate::error::MnistError::InvalidIdx) for a file that is not what
///   it should be.
/// - [`LakeError::AccessDenied`] and [`Error::Io`].
///
/// ```no_run
/// use mnist_support::mnist::{Origin, prepare};
///
/// let own = Origin::Own { transposed: None };
/// let report = &mut |step: &str| println!("{step}");
/// prepare("fashion-mnist".as_ref(), "data/lake".as_ref(), own, report)?;
/// # Ok::<(), mnist_support::Error>(())
/// ```
pub fn prepare(
    idx: &Path,
    lake: &Path,
    origin: Origin,
    report: &mut dyn FnMut(&str),
) -> Result<Outcome> {
    let set = Set::find(idx)?;
    report(&format!("looking at the IDX files of {}", idx.display()));
    let sources = hashes_of(&set, origin)?;
    let transposed = match origin {
        Origin::Download => false,
        Origin::Own { transposed } => transposed.unwrap_or(set.is_transposed()),
    };
    let (container, record) = (lake.join(CONTAINER), manifest_path(lake));
    let former = Manifest::read(&record);
    if let Some(former) = &former
        && former.is_complete(&sources, transposed, &container)
    {
        let mut manifest = Manifest::new(sources, idx, former.counts, transposed);
        manifest.files = former.files.clone();
        if manifest != *former {
            write_manifest(&record, &manifest)?;
        }
        let holds = manifest.holds;
        return Ok(Outcome::AlreadyComplete { holds });
    }
    let [train, test] = read_set(&set, transposed, report)?;
    let counts = Counts {
        train: train.len() as u64,
        test: test.len() as u64,
        classes: classes_of(&train),
    };
    let mut manifest = Manifest::new(sources, idx, Some(counts), transposed);
    fs::create_dir_all(&container).map_err(|error| io_error("creating", &container, error))?;
    let written = write_tables(&[("train", train), ("test", test)], &container, report)?;
    // Without a manifest, a half-replaced container does not count.
    if former.is_some() {
        fs::remove_file(&record).map_err(|error| io_error("removing", &record, error))?;
    }
    let mut files = Vec::with_capacity(written.len());
    for (file, entry) in written {
        let path = file.path().to_owned();
        file.keep()?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        manifest.files.insert(name.into_owned(), entry.clone());
        files.push((path, entry.bytes));
    }
    write_manifest(&record, &manifest)?;
    let replaced = former.filter(|former| {
        former.sources != manifest.sources || former.transposed != manifest.transposed
    });
    let (holds, replaced) = (manifest.holds, replaced.map(|former| former.holds));
    Ok(Outcome::Written {
        files,
        holds,
        replaced,
    })
}

/// The SHA-256 of each file, by MNIST's name for it. The hashes of a download must be MNIST's.
fn hashes_of(set: &Set, origin: Origin) -> Result<BTreeMap<String, String>> {
    let mut hashes = BTreeMap::new();
    for (source, path) in SOURCES.iter().zip(&set.files) {
        let hash = sha256_of(path)?;
        if origin == Origin::Download {
            source.verify(path, &hash)?;
        }
        hashes.insert(source.name.to_owned(), hash);
    }
    Ok(hashes)
}

/// Writes each table in both formats, under temporary names.
fn write_tables(
    tables: &[(&str, Digits)],
    container: &Path,
    report: &mut dyn FnMut(&str),
) -> Result<Vec<(PartialFile, Entry)>> {
    let mut written = Vec::new();
    for (table, digits) in tables {
        for format in ["csv", "parquet"] {
            let path = container.join(format!("{table}.{format}"));
            let (shown, rows) = (path.display(), grouped(digits.len() as u64));
            report(&format!("writing {shown} with {rows} rows"));
            written.push(write_partial(&path, |writer| match format {
                "csv" => digits
                    .write_csv(writer)
                    .map_err(|error| io_error("writing", &path, error)),
                _ => digits.write_parquet(writer),
            })?);
        }
    }
    Ok(written)
}

fn write_manifest(record: &Path, manifest: &Manifest) -> Result<()> {
    let json = manifest.to_json();
    let (file, _) = write_partial(record, |writer| {
        let written = writer.write_all(&json);
        written.map_err(|error| io_error("writing", record, error))
    })?;
    file.keep()
}

/// Reads the whole container in `lake` and compares it with its manifest. Returns its files.
///
/// # Errors
/// - [`LakeError::NotFound`] without a manifest.
/// - [`TableError::Failed`] for a file that is missing or differs from the manifest.
pub fn check(lake: &Path) -> Result<Vec<PathBuf>> {
    let record = manifest_path(lake);
    let manifest = Manifest::read(&record).ok_or_else(|| {
        Error::Lake(LakeError::NotFound {
            url: record.display().to_string(),
            hint: "the lake is not laid out; run `make data`".into(),
        })
    })?;
    let folder = lake.join(CONTAINER);
    manifest
        .files
        .iter()
        .map(|(name, entry)| {
            let path = folder.join(name);
            let unusable = |reason: &str| {
                TableError::failed(
                    path.display().to_string(),
                    format!("{reason}; run `make data` to lay the lake out again"),
                )
            };
            if !path.exists() {
                return Err(unusable("it is missing"));
            }
            if sha256_of(&path)? != entry.sha256 {
                return Err(unusable("it has changed since it was written"));
            }
            Ok(path)
        })
        .collect()
}

fn manifest_path(lake: &Path) -> PathBuf {
    lake.join(format!("{CONTAINER}.json"))
}

/// Writes a file under a temporary name. Returns it with its manifest entry.
fn write_partial(
    path: &Path,
    write: impl FnOnce(&mut Hashing<'_>) -> Result<()>,
) -> Result<(PartialFile, Entry)> {
    let file = PartialFile::create(path, ".partial")?;
    let entry = {
        let mut writer = Hashing {
            inner: BufWriter::with_capacity(1 << 20, file.file()),
            hash: Sha256::new(),
            bytes: 0,
        };
        write(&mut writer)?;
        let flushed = writer.inner.flush();
        flushed.map_err(|error| io_error("writing", path, error))?;
        Entry {
            bytes: writer.bytes,
            sha256: hex(writer.hash),
        }
    };
    Ok((file, entry))
}

/// A writer that hashes everything written to it.
struct Hashing<'a> {
    inner: BufWriter<&'a File>,
    hash: Sha256,
    bytes: u64,
}

impl Write for Hashing<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let length = self.inner.write(buffer)?;
        self.hash.update(&buffer[..length]);
        self.bytes += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
