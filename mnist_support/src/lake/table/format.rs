//! The formats of tables.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::csv::{CsvFile, CsvOptions};
use super::image::{self, ImageFiles};
use super::ipc::IpcFile;
use super::parquet::ParquetFile;
use super::table_file::TableFile;
use crate::Result;
use crate::lake::store::Lake;

/// The format of a table file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileFormat {
    /// Lines of fields with separators between them.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// Arrow IPC: a file, which is also called Feather (version 2), or a stream.
    Ipc,
    /// Images, a row for each file: see [`Lake::images`](crate::lake::Lake::images).
    Image,
}

impl FileFormat {
    /// The format that a file's name tells.
    pub(super) fn of_name(name: &str) -> Option<FileFormat> {
        let name = name.to_ascii_lowercase();
        let compressed = [".gz", ".gzip", ".zst", ".zstd"];
        let plain = compressed
            .iter()
            .find_map(|extension| name.strip_suffix(extension))
            .unwrap_or(&name);
        match plain.rsplit_once('.')?.1 {
            "csv" | "tsv" | "tab" | "txt" => Some(FileFormat::Csv),
            "parquet" | "parq" | "pq" => Some(FileFormat::Parquet),
            "arrow" | "arrows" | "feather" | "ipc" => Some(FileFormat::Ipc),
            _ => image::is_image(plain).then_some(FileFormat::Image),
        }
    }

    /// The format that a file's first bytes tell.
    pub(super) fn of_bytes(first: &[u8]) -> FileFormat {
        if first.starts_with(b"PAR1") {
            FileFormat::Parquet
        } else if first.starts_with(b"ARROW1") || first.starts_with(&[0xff; 4]) {
            FileFormat::Ipc
        } else if first.starts_with(b"\x89PNG") || first.starts_with(b"\xff\xd8\xff") {
            FileFormat::Image
        } else {
            FileFormat::Csv
        }
    }

    /// Opens a file of this format. The options are those of a CSV file.
    pub(super) fn open(
        self,
        lake: &Lake,
        path: &str,
        options: &CsvOptions,
    ) -> Result<Arc<dyn TableFile>> {
        Ok(match self {
            FileFormat::Csv => Arc::new(CsvFile::open(lake, path, options)?),
            FileFormat::Parquet => Arc::new(ParquetFile::open(lake, path)?),
            FileFormat::Ipc => Arc::new(IpcFile::open(lake, path)?),
            FileFormat::Image => Arc::new(ImageFiles::open_file(lake, path)?),
        })
    }
}
