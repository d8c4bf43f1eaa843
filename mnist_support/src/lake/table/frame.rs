//! A file of a lake as a lazy table.

use std::fmt;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use polars::prelude::DataFrame;
use serde::{Deserialize, Serialize};

use super::csv::CsvOptions;
use super::delta::DeltaVersion;
use super::discover::{self, PartFile, Paths};
use super::folder::Folder;
use super::format::FileFormat;
use super::image::{self, ImageFiles};
use super::number_type::NumberType;
use super::partition::Partition;
use super::predicate::Predicate;
use super::scan::{Scan, check_columns};
use super::table_file::{Each, TableFile};
use super::view::View;
use crate::lake::credentials::Credentials;
use crate::lake::reading::{OnProgress, ignore_progress, print_if_watched};
use crate::lake::store::Lake;
use crate::{
    Error, Result,
    error::{LakeError, TableError},
    interrupt,
};

/// The length of the longest bytes that begin files of a format.
const LONGEST_MAGIC: u64 = 8;

/// What another process needs to open the same table. It contains no credentials: each process has
/// its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileSource {
    /// The URL of the file, or of the folder of the files.
    pub url: String,
    /// Its format.
    pub format: FileFormat,
    /// The type to read every column of a CSV file as. `None` infers the types from samples.
    pub dtype: Option<NumberType>,
    /// How a CSV file is written, and the types that were learnt.
    #[serde(default)]
    pub csv: CsvOptions,
    /// Which columns and rows of it are wanted.
    #[serde(default)]
    pub view: View,
    /// The files, if the URL is a folder's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PartFile>,
    /// The version of a Delta table, and its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<Arc<DeltaVersion>>,
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
/// Fields between commas, semicolons, tabs, `|` or spaces, with or without quotes, below a header
/// or without one. Blank lines are skipped. Numbers with a decimal comma, dates, booleans, text and
/// pandas' words for a missing value are known. What is not found out, or wrongly, is set with
/// [`CsvOptions`]. Lines end in `\n` or `\r\n`.
///
/// The text is UTF-8, with or without a byte order mark, UTF-16 with one, or what
/// [`CsvOptions::encoding`] says. Files compressed with gzip or zstd are known by their first
/// bytes. A compressed file, or one in another encoding than UTF-8, cannot be read in the middle:
/// every worker decodes all of it, and keeps it in memory. Of a compressed file that holds more
/// than 256 MiB, it keeps the compressed bytes, and decodes them each time that it reads.
///
/// A quoted field may have line breaks in it. Whether a line end is in quotes is known only from
/// the first row on, so a file that has quotes or text in its samples is read once to cut it into
/// partitions. A file of numbers is cut by a few small reads.
///
/// # Types
/// The column types of a CSV file are learnt from samples of its beginning, middle and end, and
/// those of a folder from samples of up to 16 files: see [`ColumnType`](super::ColumnType). The
/// samples depend only on the table, so every worker starts from the same types. A column is wider
/// if any row needs it: when a value turns up that is none of its column's type,
/// [`LakeFrame::collect`], fits and transformations read all rows to learn the types, and begin
/// again with these, so the types are the same in every partition. Numbers among which a word turns
/// up are text then, as it stands in the file. [`LakeFrame::read`] of a single partition fails
/// instead with [`TableError::WiderValue`]. [`CsvOptions::schema`] and [`LakeFrame::with_dtype`]
/// set types, and a value that is none of them is an error. A Parquet file has its own schema.
#[derive(Clone)]
pub struct LakeFrame {
    source: FileSource,
    file: Arc<dyn TableFile>,
}

