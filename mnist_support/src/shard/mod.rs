//! Where rows come from, and how they are dealt out to the ranks of a fit.
//!
//! A [`Source`] is whatever holds rows: a data frame, a file in the lake, a table on a cluster. It cuts
//! them into [`Shard`]s, and each rank reads its own.

mod arrow_rows;
mod file;
mod frame;

use std::{any::Any, fmt, sync::Arc};

use polars::prelude::*;

use crate::{
    Error, Result,
    lake::{
        FileSource, Reading,
        reading::{Tell, tell_nobody},
    },
};
pub use arrow_rows::frame_from_batches;
pub(crate) use arrow_rows::read_frame;

/// Something that holds rows and can be cut into parts, each read on its own.
///
/// A kind of table of your own becomes [`Data`], and so something to fit to, by this trait and
/// [`Data::new`].
pub trait Source: Any + fmt::Debug + Send + Sync {
    /// Cuts the rows into `parts` parts, in order, about as many rows in each.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] of `partitions` for 0 parts and for more parts than rows; those of finding
    /// out where to cut.
    fn shards(&self, parts: usize) -> Result<Vec<Shard>>;

    /// As [`shards`](Self::shards), with fewer parts where there are fewer rows, and one where there is none.
    ///
    /// # Errors
    /// As [`shards`](Self::shards).
    fn shards_at_most(&self, parts: usize) -> Result<Vec<Shard>> {
        match self.shards(parts) {
            Err(Error::InvalidSetting {
                setting: "partitions",
                ..
            }) if parts > 1 => self.shards(1),
            shards => shards,
        }
    }

    /// The file that holds all of the rows and nothing else, if there is one: another process then reads
    /// them from there. The rows of other sources are sent to it.
    fn file(&self) -> Option<&FileSource> {
        None
    }
}

/// The rows of a fit or a transformation: any [`Source`], a data frame in memory or a file in the lake that
/// nobody has read yet, for instance.
///
/// Functions take `impl Into<Data>`, so both `&frame` and `&lake_frame` can be handed over.
#[derive(Clone, Debug)]
pub struct Data(Arc<dyn Source>);

impl Data {
    /// The rows of `source`.
    pub fn new(source: impl Source) -> Self {
        Data(Arc::new(source))
    }

    /// The source, if it is of the type `T`: for an engine that has a way of its own with it.
    pub fn downcast_ref<T: Source>(&self) -> Option<&T> {
        let source: &dyn Any = &*self.0;
        source.downcast_ref()
    }

    /// As [`Source::shards`].
    ///
    /// # Errors
    /// Those of [`Source::shards`].
    pub fn shards(&self, parts: usize) -> Result<Vec<Shard>> {
        self.0.shards(parts)
    }

    pub(crate) fn shards_at_most(&self, parts: usize) -> Result<Vec<Shard>> {
        self.0.shards_at_most(parts)
    }

    pub(crate) fn file(&self) -> Option<&FileSource> {
        self.0.file()
    }

    /// All rows, in this process.
    pub(crate) fn collect(&self) -> Result<DataFrame> {
        let mut shards = self.0.shards_at_most(1)?.into_iter();
        shards
            .next()
            .map_or(Ok(DataFrame::empty()), |all| all.read())
    }
}

/// How the rows of one [`Shard`] are read.
pub trait Part: fmt::Debug + Send + Sync {
    /// What errors call the rows.
    fn name(&self) -> String;

    /// How many rows of the table that [`name`](Self::name) names come before these.
    fn first_row(&self) -> u64 {
        0
    }

    /// Reads the rows, and tells of a long read from time to time.
    ///
    /// # Errors
    /// Those of the source, with its file, row and column.
    fn read(&self, tell: &dyn Fn(Reading)) -> Result<DataFrame>;
}

/// One rank's part of the rows.
#[derive(Clone, Debug)]
pub struct Shard(Arc<dyn Part>);

impl Shard {
    /// The shard that `part` reads.
    pub fn new(part: impl Part + 'static) -> Self {
        Shard(Arc::new(part))
    }

    /// The rows as a data frame; reads them where they are in a file.
    ///
    /// # Errors
    /// As [`Part::read`].
    pub fn read(&self) -> Result<DataFrame> {
        self.read_telling(&tell_nobody)
    }

    /// As [`read`](Self::read), with the progress of a long read to `tell`.
    pub(crate) fn read_telling(&self, tell: Tell<'_>) -> Result<DataFrame> {
        self.0.read(tell)
    }

    /// What errors call the rows.
    pub fn name(&self) -> String {
        self.0.name()
    }

    /// How many rows of the table that [`name`](Self::name) names come before these.
    pub fn first_row(&self) -> u64 {
        self.0.first_row()
    }
}
