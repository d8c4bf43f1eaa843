//! The footer of a Parquet file.
//!
//! Layout: `PAR1`, the bytes of the row groups, the footer (Thrift compact protocol), its length in
//! 4 bytes, `PAR1` ("File format" in the Apache Parquet specification).

use std::ops::Range;

use polars_parquet_format::FileMetaData;
use polars_parquet_format::thrift::protocol::{TCompactInputProtocol, TCompactOutputProtocol};

use crate::lake::file::LakeFile;
use crate::{Error, Result, error::TableError};

pub(super) const MAGIC: &[u8; 4] = b"PAR1";
/// The length of the footer and the second magic number.
const TAIL: usize = 8;
/// The size of the first read at the end of the file. Most footers are shorter.
const GUESS: u64 = 64 << 10;

/// The metadata of a file and the layout of its row groups.
pub(super) struct Footer {
    metadata: FileMetaData,
    group_rows: Vec<usize>,
    group_bytes: Vec<Range<u64>>,
}

impl Footer {
    /// Reads the footer of a file whose first bytes are `first`.
    pub(super) fn read(file: &LakeFile, first: &[u8]) -> Result<Footer> {
        let invalid = |reason: &str| {
            Error::Table(TableError::Failed {
                table: file.url().into(),
                reason: reason.into(),
            })
        };
        let cut = "it does not end like a Parquet file: it is cut short or damaged";
        if first != MAGIC {
            return Err(invalid(
                "it is not a Parquet file: it does not begin with PAR1",
            ));
        }
        let size = file.size();
        if size < (MAGIC.len() + TAIL) as u64 {
            return Err(invalid(cut));
        }
        let mut end = file.read(size - GUESS.min(size)..size)?;
        let Some((length, magic)) = end[end.len() - TAIL..].split_first_chunk::<4>() else {
            return Err(invalid(cut));
        };
        let length = u64::from(u32::from_le_bytes(*length)) + TAIL as u64;
        if magic != MAGIC || length + MAGIC.len() as u64 > size {
            return Err(invalid(cut));
        }
        if length > end.len() as u64 {
            end = file.read(size - length..size)?;
        }
        let encoded = &end[end.len() - length as usize..end.len() - TAIL];
        // The decoder may allocate as much as the footer claims. No footer holds more than this per
        // byte.
        let mut protocol = TCompactInputProtocol::new(encoded, encoded.len().saturating_mul(64));
        let metadata = FileMetaData::read_from_in_protocol(&mut protocol)
            .map_err(|error| invalid(&format!("its footer cannot be read: {error}")))?;
        Footer::new(metadata, size - length).ok_or_else(|| {
            invalid("its footer places a row group outside the file: it is cut short or damaged")
        })
    }

    /// Checks that the row groups end before `data_end`, and computes their byte ranges.
    fn new(metadata: FileMetaData, data_end: u64) -> Option<Footer> {
        let mut group_rows = Vec::with_capacity(metadata.row_groups.len());
        let mut group_bytes = Vec::with_capacity(metadata.row_groups.len());
        for group in &metadata.row_groups {
            let mut bytes: Option<Range<u64>> = None;
            for chunk in &group.columns {
                let chunk = chunk.meta_data.as_ref()?;
                let start = chunk
                    .dictionary_page_offset
                    .map_or(chunk.data_page_offset, |dictionary| {
                        dictionary.min(chunk.data_page_offset)
                    });
                let start = u64::try_from(start).ok()?;
                let end = start.checked_add(u64::try_from(chunk.total_compressed_size).ok()?)?;
                if end > data_end {
                    return None;
                }
                bytes = Some(match bytes {
                    Some(bytes) => bytes.start.min(start)..bytes.end.max(end),
                    None => start..end,
                });
            }
            group_rows.push(usize::try_from(group.num_rows).ok()?);
            group_bytes.push(bytes.unwrap_or(0..0));
        }
        let rows = group_rows
            .iter()
            .try_fold(0_usize, |sum, rows| sum.checked_add(*rows))?;
        (usize::try_from(metadata.num_rows) == Ok(rows)).then_some(Footer {
            metadata,
            group_rows,
            group_bytes,
        })
    }