impl Lake {
    /// Opens CSV files as a table: a file, the part files of a folder, those that match a pattern,
    /// or a list of these. This reads the header and a few samples of the first.
    ///
    /// In a folder, names that begin with `_` or `.` and empty files are left out, as in Spark, and
    /// so is the order of the columns in each file: the first file's counts. Folders like
    /// `year=2026/` add columns.
    ///
    /// # Errors
    /// - [`LakeError::NotFound`], [`LakeError::AccessDenied`] and [`LakeError::Unreachable`] from
    ///   the store.
    /// - [`TableError::EmptyFile`] for a file without rows.
    /// - [`TableError::Failed`] for a header that is no text in UTF-8, and a file that cannot be
    ///   decompressed or decoded.
    pub fn csv(&self, paths: impl Into<Paths>) -> Result<LakeFrame> {
        self.csv_with(paths, &CsvOptions::new())
    }

    /// Opens CSV files as [`Lake::csv`] does, with some of what it would find out given.
    ///
    /// # Errors
    /// The errors of [`Lake::csv`]; [`Error::InvalidSetting`] for options that contradict each
    /// other; [`TableError::ColumnNotFound`] for a column of the schema that the file does not
    /// have.
    pub fn csv_with(&self, paths: impl Into<Paths>, options: &CsvOptions) -> Result<LakeFrame> {
        self.open_table(Some(FileFormat::Csv), options, &paths.into())
    }

    /// Opens Parquet files as a table: a file, the part files of a folder, those that match a
    /// pattern, or a list of these, as [`Lake::csv`] does. This reads the footer of the first.
    ///
    /// Columns of every type are read. Timestamps are in UTC, decimals become `Float64`, 16-bit
    /// floats `Float32`, dictionaries their values, fixed-size lists lists, and SparkML's vectors,
    /// dense and sparse, lists of numbers. A null or a NaN is an error only where a stage uses it.
    ///
    /// # Errors
    /// - The errors of [`Lake::csv`].
    /// - [`TableError::Failed`] for a file that is not Parquet or is truncated.
    pub fn parquet(&self, paths: impl Into<Paths>) -> Result<LakeFrame> {
        self.open_table(Some(FileFormat::Parquet), &CsvOptions::new(), &paths.into())
    }

    /// Opens Arrow IPC files as a table, as pandas' `to_feather`, polars' `write_ipc` and pyarrow
    /// write them: files, also called Feather (version 2), or streams, compressed by LZ4 or
    /// Zstandard or not. `paths` are as in [`Lake::csv`], and the types of the columns as in
    /// [`Lake::parquet`]. This reads the metadata of the first file's record batches, which are
    /// what it is split between.
    ///
    /// # Errors
    /// - The errors of [`Lake::csv`].
    /// - [`TableError::Failed`] for a file that is not Arrow IPC or is truncated.
    /// - [`TableError::ColumnType`], on reading, for a column of a type that Parquet does not have,
    ///   such as a union.
    pub fn ipc(&self, paths: impl Into<Paths>) -> Result<LakeFrame> {
        self.open_table(Some(FileFormat::Ipc), &CsvOptions::new(), &paths.into())
    }

    /// Opens images as a table of a row for each file, as Spark's `binaryFile` source and
    /// torchvision's `ImageFolder` do: a file, the images of a folder and the folders in it, those
    /// that match a pattern, or a list of these. No file is read before its partition is, and then
    /// 16 at a time. An [`ImageDecoder`](crate::ml::ImageDecoder) makes features of them.
    ///
    /// ```
    /// # use mnist_support::lake::{Credentials, Lake};
    /// # fn main() -> mnist_support::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let lake = Lake::open(folder.path().to_str().unwrap(), &Credentials::local())?;
    /// # lake.put("pets/cat/1.jpg", "...".into())?;
    /// # lake.put("pets/dog/7.png", "...".into())?;
    /// let pets = lake.images("pets")?;
    /// assert_eq!(pets.columns(), ["path", "image", "label"]);
    /// let labels = pets.select(["path", "label"])?.collect()?;
    /// println!("{labels}");
    /// // cat/1.jpg   cat
    /// // dog/7.png   dog
    /// # assert_eq!(labels.column("label").unwrap().str().unwrap().get(1), Some("dog"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// - `path` is relative to the folder, or with a list of paths to the lake.
    /// - `image` has the bytes of the file.
    /// - `label` is the name of the folder that the file is in, if all are in one below the
    ///   table's: whole numbers if all names are, otherwise text, which a
    ///   [`StringIndexer`](crate::ml::StringIndexer) numbers. Folders like `split=test/` add
    ///   columns.
    ///
    /// Files whose names are not those of images are left out.
    ///
    /// # Errors
    /// [`LakeError::NotFound`] if there are no images, and the errors of listing a folder. Reading
    /// fails with [`TableError::Failed`] for a file that has changed since.
    pub fn images(&self, paths: impl Into<Paths>) -> Result<LakeFrame> {
        let _scope = interrupt::scope();
        let (folder, files) = image::find(self, &paths.into())?;
        LakeFrame::of_files(&folder, FileFormat::Image, &CsvOptions::new(), files)
    }

