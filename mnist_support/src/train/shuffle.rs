//! The order in which a rank draws its rows.

use serde::{Deserialize, Serialize};

/// The order in which each rank draws its rows: a new one in every epoch, which depends on the seed
/// and the number of ranks alone. Default: [`Rows`](Self::Rows).
///
/// [`Rows`](Self::Rows) needs any row at any time, so every rank keeps its features, in memory or
/// else in a temporary file. [`Blocks`](Self::Blocks) reads them again in every epoch, and keeps
/// only as many as it shuffles at a time: for tables that are larger than the memory and the disks
/// of the machines. It costs reading the table once more for each epoch, and a shuffle that is less
/// thorough: rows that are far apart in the table, or are sorted by what is to be predicted, do not
/// all meet. PyTorch does as much with a shuffled list of files and a shuffle buffer, MosaicML's
/// StreamingDataset with `py1e`.
///
/// ```
/// use mnist_support::{prelude::*, train::Shuffle};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let lake = Lake::open(folder.path().to_str().unwrap(), &Credentials::local())?;
/// # lake.put("train.csv", "x,y\n0,-1\n1,1\n2,3\n3,5\n".into())?;
/// let table = lake.csv("train.csv")?;
/// let network = Network::new(&[1], vec![Layer::linear(1, 1)])?;
/// let estimator = TorchEstimator::new(network)
///     .label_col("y")
///     .loss(Loss::mse())
///     .shuffle(Shuffle::Blocks)
///     .memory_budget(512 << 20)
///     .mini_batch(2)
///     .epochs(3)
///     .partitions(1);
/// let model = Pipeline::new()
///     .stage(VectorAssembler::new().input_cols(["x"]))
///     .stage(estimator)
///     .fit(&table)?;
/// assert_eq!(model.report()?.iterations(), 6);
/// # Ok::<(), mnist_support::Error>(())
/// ```
///
/// # The blocks
/// A block is what is read at once: a row group of a Parquet file, a record batch of an Arrow IPC
/// file, 8 MiB of a CSV file, a compressed CSV file, 16,384 rows of a DataFrame. Small ones that
/// follow each other, also those of several files and images, are joined as long as they have at
/// most 16,384 rows and 8 MiB. Rows that cannot be read again, such as those that Spark sends, are
/// kept as for [`Rows`](Self::Rows), and drawn as if they were in blocks of 16,384.
///
/// # The order
/// In each epoch, a rank shuffles its blocks, joins those that follow each other to groups of at
/// least [`GROUP_ROWS`](Self::GROUP_ROWS) rows or [`GROUP_BYTES`](Self::GROUP_BYTES) of features,
/// and draws the rows of a group in random order before those of the next one. Rows that are held
/// out are not drawn. Whatever the [`memory_budget`], the order is the same, and any iteration
/// follows from its number: a fit that resumes goes on in the middle of an epoch, with the bits of
/// one that was not interrupted.
///
/// # What is in memory
/// Of the features, the group that is drawn from, the next one, which a thread reads meanwhile, and
/// the block that it decodes. If the rank's [`memory_budget`] is less, the fit ends before training
/// with an error that says the least that does. What the budget has beyond that keeps blocks that
/// have been read. Beside the features, a rank keeps targets, weights and the list of the rows to
/// train on: about 8 bytes a row each. The features of validation rows are kept as for
/// [`Rows`](Self::Rows), in memory or in a file: each validation needs them.
///
/// With [`partition_shuffles`](super::TrainingSettings::partition_shuffles), a rank shuffles the
/// blocks of the parts that it has, and learns the shape of those that it gets by reading them once
/// more.
///
/// Before training, the table is read once to learn the number of rows, the targets, the types, and
/// what a [`MinMaxScaler`](crate::ml::MinMaxScaler), a [`MaxAbsScaler`](crate::ml::MaxAbsScaler) or
/// a [`StandardScaler`](crate::ml::StandardScaler) learns. It is read once more for each of these
/// that scales what another scaler has made, and for a [`RobustScaler`](crate::ml::RobustScaler),
/// whose quantiles are exact, once for every 64 features, or more often if the budget has no room
/// for the values of so many. A scaler and a
/// [`Normalizer`](crate::ml::Normalizer) are applied to blocks as they are read. Other stages that
/// come after one that learns make their column in memory.
///
/// [`memory_budget`]: super::TrainingSettings::memory_budget
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Shuffle {
    /// All of a rank's rows in random order.
    #[default]
    Rows,
    /// Blocks of the table in random order, and in groups of these the rows.
    Blocks,
}

impl Shuffle {
    /// A group of blocks has at least so many rows, unless these have [`Self::GROUP_BYTES`], or
    /// there are no more.
    pub const GROUP_ROWS: usize = 1 << 16;
    /// The bytes of features that end a group with fewer rows.
    pub const GROUP_BYTES: usize = 128 << 20;

    pub(super) fn is_rows(&self) -> bool {
        *self == Shuffle::Rows
    }

    /// How many rows end a group, for the bytes of a row of features.
    pub(super) fn group_rows(row_size: usize) -> usize {
        Self::GROUP_ROWS.min((Self::GROUP_BYTES / row_size.max(1)).max(1))
    }

    /// The bytes of features that are in memory at most, for the first rows of blocks and the
    /// number of rows: two groups, and the block that is being decoded.
    pub(super) fn bytes_needed(starts: &[usize], row_size: usize) -> u64 {
        let blocks = starts.windows(2).map(|rows| rows[1] - rows[0]);
        let largest = blocks.max().unwrap_or(0);
        let rows = starts.last().copied().unwrap_or(0);
        let group = Self::group_rows(row_size) - 1 + largest;
        (((2 * group).min(rows) + largest) * row_size) as u64
    }
}
