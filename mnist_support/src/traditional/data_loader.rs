//! PyTorch's DataLoader.

mod workers;

use std::{cell::Cell, fmt, ops::Range, sync::Arc};

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use self::workers::Workers;
use super::{
    Dataset,
    dataset::{caught, sample, stack},
    transforms::Transform,
};
use crate::{
    Error, Result,
    random::{Purpose, seed_of},
};

/// Iterates over a dataset in mini-batches `(features, labels)`, with features of shape
/// `[batch, ...]`.
///
/// Each pass over the loader is an epoch. The last batch of an epoch is smaller if the batch size
/// does not divide the dataset: no sample is left out. A shuffled loader draws a new order for
/// every epoch from its seed and the epoch number alone, so that a second run sees the same
/// batches. [Worker threads](DataLoader::num_workers) get batches ahead of time, and change
/// neither the order nor what the [transforms](DataLoader::transform) draw.
///
/// ```
/// use mnist_support::traditional::{DataLoader, TensorDataset};
/// use ndarray::{Array1, Array2};
///
/// # fn main() -> mnist_support::Result<()> {
/// let dataset = TensorDataset::new(&Array2::<f32>::zeros((7, 2)), &Array1::from_iter(0i64..7))?;
/// let loader = DataLoader::new(&dataset, 3)?.shuffle(42);
/// for _epoch in 0..2 {
///     for batch in &loader {
///         let (features, labels) = batch?;
///         assert_eq!(features.size()[0], labels.size()[0]);
///     }
/// }
/// assert_eq!(loader.len(), 3);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct DataLoader {
    dataset: Arc<dyn Dataset>,
    transforms: Vec<Arc<dyn Transform>>,
    batch_size: usize,
    seed: Option<u64>,
    num_workers: usize,
    epoch: Cell<u64>,
}

impl fmt::Debug for DataLoader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataLoader")
            .field("samples", &self.dataset.len())
            .field("transforms", &self.transforms)
            .field("batch_size", &self.batch_size)
            .field("seed", &self.seed)
            .field("num_workers", &self.num_workers)
            .field("epoch", &self.epoch)
            .finish()
    }
}

impl DataLoader {
    /// Creates a loader in the dataset's own order.
    ///
    /// A batch size above the number of samples takes all of them, and a line says so.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if `batch_size` is 0, or the dataset is empty.
    pub fn new<D: Dataset + Clone>(dataset: &D, batch_size: usize) -> Result<DataLoader> {
        let refused = |reason: &str| Error::InvalidSetting {
            setting: "batch_size",
            value: batch_size.to_string(),
            reason: reason.to_owned(),
        };
        let samples = dataset.len();
        if batch_size == 0 {
            return Err(refused("must be at least 1"));
        }
        if samples == 0 {
            return Err(refused("has no samples to take: the dataset is empty"));
        }
        if batch_size > samples {
            println!(
                "warning: batch_size is {batch_size}, and the dataset has {samples} samples: \
                 a batch takes all of them"
            );
        }
        Ok(DataLoader {
            dataset: Arc::new(dataset.clone()),
            transforms: Vec::new(),
            batch_size: batch_size.min(samples),
            seed: None,
            num_workers: 0,
            epoch: Cell::new(0),
        })
    }

    /// Returns the same loader with a new random order for every epoch.
    pub fn shuffle(self, seed: u64) -> DataLoader {
        DataLoader {
            seed: Some(seed),
            ..self
        }
    }