    /// Opens the latest version of the Delta table in a folder. The table stays at this version,
    /// for all workers too, whatever is written meanwhile.
    ///
    /// Deletion vectors, mapped columns, checkpoints of all kinds and columns that files are too
    /// old to have, which are null, are read. The types are as in [`Lake::parquet`]. Files that a
    /// [`filter`](LakeFrame::filter) on partition columns excludes are not read. A timestamp by
    /// which a table is partitioned is taken as UTC where it has no time zone; Spark takes the time
    /// zone of its session.
    ///
    /// ```
    /// # use mnist_support::lake::{Credentials, Lake};
    /// # fn main() -> mnist_support::Result<()> {
    /// # let tables = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/delta");
    /// # let lake = Lake::open(tables, &Credentials::local())?;
    /// let houses = lake.delta("houses")?.filter("district = 'north'")?;
    /// let first = lake.delta_version("houses", 0)?;
    /// assert_eq!(houses.columns(), ["rooms", "area", "price", "district", "garden"]);
    /// assert_eq!(first.columns(), ["rooms", "area", "district", "price"]);
    /// # assert_eq!(houses.collect()?.height(), 32);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// - The errors of the store, as in [`Lake::get`]; [`LakeError::NotFound`] for a folder without
    ///   a log.
    /// - [`TableError::EmptyFile`] for a version without rows.
    /// - [`TableError::Failed`] for a damaged log, a table that uses a feature which cannot be
    ///   read, and a file that the log has and the folder has not, also on reading.
    pub fn delta(&self, path: &str) -> Result<LakeFrame> {
        self.open_delta(path, None)
    }

    /// Opens a version of the Delta table in a folder, as [`Lake::delta`] does the latest.
    ///
    /// # Errors
    /// The errors of [`Lake::delta`]; [`Error::InvalidSetting`] for a version that the log does not
    /// have, with those that it has.
    pub fn delta_version(&self, path: &str, version: u64) -> Result<LakeFrame> {
        self.open_delta(path, Some(version))
    }

    fn open_delta(&self, path: &str, version: Option<u64>) -> Result<LakeFrame> {
        let _scope = interrupt::scope();
        let folder = self.folder(path);
        LakeFrame::of_delta(&folder, Arc::new(DeltaVersion::read(&folder, version)?))
    }

    /// Opens a table of any format, which the files' names tell, or the first bytes of a single
    /// file, or the log of a Delta table.
    ///
    /// # Errors
    /// The errors of [`Lake::csv`], [`Lake::parquet`], [`Lake::ipc`] and [`Lake::delta`];
    /// [`TableError::Failed`] for a folder with files of several formats or of an unknown one.
    pub fn table(&self, paths: impl Into<Paths>) -> Result<LakeFrame> {
        self.open_table(None, &CsvOptions::new(), &paths.into())
    }

