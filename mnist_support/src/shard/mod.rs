//! Where rows come from, and how they are divided among the ranks of a fit.
//!
//! A [`Source`] holds rows: a DataFrame, a file in the lake, a table on a cluster. It is split into
//! [`Shard`]s, and each rank reads its own.

mod arrow_rows;
mod dealt;
mod file;
mod frame;

use std::{any::Any, fmt, sync::Arc};

use polars::prelude::*;

use crate::{
    Error, Result,
    error::{JobError, TableError},
    lake::{
        Each, FileSource, ReadProgress,
        reading::{OnProgress, ignore_progress},
        stack,
    },
    text,
};
pub use arrow_rows::frame_from_batches;
use dealt::Dealt;

/// A source of rows that can be split into shards, each of which is read on its own.
///
/// To fit to a kind of table of your own, implement this trait and pass the table to [`Data::new`].
pub trait Source: Any + fmt::Debug + Send + Sync {
    /// Splits the rows into `parts` shards of about the same number of rows, in order.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] of `partitions` for 0 parts or more parts than rows, and the
    /// errors of finding out where to split.
    fn shards(&self, parts: usize) -> Result<Vec<Shard>>;

    /// Like [`shards`](Self::shards), but with fewer shards if there are fewer rows, and with one
    /// if there are none.
    ///
    /// # Errors
    /// Same as [`shards`](Self::shards).
    fn shards_at_most(&self, parts: usize) -> Result<Vec<Shard>> {
        match self.shards(parts) {
            Err(Error::InvalidSetting {
                setting: "partitions",
                ..
            }) if parts > 1 => self.shards(1),
            shards => shards,
        }
    }

    /// What error messages call the table.
    fn name(&self) -> String;

    /// The names of the columns, if they are known before any row is read.
    ///
    /// # Errors
    /// Those of looking them up.
    fn columns(&self) -> Result<Option<Vec<String>>> {
        Ok(None)
    }

    /// The file that holds all of the rows and nothing else, if there is one. Another process then
    /// reads the rows from that file. The rows of other sources are sent to it.
    fn file(&self) -> Option<&FileSource> {
        None
    }

    /// The same rows with types that hold all values, if the types of columns were learnt from some
    /// of the rows and others need wider ones.
    ///
    /// # Errors
    /// Those of reading the rows.
    fn widened(&self) -> Result<Option<Data>> {
        Ok(None)
    }
}

/// The rows of a fit or a transformation, from any [`Source`]: for example a DataFrame in memory,
/// or a file in the lake that is read lazily.
///
/// Functions take `impl Into<Data>`, so you can pass `&frame` and `&lake_frame` alike.
#[derive(Clone, Debug)]
pub struct Data {
    source: Arc<dyn Source>,
    validation: Option<Arc<dyn Source>>,
}

impl Data {
    /// Wraps the rows of `source`.
    pub fn new(source: impl Source) -> Self {
        Data {
            source: Arc::new(source),
            validation: None,
        }
    }

    /// Adds rows to validate with, from another table, in place of a part of the rows to train on.
    ///
    /// They need the columns that the stages use. Stages such as scalers learn from the training
    /// rows alone. Each rank validates a part of them.
    ///
    /// ```
    /// use mnist_support::ml::{Pipeline, TorchEstimator, VectorAssembler};
    /// use mnist_support::{Layer, Network, shard::Data};
    /// use polars::df;
    ///
    /// let train = df!("x" => [0.0, 1.0, 2.0, 3.0], "label" => [0, 0, 1, 1])?;
    /// let validation = df!("x" => [0.5, 2.5], "label" => [0, 1])?;
    /// let network = Network::new(&[1], vec![Layer::linear(1, 2)])?;
    /// let model = Pipeline::new()
    ///     .stage(VectorAssembler::new().input_cols(["x"]))
    ///     .stage(TorchEstimator::new(network).iterations(20).partitions(2).verbose(0))
    ///     .fit(Data::from(train).with_validation(validation))?;
    /// assert_eq!(model.report()?.validation_rows, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// On Spark, rows that are neither in the lake nor few pass through this process.
    pub fn with_validation(self, validation: impl Into<Data>) -> Self {
        Data {
            validation: Some(validation.into().source),
            ..self
        }
    }

    /// The rows to validate with, if they are from another table.
    pub(crate) fn validation(&self) -> Option<Data> {
        self.validation.as_ref().map(|source| Data {
            source: source.clone(),
            validation: None,
        })
    }

    /// The source, if it is of type `T`, for an engine that treats that type specially.
    pub fn downcast_ref<T: Source>(&self) -> Option<&T> {
        let source: &dyn Any = &*self.source;
        source.downcast_ref()
    }

