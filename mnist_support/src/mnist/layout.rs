//! Laying the local lake out.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::manifest::{Entry, Manifest};
use super::sources::{SOURCES, hex, sha256_of};
use super::tables::Digits;
use crate::{Error, Result};

/// The container of the original notebooks.
pub const CONTAINER: &str = "torchtut";

/// Where the raw files come from, which decides what happens to files of other content than MNIST's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A download: a file with a wrong hash is moved aside, so that it is fetched again.
    Download,
    /// A folder of the user's: a file with another hash is refused and stays as it is.
    Own,
    /// A folder of the user's with other content in the same format (Fashion-MNIST): any hash will do.
    OwnOfAnyContent,
}

/// What [`prepare`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The container was there already, made from the same files.
    AlreadyComplete,
    /// These files were written, with their sizes in bytes.
    Written(Vec<(PathBuf, u64)>),
}

/// Checks the four raw files of `idx` and writes `train.csv`, `test.csv`, `train.parquet` and `test.parquet`
/// to the container `torchtut` below `lake`.
///
/// Each file is written under another name and renamed when it is whole; a record of what was made from
/// what, `torchtut.json` beside the container, comes last. Where it says that all is there, nothing is
/// written. `report` is told what is being done.
///
/// # Errors
/// [`Error::NotFound`] for a raw file that is not in the folder; [`Error::HashMismatch`] for one that is not
/// MNIST's; [`Error::InvalidIdx`]; [`Error::Io`].
pub fn prepare(
    idx: &Path,
    lake: &Path,
    origin: Origin,
    report: &mut dyn FnMut(&str),
) -> Result<Outcome> {
    report("checking the four IDX files");
    let mut paths = Vec::with_capacity(SOURCES.len());
    let mut hashes = BTreeMap::new();
    for source in &SOURCES {
        let path = source.find(idx)?;
        let hash = source.verify(
            &path,
            origin == Origin::Download,
            origin == Origin::OwnOfAnyContent,
        )?;
        hashes.insert(source.name.to_string(), hash);
        paths.push(path);
    }
    let folder = lake.join(CONTAINER);
    let record = record_of(lake);
    if Manifest::read(&record).is_some_and(|manifest| manifest.is_complete(&hashes, &folder)) {
        return Ok(Outcome::AlreadyComplete);
    }
    fs::create_dir_all(&folder).map_err(|error| io_error("creating", &folder, error))?;
    let mut manifest = Manifest {
        sources: hashes,
        files: BTreeMap::new(),
    };
    let mut written = Vec::new();
    for (table, files) in ["train", "test"].into_iter().zip(paths.chunks_exact(2)) {
        let digits = Digits::read(&files[0], &files[1])?;
        for format in ["csv", "parquet"] {
            let name = format!("{table}.{format}");
            report(&format!(
                "writing {} with {} rows",
                folder.join(&name).display(),
                digits.len()
            ));
            let entry = write_whole(&folder.join(&name), |writer| match format {
                "csv" => digits
                    .write_csv(writer)
                    .map_err(|error| io_error("writing", &folder.join(&name), error)),
                _ => digits.write_parquet(writer),
            })?;
            written.push((folder.join(&name), entry.bytes));
            manifest.files.insert(name, entry);
        }
    }
    let json = manifest.to_json()?;
    write_whole(&record, |writer| {
        writer
            .write_all(&json)
            .map_err(|error| io_error("writing", &record, error))
    })?;
    Ok(Outcome::Written(written))
}

/// Reads the whole container below `lake` and compares it with its record; returns its files.
///
/// # Errors
/// [`Error::NotFound`] without a record; [`Error::Table`] for a file that is missing or not as recorded.
pub fn check(lake: &Path) -> Result<Vec<PathBuf>> {
    let record = record_of(lake);
    let manifest = Manifest::read(&record).ok_or_else(|| Error::NotFound {
        url: record.display().to_string(),
        hint: "the lake is not laid out; run `make data`".into(),
    })?;
    let folder = lake.join(CONTAINER);
    manifest
        .files
        .iter()
        .map(|(name, entry)| {
            let path = folder.join(name);
            let found = sha256_of(&path)?;
            if found != entry.sha256 {
                return Err(Error::Table {
                    table: path.display().to_string(),
                    reason: "it is not as it was written; remove it and run `make data`".into(),
                });
            }
            Ok(path)
        })
        .collect()
}

fn record_of(lake: &Path) -> PathBuf {
    lake.join(format!("{CONTAINER}.json"))
}

fn io_error(operation: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io {
        operation,
        path: path.into(),
        source,
    }
}

/// Writes a file under another name, syncs it to the disk, and renames it: it is there whole or not at all.
fn write_whole(path: &Path, write: impl FnOnce(&mut Hashing) -> Result<()>) -> Result<Entry> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".partial");
    let partial = path.with_file_name(name);
    let file = File::create(&partial).map_err(|error| io_error("creating", &partial, error))?;
    let mut writer = Hashing {
        inner: BufWriter::with_capacity(1 << 20, file),
        hash: Sha256::new(),
        bytes: 0,
    };
    write(&mut writer)?;
    let Hashing { inner, hash, bytes } = writer;
    let file = inner
        .into_inner()
        .map_err(|error| io_error("writing", &partial, error.into_error()))?;
    file.sync_all()
        .map_err(|error| io_error("writing", &partial, error))?;
    fs::rename(&partial, path).map_err(|error| io_error("renaming", &partial, error))?;
    Ok(Entry {
        bytes,
        sha256: hex(hash),
    })
}

/// A writer that hashes what goes through it.
struct Hashing {
    inner: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl Write for Hashing {
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
