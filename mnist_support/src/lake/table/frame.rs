//! A file of a lake, seen as a table.

use std::fmt;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use polars::prelude::DataFrame;
use serde::{Deserialize, Serialize};

use super::format::FileFormat;
use super::number_type::NumberType;
use super::partition::Partition;
use super::table_file::TableFile;
use crate::lake::credentials::Credentials;
use crate::lake::reading::{Tell, tell_who_looks};
use crate::lake::store::Lake;
use crate::{
    Error, Result,
    error::{LakeError, TableError},
    interrupt,
};

/// What another process needs to open the same table itself. It holds no credentials: each process has its
/// own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSource {
    /// The file's URL.
    pub url: String,
    /// Its format.
    pub format: FileFormat,
    /// The type that every column of a CSV is read as; without it, the types are learnt from samples.
    pub dtype: Option<NumberType>,
}

/// A file seen as a table, not read yet.
///
/// ```
/// # use mnist_support::lake::{Credentials, Lake};
/// # fn main() -> mnist_support::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let lake = Lake::open(folder.path().to_str().unwrap(), &Credentials::local())?;
/// # lake.put("train.csv", "pixel1,label\n0,7\n255,1\n9,2\n".into())?;
/// let frame = lake.csv("train.csv")?;
/// let parts = frame.partitions(2)?;
/// let rows: usize = parts.iter().map(|part| Ok(frame.read(part)?.height())).sum::<mnist_support::Result<_>>()?;
/// assert_eq!(rows, 3);
/// # Ok(())
/// # }
/// ```
///
/// # What a CSV may be
/// UTF-8, with or without a byte order mark, a header of distinct names (spaces around them are
/// dropped), commas, lines that end in `\n` or
/// `\r\n`, and in every field a finite number: `7`, `-1`, `0.5`, `1e-3`. A field may stand in double quotes.
/// A line break inside quotes is refused with an error that names the row, as lines are where a file is cut.
/// Blank lines at the end are ignored; elsewhere they are ragged rows.
///
/// # Types
/// The columns of a CSV are learnt from samples of its beginning, its middle and its end, each as the
/// narrowest of `UInt8`, `Int64` and `Float64` that holds the sample. The samples depend on the file alone,
/// so that every worker starts from the same types. Where a part then has a value that does not fit, that
/// column of that part is widened, never cut: two parts of one file may therefore have a column as `UInt8`
/// and as `Int64`, with equal numbers in them, and features that are made of them are equal.
/// [`LakeFrame::with_dtype`] gives every part one and the same type. A Parquet file says its own types.
#[derive(Clone)]
pub struct LakeFrame {
    source: FileSource,
    file: Arc<dyn TableFile>,
}

impl Lake {
    /// A CSV file as a table. Its header and a few samples are read, no more.
    ///
    /// # Errors
    /// [`LakeError::NotFound`](crate::error::LakeError::NotFound), [`LakeError::AccessDenied`](crate::error::LakeError::AccessDenied), [`LakeError::Unreachable`](crate::error::LakeError::Unreachable) from the store;
    /// [`TableError::EmptyFile`](crate::error::TableError::EmptyFile) for a file without a header or without rows; [`TableError::Failed`](crate::error::TableError::Failed) for a header that
    /// is none.
    pub fn csv(&self, path: &str) -> Result<LakeFrame> {
        self.open_table(FileFormat::Csv, path)
    }

    /// A Parquet file as a table. Its footer is read, no more.
    ///
    /// # Errors
    /// As [`Lake::csv`]; [`TableError::Failed`](crate::error::TableError::Failed) for a file that is not Parquet, or is cut short.
    /// [`TableError::ColumnType`](crate::error::TableError::ColumnType) for a column of a type that is not read, such as `Int16` or a date.
    pub fn parquet(&self, path: &str) -> Result<LakeFrame> {
        self.open_table(FileFormat::Parquet, path)
    }

    fn open_table(&self, format: FileFormat, path: &str) -> Result<LakeFrame> {
        let _scope = interrupt::scope();
        let file = format.open(self, path)?;
        let source = FileSource {
            url: file.url().into(),
            format,
            dtype: None,
        };
        Ok(LakeFrame { source, file })
    }
}

