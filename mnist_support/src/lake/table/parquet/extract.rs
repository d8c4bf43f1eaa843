//! Decodes a small Parquet file in memory with polars' Parquet reader.

use std::io::Cursor;

use polars::prelude::{
    Column, DataFrame, IntoColumn, ParquetReader, PolarsResult, SerReader, UInt8Chunked,
};
use polars_parquet_format::{ColumnChunk, FileMetaData};
use rayon::prelude::*;

use super::bytes;
use super::footer;
use super::pages::pages;
use super::unpack::{Unpacked, unpack};
use crate::lake::table::guard::guarded;
use crate::{
    Error, Result,
    error::{Cause, TableError},
};

/// Of fewer rows than one in so many, a reader that skips pages is sooner.
const FEW: usize = 8;
/// More values than this are left to polars: a few damaged bytes may claim as many.
const MOST_VALUES: usize = 1 << 30;

/// A small Parquet file in memory.
pub(super) struct Extract {
    /// All but the footer.
    pub(super) bytes: Vec<u8>,
    /// What the footer is to say.
    pub(super) metadata: FileMetaData,
}

impl Extract {
    /// Reads `rows` rows, after skipping `skip`. `file` is the file that they come from.
    pub(super) fn read(mut self, skip: usize, rows: usize, file: &str) -> Result<DataFrame> {
        let Some(mut columns) = self.take_columns_of_bytes(skip, rows) else {
            return self.read_with_polars(skip, rows, file);
        };
        if columns.iter().any(Option::is_none) {
            let others = self.read_with_polars(skip, rows, file)?.into_columns();
            let open = columns.iter_mut().filter(|column| column.is_none());
            open.zip(others)
                .for_each(|(open, other)| *open = Some(other));
        }
        let columns = columns.into_iter().flatten().collect();
        DataFrame::new(rows, columns).map_err(TableError::about(file))
    }

    /// Decodes the columns of bytes that can be decoded here, and leaves them out of what the
    /// footer is to say. `None` if there are none, or so few rows are wanted that polars is sooner
    /// with their pages alone.
    fn take_columns_of_bytes(&mut self, skip: usize, wanted: usize) -> Option<Vec<Option<Column>>> {
        let columns = footer::columns(&self.metadata.schema)?;
        let groups = self.metadata.row_groups.iter();
        let rows = groups.map(|group| usize::try_from(group.num_rows).ok());
        let rows = rows.collect::<Option<Vec<usize>>>()?;
        let all = rows.iter().sum::<usize>();
        if wanted < all / FEW || all.checked_mul(columns.len())? > MOST_VALUES {
            return None;
        }
        let decode = |space: &mut Vec<u8>, column: &footer::Column| {
            let [element] = &self.metadata.schema[column.elements.clone()] else {
                return None;
            };
            if !bytes::is_of_bytes(element) {
                return None;
            }
            let mut values = Vec::with_capacity(all);
            for (group, rows) in self.metadata.row_groups.iter().zip(&rows) {
                let chunk = group.columns.get(column.leaves.start)?;
                bytes::append(chunk, element, *rows, &self.bytes, space, &mut values)?;
            }
            if wanted < all {
                // Without the others, which would stay in memory.
                values = values.get(skip..skip + wanted)?.to_vec();
            }
            let name = column.name.as_str().into();
            Some(UInt8Chunked::from_vec(name, values).into_column())
        };
        let decoded: Vec<Option<Column>> = columns.par_iter().map_init(Vec::new, decode).collect();
        if decoded.iter().all(Option::is_none) {
            return None;
        }
        let left = columns.iter().zip(&decoded);
        let left = left.filter(|(_, decoded)| decoded.is_none());
        let left: Vec<&footer::Column> = left.map(|(column, _)| column).collect();
        let metadata = &mut self.metadata;
        metadata.schema[0].num_children = Some(left.len() as i32);
        let elements = left.iter().flat_map(|column| column.elements.clone());
        let schema = std::iter::once(0).chain(elements);
        metadata.schema = schema.map(|index| metadata.schema[index].clone()).collect();
        for group in &mut metadata.row_groups {
            let leaves = left.iter().flat_map(|column| column.leaves.clone());
            group.columns = leaves.map(|leaf| group.columns[leaf].clone()).collect();
        }
        Some(decoded)
    }

    fn read_with_polars(self, skip: usize, rows: usize, file: &str) -> Result<DataFrame> {
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
