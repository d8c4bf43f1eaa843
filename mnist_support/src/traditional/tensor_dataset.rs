//! PyTorch's TensorDataset of features and labels.

use ndarray::{ArrayBase, Data, Dimension, Ix1};
use tch::{Device, Tensor, kind::Element};

use super::Dataset;
use crate::data::tensor_from_array;
use crate::{Error, Result};

/// Features and labels as tensors, with one row of each per sample.
///
/// Cloning is cheap: clones share their tensors.
///
/// ```
/// use mnist_support::traditional::{Dataset, TensorDataset};
/// use ndarray::{Array1, Array2};
///
/// # fn main() -> mnist_support::Result<()> {
/// let images = Array2::<f32>::zeros((6, 784));
/// let labels = Array1::<i64>::zeros(6);
/// let dataset = TensorDataset::new(&images, &labels)?.reshape(&[1, 28, 28])?;
/// assert_eq!(dataset.len(), 6);
/// assert_eq!(dataset.features().size(), [6, 1, 28, 28]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TensorDataset {
    features: Tensor,
    labels: Tensor,
}

impl Clone for TensorDataset {
    fn clone(&self) -> Self {
        TensorDataset {
            features: self.features.shallow_clone(),
            labels: self.labels.shallow_clone(),
        }
    }
}

impl TensorDataset {
    /// Creates a dataset from arrays: features `[rows, ...]`, and one label per row.
    ///
    /// # Errors
    /// - [`Error::ShapeMismatch`] unless there is one label per row of features.
    /// - [`Error::Torch`] if libtorch cannot allocate the tensors.
    pub fn new<F, L, SF, SL, D>(
        features: &ArrayBase<SF, D>,
        labels: &ArrayBase<SL, Ix1>,
    ) -> Result<TensorDataset>
    where
        F: Element + Clone,
        L: Element + Clone,
        SF: Data<Elem = F>,
        SL: Data<Elem = L>,
        D: Dimension,
    {
        Self::from_tensors(tensor_from_array(features)?, tensor_from_array(labels)?)
    }

    /// Creates a dataset from tensors: features `[rows, ...]` and labels `[rows]`.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] unless there is one label per row of features, and both are on the
    /// same device.
    pub fn from_tensors(features: Tensor, labels: Tensor) -> Result<TensorDataset> {
        let Some(&rows) = features.size().first() else {
            return Err(Error::ShapeMismatch {
                what: "the tensor of features".to_owned(),
                found: features.size(),
                expected: "[rows, ...]".to_owned(),
            });
        };
        if labels.size() != [rows] {
            return Err(Error::ShapeMismatch {
                what: "the tensor of labels".to_owned(),
                found: labels.size(),
                expected: format!("one label for each of the {rows} rows of features"),
            });
        }
        let labels = labels.f_to_device(features.device())?;
        Ok(TensorDataset { features, labels })
    }

    /// Returns the same samples with features of another shape each, such as `[1, 28, 28]` for the
    /// channels, height and width of an image.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] if the shape does not have as many values as a sample.
    pub fn reshape(&self, sample_shape: &[i64]) -> Result<TensorDataset> {
        let size = self.features.size();
        let values: i64 = size[1..].iter().product();
        let wanted = sample_shape
            .iter()
            .try_fold(1i64, |product, &length| product.checked_mul(length));
        if wanted != Some(values) || sample_shape.iter().any(|&length| length < 0) {
            return Err(Error::ShapeMismatch {
                what: "a sample".to_owned(),
                found: size[1..].to_vec(),
                expected: format!("a number of values that fits {sample_shape:?}"),
            });
        }
        let mut shape = vec![size[0]];
        shape.extend_from_slice(sample_shape);
        Ok(TensorDataset {
            features: self.features.f_reshape(shape)?,
            labels: self.labels.shallow_clone(),
        })
    }

    /// Moves the samples to another device.
    ///
    /// # Errors
    /// [`Error::Torch`] if the device is not available or its memory is too small.
    pub fn to_device(&self, device: Device) -> Result<TensorDataset> {
        Ok(TensorDataset {
            features: self.features.f_to_device(device)?,
            labels: self.labels.f_to_device(device)?,
        })
    }

