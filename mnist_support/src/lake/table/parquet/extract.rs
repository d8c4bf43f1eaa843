//! Decodes a small Parquet file in memory with polars' Parquet reader.

use std::io::Cursor;

use polars::prelude::{DataFrame, ParquetReader, PolarsResult, SerReader};
use polars_parquet_format::FileMetaData;

use super::pages;
use crate::lake::table::guard::guarded;
use crate::{
    Error, Result,
    error::{Cause, TableError},
};

/// A small Parquet file in memory.
pub(super) struct Extract {
    pub(super) bytes: Vec<u8>,
    /// What its footer says.
    pub(super) metadata: FileMetaData,
}

impl Extract {
    /// Reads `rows` rows, after skipping `skip`. `file` is the file that they come from.
    pub(super) fn read(self, skip: usize, rows: usize, file: &str) -> Result<DataFrame> {
        for group in &self.metadata.row_groups {
            for chunk in &group.columns {
                pages::check(chunk, &self.bytes).map_err(|reason| damaged(file, reason))?;
            }
        }
        decoded(file, || {
            ParquetReader::new(Cursor::new(self.bytes))
                .with_slice(Some((skip, rows)))
                .finish()
        })
    }
}

/// Names the file that cannot be decoded.
fn decoded<T>(file: &str, read: impl FnOnce() -> PolarsResult<T>) -> Result<T> {
    match guarded(read) {
        Some(read) => read.map_err(|error| damaged(file, error)),
        None => Err(damaged(
            file,
            "a column is damaged, or of a type that is not supported",
        )),
    }
}

/// The error for a file that cannot be decoded.
fn damaged(file: &str, reason: impl Into<Cause>) -> Error {
    TableError::failed(file, reason)
}
