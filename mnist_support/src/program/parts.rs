//! The rows of one rank of a transformation, as a Parquet file.

use std::{
    env,
    fs::File,
    io::{self, BufWriter, Cursor, Read, Seek},
    thread,
    time::Duration,
};

use polars::{
    io::parquet::write::BatchedWriter,
    prelude::{DataFrame, ParquetReader, ParquetWriter, SerReader},
};

use crate::{
    Error, Result,
    error::{LakeError, TableError},
    interrupt,
    lake::Lake,
};

/// Small enough that a file can be divided among many ranks, large enough for Parquet's encodings.
const ROW_GROUP_SIZE: usize = 4096;

/// A row group of a part has at most so many rows, and about so many bytes before it is encoded.
/// Each page of a column costs time, so they are larger than those of rows that ranks divide.
const PART_GROUP_ROWS: usize = 16 << 10;
const PART_GROUP_BYTES: usize = 16 << 20;

/// How many bytes are written to a file at a time.
const BUFFER: usize = 1 << 20;

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

/// Writes rows to a Parquet file piece by piece. The file has no name, and is gone with this value.
pub(crate) struct PartWriter {
    file: File,
    writer: Option<BatchedWriter<BufWriter<File>>>,
}

impl PartWriter {
    pub(crate) fn new() -> Result<Self> {
        Ok(PartWriter {
            file: tempfile::tempfile().map_err(failed)?,
            writer: None,
        })
    }

    /// Writes some rows, which have the columns of those before.
    pub(crate) fn write(&mut self, mut rows: DataFrame) -> Result<()> {
        let about = || TableError::about(ROWS);
        let writer = match &mut self.writer {
            Some(writer) => writer,
            new => {
                let file = self.file.try_clone().map_err(failed)?;
                // A page is written in several small pieces.
                let file = BufWriter::with_capacity(BUFFER, file);
                let writer = ParquetWriter::new(file).batched(rows.schema());
                new.insert(writer.map_err(about())?)
            }
        };
        // A row group for each chunk.
        rows.rechunk_mut_par();
        let row = rows.estimated_size() / rows.height().max(1);
        let group = (PART_GROUP_BYTES / row.max(1)).clamp(1, PART_GROUP_ROWS);
        for start in (0..rows.height().max(1)).step_by(group) {
            let group = rows.slice(start as i64, group);
            writer.write_batch(&group).map_err(about())?;
        }
        Ok(())
    }

    /// Ends the file, and writes it to a folder.
    pub(crate) fn upload(self, folder: &Lake, name: &str) -> Result<()> {
        folder.upload_file(name, self.finish()?, &env::temp_dir())?;
        Ok(())
    }

    /// Ends the file, and returns its bytes.
    pub(crate) fn into_bytes(self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.finish()?.read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }

    /// Ends the file, and returns it from its start.
    fn finish(mut self) -> Result<File> {
        if let Some(writer) = self.writer.take() {
            writer.finish().map_err(TableError::about(ROWS))?;
        }
        self.file.rewind().map_err(failed)?;
        Ok(self.file)
    }
}

fn failed(source: io::Error) -> Error {
    Error::Io {
        operation: "writing rows to a file in",
        path: env::temp_dir(),
        source,
    }
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