    /// The number of rows.
    pub(super) fn rows(&self) -> usize {
        self.group_rows.iter().sum()
    }

    /// The number of rows of each row group.
    pub(super) fn group_rows(&self) -> &[usize] {
        &self.group_rows
    }

    /// The byte range of consecutive row groups, including any gaps between them.
    pub(super) fn bytes_of(&self, groups: Range<usize>) -> Range<u64> {
        let bytes = &self.group_bytes[groups];
        let start = bytes.iter().map(|bytes| bytes.start).min().unwrap_or(0);
        let end = bytes.iter().map(|bytes| bytes.end).max().unwrap_or(0);
        start..end
    }

    /// Splits consecutive row groups into runs of at most `size` bytes, or of a single row group.
    pub(super) fn runs(&self, groups: Range<usize>, size: u64) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for group in groups {
            match runs.last_mut() {
                Some(run)
                    if {
                        let bytes = self.bytes_of(run.start..group + 1);
                        bytes.end - bytes.start <= size
                    } =>
                {
                    run.end = group + 1;
                }
                _ => runs.push(group..group + 1),
            }
        }
        runs
    }

    /// Builds a Parquet file in memory from consecutive row groups. `bytes` are their bytes, which
    /// begin at `start` in this file.
    ///
    /// Polars' blocking reader wants a whole file. The offsets in the footer are shifted to the new
    /// positions of the bytes. Page indexes and bloom filters, which are stored elsewhere, are
    /// dropped, as are statistics, which a full read doesn't use.
    pub(super) fn extract(&self, groups: Range<usize>, start: u64, bytes: &[u8]) -> Vec<u8> {
        let shift = MAGIC.len() as i64 - start as i64;
        let mut metadata = FileMetaData {
            row_groups: self.metadata.row_groups[groups].to_vec(),
            ..without_groups(&self.metadata)
        };
        metadata.num_rows = metadata.row_groups.iter().map(|group| group.num_rows).sum();
        for group in &mut metadata.row_groups {
            group.file_offset = group.file_offset.map(|offset| offset + shift);
            for chunk in &mut group.columns {
                chunk.file_offset = 0;
                chunk.offset_index_offset = None;
                chunk.offset_index_length = None;
                chunk.column_index_offset = None;
                chunk.column_index_length = None;
                if let Some(column) = &mut chunk.meta_data {
                    column.data_page_offset += shift;
                    column.index_page_offset = None;
                    column.dictionary_page_offset =
                        column.dictionary_page_offset.map(|at| at + shift);
                    column.bloom_filter_offset = None;
                    column.bloom_filter_length = None;
                    column.statistics = None;
                    column.size_statistics = None;
                }
            }
        }
        let mut small = Vec::with_capacity(bytes.len() + (64 << 10));
        small.extend_from_slice(MAGIC);
        small.extend_from_slice(bytes);
        let data_end = small.len();
        metadata
            .write_to_out_protocol(&mut TCompactOutputProtocol::new(&mut small))
            .expect("writing to memory cannot fail");
        let length = (small.len() - data_end) as u32;
        small.extend_from_slice(&length.to_le_bytes());
        small.extend_from_slice(MAGIC);
        small
    }
}

/// Copies everything except the row groups, which are most of it.
fn without_groups(metadata: &FileMetaData) -> FileMetaData {
    FileMetaData {
        version: metadata.version,
        schema: metadata.schema.clone(),
        num_rows: 0,
        row_groups: Vec::new(),
        key_value_metadata: metadata.key_value_metadata.clone(),
        created_by: metadata.created_by.clone(),
        column_orders: metadata.column_orders.clone(),
        encryption_algorithm: metadata.encryption_algorithm.clone(),
        footer_signing_key_metadata: None,
    }
}
