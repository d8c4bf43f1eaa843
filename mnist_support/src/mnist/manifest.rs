//! What a laid-out container was made from and holds.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::sources::are_mnist;
use crate::text::grouped;

/// The record beside a container. It is written last: what it lists is whole.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// What the container holds, in words; scripts show it.
    #[serde(default)]
    pub(super) holds: String,
    /// Where the raw files were, unless they are MNIST's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) folder: Option<PathBuf>,
    /// How many images there are, and of how many classes; records of an earlier version lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) counts: Option<Counts>,
    /// Whether the images were turned: stored by column, written by row.
    #[serde(default)]
    pub(super) transposed: bool,
    /// SHA-256 of each raw file, by the name of MNIST's.
    pub(super) sources: BTreeMap<String, String>,
    /// The container's files.
    pub(super) files: BTreeMap<String, Entry>,
}

/// How many there are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Training images.
    pub(super) train: u64,
    /// Test images.
    pub(super) test: u64,
    pub(super) classes: u32,
}

/// MNIST's own.
const MNIST: Counts = Counts {
    train: 60_000,
    test: 10_000,
    classes: 10,
};

/// One file of a container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

impl Manifest {
    /// The record of what is made from raw files of these hashes in `folder`, without the
    /// container's files.
    pub(super) fn new(
        sources: BTreeMap<String, String>,
        folder: &Path,
        counts: Option<Counts>,
        transposed: bool,
    ) -> Manifest {
        let mut manifest = Manifest {
            transposed,
            ..Manifest::default()
        };
        if are_mnist(&sources) {
            manifest.counts = Some(MNIST);
        } else {
            manifest.counts = counts;
            // Paths are shown and compared, and a relative one means little later.
            let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.into());
            manifest.folder = Some(folder);
        }
        manifest.sources = sources;
        manifest.holds = manifest.in_words();
        manifest
    }

    /// "MNIST (60,000 + 10,000 images)".
    fn in_words(&self) -> String {
        let counts = self.counts.map(|counts| {
            let (train, test) = (grouped(counts.train), grouped(counts.test));
            (format!("{train} + {test} images"), counts.classes)
        });
        match (&self.folder, counts) {
            (None, Some((images, _))) => format!("MNIST ({images})"),
            (None, None) => "MNIST".into(),
            (Some(folder), Some((images, classes))) => {
                format!(
                    "the files of {} ({images}, {classes} classes)",
                    folder.display()
                )
            }
            (Some(folder), None) => format!("the files of {}", folder.display()),
        }
    }

    /// Reads a record; nothing where there is none, or one that was cut.
    pub(super) fn read(path: &Path) -> Option<Manifest> {
        let mut manifest: Manifest = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        if manifest.holds.is_empty() {
            manifest.holds = match are_mnist(&manifest.sources) {
                true => "MNIST (60,000 + 10,000 images)".into(),
                false => "other files".into(),
            };
        }
        Some(manifest)
    }

    /// Whether the container was made from `sources`, turned or not, and its files have the sizes
    /// that are recorded.
    pub(super) fn is_complete(
        &self,
        sources: &BTreeMap<String, String>,
        transposed: bool,
        container: &Path,
    ) -> bool {
        let size_of = |name: &str| fs::metadata(container.join(name)).map(|found| found.len());
        let is_whole =
            |(name, entry): (&String, &Entry)| size_of(name).is_ok_and(|size| size == entry.bytes);
        self.sources == *sources
            && self.transposed == transposed
            && !self.files.is_empty()
            && self.files.iter().all(is_whole)
    }

    /// The record as text.
    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a manifest is numbers and text")
    }
}