    /// Adds a transform of each sample's features, such as
    /// [`RandomCrop`](super::transforms::RandomCrop). Transforms run in the order in which they are
    /// added, in the worker threads if there are any.
    ///
    /// What a random transform draws for a sample depends on the loader's
    /// [seed](DataLoader::shuffle) (0 without), the epoch and the sample's index alone.
    ///
    /// ```
    /// use mnist_support::traditional::{DataLoader, TensorDataset};
    /// use mnist_support::traditional::transforms::{Normalize, RandomCrop, RandomRotation};
    /// use ndarray::{Array1, Array4};
    ///
    /// # fn main() -> mnist_support::Result<()> {
    /// let images = Array4::<f32>::zeros((6, 1, 28, 28));
    /// let dataset = TensorDataset::new(&images, &Array1::<i64>::zeros(6))?;
    /// let loader = DataLoader::new(&dataset, 3)?
    ///     .shuffle(42)
    ///     .transform(RandomCrop::new(28, 2))
    ///     .transform(RandomRotation::new(10.0))
    ///     .transform(Normalize::new([0.1307], [0.3081]));
    /// for batch in &loader {
    ///     assert_eq!(batch?.0.size(), [3, 1, 28, 28]);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn transform(mut self, transform: impl Transform) -> DataLoader {
        self.transforms.push(Arc::new(transform));
        self
    }

    /// Gets batches on this many threads, ahead of the loop that takes them; with 0, which is the
    /// default, the loop gets them itself. A thread has at most two batches ready.
    pub fn num_workers(self, num_workers: usize) -> DataLoader {
        DataLoader {
            num_workers,
            ..self
        }
    }

    /// Sets the epoch number of the next pass, from 0. With `set_epoch(0)` before it, a loop that
    /// runs again sees the same batches.
    pub fn set_epoch(&self, epoch: u64) {
        self.epoch.set(epoch);
    }

    /// Starts an epoch.
    ///
    /// Each batch is a `Result`: [`Error::Sample`] names the sample that could not be got, and ends
    /// the epoch.
    pub fn iter(&self) -> Batches {
        let epoch = self.epoch.get();
        self.epoch.set(epoch + 1);
        let order = self.seed.map(|seed| {
            let mut generator = ChaCha8Rng::seed_from_u64(seed);
            generator.set_stream(epoch);
            let mut order: Vec<usize> = (0..self.dataset.len()).collect();
            order.shuffle(&mut generator);
            order
        });
        let epoch = Epoch {
            dataset: self.dataset.clone(),
            transforms: self.transforms.clone(),
            batch_size: self.batch_size,
            seed: self.seed.unwrap_or_default(),
            epoch,
            order,
        };
        let batches = 0..epoch.batches();
        Batches {
            source: match self.num_workers {
                0 => Source::Here(epoch),
                workers => Source::Workers(Workers::start(epoch, workers)),
            },
            batches,
        }
    }

    /// The number of batches in an epoch.
    pub fn len(&self) -> usize {
        self.dataset.len().div_ceil(self.batch_size)
    }

    /// Whether an epoch has no batches, which [`new`](DataLoader::new) rules out.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of samples in each batch, except perhaps the last.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// The dataset that the batches are taken from.
    pub fn dataset(&self) -> &dyn Dataset {
        &*self.dataset
    }
}

impl IntoIterator for &DataLoader {
    type Item = Result<(Tensor, Tensor)>;
    type IntoIter = Batches;

    fn into_iter(self) -> Batches {
        self.iter()
    }
}

/// One pass over a dataset.
struct Epoch {
    dataset: Arc<dyn Dataset>,
    transforms: Vec<Arc<dyn Transform>>,
    batch_size: usize,
    seed: u64,
    epoch: u64,
    /// The indices of the samples in a random order.
    order: Option<Vec<usize>>,
}

impl Epoch {
    fn batches(&self) -> usize {
        self.dataset.len().div_ceil(self.batch_size)
    }

    /// The samples of a batch, transformed and stacked.
    fn batch(&self, batch: usize) -> Result<(Tensor, Tensor)> {
        let start = batch * self.batch_size;
        let end = (start + self.batch_size).min(self.dataset.len());
        let indices = match &self.order {
            Some(order) => order[start..end].to_vec(),
            None => (start..end).collect(),
        };
        if self.transforms.is_empty() {
            return caught(indices[0], || self.dataset.get_items(&indices));
        }
        let (mut features, mut labels) = (Vec::new(), Vec::new());
        for &index in &indices {
            let (own, label) = sample(&*self.dataset, index)?;
            features.push(self.transformed(own, index)?);
            labels.push(label);
        }
        stack(&features, &labels, &indices)
    }

    fn transformed(&self, mut features: Tensor, index: usize) -> Result<Tensor> {
        for (place, transform) in self.transforms.iter().enumerate() {
            let place = (place as u64) << 48 | index as u64;
            let seed = seed_of(Purpose::Transform, self.seed, [self.epoch, place]);
            features = transform
                .apply(&features, seed)
                .map_err(|error| Error::Sample {
                    index,
                    reason: error.into(),
                })?;
        }
        Ok(features)
    }
}

/// The batches of one epoch of a [`DataLoader`].
#[derive(Debug)]
pub struct Batches {
    source: Source,
    batches: Range<usize>,
}

enum Source {
    /// The thread that takes the batches gets them, too.
    Here(Epoch),
    Workers(Workers),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Here(_) => "Here",
            Source::Workers(_) => "Workers",
        })
    }
}

impl Iterator for Batches {
    type Item = Result<(Tensor, Tensor)>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batches.next()?;
        let loaded = match &mut self.source {
            Source::Here(epoch) => epoch.batch(batch),
            Source::Workers(workers) => workers.batch(batch),
        };
        if loaded.is_err() {
            self.batches = 0..0;
        }
        Some(loaded)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.batches.size_hint()
    }
}

impl ExactSizeIterator for Batches {}

#[cfg(test)]
mod tests;
