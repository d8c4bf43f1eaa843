//! PyTorch's DataLoader.

use std::cell::Cell;

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use super::Dataset;
use crate::{Error, Result};

/// Iterates over a dataset in mini-batches `(features, labels)`, with features of shape
/// `[batch, ...]`.
///
/// Each pass over the loader is an epoch. The last batch of an epoch is smaller if the batch size
/// does not divide the dataset: no sample is left out. A shuffled loader draws a new order for
/// every epoch from its seed and the epoch number alone, so that a second run sees the same
/// batches.
///
/// ```
/// use mnist_support::traditional::{DataLoader, Dataset};
/// use ndarray::{Array1, Array2};
///
/// # fn main() -> mnist_support::Result<()> {
/// let dataset = Dataset::new(&Array2::<f32>::zeros((7, 2)), &Array1::from_iter(0i64..7))?;
/// let loader = DataLoader::new(&dataset, 3)?.shuffle(42);
/// for _epoch in 0..2 {
///     for (features, labels) in &loader {
///         assert_eq!(features.size()[0], labels.size()[0]);
///     }
/// }
/// assert_eq!(loader.len(), 3);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DataLoader {
    dataset: Dataset,
    batch_size: usize,
    seed: Option<u64>,
    epoch: Cell<u64>,
}

impl DataLoader {
    /// Creates a loader in the dataset's own order.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if `batch_size` is 0 or larger than the number of samples.
    pub fn new(dataset: &Dataset, batch_size: usize) -> Result<DataLoader> {
        let refused = |reason: String| Error::InvalidSetting {
            setting: "batch_size",
            value: batch_size.to_string(),
            reason,
        };
        if batch_size == 0 {
            return Err(refused("must be at least 1".to_owned()));
        }
        if batch_size > dataset.len() {
            return Err(refused(format!(
                "is more than the dataset's {} samples",
                dataset.len()
            )));
        }
        Ok(DataLoader {
            dataset: dataset.clone(),
            batch_size,
            seed: None,
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

    /// Sets the epoch number of the next pass, from 0. With `set_epoch(0)` before it, a loop that
    /// runs again sees the same batches.
    pub fn set_epoch(&self, epoch: u64) {
        self.epoch.set(epoch);
    }

    /// Starts an epoch.
    pub fn iter(&self) -> Batches {
        let epoch = self.epoch.get();
        self.epoch.set(epoch + 1);
        let order = self.seed.map(|seed| {
            let mut generator = ChaCha8Rng::seed_from_u64(seed);
            generator.set_stream(epoch);
            let mut order: Vec<i64> = (0..self.dataset.len() as i64).collect();
            order.shuffle(&mut generator);
            Tensor::from_slice(&order).to_device(self.dataset.features().device())
        });
        Batches {
            dataset: self.dataset.clone(),
            batch_size: self.batch_size,
            order,
            next: 0,
        }
    }

    /// The number of batches in an epoch.
    pub fn len(&self) -> usize {
        self.dataset.len().div_ceil(self.batch_size)
    }

    /// Whether an epoch has no batches, which [`new`](DataLoader::new) rules out.
    pub fn is_empty(&self) -> bool {
        self.dataset.is_empty()
    }

    /// The number of samples in each batch, except perhaps the last.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// The dataset that the batches are taken from.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }
}

impl IntoIterator for &DataLoader {
    type Item = (Tensor, Tensor);
    type IntoIter = Batches;

    fn into_iter(self) -> Batches {
        self.iter()
    }
}

/// The batches of one epoch of a [`DataLoader`].
#[derive(Debug)]
pub struct Batches {
    dataset: Dataset,
    batch_size: usize,
    order: Option<Tensor>,
    next: usize,
}

impl Iterator for Batches {
    type Item = (Tensor, Tensor);

    fn next(&mut self) -> Option<(Tensor, Tensor)> {
        let rows = self.batch_size.min(self.dataset.len() - self.next);
        if rows == 0 {
            return None;
        }
        let (start, length) = (self.next as i64, rows as i64);
        self.next += rows;
        // `start + length` never exceeds the dataset, so none of these can fail.
        let part = |tensor: &Tensor| match &self.order {
            Some(order) => tensor.index_select(0, &order.narrow(0, start, length)),
            None => tensor.narrow(0, start, length),
        };
        Some((part(self.dataset.features()), part(self.dataset.labels())))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let batches = (self.dataset.len() - self.next).div_ceil(self.batch_size);
        (batches, Some(batches))
    }
}

impl ExactSizeIterator for Batches {}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2};

    use super::*;

    fn dataset(rows: usize) -> Dataset {
        let features = Array2::from_shape_fn((rows, 2), |(row, column)| (10 * row + column) as f32);
        Dataset::new(&features, &Array1::from_iter(0..rows as i64)).unwrap()
    }

    /// Returns the labels of an epoch by batch, after checking that the features belong to them.
    fn epoch(loader: &DataLoader) -> Vec<Vec<i64>> {
        loader
            .iter()
            .map(|(features, labels)| {
                let labels = Vec::<i64>::try_from(labels).unwrap();
                assert_eq!(features.size(), [labels.len() as i64, 2]);
                for (row, &label) in labels.iter().enumerate() {
                    assert_eq!(
                        features.double_value(&[row as i64, 1]),
                        (10 * label + 1) as f64
                    );
                }
                labels
            })
            .collect()
    }

    #[test]
    fn batches_come_in_order_and_the_last_may_be_short() {
        let loader = DataLoader::new(&dataset(7), 3).unwrap();
        assert_eq!(epoch(&loader), [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
        assert_eq!(loader.len(), 3);
        assert_eq!(loader.iter().len(), 3);
        assert_eq!(
            DataLoader::new(&dataset(6), 3).unwrap().iter().count(),
            2,
            "no empty batch at the end"
        );
    }

    #[test]
    fn every_epoch_is_a_new_order_of_all_samples() {
        let loader = DataLoader::new(&dataset(100), 30).unwrap().shuffle(42);
        let (first, second) = (epoch(&loader), epoch(&loader));
        assert_ne!(first, second);
        for batches in [first, second] {
            assert_eq!(
                batches.iter().map(Vec::len).collect::<Vec<_>>(),
                [30, 30, 30, 10]
            );
            let mut labels = batches.concat();
            assert_ne!(labels, (0..100).collect::<Vec<i64>>());
            labels.sort_unstable();
            assert_eq!(labels, (0..100).collect::<Vec<i64>>());
        }
    }

    #[test]
    fn the_seed_and_the_epoch_decide_the_order() {
        let loader = |seed| DataLoader::new(&dataset(50), 50).unwrap().shuffle(seed);
        let (one, two) = (loader(1), loader(1));
        assert_eq!([epoch(&one), epoch(&one)], [epoch(&two), epoch(&two)]);
        assert_ne!(epoch(&loader(1)), epoch(&loader(2)));
        one.set_epoch(0);
        assert_eq!(epoch(&one), epoch(&loader(1)));
    }

    #[test]
    fn a_batch_size_of_0_is_refused() {
        let error = DataLoader::new(&dataset(5), 0).unwrap_err();
        assert_eq!(error.to_string(), "batch_size = 0 must be at least 1");
    }

    #[test]
    fn a_batch_above_the_dataset_is_refused() {
        let error = DataLoader::new(&dataset(5), 6).unwrap_err();
        assert_eq!(
            error.to_string(),
            "batch_size = 6 is more than the dataset's 5 samples"
        );
        assert!(DataLoader::new(&dataset(5), 5).is_ok());
    }
}
