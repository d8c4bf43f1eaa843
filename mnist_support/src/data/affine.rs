//! Scaling columns: one scale and one offset for each.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::{Features, FeaturesView};
use crate::{Error, Result};

/// The number of rows that one core scales at a time.
const PART_ROWS: usize = 1024;

impl FeaturesView<'_> {
    /// Returns `value * scale[column] + offset[column]` for every value, as a new matrix
    /// `[rows, columns]`.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] unless `scale` and `offset` have one entry for each column.
    pub fn affine(&self, scale: &[f32], offset: &[f32]) -> Result<Array2<f32>> {
        if scale.len() != self.width() || offset.len() != self.width() {
            return Err(Error::ShapeMismatch {
                what: "the matrix of features".to_owned(),
                found: vec![self.rows() as i64, self.width() as i64],
                expected: format!("[rows, {}]", scale.len().max(offset.len())),
            });
        }
        match self {
            Self::U8(array) => scaled(array, scale, offset),
            Self::F32(array) => scaled(array, scale, offset),
        }
    }
}

impl Features {
    /// Returns `value * scale[column] + offset[column]` for every value, as a new matrix
    /// `[rows, columns]`.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] unless `scale` and `offset` have one entry for each column.
    pub fn affine(&self, scale: &[f32], offset: &[f32]) -> Result<Array2<f32>> {
        FeaturesView::from(self).affine(scale, offset)
    }
}

fn scaled<T>(array: &ArrayView2<T>, scale: &[f32], offset: &[f32]) -> Result<Array2<f32>>
where
    T: Copy + Into<f32> + Sync,
{
    let mut output = Array2::zeros(array.raw_dim());
    let parts: Vec<_> = output
        .axis_chunks_iter_mut(Axis(0), PART_ROWS)
        .zip(array.axis_chunks_iter(Axis(0), PART_ROWS))
        .collect();
    parts
        .into_par_iter()
        .for_each(|(output, values)| scale_rows(output, values, scale, offset));
    Ok(output)
}

fn scale_rows<T>(
    mut output: ArrayViewMut2<f32>,
    values: ArrayView2<T>,
    scale: &[f32],
    offset: &[f32],
) where
    T: Copy + Into<f32>,
{
    for (mut output, values) in output.rows_mut().into_iter().zip(values.rows()) {
        let factors = scale.iter().zip(offset);
        match (output.as_slice_mut(), values.as_slice()) {
            // Slices let the compiler vectorise across columns.
            (Some(output), Some(values)) => {
                for ((output, &value), (&scale, &offset)) in
                    output.iter_mut().zip(values).zip(factors)
                {
                    *output = value.into() * scale + offset;
                }
            }
            _ => {
                for ((output, &value), (&scale, &offset)) in
                    output.iter_mut().zip(values).zip(factors)
                {
                    *output = value.into() * scale + offset;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    #[test]
    fn every_column_has_its_own_scale_and_offset() {
        let bytes = Features::U8(arr2(&[[0, 10], [2, 20]]));
        let expected = arr2(&[[1.0, 3.0], [2.0, 8.0]]);
        assert_eq!(bytes.affine(&[0.5, 0.5], &[1.0, -2.0]).unwrap(), expected);
        let floats = Features::F32(bytes.to_f32());
        assert_eq!(floats.affine(&[0.5, 0.5], &[1.0, -2.0]).unwrap(), expected);
    }

    #[test]
    fn more_rows_than_one_core_takes_are_all_scaled() {
        let rows = 2 * PART_ROWS + 5;
        let bytes = Array2::from_shape_fn((rows, 2), |(row, column)| (row * 2 + column) as u8);
        let expected = Array2::from_shape_fn((rows, 2), |(row, column)| {
            f32::from(bytes[[row, column]]) * [0.5, 2.0][column] + [1.0, -3.0][column]
        });
        let scaled = Features::U8(bytes).affine(&[0.5, 2.0], &[1.0, -3.0]);
        assert_eq!(scaled.unwrap(), expected);
    }

    #[test]
    fn a_transposed_view_is_read_in_its_own_order() {
        let array = arr2(&[[1u8, 2, 3], [4, 5, 6]]);
        let view = FeaturesView::from(array.t());
        assert_eq!(
            view.affine(&[1.0, 10.0], &[0.0, 0.0]).unwrap(),
            arr2(&[[1.0, 40.0], [2.0, 50.0], [3.0, 60.0]])
        );
    }

    #[test]
    fn the_wrong_number_of_columns_is_refused() {
        let features = Features::U8(arr2(&[[0, 10, 20]]));
        let error = features.affine(&[1.0, 1.0], &[0.0, 0.0]).unwrap_err();
        assert!(
            matches!(&error, Error::ShapeMismatch { found, .. } if found == &[1, 3]),
            "{error}"
        );
    }
}