    /// Same as [`Source::shards`]. Rows to validate with are part of the shards.
    ///
    /// # Errors
    /// Same as [`Source::shards`].
    pub fn shards(&self, parts: usize) -> Result<Vec<Shard>> {
        let mut validation = self.validation_shards(parts)?.into_iter();
        let shards = self.source.shards(parts)?.into_iter();
        Ok(shards
            .map(|shard| shard.with_validation(validation.next()))
            .collect())
    }

    fn validation_shards(&self, parts: usize) -> Result<Vec<Shard>> {
        match &self.validation {
            None => Ok(Vec::new()),
            Some(validation) => validation.shards_at_most(parts),
        }
    }

    pub(crate) fn shards_at_most(&self, parts: usize) -> Result<Vec<Shard>> {
        self.source.shards_at_most(parts)
    }

    /// What error messages call the rows.
    pub(crate) fn name(&self) -> String {
        self.source.name()
    }

    pub(crate) fn file(&self) -> Option<&FileSource> {
        self.source.file()
    }

    /// Checks the columns of stages, which read some and add others: that the rows have what is
    /// read, unless a stage before adds it, and nothing that is added.
    ///
    /// # Errors
    /// [`TableError::ColumnNotFound`] and [`TableError::ColumnExists`] name the first that is
    /// wrong.
    pub(crate) fn check_columns<'a>(
        &self,
        stages: impl Iterator<Item = (Vec<&'a str>, Vec<&'a str>)> + Clone,
    ) -> Result<()> {
        let Some(columns) = self.source.columns()? else {
            return Ok(());
        };
        let has = |column: &&str| columns.iter().any(|existing| existing == column);
        if let Some(column) = stages.clone().flat_map(|(_, added)| added).find(has) {
            return Err(Error::Table(TableError::ColumnExists {
                column: column.to_owned(),
            }));
        }
        let mut added = Vec::new();
        for (read, adds) in stages {
            let missing = |column: &&str| !has(column) && !added.contains(column);
            if let Some(column) = read.into_iter().find(missing) {
                let before = if added.is_empty() {
                    "no stage before adds one, as a VectorAssembler adds a vector column".to_owned()
                } else {
                    format!("stages before add {}", text::columns(&added))
                };
                return Err(Error::Table(TableError::ColumnNotFound {
                    table: self.source.name(),
                    column: column.to_owned(),
                    available: format!("{}, and {before}", text::columns(&columns)),
                }));
            }
            added.extend(adds);
        }
        Ok(())
    }

    /// Collects all rows into this process.
    pub(crate) fn collect(&self) -> Result<DataFrame> {
        self.with_wider_types(|data| {
            let mut shards = data.source.shards_at_most(1)?.into_iter();
            shards
                .next()
                .map_or(Ok(DataFrame::empty()), |all| all.read())
        })
    }

    /// Calls `read` with these rows, and once more if a value is none of the type that samples gave
    /// its column: then with types that hold all values. So the types are the same in all shards,
    /// and depend on the table alone.
    pub(crate) fn with_wider_types<T>(&self, read: impl Fn(&Data) -> Result<T>) -> Result<T> {
        let error = match read(self) {
            Err(
                error @ (Error::Table(TableError::WiderValue { .. })
                | Error::Job(JobError::InRank {
                    wider_value: true, ..
                })),
            ) => error,
            result => return result,
        };
        let Some(wider) = self.widened()? else {
            return Err(error);
        };
        match (read(&wider), error) {
            // The column has become text, and something needs numbers: the value is at fault.
            (
                Err(Error::Table(
                    TableError::ColumnType { column: text, .. }
                    | TableError::InvalidValue { column: text, .. },
                )),
                Error::Table(TableError::WiderValue {
                    file,
                    row,
                    column,
                    value,
                    expected,
                    ..
                }),
            ) if text == column => Err(Error::Table(TableError::InvalidValue {
                file,
                row,
                column,
                value,
                expected: expected.to_owned(),
            })),
            (result, _) => result,
        }
    }

    fn widened(&self) -> Result<Option<Data>> {
        let source = self.source.widened()?;
        let validation = match &self.validation {
            Some(validation) => validation.widened()?,
            None => None,
        };
        if source.is_none() && validation.is_none() {
            return Ok(None);
        }
        let source = source.map_or_else(|| Arc::clone(&self.source), |wider| wider.source);
        let validation = validation.map(|wider| wider.source);
        Ok(Some(Data {
            source,
            validation: validation.or_else(|| self.validation.clone()),
        }))
    }
}

/// How the rows of a [`Shard`] are read.
pub trait Part: fmt::Debug + Send + Sync {
    /// The name of the rows in errors.
    fn name(&self) -> String;

