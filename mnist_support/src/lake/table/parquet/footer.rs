//! The footer of a Parquet file.
//!
//! Layout: `PAR1`, the bytes of the row groups, the footer (Thrift compact protocol), its length in
//! 4 bytes, `PAR1` ("File format" in the Apache Parquet specification).

use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;
use polars_parquet_format::thrift::{
    self,
    protocol::{TCompactOutputProtocol, TInputProtocol},
};
use polars_parquet_format::{
    ConvertedType, EncryptionAlgorithm, FileMetaData, LogicalType, RowGroup, SchemaElement,
};

use super::chunk::{Chunk, Encodings};
use super::extract::Extract;
use super::statistics;
use super::thrift::{CompactProtocol, Seen};
use crate::lake::file::LakeFile;
use crate::lake::table::plan;
use crate::lake::table::predicate::Predicate;
use crate::{Error, Result, error::TableError};

pub(super) const MAGIC: &[u8; 4] = b"PAR1";
/// The length of the footer and the second magic number.
const TAIL: usize = 8;
/// The size of the first read at the end of the file. Most footers are shorter.
const GUESS: u64 = 64 << 10;
/// The same of a file on this machine, from which bytes come sooner than another answer.
const LOCAL_GUESS: u64 = 512 << 10;

/// The metadata of a file and the layout of its row groups.
pub(super) struct Footer {
    /// All but the row groups.
    pub(super) metadata: FileMetaData,
    pub(super) columns: Vec<Column>,
    group_rows: Vec<usize>,
    groups: Vec<Group>,
    /// The names on the way to each leaf.
    paths: Vec<Vec<String>>,
    /// The footer as it stands in the file, if it has statistics.
    encoded: Bytes,
}

/// A row group.
#[derive(Default)]
struct Group {
    total_byte_size: i64,
    num_rows: i64,
    ordinal: Option<i16>,
    /// One for each leaf.
    chunks: Vec<Chunk>,
}

impl Group {
    /// Reads `RowGroup`, and the names of its columns into `paths`, if they are wanted.
    fn read(
        protocol: &mut CompactProtocol<'_>,
        footer: usize,
        encodings: &mut Encodings,
        mut paths: Option<&mut Vec<Vec<String>>>,
    ) -> thrift::Result<Group> {
        let (mut group, mut seen) = (Group::default(), Seen::default());
        protocol.fields(|protocol, field, field_type| {
            seen.add(field);
            match field {
                1 => protocol.elements(|protocol| {
                    let mut own = Vec::new();
                    let path = paths.is_some().then_some(&mut own);
                    let chunk = Chunk::read(protocol, footer, encodings, path)?;
                    group.chunks.push(chunk);
                    if let Some(paths) = &mut paths {
                        paths.push(own);
                    }
                    Ok(())
                })?,
                2 => group.total_byte_size = protocol.read_i64()?,
                3 => group.num_rows = protocol.read_i64()?,
                7 => group.ordinal = Some(protocol.read_i16()?),
                _ => protocol.skip(field_type)?,
            }
            Ok(())
        })?;
        seen.check(&[1, 2, 3])?;
        Ok(group)
    }
}

/// A column of the table. A nested one is stored as several columns, its leaves.
pub(super) struct Column {
    pub(super) name: String,
    /// The elements of the schema that describe it.
    pub(super) elements: Range<usize>,
    pub(super) leaves: Range<usize>,
}

