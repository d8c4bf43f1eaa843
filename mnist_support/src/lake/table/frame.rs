//! A file of a lake as a lazy table.

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
use crate::lake::reading::{OnProgress, print_if_watched};
use crate::lake::store::Lake;
use crate::{
    Error, Result,
    error::{LakeError, TableError},
    interrupt,
};

/// What another process needs to open the same table. It contains no credentials: each process has
/// its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSource {
    /// The file's URL.
    pub url: String,
    /// Its format.
    pub format: FileFormat,
    /// The type to read every column of a CSV file as. `None` infers the types from samples.
    pub dtype: Option<NumberType>,
}

/// A file as a table, read lazily.
///
/// ```
/// # use mnist_support::lake::{Credentials, Lake};
/// # fn main() -> mnist_support::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let lake = Lake::open(folder.path().to_str().unwrap(), &Credentials::local())?;
/// # lake.put("train.csv", "pixel1,label\n0,7\n255,1\n9,2\n".into())?;
/// let frame = lake.csv("train.csv")?;
/// let parts = frame.partitions(2)?;
/// let rows = parts.iter().map(|part| Ok(frame.read(part)?.height()));
/// assert_eq!(rows.sum::<mnist_support::Result<usize>>()?, 3);
/// # Ok(())
/// # }
/// ```
///
/// # What a CSV file may contain
/// UTF-8, with or without a byte order mark, a header of distinct names (spaces around them are
/// dropped), commas, lines that end in `\n` or `\r\n`, and a finite number in every field: `7`,
/// `-1`, `0.5`, `1e-3`. A field may be in double quotes. A line break inside quotes is an error
/// that names the row, because files are split at line ends. Blank lines at the end are ignored.
/// Elsewhere they are ragged rows.
///
/// # Types
/// The column types of a CSV file are inferred from samples of its beginning, middle and end. Each
/// is the narrowest of `UInt8`, `Int64` and `Float64` that holds the sample. The samples depend
/// only on the file, so every worker starts from the same types. If a partition has a value that
/// does not fit, its column is widened in that partition and never truncated. Two partitions of one
/// file may therefore have the same column as `UInt8` and as `Int64`. The numbers are equal, and so
/// are the features made of them. [`LakeFrame::with_dtype`] gives every partition the same type. A
/// Parquet file has its own schema.
#[derive(Clone)]
pub struct LakeFrame {
    source: FileSource,
    file: Arc<dyn TableFile>,
}

impl Lake {
    /// Opens a CSV file as a table. This reads its header and a few samples.
    ///
    /// # Errors
    /// - [`LakeError::NotFound`], [`LakeError::AccessDenied`] and [`LakeError::Unreachable`] from
    ///   the store.
    /// - [`TableError::EmptyFile`] for a file without a header or without rows.
    /// - [`TableError::Failed`] for an invalid header.
    pub fn csv(&self, path: &str) -> Result<LakeFrame> {
        self.open_table(FileFormat::Csv, path)
    }

    /// Opens a Parquet file as a table. This reads its footer.
    ///
    /// # Errors
    /// - The errors of [`Lake::csv`].
    /// - [`TableError::Failed`] for a file that is not Parquet or is truncated.
    /// - [`TableError::ColumnType`] for a column of an unsupported type, such as `Int16` or a date.
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
    /// The errors of [`Lake::open`], [`Lake::csv`] and [`Lake::parquet`].
    pub fn open(source: &FileSource, credentials: &Credentials) -> Result<LakeFrame> {
        let Some((folder, name)) = source.url.rsplit_once('/') else {
            return Err(Error::Lake(LakeError::InvalidUrl {
                url: source.url.clone(),
                reason: "it names no file".into(),
            }));
        };
        // `Lake::open` decodes the folder. A file name is passed to it as it is.
        let name = percent_decode_str(name).decode_utf8_lossy();
        let frame = Lake::open(folder, credentials)?.open_table(source.format, &name)?;
        match source.dtype {
            Some(dtype) => frame.with_dtype(dtype),
            None => Ok(frame),
        }
    }

    /// Returns the same table with every column read as `dtype`.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] for a Parquet file, which has its own schema.
    pub fn with_dtype(&self, dtype: NumberType) -> Result<LakeFrame> {
        let file = self
            .file
            .with_dtype(dtype)
            .ok_or_else(|| Error::InvalidSetting {
                setting: "dtype",
                value: format!("{dtype:?}"),
                reason: format!(
                    "cannot be set for {}: a {:?} file has its own types",
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

    /// The column names, in order.
    pub fn columns(&self) -> Vec<String> {
        self.file.columns().to_vec()
    }

    /// Returns the first `n` rows, or all rows if there are fewer. This reads only the beginning of
    /// a CSV file, or the first row groups of a Parquet file.
    ///
    /// # Errors
    /// Same as [`LakeFrame::collect`].
    pub fn head(&self, n: usize) -> Result<DataFrame> {
        let _scope = interrupt::scope();
        self.file.head(n)
    }

    /// Reads all rows. In a notebook or on a terminal, a read that takes more than 3 seconds prints
    /// its progress.
    ///
    /// # Errors
    /// - [`TableError::RaggedRow`], [`TableError::InvalidValue`] and [`TableError::MissingValue`],
    ///   which name the row, counted from 1 below the header.
    /// - [`TableError::Failed`] for a damaged file.
    /// - [`Error::Interrupted`] for a read that was [stopped](crate::interrupt).
    /// - The errors of the store, as in [`Lake::get`].
    pub fn collect(&self) -> Result<DataFrame> {
        let _scope = interrupt::scope();
        self.file.collect(&print_if_watched)
    }

    /// Splits the file into `n` partitions of about equal size. They are in order and hold every
    /// row once.
    ///
    /// A CSV file is split at line ends, which a few small reads find. A Parquet file is split
    /// between row groups. If it has fewer than `n` row groups, it is split within them, and
    /// neighbouring partitions read the same row group.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] for 0 partitions or for more partitions than rows.
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

    /// Reads the rows of one partition. No other part of the file is fetched, except to count the
    /// rows above a row that an error names.
    ///
    /// # Errors
    /// Same as [`LakeFrame::collect`], and [`TableError::Failed`] for a partition of another file.
    pub fn read(&self, partition: &Partition) -> Result<DataFrame> {
        self.read_with_progress(partition, &print_if_watched)
    }

    /// Like [`read`](Self::read), but reports progress to `on_progress`.
    pub(crate) fn read_with_progress(
        &self,
        partition: &Partition,
        on_progress: OnProgress<'_>,
    ) -> Result<DataFrame> {
        let _scope = interrupt::scope();
        let rows = if self.file.size() == partition.file_size {
            self.file.read(&partition.part, on_progress)?
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
