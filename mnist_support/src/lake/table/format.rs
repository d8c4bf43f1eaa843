//! The formats of tables.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::csv::CsvFile;
use super::parquet::ParquetFile;
use super::table_file::TableFile;
use crate::Result;
use crate::lake::store::Lake;

/// The format of a table file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileFormat {
    /// Comma-separated numbers with a header.
    Csv,
    /// Apache Parquet.
    Parquet,
}

impl FileFormat {
    /// Opens a file of this format.
    pub(super) fn open(self, lake: &Lake, path: &str) -> Result<Arc<dyn TableFile>> {
        Ok(match self {
            FileFormat::Csv => Arc::new(CsvFile::open(lake, path)?),
            FileFormat::Parquet => Arc::new(ParquetFile::open(lake, path)?),
        })
    }
}
