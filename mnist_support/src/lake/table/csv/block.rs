//! A block of whole records, parsed by the fastest parser that can.

use std::ops::Range;

use bytes::Bytes;
use polars::prelude::DataFrame;

use super::byte_rows::{ByteRows, CHUNK_SIZE};
use super::columns::Columns;
use super::problem::{Problem, RowProblem};
use super::{general, parse};
use crate::lake::table::stack::stack;
use crate::{Result, error::TableError};

/// The rows of a block.
pub(super) enum Block {
    /// Integers from 0 to 255. They become columns only when all blocks have been parsed, so that
    /// joining the blocks needs no second copy.
    Bytes(ByteRows),
    /// Any other values, of the wanted columns alone.
    Frames(Vec<DataFrame>),
}

impl Block {
    /// Parses lines of numbers, or of anything else: then whole records without line breaks in
    /// them.
    pub(super) fn parse(
        bytes: &Bytes,
        columns: &Columns,
        wanted: &[usize],
    ) -> Result<Block, Problem> {
        if columns.are_plain_numbers() {
            if let Some(rows) = ByteRows::parse(bytes, columns, CHUNK_SIZE) {
                return Ok(Block::Bytes(rows));
            }
            if wanted.len() == columns.len()
                && let Some(frame) = parse::parse(bytes, columns)
            {
                let frame = parse::select(&frame, wanted).map_err(|error| Problem {
                    at: 0,
                    kind: RowProblem::Other(error.to_string()),
                })?;
                return Ok(Block::Frames(vec![frame]));
            }
        }
        let chunks = general::chunks(bytes, columns, false, true);
        Block::parse_chunks(bytes, columns, wanted, &chunks)
    }

    /// Parses the whole records of `bytes`, which may have line breaks in them. Returns where the
    /// first record begins that is not whole.
    pub(super) fn parse_records(
        bytes: &[u8],
        columns: &Columns,
        wanted: &[usize],
        at_end: bool,
    ) -> Result<(Block, usize), Problem> {
        let (frames, whole) =
            general::parse_records(bytes, columns, wanted, general::CHUNK_SIZE, at_end)?;
        Ok((Block::Frames(frames), whole))
    }

    /// Parses whole records at `chunks` of `bytes`.
    pub(super) fn parse_chunks(
        bytes: &[u8],
        columns: &Columns,
        wanted: &[usize],
        chunks: &[Range<usize>],
    ) -> Result<Block, Problem> {
        general::parse(bytes, columns, wanted, chunks).map(Block::Frames)
    }
}

/// Joins the blocks of a file into one frame of the columns `wanted`, which are contiguous.
pub(super) fn join(
    blocks: Vec<Block>,
    columns: &Columns,
    wanted: &[usize],
    file: &str,
) -> Result<DataFrame> {
    let framed = |rows: ByteRows| {
        rows.into_frame(columns)
            .and_then(|frame| parse::select(&frame, wanted))
            .map_err(TableError::about(file))
    };
    let mut frames = Vec::new();
    let mut pending: Option<ByteRows> = None;
    for block in blocks {
        match (block, &mut pending) {
            (Block::Bytes(next), Some(rows)) => rows.append(next),
            (Block::Bytes(rows), None) => pending = Some(rows),
            (Block::Frames(next), _) => {
                frames.extend(pending.take().map(framed).transpose()?);
                frames.extend(next);
            }
        }
    }
    frames.extend(pending.map(framed).transpose()?);
    match stack(frames, file)? {
        Some(whole) => Ok(whole),
        None => {
            let empty = parse::select(&columns.empty_frame(), wanted);
            empty.map_err(TableError::about(file))
        }
    }
}

#[cfg(test)]
mod tests;
