//! What is kept of the metadata of a column chunk: an open file holds it for each column of each
//! row group, which may be many.

use std::ops::Range;
use std::sync::Arc;

use polars_parquet_format::{
    ColumnChunk, ColumnCryptoMetaData, ColumnMetaData, CompressionCodec, Encoding, Statistics, Type,
};

/// A column chunk. Its names are those of every row group.
#[derive(Debug)]
pub(super) struct Chunk {
    /// Where it is in the file.
    pub(super) range: Range<u64>,
    pub(super) num_values: i64,
    pub(super) statistics: Option<Box<Statistics>>,
    type_: Type,
    codec: CompressionCodec,
    encodings: Arc<[Encoding]>,
    uncompressed: i64,
    data_page: i64,
    dictionary_page: Option<i64>,
    /// What only few files have.
    other: Option<Box<Other>>,
}

#[derive(Debug)]
struct Other {
    file_path: Option<String>,
    crypto: Option<ColumnCryptoMetaData>,
    encrypted: Option<Vec<u8>>,
}

/// Lists of encodings, each of which is kept once.
#[derive(Default)]
pub(super) struct Encodings(Vec<Arc<[Encoding]>>);

impl Encodings {
    fn shared(&mut self, list: &[Encoding]) -> Arc<[Encoding]> {
        if let Some(known) = self.0.iter().find(|known| ***known == *list) {
            return Arc::clone(known);
        }
        let new: Arc<[Encoding]> = list.into();
        self.0.push(Arc::clone(&new));
        new
    }
}

impl Chunk {
    /// Takes what is needed, and the names on the way to the column; `None` without metadata, or if
    /// it places the chunk nowhere.
    pub(super) fn new(
        chunk: ColumnChunk,
        encodings: &mut Encodings,
    ) -> Option<(Chunk, Vec<String>)> {
        let column = chunk.meta_data?;
        let first = match column.dictionary_page_offset {
            None => column.data_page_offset,
            Some(dictionary) => dictionary.min(column.data_page_offset),
        };
        let start = u64::try_from(first).ok()?;
        let end = start.checked_add(u64::try_from(column.total_compressed_size).ok()?)?;
        let other = Other {
            file_path: chunk.file_path,
            crypto: chunk.crypto_metadata,
            encrypted: chunk.encrypted_column_metadata,
        };
        let has_other =
            other.file_path.is_some() || other.crypto.is_some() || other.encrypted.is_some();
        let kept = Chunk {
            range: start..end,
            num_values: column.num_values,
            statistics: column.statistics.map(Box::new),
            type_: column.type_,
            codec: column.codec,
            encodings: encodings.shared(&column.encodings),
            uncompressed: column.total_uncompressed_size,
            data_page: column.data_page_offset,
            dictionary_page: column.dictionary_page_offset,
            other: has_other.then(|| Box::new(other)),
        };
        Some((kept, column.path_in_schema))
    }

    /// The metadata of the chunk in another file, where `place` says. Page indexes and bloom
    /// filters, which are elsewhere, are left out, and so are statistics, which a full read doesn't
    /// use.
    pub(super) fn moved(&self, path: &[String], place: impl Fn(i64) -> i64) -> ColumnChunk {
        let other = self.other.as_deref();
        ColumnChunk {
            file_path: other.and_then(|other| other.file_path.clone()),
            file_offset: 0,
            meta_data: Some(ColumnMetaData {
                type_: self.type_,
                encodings: self.encodings.to_vec(),
                path_in_schema: path.to_vec(),
                codec: self.codec,
                num_values: self.num_values,
                total_uncompressed_size: self.uncompressed,
                // It cannot be negative, as it came from such a number.
                total_compressed_size: (self.range.end - self.range.start) as i64,
                key_value_metadata: None,
                data_page_offset: place(self.data_page),
                index_page_offset: None,
                dictionary_page_offset: self.dictionary_page.map(place),
                statistics: None,
                encoding_stats: None,
                bloom_filter_offset: None,
                bloom_filter_length: None,
                size_statistics: None,
            }),
            offset_index_offset: None,
            offset_index_length: None,
            column_index_offset: None,
            column_index_length: None,
            crypto_metadata: other.and_then(|other| other.crypto.clone()),
            encrypted_column_metadata: other.and_then(|other| other.encrypted.clone()),
        }
    }
}
