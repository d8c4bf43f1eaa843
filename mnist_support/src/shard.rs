//! Where rows come from, and how they are dealt out to the copies of a program.

use polars::prelude::*;

use crate::{
    Error, Result,
    lake::{
        LakeFrame, Partition,
        reading::{Tell, tell_nobody},
    },
    spark::SparkFrame,
    worker::frame_from_batches,
};

/// The rows of a fit or a transformation: a data frame in memory, or a file in the lake that nobody has
/// read yet.
///
/// Functions take `impl Into<Data>`, so both `&frame` and `&lake_frame` can be handed over.
#[derive(Clone, Debug)]
pub enum Data {
    /// Rows in memory.
    Frame(DataFrame),
    /// Rows in a file; each copy reads its own part of it.
    Lake(LakeFrame),
    /// A table or query on a Spark cluster, whose rows stream into the copies there. Copies elsewhere get
    /// them by way of this process.
    Spark(Box<SparkFrame>),
}

impl From<&DataFrame> for Data {
    fn from(frame: &DataFrame) -> Self {
        Data::Frame(frame.clone())
    }
}

impl From<DataFrame> for Data {
    fn from(frame: DataFrame) -> Self {
        Data::Frame(frame)
    }
}

impl From<&LakeFrame> for Data {
    fn from(frame: &LakeFrame) -> Self {
        Data::Lake(frame.clone())
    }
}

impl From<LakeFrame> for Data {
    fn from(frame: LakeFrame) -> Self {
        Data::Lake(frame)
    }
}

impl From<&SparkFrame> for Data {
    fn from(frame: &SparkFrame) -> Self {
        Data::Spark(Box::new(frame.clone()))
    }
}

impl From<SparkFrame> for Data {
    fn from(frame: SparkFrame) -> Self {
        Data::Spark(Box::new(frame))
    }
}

impl Data {
    /// Deals the rows out to `copies` copies, in order, about as many to each.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] for 0 copies and for more copies than rows; the errors of reading a
    /// file's layout.
    pub fn shards(&self, copies: usize) -> Result<Vec<Shard>> {
        match self {
            Data::Lake(frame) => Ok(frame
                .partitions(copies)?
                .into_iter()
                .map(|partition| Shard::File {
                    frame: frame.clone(),
                    partition,
                })
                .collect()),
            Data::Spark(frame) => {
                let rows = frame_from_batches(&frame.collect()?, frame.name())?;
                Data::Frame(rows).shards(copies)
            }
            Data::Frame(frame) => {
                let rows = frame.height();
                if copies == 0 || copies > rows {
                    return Err(Error::InvalidSetting {
                        setting: "partitions",
                        value: copies.to_string(),
                        reason: format!("must be from 1 to the number of rows, {rows}"),
                    });
                }
                let start = |copy: usize| rows * copy / copies;
                Ok((0..copies)
                    .map(|copy| Shard::Frame {
                        frame: frame.slice(start(copy) as i64, start(copy + 1) - start(copy)),
                        first_row: start(copy) as u64,
                    })
                    .collect())
            }
        }
    }

    /// As [`shards`](Self::shards), with fewer shards where there are fewer rows, and one where there is none.
    pub(crate) fn shards_at_most(&self, copies: usize) -> Result<Vec<Shard>> {
        match self {
            Data::Frame(frame) if frame.height() == 0 => Ok(vec![Shard::Frame {
                frame: frame.clone(),
                first_row: 0,
            }]),
            Data::Frame(frame) => self.shards(copies.clamp(1, frame.height())),
            Data::Lake(_) | Data::Spark(_) => match self.shards(copies) {
                Err(Error::InvalidSetting {
                    setting: "partitions",
                    ..
                }) if copies > 1 => self.shards(1),
                shards => shards,
            },
        }
    }
}

/// One copy's part of the rows.
#[derive(Clone, Debug)]
pub enum Shard {
    /// Rows in memory.
    Frame {
        /// The rows.
        frame: DataFrame,
        /// How many rows of the whole frame come before them.
        first_row: u64,
    },
    /// Rows that came to this copy alone.
    Stream {
        /// The rows.
        frame: DataFrame,
        /// What they are called.
        name: String,
    },
    /// A part of a file, to be read by the copy that trains on it.
    File {
        /// The file.
        frame: LakeFrame,
        /// The part.
        partition: Partition,
    },
}

impl Shard {
    /// The rows as a data frame; reads them where they are in a file.
    pub fn read(&self) -> Result<DataFrame> {
        self.read_telling(&tell_nobody)
    }

    /// As [`read`](Self::read), with the news of a long read to whoever wants them.
    pub(crate) fn read_telling(&self, tell: Tell<'_>) -> Result<DataFrame> {
        match self {
            Shard::Frame { frame, .. } | Shard::Stream { frame, .. } => Ok(frame.clone()),
            Shard::File { frame, partition } => frame.read_telling(partition, tell),
        }
    }

    /// What errors call the rows.
    pub fn name(&self) -> String {
        match self {
            Shard::Frame { .. } => "the data frame".to_owned(),
            Shard::Stream { name, .. } => name.clone(),
            Shard::File { frame, partition } => format!("{} ({partition})", frame.name()),
        }
    }

    /// How many rows of the table that [`name`](Self::name) names come before these.
    pub fn first_row(&self) -> u64 {
        match self {
            Shard::Frame { first_row, .. } => *first_row,
            Shard::Stream { .. } | Shard::File { .. } => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(rows: i32) -> DataFrame {
        df!("value" => (0..rows).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_frame_is_dealt_out_in_order_and_evenly() {
        let shards = Data::from(&frame(7)).shards(3).unwrap();
        let parts: Vec<(u64, usize)> = shards
            .iter()
            .map(|shard| (shard.first_row(), shard.read().unwrap().height()))
            .collect();
        assert_eq!(parts, [(0, 2), (2, 2), (4, 3)]);
    }

    #[test]
    fn no_partitions_and_more_partitions_than_rows_are_errors() {
        for copies in [0, 8] {
            let error = Data::from(&frame(7)).shards(copies).unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::InvalidSetting {
                        setting: "partitions",
                        ..
                    }
                ),
                "{error}"
            );
        }
    }

    #[test]
    fn a_transformation_takes_fewer_shards_where_there_are_fewer_rows() {
        assert_eq!(Data::from(&frame(1)).shards_at_most(4).unwrap().len(), 1);
        assert_eq!(Data::from(&frame(0)).shards_at_most(4).unwrap().len(), 1);
        assert_eq!(Data::from(&frame(9)).shards_at_most(4).unwrap().len(), 4);
    }
}