impl LakeFrame {
    /// Opens the table that `source` describes.
    ///
    /// # Errors
    /// As [`Lake::open`], [`Lake::csv`] and [`Lake::parquet`].
    pub fn open(source: &FileSource, credentials: &Credentials) -> Result<LakeFrame> {
        let Some((folder, name)) = source.url.rsplit_once('/') else {
            return Err(Error::Lake(LakeError::InvalidUrl {
                url: source.url.clone(),
                reason: "it names no file".into(),
            }));
        };
        // `Lake::open` undoes the encoding of the folder; a file's name is given to it as it is.
        let name = percent_decode_str(name).decode_utf8_lossy();
        let frame = Lake::open(folder, credentials)?.open_table(source.format, &name)?;
        match source.dtype {
            Some(dtype) => frame.with_dtype(dtype),
            None => Ok(frame),
        }
    }

    /// The same table with every column read as `dtype`.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] for a Parquet file, which says its own types.
    pub fn with_dtype(&self, dtype: NumberType) -> Result<LakeFrame> {
        let file = self
            .file
            .with_dtype(dtype)
            .ok_or_else(|| Error::InvalidSetting {
                setting: "dtype",
                value: format!("{dtype:?}"),
                reason: format!(
                    "cannot be set for {}: a {:?} file says its own types",
                    self.name(),
                    self.source.format
                ),
            })?;
        let source = FileSource {
            dtype: Some(dtype),
            ..self.source.clone()
        };
        Ok(LakeFrame { source, file })
    }

    /// The file's URL.
    pub fn name(&self) -> &str {
        &self.source.url
    }

    /// What another process needs to open this table.
    pub fn source(&self) -> &FileSource {
        &self.source
    }

    /// The names of the columns, in order.
    pub fn columns(&self) -> Vec<String> {
        self.file.columns().to_vec()
    }

    /// The first `n` rows, or all where there are fewer. Of a CSV just the beginning is read, of a Parquet
    /// file the first row groups.
    ///
    /// # Errors
    /// As [`LakeFrame::collect`].
    pub fn head(&self, n: usize) -> Result<DataFrame> {
        let _scope = interrupt::scope();
        self.file.head(n)
    }

    /// All rows. In a notebook or a terminal, a read of more than 3 seconds prints how far it has come.
    ///
    /// # Errors
    /// [`TableError::RaggedRow`](crate::error::TableError::RaggedRow), [`TableError::InvalidValue`](crate::error::TableError::InvalidValue), [`TableError::MissingValue`](crate::error::TableError::MissingValue) name the row, which counts
    /// from 1 below the header; [`TableError::Failed`](crate::error::TableError::Failed) for a file that is damaged; [`Error::Interrupted`] for a
    /// read that was [stopped](crate::interrupt); and the store's errors, as [`Lake::get`].
    pub fn collect(&self) -> Result<DataFrame> {
        let _scope = interrupt::scope();
        self.file.collect(&tell_who_looks)
    }

    /// Cuts the file into `n` partitions of about equal size, in order, that hold every row once.
    ///
    /// A CSV is cut at line ends, found by a few small reads. A Parquet file is cut between row groups; with
    /// fewer row groups than `n` it is cut within them, and neighbours read the same group.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] for 0 partitions, and for more partitions than rows.
    pub fn partitions(&self, n: usize) -> Result<Vec<Partition>> {
        let _scope = interrupt::scope();
        if n == 0 {
            return Err(Error::InvalidSetting {
                setting: "partitions",
                value: "0".into(),
                reason: format!("would read no row of {}; use at least 1", self.name()),
            });
        }
        let file_size = self.file.size();
        let parts = self.file.partitions(n)?.into_iter();
        Ok(parts.map(|part| Partition { file_size, part }).collect())
    }

    /// The rows of one partition. No other part of the file is fetched, except to count the rows above a
    /// row that is named in an error.
    ///
    /// # Errors
    /// As [`LakeFrame::collect`]; [`TableError::Failed`](crate::error::TableError::Failed) for a partition of another file.
    pub fn read(&self, partition: &Partition) -> Result<DataFrame> {
        self.read_telling(partition, &tell_who_looks)
    }

    /// As [`read`](Self::read), and reports its progress.
    pub(crate) fn read_telling(&self, partition: &Partition, tell: Tell<'_>) -> Result<DataFrame> {
        let _scope = interrupt::scope();
        let rows = if self.file.size() == partition.file_size {
            self.file.read(&partition.part, tell)?
        } else {
            None
        };
        rows.ok_or_else(|| {
            TableError::failed(
                self.name(),
                format!(
                    "the partition ({partition}) is of another file, or the file has changed since"
                ),
            )
        })
    }
}

impl fmt::Debug for LakeFrame {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "LakeFrame({:?}, {} columns)",
            self.name(),
            self.columns().len()
        )
    }
}
