//! The manifest of a container: what it was made from and what it holds.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::sources::are_mnist;
use crate::text::grouped;

/// The manifest next to a container. It is written last, so the files that it lists are complete.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// A description of the contents, which scripts print.
    #[serde(default)]
    pub(super) holds: String,
    /// The folder of the raw files, unless they are MNIST's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) folder: Option<PathBuf>,
    /// The number of images and classes. Manifests of an earlier version lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) counts: Option<Counts>,
    /// Whether the images were transposed: stored by column, written by row.
    #[serde(default)]
    pub(super) transposed: bool,
    /// The SHA-256 of each raw file, by MNIST's name for it.
    pub(super) sources: BTreeMap<String, String>,
    /// The container's files.
    pub(super) files: BTreeMap<String, Entry>,
}

/// The number of images and classes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Training images.
    pub(super) train: u64,
    /// Test images.
    pub(super) test: u64,
    pub(super) classes: u32,
}

/// The counts of MNIST.
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
    /// The manifest of a container made from raw files with these hashes in `folder`, before its
    /// files are added.
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
            // The path is shown and compared later, when a relative one would mean little.
            let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.into());
            manifest.folder = Some(folder);
        }
        manifest.sources = sources;
        manifest.holds = manifest.in_words();
        manifest
    }

    /// A description such as "MNIST (60,000 + 10,000 images)".
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

    /// Reads a manifest. Returns `None` if it is missing or truncated.
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

    /// Whether the container was made from `sources`, transposed or not, and its files have the
    /// recorded sizes.
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

    /// Serialises the manifest.
    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a manifest is numbers and text")
    }
}
