//! Conversion between ndarray arrays and libtorch tensors, with one copy.

use ndarray::{Array2, ArrayBase, Data, Dimension};
use tch::{Kind, Tensor, kind::Element};

use super::{Features, FeaturesView};
use crate::{Error, Result};

/// Copies an array to a tensor of the same shape and type, on the CPU.
///
/// The values are copied once, or twice if the array is not in row-major order.
///
/// # Errors
/// [`Error::Torch`] if libtorch cannot allocate it.
pub fn tensor_from_array<T, S, D>(array: &ArrayBase<S, D>) -> Result<Tensor>
where
    T: Element + Clone,
    S: Data<Elem = T>,
    D: Dimension,
{
    Ok(Tensor::try_from(&array.as_standard_layout())?)
}

/// Copies a tensor `[rows, columns]` of any numeric kind and on any device to a matrix of `f32`.
///
/// # Errors
/// [`Error::ShapeMismatch`] if the tensor does not have two dimensions.
pub fn array_from_tensor(tensor: &Tensor) -> Result<Array2<f32>> {
    let size = tensor.size();
    let &[rows, columns] = size.as_slice() else {
        return Err(Error::ShapeMismatch {
            what: "the tensor".to_owned(),
            found: size,
            expected: "[rows, columns]".to_owned(),
        });
    };
    let count = tensor.numel();
    let mut values = vec![0.0f32; count];
    tensor
        .f_to_device(tch::Device::Cpu)?
        .f_to_kind(Kind::Float)?
        .f_contiguous()?
        .f_copy_data(&mut values, count)?;
    Array2::from_shape_vec((rows as usize, columns as usize), values)
        .map_err(|source| Error::Torch(source.into()))
}

impl FeaturesView<'_> {
    /// Copies the values to a tensor `[rows, columns]` on the CPU, of kind `Uint8` or `Float`,
    /// which rounds `f64`.
    ///
    /// # Errors
    /// [`Error::Torch`] if libtorch cannot allocate it.
    pub fn to_tensor(&self) -> Result<Tensor> {
        match self {
            Self::U8(array) => tensor_from_array(array),
            Self::F32(array) => tensor_from_array(array),
            Self::F64(array) => tensor_from_array(&array.mapv(|value| value as f32)),
        }
    }
}

impl Features {
    /// Copies the values to a tensor `[rows, columns]` on the CPU, of kind `Uint8` or `Float`,
    /// which rounds `f64`.
    ///
    /// # Errors
    /// [`Error::Torch`] if libtorch cannot allocate it.
    pub fn to_tensor(&self) -> Result<Tensor> {
        FeaturesView::from(self).to_tensor()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{arr1, arr2};

    use super::*;

    #[test]
    fn bytes_stay_bytes_and_floats_stay_floats() {
        let bytes = Features::U8(arr2(&[[1, 2, 3], [4, 5, 6]]))
            .to_tensor()
            .unwrap();
        assert_eq!((bytes.kind(), bytes.size()), (Kind::Uint8, vec![2, 3]));
        assert_eq!(bytes.int64_value(&[1, 0]), 4);
        let floats = Features::F32(arr2(&[[0.5], [1.5]])).to_tensor().unwrap();
        assert_eq!((floats.kind(), floats.size()), (Kind::Float, vec![2, 1]));
        assert_eq!(floats.double_value(&[1, 0]), 1.5);
    }

    #[test]
    fn a_transposed_view_becomes_the_tensor_of_its_own_order() {
        let array = arr2(&[[1u8, 2, 3], [4, 5, 6]]);
        let tensor = FeaturesView::from(array.t()).to_tensor().unwrap();
        assert_eq!(tensor.size(), [3, 2]);
        assert_eq!(tensor.int64_value(&[0, 1]), 4);
    }

    #[test]
    fn a_matrix_survives_the_round_trip() {
        let array = arr2(&[[0.5f32, -1.0], [2.0, 3.25], [0.0, 9.0]]);
        let tensor = tensor_from_array(&array).unwrap();
        assert_eq!(array_from_tensor(&tensor).unwrap(), array);
        assert_eq!(
            array_from_tensor(&tensor.transpose(0, 1)).unwrap(),
            array.t()
        );
    }

    #[test]
    fn a_one_dimensional_tensor_is_not_a_matrix() {
        let tensor = tensor_from_array(&arr1(&[1i64, 2])).unwrap();
        let error = array_from_tensor(&tensor).unwrap_err();
        assert!(
            matches!(&error, Error::ShapeMismatch { found, .. } if found == &[2]),
            "{error}"
        );
    }
}
