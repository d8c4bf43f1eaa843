//! PyTorch's Dataset.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use tch::Tensor;

use crate::{Error, Result};

/// Samples that are got by their index, like PyTorch's map-style `Dataset`.
///
/// A sample is a tensor of features, and a label. All samples of a dataset have the same shapes.
///
/// ```
/// use mnist_support::{Result, traditional::{DataLoader, Dataset}};
/// use tch::Tensor;
///
/// #[derive(Clone)]
/// struct Squares {
///     numbers: Vec<f32>,
/// }
///
/// impl Dataset for Squares {
///     fn len(&self) -> usize {
///         self.numbers.len()
///     }
///
///     fn get(&self, index: usize) -> Result<(Tensor, Tensor)> {
///         let number = self.numbers[index];
///         Ok((Tensor::from_slice(&[number]), Tensor::from(number * number)))
///     }
/// }
///
/// let squares = Squares { numbers: vec![1.0, 2.0, 3.0] };
/// for batch in &DataLoader::new(&squares, 2)?.num_workers(2) {
///     let (features, labels) = batch?;
///     assert_eq!(features.size(), [labels.size()[0], 1]);
/// }
/// # Ok::<(), mnist_support::Error>(())
/// ```
///
/// Worker threads get samples at the same time, so a dataset is [`Sync`]. A [`Tensor`] is not, but
/// a [`TensorDataset`](super::TensorDataset) of it is.
pub trait Dataset: Send + Sync + 'static {
    /// The number of samples.
    fn len(&self) -> usize;

    /// Gets a sample: its features and its label. `index` is below [`len`](Dataset::len).
    ///
    /// # Errors
    /// Those of reading the sample, for example from a file. A [`DataLoader`](super::DataLoader)
    /// adds the index.
    fn get(&self, index: usize) -> Result<(Tensor, Tensor)>;

    /// Gets several samples, stacked: PyTorch's `__getitems__`, for datasets that are faster at
    /// many samples than at one.
    ///
    /// # Errors
    /// [`Error::Sample`] with the index of the sample that [`get`](Dataset::get) failed on.
    fn get_items(&self, indices: &[usize]) -> Result<(Tensor, Tensor)> {
        let samples = indices.iter().map(|&index| sample(self, index));
        let (features, labels): (Vec<Tensor>, Vec<Tensor>) =
            samples.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        stack(&features, &labels, indices)
    }

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<D: Dataset + ?Sized> Dataset for Arc<D> {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn get(&self, index: usize) -> Result<(Tensor, Tensor)> {
        (**self).get(index)
    }

    fn get_items(&self, indices: &[usize]) -> Result<(Tensor, Tensor)> {
        (**self).get_items(indices)
    }
}

/// Gets a sample. An error, or a panic, names its index.
pub(super) fn sample<D: Dataset + ?Sized>(dataset: &D, index: usize) -> Result<(Tensor, Tensor)> {
    caught(index, || {
        let sample = dataset.get(index);
        sample.map_err(|error| Error::Sample {
            index,
            reason: error.into(),
        })
    })
}

/// Calls a dataset's method for the sample of this index, or for the samples from it on. A panic
/// becomes an error.
pub(super) fn caught<T>(index: usize, call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        Err(Error::Sample {
            index,
            reason: panic_message(&*panic).into(),
        })
    })
}

/// Stacks samples. If their shapes differ, the error names the first that does.
pub(super) fn stack(
    features: &[Tensor],
    labels: &[Tensor],
    indices: &[usize],
) -> Result<(Tensor, Tensor)> {
    for tensors in [features, labels] {
        let Some(expected) = tensors.first().map(Tensor::size) else {
            continue;
        };
        let differs = tensors.iter().position(|tensor| tensor.size() != expected);
        if let Some(place) = differs {
            let found = tensors[place].size();
            let reason =
                format!("its shape is {found:?}, where the samples before have {expected:?}");
            return Err(Error::Sample {
                index: indices[place],
                reason: reason.into(),
            });
        }
    }
    Ok((Tensor::f_stack(features, 0)?, Tensor::f_stack(labels, 0)?))
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    message
        .unwrap_or("it panicked without a message")
        .to_owned()
}