/// Some columns of a file, by their indices.
#[derive(Clone, Debug)]
pub(super) struct Selection(Vec<usize>);

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
        let guess = if file.is_local() { LOCAL_GUESS } else { GUESS };
        let mut end = file.read(size - guess.min(size)..size)?;
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
        let encoded = end.slice(end.len() - length as usize..end.len() - TAIL);
        let footer = Footer::decode(encoded)
            .map_err(|error| invalid(&format!("its footer cannot be read: {error}")))?;
        footer.checked(size - length).ok_or_else(|| {
            invalid("its footer places a row group outside the file: it is cut short or damaged")
        })
    }

    /// Reads `FileMetaData`; the numbers are those of the specification. What writers say beside
    /// it, which may be long, is skipped.
    fn decode(encoded: Bytes) -> thrift::Result<Footer> {
        let mut footer = Footer {
            metadata: FileMetaData {
                version: 0,
                schema: Vec::new(),
                num_rows: 0,
                row_groups: Vec::new(),
                key_value_metadata: None,
                created_by: None,
                column_orders: None,
                encryption_algorithm: None,
                footer_signing_key_metadata: None,
            },
            columns: Vec::new(),
            group_rows: Vec::new(),
            groups: Vec::new(),
            paths: Vec::new(),
            encoded: Bytes::new(),
        };
        let mut encodings = Encodings::default();
        let metadata = &mut footer.metadata;
        let mut seen = Seen::default();
        CompactProtocol::new(&encoded).fields(|protocol, field, field_type| {
            seen.add(field);
            match field {
                1 => metadata.version = protocol.read_i32()?,
                2 => protocol.elements(|protocol| {
                    let element = SchemaElement::read_from_in_protocol(protocol)?;
                    metadata.schema.push(element);
                    Ok(())
                })?,
                3 => metadata.num_rows = protocol.read_i64()?,
                4 => protocol.elements(|protocol| {
                    let is_first = footer.groups.is_empty();
                    let paths = is_first.then_some(&mut footer.paths);
                    let group = Group::read(protocol, encoded.len(), &mut encodings, paths)?;
                    footer.groups.push(group);
                    Ok(())
                })?,
                6 => metadata.created_by = Some(protocol.read_string()?),
                8 => {
                    let algorithm = EncryptionAlgorithm::read_from_in_protocol(protocol)?;
                    metadata.encryption_algorithm = Some(algorithm);
                }
                _ => protocol.skip(field_type)?,
            }
            Ok(())
        })?;
        seen.check(&[1, 2, 3, 4])?;
        let mut chunks = footer.groups.iter().flat_map(|group| &group.chunks);
        if chunks.any(Chunk::has_statistics) {
            // Not all that was read with it.
            footer.encoded = Bytes::copy_from_slice(&encoded);
        }
        Ok(footer)
    }

    /// Checks that the row groups end before `data_end`, and computes where their columns are.
    fn checked(mut self, data_end: u64) -> Option<Footer> {
        self.columns = columns(&self.metadata.schema)?;
        let leaves = self.columns.last().map_or(0, |column| column.leaves.end);
        for group in &self.groups {
            let mut chunks = group.chunks.iter();
            if group.chunks.len() != leaves || chunks.any(|chunk| chunk.range.end > data_end) {
                return None;
            }
            self.group_rows.push(usize::try_from(group.num_rows).ok()?);
        }
        let mut rows = self.group_rows.iter();
        let rows = rows.try_fold(0_usize, |sum, rows| sum.checked_add(*rows))?;
        (usize::try_from(self.metadata.num_rows) == Ok(rows)).then_some(self)
    }

    /// The names of the columns, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// Selects columns by name, all of them without names.
    pub(super) fn select(&self, names: Option<&[String]>) -> Selection {
        let names: Option<HashSet<&String>> = names.map(|names| names.iter().collect());
        let is_wanted = |name| names.as_ref().is_none_or(|names| names.contains(name));
        let columns = self.columns.iter().enumerate();
        let wanted = columns.filter(|(_, column)| is_wanted(&column.name));
        Selection(wanted.map(|(index, _)| index).collect())
    }

    /// The number of rows.
    pub(super) fn rows(&self) -> usize {
        self.group_rows.iter().sum()
    }

    /// The number of rows of each row group.
    pub(super) fn group_rows(&self) -> &[usize] {
        &self.group_rows
    }

    /// The number of bytes of a row group.
    pub(super) fn group_bytes(&self, group: usize) -> u64 {
        let chunks = self.groups[group].chunks.iter();
        chunks
            .map(|chunk| chunk.range.end - chunk.range.start)
            .sum()
    }

    /// The bytes of selected columns of a row group.
    fn chunks(&self, group: usize, selection: &Selection) -> impl Iterator<Item = &Range<u64>> {
        let leaves = selection
            .0
            .iter()
            .flat_map(|&column| self.columns[column].leaves.clone());
        leaves.map(move |leaf| &self.groups[group].chunks[leaf].range)
    }

    /// The byte ranges to fetch for selected columns of consecutive row groups, in order.
    pub(super) fn bytes_of(&self, groups: Range<usize>, selection: &Selection) -> Vec<Range<u64>> {
        let chunks = groups.flat_map(|group| self.chunks(group, selection));
        plan::coalesced(chunks.cloned())
    }

    /// Splits consecutive row groups into runs with at most `largest` bytes of selected columns, or
    /// of a single row group.
    pub(super) fn runs(
        &self,
        groups: Range<usize>,
        selection: &Selection,
        largest: u64,
    ) -> Vec<Range<usize>> {
        let size = |group| plan::cost(self.chunks(group, selection).cloned());
        plan::runs(groups, size, largest)
    }

    /// Builds a Parquet file in memory from selected columns of consecutive row groups. `fetched`
    /// are the bytes of `ranges`, which [`bytes_of`](Self::bytes_of) has returned.
    ///
    /// Polars' blocking reader wants a whole file. The offsets in the footer are shifted to the new
    /// positions of the bytes. Page indexes and bloom filters, which are stored elsewhere, are
    /// dropped, as are statistics, which a full read doesn't use, and what writers say about their
    /// own types, so that the types are Parquet's.
    pub(super) fn extract(
        &self,
        groups: Range<usize>,
        selection: &Selection,
        ranges: &[Range<u64>],
        fetched: &[Bytes],
    ) -> Extract {
        let size: usize = fetched.iter().map(Bytes::len).sum();
        let mut small = Vec::with_capacity(MAGIC.len() + size + (64 << 10));
        small.extend_from_slice(MAGIC);
        let mut starts = Vec::with_capacity(ranges.len());
        for bytes in fetched {
            starts.push(small.len() as i64);
            small.extend_from_slice(bytes);
        }
        let place = |at: i64| {
            let range = ranges
                .partition_point(|range| range.start as i64 <= at)
                .checked_sub(1);
            // A damaged offset may be any number.
            range.map_or(at, |range| {
                at.wrapping_sub(ranges[range].start as i64)
                    .wrapping_add(starts[range])
            })
        };
        let rows = self.group_rows[groups.clone()].iter();
        let num_rows = rows.map(|rows| *rows as i64).sum();
        let metadata = FileMetaData {
            schema: self.schema(selection),
            row_groups: groups
                .map(|group| self.moved(group, selection, place))
                .collect(),
            num_rows,
            ..without_groups(&self.metadata)
        };
        Extract {
            bytes: small,
            metadata,
        }
    }

    /// The schema of selected columns.
    fn schema(&self, selection: &Selection) -> Vec<SchemaElement> {
        let mut root = self.metadata.schema[0].clone();
        root.num_children = Some(selection.0.len() as i32);
        let elements = selection
            .0
            .iter()
            .flat_map(|&column| self.columns[column].elements.clone());
        let elements = elements.map(|index| plain(self.metadata.schema[index].clone()));
        std::iter::once(root).chain(elements).collect()
    }

    /// A row group with selected columns alone, whose bytes are elsewhere.
    fn moved(&self, group: usize, selection: &Selection, place: impl Fn(i64) -> i64) -> RowGroup {
        let num_rows = self.group_rows[group] as i64;
        let group = &self.groups[group];
        let leaves = selection
            .0
            .iter()
            .flat_map(|&column| self.columns[column].leaves.clone());
        RowGroup {
            columns: leaves
                .map(|leaf| group.chunks[leaf].moved(&self.paths[leaf], &place))
                .collect(),
            total_byte_size: group.total_byte_size,
            num_rows,
            sorting_columns: None,
            file_offset: None,
            total_compressed_size: None,
            ordinal: group.ordinal,
        }
    }

    /// Whether the statistics of a row group say that none of its rows fulfils a condition.
    pub(super) fn is_excluded(&self, group: usize, filter: &Predicate) -> bool {
        filter.conditions().iter().any(|condition| {
            let mut columns = self.columns.iter();
            let Some(column) = columns.find(|column| column.name == condition.column) else {
                return false;
            };
            match &self.metadata.schema[column.elements.clone()] {
                [leaf] => {
                    let chunk = &self.groups[group].chunks[column.leaves.start];
                    let statistics = chunk.statistics(&self.encoded);
                    statistics.is_some_and(|statistics| {
                        let values = chunk.num_values;
                        statistics::exclude(&condition.test, leaf, &statistics, values)
                    })
                }
                _ => false,
            }
        })
    }

    /// The names of the columns of 16-bit floats, or of lists of them.
    pub(super) fn columns_of_float16(&self) -> impl Iterator<Item = &str> {
        let columns = self.columns.iter().filter(|column| {
            let elements = &self.metadata.schema[column.elements.clone()];
            let leaf = elements.last().filter(|_| column.leaves.len() == 1);
            leaf.is_some_and(|leaf| matches!(leaf.logical_type, Some(LogicalType::FLOAT16(_))))
        });
        columns.map(|column| column.name.as_str())
    }
}

