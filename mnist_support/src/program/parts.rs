//! The rows of one rank of a transformation, as Parquet files.

use std::{
    env,
    fs::File,
    io::{self, BufWriter, Cursor, Read, Seek},
    thread,
    time::Duration,
};

use polars::prelude::{DataFrame, ParquetReader, ParquetWriter, SerReader};

use crate::{
    Error, Result,
    error::{LakeError, TableError},
    interrupt,
    lake::{Lake, RowGroupWriter},
};

/// Small enough that a file can be divided among many ranks, large enough for Parquet's encodings.
const ROW_GROUP_SIZE: usize = 4096;

/// A row group of a part has at most so many rows, and about so many bytes before it is encoded.
/// Each page of a column costs time, so they are larger than those of rows that ranks divide.
const PART_GROUP_ROWS: usize = 16 << 10;
const PART_GROUP_BYTES: usize = 16 << 20;

/// A part has at most so many column chunks, or those of one row group: what the writer keeps of
/// each until the end of the file is a few kB.
const PART_CHUNKS: usize = 4 << 10;

/// How many bytes are written to a file at a time.
const BUFFER: usize = 1 << 20;

/// How long a rank that was stopped or abandoned may still be writing.
const WRITES_END_AFTER: Duration = Duration::from_secs(1);

/// What error messages call the rows.
const ROWS: &str = "the rows of a rank";

/// Returns the name of a rank's file, as Spark names those of a task. Names sort in row order.
fn part_name(rank: usize, file: usize) -> String {
    format!("part-{rank:05}-c{file:05}.parquet")
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

/// Takes a file of a rank, with its name, once it is whole.
type Sink<'a> = Box<dyn FnMut(&str, File) -> Result<()> + 'a>;

/// Writes the rows of a rank to Parquet files, piece by piece. A file has no name until it is
/// whole.
pub(crate) struct PartWriter<'a> {
    rank: usize,
    sink: Sink<'a>,
    /// How many files are whole.
    files: usize,
    open: Option<OpenPart>,
}

/// A file that is being written.
struct OpenPart {
    file: File,
    writer: RowGroupWriter<BufWriter<File>>,
    /// Its column chunks, and those of its last row group.
    chunks: usize,
    last: usize,
}

impl<'a> PartWriter<'a> {
    fn new(rank: usize, sink: impl FnMut(&str, File) -> Result<()> + 'a) -> Self {
        PartWriter {
            rank,
            sink: Box::new(sink),
            files: 0,
            open: None,
        }
    }

    /// Writes files to a folder.
    pub(crate) fn to_folder(rank: usize, folder: &'a Lake) -> Self {
        PartWriter::new(rank, |name, file| {
            folder.upload_file(name, file, &env::temp_dir()).map(|_| ())
        })
    }

    /// Passes on the names of files and their bytes.
    pub(crate) fn to_bytes(
        rank: usize,
        mut each: impl FnMut(&str, &[u8]) -> Result<()> + 'a,
    ) -> Self {
        PartWriter::new(rank, move |name, mut file| {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(failed)?;
            each(name, &bytes)
        })
    }

    /// Writes some rows, which have the columns of those before.
    pub(crate) fn write(&mut self, mut rows: DataFrame) -> Result<()> {
        // A row group for each chunk.
        rows.rechunk_mut_par();
        let row = rows.estimated_size() / rows.height().max(1);
        let group = (PART_GROUP_BYTES / row.max(1)).clamp(1, PART_GROUP_ROWS);
        for start in (0..rows.height().max(1)).step_by(group) {
            self.write_group(&rows.slice(start as i64, group))?;
        }
        Ok(())
    }

    fn write_group(&mut self, rows: &DataFrame) -> Result<()> {
        let is_full = |part: &OpenPart| part.chunks + part.last > PART_CHUNKS;
        if self.open.as_ref().is_some_and(is_full) {
            self.finish_file()?;
        }
        let part = match &mut self.open {
            Some(part) => part,
            none => none.insert(OpenPart::begin(rows)?),
        };
        part.last = part.writer.write(rows).map_err(TableError::about(ROWS))?;
        part.chunks += part.last;
        Ok(())
    }

    fn finish_file(&mut self) -> Result<()> {
        let Some(part) = self.open.take() else {
            return Ok(());
        };
        part.writer.finish().map_err(TableError::about(ROWS))?;
        let mut file = part.file;
        file.rewind().map_err(failed)?;
        (self.sink)(&part_name(self.rank, self.files), file)?;
        self.files += 1;
        Ok(())
    }

    /// Ends the last file.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.finish_file()
    }
}

impl OpenPart {
    /// Begins a file of rows of these columns.
    fn begin(rows: &DataFrame) -> Result<Self> {
        let file = tempfile::tempfile().map_err(failed)?;
        let copy = file.try_clone().map_err(failed)?;
        // A page is written in several small pieces.
        let buffered = BufWriter::with_capacity(BUFFER, copy);
        let writer = RowGroupWriter::new(buffered, rows.schema());
        Ok(OpenPart {
            file,
            writer: writer.map_err(TableError::about(ROWS))?,
            chunks: 0,
            last: 0,
        })
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

/// Removes the files of ranks if a transformation has failed, so that nobody takes them for all.
pub(crate) fn or_remove_parts(written: Result<()>, folder: &Lake) -> Result<()> {
    let Err(error) = written else {
        return Ok(());
    };
    match remove_parts(folder) {
        // What went wrong first says more than what goes wrong with the same store afterwards.
        Err(_) if !matches!(error, Error::Interrupted { .. }) => Err(error),
        removed => removed.and(Err(error)),
    }
}

/// Removes the files of ranks that have ended or are about to, and no others.
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

#[cfg(test)]
mod tests {
    use polars::prelude::{Column, IntoColumn, NamedFrom, Series};

    use super::*;
    use crate::lake::Credentials;

    /// 100 columns of numbers.
    fn wide(rows: std::ops::Range<i64>) -> DataFrame {
        let column = |index: i64| {
            let values: Vec<i64> = rows.clone().map(|row| row * index % 251).collect();
            Series::new(format!("x{index}").into(), values).into_column()
        };
        let columns: Vec<Column> = (0..100).map(column).collect();
        DataFrame::new(rows.clone().count(), columns).unwrap()
    }

    #[test]
    fn a_rank_begins_another_file_before_one_has_too_many_chunks() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&folder.path().to_string_lossy(), &Credentials::local()).unwrap();
        let mut part = PartWriter::to_folder(3, &lake);
        for start in 0..100 {
            part.write(wide(start * 7..(start + 1) * 7)).unwrap();
        }
        part.finish().unwrap();
        let names = [0, 1, 2].map(|file| format!("part-00003-c0000{file}.parquet"));
        assert_eq!(lake.list().unwrap(), names);
        let first = lake.parquet(&names[0]).unwrap().collect().unwrap();
        assert_eq!(first.height(), 40 * 7);
        let all = lake.parquet("*.parquet").unwrap().collect().unwrap();
        assert!(all.equals(&wide(0..700)));
    }

    #[test]
    fn without_rows_a_rank_still_writes_the_columns() {
        let mut files = Vec::new();
        let mut part = PartWriter::to_bytes(0, |name, bytes| {
            files.push((name.to_owned(), from_parquet(bytes.to_vec())?));
            Ok(())
        });
        part.write(wide(0..0)).unwrap();
        part.finish().unwrap();
        let [(name, frame)] = &files[..] else {
            panic!("{files:?}")
        };
        assert_eq!(name, "part-00000-c00000.parquet");
        assert_eq!(frame.shape(), (0, 100));
    }
}
