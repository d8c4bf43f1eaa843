//! What a laid-out container was made from and holds.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The record beside a container. It is written last: what it lists is whole.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// SHA-256 of each raw file.
    pub(super) sources: BTreeMap<String, String>,
    /// The container's files.
    pub(super) files: BTreeMap<String, Entry>,
}

/// One file of a container.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

impl Manifest {
    /// Reads a record; nothing where there is none, or one that was cut.
    pub(super) fn read(path: &Path) -> Option<Manifest> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Whether the container was made from `sources` and its files have the sizes that are recorded.
    pub(super) fn is_complete(&self, sources: &BTreeMap<String, String>, folder: &Path) -> bool {
        self.sources == *sources
            && !self.files.is_empty()
            && self.files.iter().all(|(name, entry)| {
                fs::metadata(folder.join(name)).is_ok_and(|metadata| metadata.len() == entry.bytes)
            })
    }

    /// The record as text.
    pub(super) fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec_pretty(self).map_err(|error| Error::Table {
            table: "the manifest".into(),
            reason: error.to_string(),
        })
    }
}
