//! A block of a file's lines, parsed in the fast way where it can be.

use bytes::Bytes;
use polars::prelude::DataFrame;

use super::byte_rows::{ByteRows, PIECE};
use super::columns::Columns;
use super::diagnose::Problem;
use super::parse;
use crate::{Result, error::TableError};

/// The rows of a block.
pub(super) enum Block {
    /// Whole numbers from 0 to 255. They become columns once all blocks are there, so that none is copied
    /// again to make the columns of several blocks one.
    Bytes(ByteRows),
    /// Anything else.
    Frame(DataFrame),
}

impl Block {
    /// Parses whole lines.
    pub(super) fn parse(bytes: Bytes, columns: &Columns) -> Result<Block, Problem> {
        match ByteRows::parse(&bytes, columns, PIECE) {
            Some(rows) => Ok(Block::Bytes(rows)),
            None => parse::parse(bytes, columns).map(Block::Frame),
        }
    }
}

/// One frame of the blocks of a file, with each column in the widest of its types and in one piece.
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
