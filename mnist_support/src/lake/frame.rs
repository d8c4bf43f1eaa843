//! A file of a lake, seen as a table.

use std::fmt;
use std::sync::Arc;

use polars::prelude::{DataFrame, DataType};
use serde::{Deserialize, Serialize};

use super::credentials::Credentials;
use super::csv::CsvFile;
use super::parquet::ParquetFile;
use super::partition::{Part, Partition};
use super::reading::{Tell, tell_who_looks};
use super::store::Lake;
use crate::{Error, Result, interrupt};

/// A number's type in a CSV, from the narrowest to the widest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NumberType {
    /// Whole numbers from 0 to 255, a byte each.
    UInt8,
    /// Whole numbers.
    Int64,
    /// Numbers of about 7 digits.
    Float32,
    /// Numbers of about 16 digits.
    Float64,
}

impl From<NumberType> for DataType {
    fn from(number: NumberType) -> DataType {
        match number {
            NumberType::UInt8 => DataType::UInt8,
            NumberType::Int64 => DataType::Int64,
            NumberType::Float32 => DataType::Float32,
            NumberType::Float64 => DataType::Float64,
        }
    }
}

/// The format of a table's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileFormat {
    /// Comma-separated numbers below a header.
    Csv,
    /// Apache Parquet.
    Parquet,
}

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
    table: Table,
}

#[derive(Clone)]
enum Table {
    Csv(Arc<CsvFile>),
    Parquet(Arc<ParquetFile>),
}

impl LakeFrame {
    pub(crate) fn csv(lake: &Lake, path: &str) -> Result<LakeFrame> {
        let _scope = interrupt::scope();
        let file = CsvFile::open(lake, path)?;
        let source = FileSource {
            url: file.url().into(),
            format: FileFormat::Csv,
            dtype: None,
        };
        Ok(LakeFrame {
            source,
            table: Table::Csv(Arc::new(file)),
        })
    }

    pub(crate) fn parquet(lake: &Lake, path: &str) -> Result<LakeFrame> {
        let _scope = interrupt::scope();
        let file = ParquetFile::open(lake, path)?;
        let source = FileSource {
            url: file.url().into(),
            format: FileFormat::Parquet,
            dtype: None,
        };
        Ok(LakeFrame {
            source,
            table: Table::Parquet(Arc::new(file)),
        })
    }

    /// Opens the table that `source` describes.
    ///
    /// # Errors
    /// As [`Lake::open`], [`Lake::csv`] and [`Lake::parquet`].
    pub fn open(source: &FileSource, credentials: &Credentials) -> Result<LakeFrame> {
        let Some((folder, name)) = source.url.rsplit_once('/') else {
            return Err(Error::InvalidUrl {
                url: source.url.clone(),
                reason: "it names no file".into(),
            });
        };
        // `Lake::open` undoes the encoding of the folder; a file's name is given to it as it is.
        let name = percent_decoded(name);
        let lake = Lake::open(folder, credentials)?;
        let frame = match source.format {
            FileFormat::Csv => lake.csv(&name)?,
            FileFormat::Parquet => lake.parquet(&name)?,
        };
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
        match &self.table {
            Table::Csv(file) => Ok(LakeFrame {
                source: FileSource {
                    dtype: Some(dtype),
                    ..self.source.clone()
                },
                table: Table::Csv(Arc::new(file.with_dtype(dtype))),
            }),
            Table::Parquet(_) => Err(Error::InvalidSetting {
                setting: "dtype",
                value: format!("{dtype:?}"),
                reason: format!(
                    "cannot be set for {}: a Parquet file says its own types",
                    self.name()
                ),
            }),
        }
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
        match &self.table {
            Table::Csv(file) => file.columns().to_vec(),
            Table::Parquet(file) => file.columns().to_vec(),
        }
    }

    /// The first `n` rows, or all where there are fewer. Of a CSV just the beginning is read, of a Parquet
    /// file the first row groups.
    ///
    /// # Errors
    /// As [`LakeFrame::collect`].
    pub fn head(&self, n: usize) -> Result<DataFrame> {
        let _scope = interrupt::scope();
        match &self.table {
            Table::Csv(file) => file.head(n),
            Table::Parquet(file) => file.head(n),
        }
    }

    /// All rows. In a notebook or a terminal, a read of more than 3 seconds prints how far it has come.
    ///
    /// # Errors
    /// [`Error::RaggedRow`], [`Error::InvalidValue`], [`Error::MissingValue`] name the row, which counts
    /// from 1 below the header; [`Error::Table`] for a file that is damaged; [`Error::Interrupted`] for a
    /// read that was [stopped](crate::interrupt); and the store's errors, as [`Lake::get`].
    pub fn collect(&self) -> Result<DataFrame> {
        let _scope = interrupt::scope();
        match &self.table {
            Table::Csv(file) => file.collect(&tell_who_looks),
            Table::Parquet(file) => file.collect(&tell_who_looks),
        }
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
        let (file_size, parts) = match &self.table {
            Table::Csv(file) => (
                file.size(),
                file.partitions(n)?
                    .into_iter()
                    .map(Part::Bytes)
                    .collect::<Vec<_>>(),
            ),
            Table::Parquet(file) => (file.size(), file.partitions(n)?),
        };
        Ok(parts
            .into_iter()
            .map(|part| Partition { file_size, part })
            .collect())
    }

    /// The rows of one partition. No other part of the file is fetched, except to count the rows above a
    /// row that is named in an error.
    ///
    /// # Errors
    /// As [`LakeFrame::collect`]; [`Error::Table`] for a partition of another file.
    pub fn read(&self, partition: &Partition) -> Result<DataFrame> {
        self.read_telling(partition, &tell_who_looks)
    }

    /// As [`read`](Self::read), with the news of it to whoever wants them.
    pub(crate) fn read_telling(&self, partition: &Partition, tell: Tell<'_>) -> Result<DataFrame> {
        let _scope = interrupt::scope();
        let other = || Error::Table {
            table: self.name().into(),
            reason: format!(
                "the partition ({partition}) is of another file, or the file has changed since"
            ),
        };
        match (&self.table, &partition.part) {
            (Table::Csv(file), Part::Bytes(range)) if file.size() == partition.file_size => {
                file.read(range.clone(), tell)?.ok_or_else(other)
            }
            (Table::Parquet(file), Part::RowGroups { groups, skip, rows })
                if file.size() == partition.file_size =>
            {
                file.read(groups.clone(), *skip, *rows, tell)?
                    .ok_or_else(other)
            }
            _ => Err(other()),
        }
    }
}

/// The last part of a URL, as the file's name.
fn percent_decoded(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = (byte == b'%')
            .then(|| after.get(..2))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(code.unwrap_or(byte));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
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