    /// The features of all samples, `[rows, ...]`.
    pub fn features(&self) -> &Tensor {
        &self.features
    }

    /// The labels of all samples, `[rows]`.
    pub fn labels(&self) -> &Tensor {
        &self.labels
    }

    /// The shape of one sample's features.
    pub fn sample_shape(&self) -> Vec<i64> {
        self.features.size().split_off(1)
    }
}

// SAFETY: a dataset only reads its tensors, and hands out no way of writing to them but through
// the tensors themselves, as all clones of a tensor do. libtorch counts references atomically.
unsafe impl Sync for TensorDataset {}

impl Dataset for TensorDataset {
    fn len(&self) -> usize {
        self.labels.numel()
    }

    fn get(&self, index: usize) -> Result<(Tensor, Tensor)> {
        let index = index as i64;
        Ok((self.features.f_get(index)?, self.labels.f_get(index)?))
    }

    /// Selects all samples at once.
    fn get_items(&self, indices: &[usize]) -> Result<(Tensor, Tensor)> {
        let (first, length) = (indices.first().copied().unwrap_or_default(), indices.len());
        if indices.iter().copied().eq(first..first + length) {
            let (first, length) = (first as i64, length as i64);
            return Ok((
                self.features.f_narrow(0, first, length)?,
                self.labels.f_narrow(0, first, length)?,
            ));
        }
        let indices: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
        let indices = Tensor::f_from_slice(&indices)?.f_to_device(self.features.device())?;
        Ok((
            self.features.f_index_select(0, &indices)?,
            self.labels.f_index_select(0, &indices)?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array, Array1, arr1, arr2};
    use tch::Kind;

    use super::*;

    #[test]
    fn arrays_of_any_dimension_become_tensors_of_that_shape() {
        let images = Array::from_shape_fn((5, 4, 3), |(row, y, x)| (100 * row + 10 * y + x) as f32);
        let dataset = TensorDataset::new(&images, &Array1::from_iter(0i64..5)).unwrap();
        assert_eq!(dataset.len(), 5);
        assert_eq!(dataset.sample_shape(), [4, 3]);
        assert_eq!(dataset.features().double_value(&[3, 2, 1]), 321.0);
        assert_eq!(dataset.labels().kind(), Kind::Int64);
        assert_eq!(dataset.labels().int64_value(&[4]), 4);
    }

    #[test]
    fn flat_rows_become_images() {
        let rows = arr2(&[[0u8, 1, 2, 3], [4, 5, 6, 7]]);
        let dataset = TensorDataset::new(&rows, &arr1(&[0i64, 1])).unwrap();
        let images = dataset.reshape(&[1, 2, 2]).unwrap();
        assert_eq!(images.features().size(), [2, 1, 2, 2]);
        assert_eq!(images.features().int64_value(&[1, 0, 1, 0]), 6);
    }

    #[test]
    fn a_shape_of_another_number_of_values_is_refused() {
        let dataset = TensorDataset::new(&arr2(&[[0.0f32; 6]]), &arr1(&[0i64])).unwrap();
        for shape in [&[1, 28, 28][..], &[-1, -6], &[]] {
            let error = dataset.reshape(shape).unwrap_err();
            assert!(
                matches!(&error, Error::ShapeMismatch { found, .. } if found == &[6]),
                "{error}"
            );
        }
    }

    #[test]
    fn counts_that_disagree_are_refused() {
        let error =
            TensorDataset::new(&arr2(&[[0.0f32], [1.0]]), &arr1(&[0i64, 1, 2])).unwrap_err();
        assert!(
            matches!(&error, Error::ShapeMismatch { found, .. } if found == &[3]),
            "{error}"
        );
    }

    #[test]
    fn labels_of_two_dimensions_are_refused() {
        let error = TensorDataset::from_tensors(
            Tensor::zeros([2, 3], (Kind::Float, Device::Cpu)),
            Tensor::zeros([2, 1], (Kind::Int64, Device::Cpu)),
        )
        .unwrap_err();
        assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
    }
}
