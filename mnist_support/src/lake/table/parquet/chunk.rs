//! What is kept of the metadata of a column chunk: an open file holds it for each column of each
//! row group, which may be many.

use std::ops::Range;
use std::sync::Arc;

use polars_parquet_format::thrift::protocol::TInputProtocol;
use polars_parquet_format::thrift::{Error, ProtocolError, ProtocolErrorKind, Result};
use polars_parquet_format::{
    ColumnChunk, ColumnCryptoMetaData, ColumnMetaData, CompressionCodec, Encoding, Statistics, Type,
};

use super::thrift::{CompactProtocol, Seen};

/// A column chunk. Its names are those of every row group.
#[derive(Debug)]
pub(super) struct Chunk {
    /// Where it is in the file.
    pub(super) range: Range<u64>,
    pub(super) num_values: i64,
    /// Where its statistics are in the footer. There may be more of these than of all else.
    statistics: Option<Range<u32>>,
    type_: Type,
    codec: CompressionCodec,
    encodings: Arc<[Encoding]>,
    uncompressed: i64,
    data_page: i64,
    dictionary_page: Option<i64>,
    /// What only few files have.
    other: Option<Box<Other>>,
}

#[derive(Debug, Default)]
struct Other {
    file_path: Option<String>,
    crypto: Option<ColumnCryptoMetaData>,
    encrypted: Option<Vec<u8>>,
}

/// Lists of encodings, each of which is kept once.
#[derive(Default)]
pub(super) struct Encodings {
    known: Vec<Arc<[Encoding]>>,
    last: Vec<Encoding>,
}

impl Encodings {
    fn read(&mut self, protocol: &mut CompactProtocol<'_>) -> Result<Arc<[Encoding]>> {
        self.last.clear();
        protocol.elements(|protocol| {
            self.last.push(Encoding(protocol.read_i32()?));
            Ok(())
        })?;
        if let Some(known) = self.known.iter().find(|known| ***known == *self.last) {
            return Ok(Arc::clone(known));
        }
        let new: Arc<[Encoding]> = self.last.as_slice().into();
        self.known.push(Arc::clone(&new));
        Ok(new)
    }
}

impl Chunk {
    /// Reads a chunk of a footer of `footer` bytes, and its names into `path`, if they are wanted.
    /// The numbers are those of `ColumnChunk` in the specification.
    pub(super) fn read(
        protocol: &mut CompactProtocol<'_>,
        footer: usize,
        encodings: &mut Encodings,
        mut path: Option<&mut Vec<String>>,
    ) -> Result<Chunk> {
        let (mut chunk, mut other) = (None, Other::default());
        protocol.fields(|protocol, field, field_type| {
            match field {
                1 => other.file_path = Some(protocol.read_string()?),
                3 => {
                    let path = path.as_deref_mut();
                    chunk = Some(Chunk::read_metadata(protocol, footer, encodings, path)?);
                }
                8 => other.crypto = Some(ColumnCryptoMetaData::read_from_in_protocol(protocol)?),
                9 => other.encrypted = Some(protocol.read_bytes()?),
                _ => protocol.skip(field_type)?,
            }
            Ok(())
        })?;
        let mut chunk = chunk.ok_or_else(|| invalid("a column has no metadata"))?;
        let has_other =
            other.file_path.is_some() || other.crypto.is_some() || other.encrypted.is_some();
        chunk.other = has_other.then(|| Box::new(other));
        Ok(chunk)
    }

    /// Reads `ColumnMetaData`.
    fn read_metadata(
        protocol: &mut CompactProtocol<'_>,
        footer: usize,
        encodings: &mut Encodings,
        mut path: Option<&mut Vec<String>>,
    ) -> Result<Chunk> {
        let mut chunk = Chunk {
            range: 0..0,
            num_values: 0,
            statistics: None,
            type_: Type::BOOLEAN,
            codec: CompressionCodec::UNCOMPRESSED,
            encodings: Arc::default(),
            uncompressed: 0,
            data_page: 0,
            dictionary_page: None,
            other: None,
        };
        let (mut compressed, mut seen) = (0, Seen::default());
        protocol.fields(|protocol, field, field_type| {
            seen.add(field);
            match (field, path.as_deref_mut()) {
                (1, _) => chunk.type_ = Type(protocol.read_i32()?),
                (2, _) => chunk.encodings = encodings.read(protocol)?,
                (3, Some(path)) => *path = protocol.read_list()?,
                (4, _) => chunk.codec = CompressionCodec(protocol.read_i32()?),
                (5, _) => chunk.num_values = protocol.read_i64()?,
                (6, _) => chunk.uncompressed = protocol.read_i64()?,
                (7, _) => compressed = protocol.read_i64()?,
                (9, _) => chunk.data_page = protocol.read_i64()?,
                (11, _) => chunk.dictionary_page = Some(protocol.read_i64()?),
                (12, _) => {
                    let place =
                        |protocol: &CompactProtocol<'_>| (footer - protocol.rest().len()) as u32;
                    let start = place(protocol);
                    protocol.skip(field_type)?;
                    chunk.statistics = Some(start..place(protocol));
                }
                _ => protocol.skip(field_type)?,
            }
            Ok(())
        })?;
        seen.check(&[1, 2, 3, 4, 5, 6, 7, 9])?;
        let dictionary = chunk.dictionary_page.unwrap_or(chunk.data_page);
        let start = u64::try_from(dictionary.min(chunk.data_page));
        let length = u64::try_from(compressed);
        let range = start.ok().zip(length.ok());
        let range = range.and_then(|(start, length)| Some(start..start.checked_add(length)?));
        chunk.range = range.ok_or_else(|| invalid("a column has no place in the file"))?;
        Ok(chunk)
    }

    /// The statistics, from the footer that the chunk was read from.
    pub(super) fn statistics(&self, footer: &[u8]) -> Option<Statistics> {
        let place = self.statistics.as_ref()?;
        let bytes = footer.get(place.start as usize..place.end as usize)?;
        Statistics::read_from_in_protocol(&mut CompactProtocol::new(bytes)).ok()
    }

    /// Whether there are statistics.
    pub(super) fn has_statistics(&self) -> bool {
        self.statistics.is_some()
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

fn invalid(message: &str) -> Error {
    Error::Protocol(ProtocolError::new(ProtocolErrorKind::InvalidData, message))
}
