//! The rows of one rank of a transformation, as a Parquet file.

use std::{io::Cursor, thread, time::Duration};

use polars::prelude::{DataFrame, ParquetReader, ParquetWriter, SerReader};

use crate::{
    Error, Result,
    error::{LakeError, TableError},
    interrupt,
    lake::Lake,
};

/// Small enough that a file can be divided among many ranks, large enough for Parquet's encodings.
const ROW_GROUP_SIZE: usize = 4096;

/// How long a rank that was stopped or abandoned may still be writing.
const WRITES_END_AFTER: Duration = Duration::from_secs(1);

/// What error messages call the rows.
const ROWS: &str = "the rows of a rank";

/// Returns the file name of `rank`. Names sort in row order.
pub(crate) fn part_name(rank: usize) -> String {
    format!("part-{rank:05}.parquet")
}

/// Encodes rows as a Parquet file.
pub(crate) fn to_parquet(frame: &DataFrame) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .with_row_group_size(Some(ROW_GROUP_SIZE))
        .finish(&mut frame.clone())
        .map_err(TableError::about(ROWS))?;
    Ok(bytes)
}

/// Decodes the rows of a Parquet file.
pub(crate) fn from_parquet(bytes: Vec<u8>) -> Result<DataFrame> {
    ParquetReader::new(Cursor::new(bytes))
        .finish()
        .map_err(TableError::about(ROWS))
}

/// Concatenates the ranks' rows.
pub(crate) fn stack(parts: impl IntoIterator<Item = Result<DataFrame>>) -> Result<DataFrame> {
    let mut parts = parts.into_iter();
    let mut whole = parts.next().expect("there is at least one rank")?;
    for part in parts {
        whole.vstack_mut(&part?).map_err(TableError::about(ROWS))?;
    }
    Ok(whole)
}

/// Checks that a folder is empty, so that new rows do not mix with old ones.
pub(crate) fn check_empty(folder: &Lake) -> Result<()> {
    match folder.list()?.first() {
        None => Ok(()),
        Some(file) => Err(Error::Lake(LakeError::Storage {
            operation: "writing rows to",
            url: folder.to_string(),
            reason: format!("the folder is not empty, it holds {file}: choose another").into(),
        })),
    }
}

/// Removes the files of stopped ranks, and no others.
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
    thread::sleep(WRITES_END_AFTER);
    remove()
}
