//! A block of lines, parsed by the fast parser if possible.

use bytes::Bytes;
use polars::prelude::DataFrame;

use super::byte_rows::{ByteRows, CHUNK_SIZE};
use super::columns::Columns;
use super::diagnose::Problem;
use super::parse;
use crate::{Result, error::TableError};

/// The rows of a block.
pub(super) enum Block {
    /// Integers from 0 to 255. They become columns only when all blocks have been parsed, so that
    /// joining the blocks needs no second copy.
    Bytes(ByteRows),
    /// Any other values.
    Frame(DataFrame),
}

impl Block {
    /// Parses whole lines.
    pub(super) fn parse(bytes: Bytes, columns: &Columns) -> Result<Block, Problem> {
        match ByteRows::parse(&bytes, columns, CHUNK_SIZE) {
            Some(rows) => Ok(Block::Bytes(rows)),
            None => parse::parse(bytes, columns).map(Block::Frame),
        }
    }
}

/// Joins the blocks of a file into one frame. Each column has the widest of its types and is
/// contiguous.
pub(super) fn join(blocks: Vec<Block>, columns: &Columns, file: &str) -> Result<DataFrame> {
    let framed = |rows: ByteRows| rows.into_frame(columns).map_err(TableError::about(file));
    let mut frames = Vec::new();
    let mut pending: Option<ByteRows> = None;
    for block in blocks {
        match (block, &mut pending) {
            (Block::Bytes(next), Some(rows)) => rows.append(next),
            (Block::Bytes(rows), None) => pending = Some(rows),
            (Block::Frame(frame), _) => {
                frames.extend(pending.take().map(framed).transpose()?);
                frames.push(frame);
            }
        }
    }
    frames.extend(pending.map(framed).transpose()?);
    parse::stack(frames, columns, file)
}

#[cfg(test)]
mod tests;
