//! Decodes a small Parquet file in memory with polars' Parquet reader.

use std::io::Cursor;

use polars::prelude::{DataFrame, ParquetReader, PolarsResult, SerReader};

use crate::lake::table::guard::guarded;
use crate::{
    Error, Result,
    error::{Cause, TableError},
};

/// Reads `rows` rows of a small file, after skipping `skip`.
pub(super) fn read(small: Vec<u8>, skip: usize, rows: usize, file: &str) -> Result<DataFrame> {
    decoded(file, || {
        ParquetReader::new(Cursor::new(small))
            .with_slice(Some((skip, rows)))
            .finish()
    })
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