/// Appends the footer to the magic number and the column chunks of a file.
pub(super) fn append(metadata: &FileMetaData, file: &mut Vec<u8>) {
    let data_end = file.len();
    metadata
        .write_to_out_protocol(&mut TCompactOutputProtocol::new(&mut *file))
        .expect("writing to memory cannot fail");
    let length = (file.len() - data_end) as u32;
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(MAGIC);
}

/// Finds the columns in a schema, which is a tree, depth first; `None` if it is none.
pub(super) fn columns(schema: &[SchemaElement]) -> Option<Vec<Column>> {
    let count = usize::try_from(schema.first()?.num_children?).ok()?;
    let (mut element, mut leaf) = (1, 0);
    let mut columns = Vec::new();
    for _ in 0..count {
        let (first, first_leaf) = (element, leaf);
        let mut open: usize = 1;
        while open > 0 {
            let children = schema.get(element)?.num_children.unwrap_or(0);
            let children = usize::try_from(children).ok()?;
            leaf += usize::from(children == 0);
            open = (open - 1).checked_add(children)?;
            element += 1;
        }
        columns.push(Column {
            name: schema[first].name.clone(),
            elements: first..element,
            leaves: first_leaf..leaf,
        });
    }
    (element == schema.len()).then_some(columns)
}

/// A type without what polars is compiled without: time zones (a timestamp is in UTC), 16-bit
/// floats and intervals, both of which are then bytes.
fn plain(mut element: SchemaElement) -> SchemaElement {
    match &mut element.logical_type {
        Some(LogicalType::TIMESTAMP(timestamp)) => {
            timestamp.is_adjusted_to_u_t_c = false;
            element.converted_type = None;
        }
        Some(LogicalType::FLOAT16(_)) => element.logical_type = None,
        _ if element.converted_type == Some(ConvertedType::INTERVAL) => {
            element.converted_type = None
        }
        _ => {}
    }
    element
}

/// Copies everything except the columns and the row groups.
fn without_groups(metadata: &FileMetaData) -> FileMetaData {
    FileMetaData {
        version: metadata.version,
        schema: Vec::new(),
        num_rows: 0,
        row_groups: Vec::new(),
        key_value_metadata: None,
        created_by: metadata.created_by.clone(),
        column_orders: None,
        encryption_algorithm: metadata.encryption_algorithm.clone(),
        footer_signing_key_metadata: None,
    }
}
