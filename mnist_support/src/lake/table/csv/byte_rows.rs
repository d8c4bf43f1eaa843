//! The fast parser, for lines of small integers such as pixels.

use polars::prelude::{DataFrame, IntoColumn, PolarsResult, UInt8Chunked};
use rayon::prelude::*;

use super::columns::Columns;
use crate::lake::table::ColumnType;
use crate::square::{SIDE, load, store, transpose};

/// Lines are parsed in chunks of about this size, on all cores.
pub(super) const CHUNK_SIZE: usize = 1 << 20;
/// The number of columns that one core fills at a time.
const COLUMNS: usize = 64;
/// The most common fields of pixels.
const ZEROS: &[u8; 16] = b"0,0,0,0,0,0,0,0,";
const ZEROS_COLUMNS: usize = ZEROS.len() / 2;

/// Rows of integers from 0 to 255.
pub(super) struct ByteRows {
    width: usize,
    /// Row-major, in the order of the file.
    chunks: Vec<Vec<u8>>,
}

impl ByteRows {
    /// Parses whole lines if every column is `UInt8` and every field is one to three digits, at
    /// most 255. Returns `None` for anything else, whether invalid or merely unusual, and leaves it
    /// to the general parser.
    pub(super) fn parse(bytes: &[u8], columns: &Columns, chunk_size: usize) -> Option<ByteRows> {
        let all_bytes = columns.types().iter().all(|t| *t == ColumnType::UInt8);
        if bytes.is_empty() || columns.len() == 0 || !all_bytes {
            return None;
        }
        let width = columns.len();
        let chunks = chunks(bytes, chunk_size)
            .into_par_iter()
            .map(|lines| rows(lines, width))
            .collect::<Option<_>>()?;
        Some(ByteRows { width, chunks })
    }

    /// Appends the rows that come next in the file.
    pub(super) fn append(&mut self, mut next: ByteRows) {
        self.chunks.append(&mut next.chunks);
    }

    /// Converts the rows to a frame.
    pub(super) fn into_frame(self, columns: &Columns) -> PolarsResult<DataFrame> {
        let rows: Vec<&[u8]> = self
            .chunks
            .iter()
            .flat_map(|chunk| chunk.chunks_exact(self.width))
            .collect();
        let columns = columns
            .names()
            .par_chunks(COLUMNS)
            .enumerate()
            .flat_map_iter(|(block, names)| {
                let values = columns_of(&rows, block * COLUMNS, names.len());
                names.iter().zip(values).map(|(name, values)| {
                    UInt8Chunked::from_vec(name.as_str().into(), values).into_column()
                })
            })
            .collect();
        DataFrame::new(rows.len(), columns)
    }
}

/// Splits whole lines into chunks of whole lines.
fn chunks(mut bytes: &[u8], size: usize) -> Vec<&[u8]> {
    let mut chunks = Vec::with_capacity(bytes.len() / size.max(1) + 1);
    while !bytes.is_empty() {
        let line_end = bytes
            .iter()
            .skip(size)
            .position(|byte| *byte == b'\n')
            .map_or(bytes.len(), |at| size + at + 1);
        let (chunk, rest) = bytes.split_at(line_end);
        chunks.push(chunk);
        bytes = rest;
    }
    chunks
}

/// Parses lines into rows, row-major.
fn rows(mut lines: &[u8], width: usize) -> Option<Vec<u8>> {
    // A field takes at least two bytes: a digit and a separator.
    let mut rows = Vec::with_capacity(lines.len() / 2 + 1);
    while !lines.is_empty() {
        let start = rows.len();
        rows.resize(start + width, 0);
        lines = fill(&mut rows[start..], lines)?;
    }
    Some(rows)
}

/// Fills a row of zeros from the first line. Returns the remaining lines.
fn fill<'a>(row: &mut [u8], mut lines: &'a [u8]) -> Option<&'a [u8]> {
    let last = row.len() - 1;
    let mut column = 0;
    while column < last {
        if column + ZEROS_COLUMNS <= last
            && let Some(rest) = lines.strip_prefix(ZEROS)
        {
            column += ZEROS_COLUMNS;
            lines = rest;
            continue;
        }
        let (value, rest) = number(lines)?;
        row[column] = value;
        column += 1;
        lines = rest.strip_prefix(b",")?;
    }
    let (value, rest) = number(lines)?;
    row[last] = value;
    match rest {
        [b'\n', rest @ ..] | [b'\r', b'\n', rest @ ..] => Some(rest),
        [] => Some(rest),
        _ => None,
    }
}

/// Parses the number of one to three digits at the start of `bytes`. Returns it with the remaining
/// bytes.
fn number(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |at: usize| {
        let value = bytes.get(at)?.wrapping_sub(b'0');
        (value < 10).then_some(value)
    };
    let first = digit(0)?;
    let Some(second) = digit(1) else {
        return Some((first, &bytes[1..]));
    };
    let Some(third) = digit(2) else {
        return Some((10 * first + second, &bytes[2..]));
    };
    let value = 100 * u16::from(first) + 10 * u16::from(second) + u16::from(third);
    Some((u8::try_from(value).ok()?, &bytes[3..]))
}

/// Extracts neighbouring columns of all rows.
fn columns_of(rows: &[&[u8]], first: usize, count: usize) -> Vec<Vec<u8>> {
    let mut columns = vec![vec![0; rows.len()]; count];
    let whole = count / SIDE * SIDE;
    for (number, tile) in rows.chunks(SIDE).enumerate() {
        let top = number * SIDE;
        let mut done = 0;
        if let Ok(tile) = <[&[u8]; SIDE]>::try_from(tile) {
            for (index, columns) in columns.chunks_exact_mut(SIDE).enumerate() {
                let left = first + index * SIDE;
                let mut square = [0; SIDE];
                for (line, row) in square.iter_mut().zip(tile) {
                    *line = load(row, left);
                }
                for (column, line) in columns.iter_mut().zip(transpose(square)) {
                    store(column, top, line);
                }
            }
            done = whole;
        }
        // The remaining columns on the right and rows at the bottom.
        for (index, column) in columns.iter_mut().enumerate().skip(done) {
            for (value, row) in column[top..].iter_mut().zip(tile) {
                *value = row[first + index];
            }
        }
    }
    columns
}