    /// What error messages call the table, or the file of it, that has row `index` of these, and
    /// the row's number in it, from 1.
    fn locate(&self, index: usize) -> (String, u64) {
        (self.name(), index as u64 + 1)
    }

    /// Reads the rows: all columns, or at least those of `columns` that there are. During a long
    /// read, `on_progress` receives progress now and then.
    ///
    /// # Errors
    /// The errors of the source, with the file, row and column.
    fn read(
        &self,
        columns: Option<&[String]>,
        on_progress: &dyn Fn(ReadProgress),
    ) -> Result<DataFrame>;

    /// Like [`read`](Self::read), but passes the rows to `each` in pieces that fit into memory many
    /// times over, in order and at least one. Without an implementation, there is one piece.
    ///
    /// # Errors
    /// Same as [`read`](Self::read), and the errors of `each`.
    fn read_each(
        &self,
        columns: Option<&[String]>,
        on_progress: &dyn Fn(ReadProgress),
        each: &mut dyn FnMut(DataFrame) -> Result<()>,
    ) -> Result<()> {
        each(self.read(columns, on_progress)?)
    }

    /// About how many bytes are read for the rows, to report progress by; 0, as without an
    /// implementation, if that is not known.
    fn bytes(&self) -> u64 {
        0
    }

    /// Splits the rows into blocks that can each be read alone, whenever they are needed, for
    /// [`Shuffle::Blocks`](crate::train::Shuffle::Blocks). They are in order, hold every row once,
    /// and depend on the table and the number of parts alone. `None`, as without an implementation,
    /// if the rows can only be read at once.
    ///
    /// # Errors
    /// Those of finding out where to split.
    fn blocks(&self) -> Result<Option<Vec<Shard>>> {
        Ok(None)
    }
}

/// All rows of a part that is read in pieces.
fn all_rows(
    part: &impl Part,
    columns: Option<&[String]>,
    on_progress: &dyn Fn(ReadProgress),
) -> Result<DataFrame> {
    let mut pieces = Vec::new();
    part.read_each(columns, on_progress, &mut |piece| {
        pieces.push(piece);
        Ok(())
    })?;
    Ok(stack(pieces, &part.name())?.unwrap_or_default())
}

/// One rank's share of the rows.
#[derive(Clone, Debug)]
pub struct Shard {
    part: Arc<dyn Part>,
    /// The rank's rows to validate with, if they are from another table.
    validation: Option<Arc<dyn Part>>,
    /// The parts that it consists of, if others can be dealt to the rank.
    dealt: Option<Dealt>,
}

impl Shard {
    /// Creates the shard that `part` reads.
    pub fn new(part: impl Part + 'static) -> Self {
        Shard {
            part: Arc::new(part),
            validation: None,
            dealt: None,
        }
    }

    /// Adds the rank's rows to validate with.
    pub(crate) fn with_validation(self, validation: Option<Shard>) -> Self {
        Shard {
            validation: validation.map(|shard| shard.part),
            ..self
        }
    }

    /// The rank's rows to validate with, if they are from another table.
    pub(crate) fn validation(&self) -> Option<Shard> {
        self.validation.as_ref().map(|part| Shard {
            part: part.clone(),
            validation: None,
            dealt: None,
        })
    }

    /// Returns the rows as a DataFrame, reading them if they are in a file.
    ///
    /// # Errors
    /// Same as [`Part::read`].
    pub fn read(&self) -> Result<DataFrame> {
        self.read_with_progress(None, &ignore_progress)
    }

    /// Like [`read`](Self::read), but may leave out columns that are not in `columns`, and reports
    /// the progress of a long read to `on_progress`.
    pub(crate) fn read_with_progress(
        &self,
        columns: Option<&[String]>,
        on_progress: OnProgress<'_>,
    ) -> Result<DataFrame> {
        self.part.read(columns, on_progress)
    }

    /// Like [`read_with_progress`](Self::read_with_progress), but passes the rows on in pieces, in
    /// order and at least one.
    pub(crate) fn read_each(
        &self,
        columns: Option<&[String]>,
        on_progress: OnProgress<'_>,
        each: Each<'_>,
    ) -> Result<()> {
        self.part.read_each(columns, on_progress, each)
    }

    /// Same as [`Part::bytes`].
    pub(crate) fn bytes(&self) -> u64 {
        self.part.bytes()
    }

    /// Same as [`Part::blocks`].
    pub(crate) fn blocks(&self) -> Result<Option<Vec<Shard>>> {
        self.part.blocks()
    }

    /// The name of the rows in errors.
    pub fn name(&self) -> String {
        self.part.name()
    }

    /// Same as [`Part::locate`].
    pub fn locate(&self, index: usize) -> (String, u64) {
        self.part.locate(index)
    }
}
