//! Decodes a small Parquet file in memory with polars' Parquet reader.

use std::io::Cursor;

use polars::prelude::{DataFrame, ParquetReader, PolarsResult, SerReader};
use polars_parquet_format::{ColumnChunk, FileMetaData};
use rayon::prelude::*;

use super::footer;
use super::pages::pages;
use super::unpack::{Unpacked, unpack};
use crate::lake::table::guard::guarded;
use crate::{
    Error, Result,
    error::{Cause, TableError},
};

/// A small Parquet file in memory.
pub(super) struct Extract {
    /// All but the footer.
    pub(super) bytes: Vec<u8>,
    /// What the footer is to say.
    pub(super) metadata: FileMetaData,
}

impl Extract {
    /// Reads `rows` rows, after skipping `skip`. `file` is the file that they come from.
    pub(super) fn read(self, skip: usize, rows: usize, file: &str) -> Result<DataFrame> {
        let mut whole = self.unpacked(file)?;
        footer::append(&whole.metadata, &mut whole.bytes);
        decoded(file, || {
            ParquetReader::new(Cursor::new(whole.bytes))
                .with_slice(Some((skip, rows)))
                .finish()
        })
    }

    /// Checks the pages, and decompresses those that can be here.
    fn unpacked(mut self, file: &str) -> Result<Extract> {
        let groups = &mut self.metadata.row_groups;
        let chunks: Vec<&ColumnChunk> = groups.iter().flat_map(|group| &group.columns).collect();
        let planned: Vec<Result<Option<Unpacked<'_>>, String>> = chunks
            .par_iter()
            .map(|chunk| Ok(Unpacked::of(chunk, pages(chunk, &self.bytes)?)))
            .collect();
        // The first that is damaged, not the first that was found.
        let planned = planned.into_iter().collect::<Result<Vec<_>, _>>();
        let planned = planned.map_err(|reason| damaged(file, reason))?;
        if let Some((bytes, places)) = unpack(planned) {
            let chunks = groups.iter_mut().flat_map(|group| &mut group.columns);
            for (chunk, place) in chunks.zip(places) {
                place.apply(chunk);
            }
            self.bytes = bytes;
        }
        Ok(self)
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