    /// Opens one file if there is one at `paths`, otherwise the files of a folder.
    fn open_table(
        &self,
        format: Option<FileFormat>,
        options: &CsvOptions,
        paths: &Paths,
    ) -> Result<LakeFrame> {
        let _scope = interrupt::scope();
        let not_a_file = match paths.single() {
            None | Some("") => None,
            Some(path) => match self.open_file(format, options, path) {
                // Stores that know folders have an empty file by the name of each.
                Err(
                    error @ (Error::Lake(LakeError::NotFound { .. })
                    | Error::Table(TableError::EmptyFile { .. })),
                ) => Some(error),
                opened => return opened,
            },
        };
        if let (None, Some(path)) = (format, paths.single())
            && discover::is_delta(&self.folder(path))?
        {
            return self.open_delta(path, None);
        }
        let (folder, files) = match (discover::find(self, paths), not_a_file) {
            (Err(Error::Lake(LakeError::NotFound { .. })), Some(error)) => return Err(error),
            (found, _) => found?,
        };
        let format = match format {
            Some(format) => format,
            None => discover::format_of(&files, folder.url())?,
        };
        LakeFrame::of_files(&folder, format, options, files)
    }

    fn open_file(
        &self,
        format: Option<FileFormat>,
        options: &CsvOptions,
        path: &str,
    ) -> Result<LakeFrame> {
        let format = match format.or_else(|| FileFormat::of_name(path)) {
            Some(format) => format,
            None => FileFormat::of_bytes(&self.file(path, LONGEST_MAGIC)?.1),
        };
        let file = format.open(self, path, options)?;
        let source = FileSource {
            url: file.url().into(),
            format,
            dtype: None,
            csv: options.clone(),
            view: View::default(),
            files: Vec::new(),
            delta: None,
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
        let frame = if let Some(version) = &source.delta {
            let folder = Lake::open(&source.url, credentials)?;
            Self::of_delta(&folder, Arc::clone(version))?
        } else if source.files.is_empty() {
            Self::open_single(source, credentials)?
        } else {
            let folder = Lake::open(&source.url, credentials)?;
            Self::of_files(&folder, source.format, &source.csv, source.files.clone())?
        };
        let frame = match source.dtype {
            Some(dtype) => frame.with_dtype(dtype)?,
            None => frame,
        };
        Ok(frame.with_view(source.view.clone()))
    }

    fn of_files(
        folder: &Lake,
        format: FileFormat,
        options: &CsvOptions,
        files: Vec<PartFile>,
    ) -> Result<LakeFrame> {
        let file: Arc<dyn TableFile> = match format {
            FileFormat::Image => Arc::new(ImageFiles::open(folder, files.clone())?),
            FileFormat::Csv | FileFormat::Parquet | FileFormat::Ipc => {
                Arc::new(Folder::open(folder, format, options, None, files.clone())?)
            }
        };
        let source = FileSource {
            url: folder.url().to_owned(),
            format,
            dtype: None,
            csv: file.csv_options().unwrap_or_default(),
            view: View::default(),
            files,
            delta: None,
        };
        Ok(LakeFrame { source, file })
    }

    fn of_delta(folder: &Lake, version: Arc<DeltaVersion>) -> Result<LakeFrame> {
        let file = Folder::of_delta(folder, Arc::clone(&version))?;
        let source = FileSource {
            url: folder.url().to_owned(),
            format: FileFormat::Parquet,
            dtype: None,
            csv: CsvOptions::default(),
            view: View::default(),
            files: Vec::new(),
            delta: Some(version),
        };
        let file = Arc::new(file);
        Ok(LakeFrame { source, file })
    }

    fn open_single(source: &FileSource, credentials: &Credentials) -> Result<LakeFrame> {
        let Some((folder, name)) = source.url.rsplit_once('/') else {
            return Err(Error::Lake(LakeError::InvalidUrl {
                url: source.url.clone(),
                reason: "it names no file".into(),
            }));
        };
        // `Lake::open` decodes the folder. A file name is passed to it as it is.
        let name = percent_decode_str(name).decode_utf8_lossy();
        Lake::open(folder, credentials)?.open_file(Some(source.format), &source.csv, &name)
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

    /// Returns the table with these columns alone, in this order. The others are neither decoded
    /// nor checked.
    ///
    /// ```
    /// # use mnist_support::lake::{Credentials, Lake};
    /// # fn main() -> mnist_support::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let lake = Lake::open(folder.path().to_str().unwrap(), &Credentials::local())?;
    /// # lake.put("train.csv", "pixel1,pixel2,label\n0,9,7\n".into())?;
    /// let frame = lake.csv("train.csv")?.select(["label", "pixel1"])?;
    /// assert_eq!(frame.collect()?.get_column_names(), ["label", "pixel1"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`TableError::ColumnNotFound`] for a column that the table does not have;
    /// [`Error::InvalidSetting`] for one that is named twice, or for no columns.
    pub fn select<S: AsRef<str>>(&self, columns: impl IntoIterator<Item = S>) -> Result<LakeFrame> {
        let names: Vec<String> = columns
            .into_iter()
            .map(|name| name.as_ref().to_owned())
            .collect();
        let view = &self.source.view;
        Ok(self.with_view(view.select(&names, self.file.columns(), self.name())?))
    }

    /// Returns the table without these columns, which are neither decoded nor checked.
    ///
    /// # Errors
    /// Same as [`select`](Self::select).
    pub fn drop<S: AsRef<str>>(&self, columns: impl IntoIterator<Item = S>) -> Result<LakeFrame> {
        let names: Vec<String> = columns
            .into_iter()
            .map(|name| name.as_ref().to_owned())
            .collect();
        check_columns(&names, &self.columns(), self.name())?;
        let kept = self.columns().into_iter();
        self.select(kept.filter(|column| !names.contains(column)))
    }

    /// Returns the table with other names for some of its columns: pairs of the name that a column
    /// has and the one that it gets.
    ///
    /// # Errors
    /// [`TableError::ColumnNotFound`] for a column that the table does not have;
    /// [`Error::InvalidSetting`] for a name that two columns would have.
    pub fn rename<S: Into<String>, T: Into<String>>(
        &self,
        names: impl IntoIterator<Item = (S, T)>,
    ) -> Result<LakeFrame> {
        let names: Vec<(String, String)> = names
            .into_iter()
            .map(|(old, new)| (old.into(), new.into()))
            .collect();
        let view = &self.source.view;
        Ok(self.with_view(view.rename(&names, self.file.columns(), self.name())?))
    }

    /// Returns the table with the rows alone that fulfil a condition, as SQL has it: see
    /// [`Predicate`]. Row groups of Parquet files whose statistics say that no row does are not
    /// read.
    ///
    /// ```
    /// # use mnist_support::lake::{Credentials, Lake};
    /// # fn main() -> mnist_support::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let lake = Lake::open(folder.path().to_str().unwrap(), &Credentials::local())?;
    /// # lake.put("train.csv", "pixel1,label\n0,7\n255,1\n9,2\n".into())?;
    /// let few = lake.csv("train.csv")?.filter("label < 5")?;
    /// assert_eq!(few.collect()?.height(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] for what is no such condition; [`TableError::ColumnNotFound`] for
    /// a column that the table does not have. Reading fails with [`TableError::ColumnType`] if a
    /// column cannot be compared with its constant.
    pub fn filter(&self, condition: &str) -> Result<LakeFrame> {
        let view = &self.source.view;
        let condition: Predicate = condition.parse()?;
        Ok(self.with_view(view.filtered(condition, self.file.columns(), self.name())?))
    }

    /// Returns the table with its first `n` rows alone.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] after a [`filter`](Self::filter).
    pub fn limit(&self, n: usize) -> Result<LakeFrame> {
        Ok(self.with_view(self.source.view.limited(n)?))
    }

    fn with_view(&self, view: View) -> LakeFrame {
        let source = FileSource {
            view,
            ..self.source.clone()
        };
        LakeFrame {
            source,
            file: Arc::clone(&self.file),
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

    /// The column names, in order.
    pub fn columns(&self) -> Vec<String> {
        self.source.view.columns(self.file.columns())
    }

    /// Returns the first `n` rows, or all rows if there are fewer. This reads only the beginning of
    /// a CSV file, or the first row groups of a Parquet file.
    ///
    /// # Errors
    /// Same as [`LakeFrame::collect`].
    pub fn head(&self, n: usize) -> Result<DataFrame> {
        let _scope = interrupt::scope();
        self.widening(|frame| frame.first_rows(n))
    }

    fn first_rows(&self, n: usize) -> Result<DataFrame> {
        let limit = self.source.view.limit().unwrap_or(usize::MAX);
        if self.source.view.filter().is_none() {
            return self.read_rows(None, |scan| self.file.head(n.min(limit), scan));
        }
        // How many rows must be read for `n` that fulfil the condition shows only then.
        let mut read = n.saturating_mul(4).min(limit);
        loop {
            let mut available = 0;
            let frame = self.read_rows(None, |scan| {
                let frame = self.file.head(read, scan)?;
                available = frame.height();
                Ok(frame)
            })?;
            if frame.height() >= n || available < read || read == limit {
                return Ok(frame.head(Some(n)));
            }
            read = read.saturating_mul(4).min(limit);
        }
    }

    /// Reads all rows. In a notebook or on a terminal, a read that takes more than 3 seconds prints
    /// its progress.
    ///
    /// # Errors
    /// - [`TableError::RaggedRow`] and [`TableError::InvalidValue`], which name the row of a CSV
    ///   file, counted from 1 below the header without blank lines and comments; and its line, if
    ///   that is another.
    /// - [`TableError::Failed`] for a damaged file.
    /// - [`Error::Interrupted`] for a read that was [stopped](crate::interrupt).
    /// - The errors of the store, as in [`Lake::get`].
    pub fn collect(&self) -> Result<DataFrame> {
        let _scope = interrupt::scope();
        self.widening(|frame| match frame.source.view.limit() {
            Some(n) => frame.read_rows(None, |scan| frame.file.head(n, scan)),
            None => frame.read_rows(None, |scan| frame.file.collect(scan, &print_if_watched)),
        })
    }

    /// Reads by `read`, once more with the types of all rows if a value is none of its column's.
    fn widening(&self, read: impl Fn(&LakeFrame) -> Result<DataFrame>) -> Result<DataFrame> {
        match read(self) {
            Err(error @ Error::Table(TableError::WiderValue { .. })) => match self.widened()? {
                Some(wider) => read(&wider),
                None => Err(error),
            },
            result => result,
        }
    }

    /// The same table with the types that hold the values of all rows, which are read for it;
    /// `None` if they are the types that it has.
    pub(crate) fn widened(&self) -> Result<Option<LakeFrame>> {
        let _scope = interrupt::scope();
        let types = self.file.types_of_all_rows()?;
        if types == self.file.types() {
            return Ok(None);
        }
        let source = FileSource {
            csv: self.source.csv.with_learnt(&types),
            ..self.source.clone()
        };
        let file = self.file.with_types(&types);
        Ok(file.map(|file| LakeFrame { source, file }))
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
        let parts = self
            .file
            .partitions(n, self.source.view.limit())?
            .into_iter();
        Ok(parts.map(|part| Partition { file_size, part }).collect())
    }

    /// Reads the rows of one partition. No other part of the file is fetched, except to count the
    /// rows above a row that an error names.
    ///
    /// # Errors
    /// Same as [`LakeFrame::collect`], [`TableError::WiderValue`], and [`TableError::Failed`] for a
    /// partition of another file.
    pub fn read(&self, partition: &Partition) -> Result<DataFrame> {
        self.read_with_progress(partition, None, &print_if_watched)
    }

    /// Returns the file that has row `index` of a partition, and the row's number in it, from 1.
    pub(crate) fn locate(&self, partition: &Partition, index: u64) -> Result<(String, u64)> {
        let _shield = interrupt::shield();
        self.file
            .locate(&partition.part, self.unfiltered(partition, index)?)
    }

    /// The row of a partition that row `index` of it was before the filter.
    fn unfiltered(&self, partition: &Partition, index: u64) -> Result<u64> {
        let Some(filter) = self.source.view.filter() else {
            return Ok(index);
        };
        let columns = filter.columns().into_iter().map(str::to_owned);
        let scan = Scan::of(columns.collect());
        let rows = self.file.read(&partition.part, &scan, &ignore_progress)?;
        let mask = filter.mask(&rows.unwrap_or_default(), self.name())?;
        let mut fulfil = mask
            .iter()
            .enumerate()
            .filter(|(_, holds)| *holds == Some(true));
        let row = fulfil.nth(index as usize);
        Ok(row.map_or(index, |(row, _)| row as u64))
    }

    /// Like [`read`](Self::read), but only those of the columns that are in `wanted`, and reports
    /// progress to `on_progress`. If there is none of them, one column is read.
    pub(crate) fn read_with_progress(
        &self,
        partition: &Partition,
        wanted: Option<&[String]>,
        on_progress: OnProgress<'_>,
    ) -> Result<DataFrame> {
        let _scope = interrupt::scope();
        self.check_size(partition)?;
        self.read_rows(wanted, |scan| {
            let rows = self.file.read(&partition.part, scan, on_progress)?;
            rows.ok_or_else(|| self.changed(partition))
        })
    }

    /// Like [`read_with_progress`](Self::read_with_progress), but passes the rows on in pieces of
    /// some megabytes, in order and at least one.
    pub(crate) fn read_each(
        &self,
        partition: &Partition,
        wanted: Option<&[String]>,
        on_progress: OnProgress<'_>,
        each: Each<'_>,
    ) -> Result<()> {
        let _scope = interrupt::scope();
        self.check_size(partition)?;
        let view = &self.source.view;
        let reading = view.reading(wanted, self.file.columns(), self.name());
        let mut view = |rows| each(reading.view(rows)?);
        let file = &self.file;
        match file.read_each(&partition.part, &reading.scan, on_progress, &mut view)? {
            true => Ok(()),
            false => Err(self.changed(partition)),
        }
    }

    /// Splits a partition into blocks that can each be read alone: row groups of Parquet files,
    /// record batches, byte ranges of CSV files, files. They are in order, hold every row once, and
    /// depend on the table and the partition alone. Returns them with about how many bytes each
    /// has.
    pub(crate) fn blocks(&self, partition: &Partition) -> Result<Vec<(Partition, u64)>> {
        let _scope = interrupt::scope();
        self.check_size(partition)?;
        let blocks = self.file.blocks(&partition.part)?.into_iter();
        Ok(blocks
            .map(|block| {
                let partition = Partition {
                    file_size: partition.file_size,
                    part: block.part,
                };
                (partition, block.bytes)
            })
            .collect())
    }

    fn check_size(&self, partition: &Partition) -> Result<()> {
        match self.file.size() == partition.file_size {
            true => Ok(()),
            false => Err(self.changed(partition)),
        }
    }

    fn changed(&self, partition: &Partition) -> Error {
        TableError::failed(
            self.name(),
            format!(
                "the partition ({partition}) is of another file, or the file has changed since"
            ),
        )
    }

    fn read_rows(
        &self,
        wanted: Option<&[String]>,
        read: impl FnOnce(&Scan) -> Result<DataFrame>,
    ) -> Result<DataFrame> {
        let view = &self.source.view;
        let reading = view.reading(wanted, self.file.columns(), self.name());
        reading.view(read(&reading.scan)?)
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
