//! A partition of a table file.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The part of a table file that one worker reads: a byte range of a CSV file, cut at line ends,
/// row groups of a Parquet file, record batches of an Arrow IPC file, or some of a table's images.
///
/// A partition is plain data. It can be sent to another process, which opens the file by its
/// [`FileSource`](super::FileSource) and reads just this part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// The size of the file that was split, to detect a partition of another file.
    pub(crate) file_size: u64,
    pub(crate) part: Part,
}

/// What a partition consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    /// A byte range of a CSV file: whole lines, without the header.
    Bytes(Range<u64>),
    /// Rows of consecutive row groups of a Parquet file, or record batches of an Arrow IPC file:
    /// all of their rows, unless there are more partitions than row groups. An image is a row group
    /// of one row.
    RowGroups {
        groups: Range<usize>,
        skip: usize,
        rows: usize,
    },
    /// Parts of the files of a folder.
    Files(Vec<FilePart>),
}

/// A part of one of the files of a folder, or all of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FilePart {
    /// The index of the file.
    pub(crate) file: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) part: Option<Box<Part>>,
}

/// Consecutive blocks are joined as long as they have at most so many rows together.
pub(crate) const BLOCK_ROWS: usize = 1 << 14;
/// And at most so many bytes in their files.
pub(super) const BLOCK_BYTES: u64 = 8 << 20;

/// A part that is read as a whole where the rows are streamed.
pub(crate) struct Block {
    pub(super) part: Part,
    /// The number of its rows; `None` if only reading them tells.
    pub(super) rows: Option<usize>,
    /// About how many bytes it has in the file.
    pub(super) bytes: u64,
}

impl Block {
    /// Whether the next one is to be joined with this one.
    pub(super) fn has_room_for(&self, next: &Block) -> bool {
        let rows = self.rows.unwrap_or(0) + next.rows.unwrap_or(0);
        rows <= BLOCK_ROWS && self.bytes + next.bytes <= BLOCK_BYTES
    }

    /// Appends the next block of a folder.
    pub(super) fn join(&mut self, next: Block) {
        if let (Part::Files(own), Part::Files(more)) = (&mut self.part, next.part) {
            own.extend(more);
        }
        self.rows = self.rows.zip(next.rows).map(|(own, more)| own + more);
        self.bytes += next.bytes;
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.part {
            Part::Files(parts) => write!(formatter, "parts of {} files", parts.len()),
            Part::Bytes(range) => write!(formatter, "bytes {}..{}", range.start, range.end),
            Part::RowGroups { groups, skip, rows } => write!(
                formatter,
                "rows {skip}..{} of the row groups {}..{}",
                skip + rows,
                groups.start,
                groups.end
            ),
        }
    }
}
