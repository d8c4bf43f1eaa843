//! The rows of one rank of a transformation, as a file.

use std::{io::Cursor, thread, time::Duration};

use polars::prelude::{DataFrame, ParquetReader, ParquetWriter, SerReader};

use crate::{
    Error, Result,
    error::{LakeError, TableError},
    interrupt,
    lake::Lake,
};

/// Small enough that a file can be dealt out to many ranks, large enough for Parquet's encodings.
const ROWS_IN_A_GROUP: usize = 4096;

/// How long what was given up or ended may still need until it writes no more.
const GONE_AFTER: Duration = Duration::from_secs(1);

/// What errors call the rows.
const ROWS: &str = "the rows of a rank";

/// The name of the file of `rank`; names sort as the rows do.
pub(crate) fn part_name(rank: usize) -> String {
    format!("part-{rank:05}.parquet")
}

/// Rows as a Parquet file.
pub(crate) fn to_parquet(frame: &DataFrame) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .with_row_group_size(Some(ROWS_IN_A_GROUP))
        .finish(&mut frame.clone())
        .map_err(TableError::about(ROWS))?;
    Ok(bytes)
}

/// The rows of a Parquet file.
pub(crate) fn from_parquet(bytes: Vec<u8>) -> Result<DataFrame> {
    ParquetReader::new(Cursor::new(bytes))
        .finish()
        .map_err(TableError::about(ROWS))
}

/// Puts the ranks' rows one below the other.
pub(crate) fn stack(parts: impl IntoIterator<Item = Result<DataFrame>>) -> Result<DataFrame> {
    let mut parts = parts.into_iter();
    let mut whole = parts.next().expect("there is at least one rank")?;
    for part in parts {
        whole.vstack_mut(&part?).map_err(TableError::about(ROWS))?;
    }
    Ok(whole)
}

/// Makes sure that what is written to a folder does not mix with what is there.
pub(crate) fn check_empty(folder: &Lake) -> Result<()> {
    match folder.list()?.first() {
        None => Ok(()),
        Some(file) => Err(Error::Lake(LakeError::Storage {
            operation: "writing rows to",
            url: folder.to_string(),
            reason: format!("the folder is not empty, it holds {file}: take another").into(),
        })),
    }
}

/// Removes the files of ranks that were stopped, and no others.
pub(crate) fn remove_parts(folder: &Lake) -> Result<()> {
    let _shield = interrupt::shield();
    let remove = || -> Result<()> {
        for name in folder.list()? {
            if name.starts_with("part-") && name.ends_with(".parquet") {
                folder.delete(&name)?;
            }
        }
        Ok(())
    };
    remove()?;
    // A service, or a process elsewhere, may have been about to write one more.
    thread::sleep(GONE_AFTER);
    remove()
}
