//! Scaling columns: one scale and one offset for each.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::{Features, FeaturesView};
use crate::{Error, Result};

/// The number of rows that one core scales at a time.
const PART_ROWS: usize = 1024;

/// A linear function of each column: `(value - shift) * scale + offset`.
///
/// Without `shift`, a column whose values are large compared with their spread would lose digits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Affine {
    pub(crate) shift: Vec<f64>,
    pub(crate) scale: Vec<f64>,
    pub(crate) offset: Vec<f64>,
}

impl Affine {
    /// Returns this function followed by another.
    pub(crate) fn then(&self, next: &Affine) -> Affine {
        let columns = 0..self.scale.len();
        let column = |column: usize| {
            let (shift, scale) = (self.shift[column], self.scale[column]);
            let moved = self.offset[column] - next.shift[column];
            match scale == 0.0 {
                true => (0.0, 0.0, moved * next.scale[column] + next.offset[column]),
                false => (
                    shift - moved / scale,
                    scale * next.scale[column],
                    next.offset[column],
                ),
            }
        };
        let (mut shift, mut scale, mut offset) = (Vec::new(), Vec::new(), Vec::new());
        for (of_shift, of_scale, of_offset) in columns.map(column) {
            shift.push(of_shift);
            scale.push(of_scale);
            offset.push(of_offset);
        }
        Affine {
            shift,
            scale,
            offset,
        }
    }

    /// The function's value for a value of a column.
    pub(crate) fn at(&self, column: usize, value: f64) -> f64 {
        (value - self.shift[column]) * self.scale[column] + self.offset[column]
    }

    /// The factors of `value * scale + offset`.
    pub(crate) fn to_f32(&self) -> (Vec<f32>, Vec<f32>) {
        let columns = self.shift.iter().zip(&self.scale).zip(&self.offset);
        columns
            .map(|((shift, scale), offset)| (*scale as f32, (offset - shift * scale) as f32))
            .unzip()
    }
}

impl FeaturesView<'_> {
    /// Returns the function's values. `F64` is computed in `f64`, the others in `f32`.
    pub(crate) fn scaled(&self, affine: &Affine) -> Result<Array2<f32>> {
        match self {
            Self::F64(array) => {
                self.check_factors(affine.scale.len(), affine.offset.len())?;
                let mut output = Array2::zeros(array.raw_dim());
                let values = array.rows();
                for (mut output, values) in output.rows_mut().into_iter().zip(values) {
                    for (column, (output, value)) in output.iter_mut().zip(values).enumerate() {
                        *output = affine.at(column, *value) as f32;
                    }
                }
                Ok(output)
            }
            Self::U8(_) | Self::F32(_) => {
                let (scale, offset) = affine.to_f32();
                self.affine(&scale, &offset)
            }
        }
    }

    fn check_factors(&self, scale: usize, offset: usize) -> Result<()> {
        if scale == self.width() && offset == self.width() {
            return Ok(());
        }
        Err(Error::ShapeMismatch {
            what: "the matrix of features".to_owned(),
            found: vec![self.rows() as i64, self.width() as i64],
            expected: format!("[rows, {}]", scale.max(offset)),
        })
    }

    /// Returns `value * scale[column] + offset[column]` for every value, as a new matrix
    /// `[rows, columns]`.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] unless `scale` and `offset` have one entry for each column.
    pub fn affine(&self, scale: &[f32], offset: &[f32]) -> Result<Array2<f32>> {
        self.check_factors(scale.len(), offset.len())?;
        match self {
            Self::U8(array) => scaled(array, scale, offset),
            Self::F32(array) => scaled(array, scale, offset),
            Self::F64(_) => {
                let double = |values: &[f32]| values.iter().copied().map(f64::from).collect();
                self.scaled(&Affine {
                    shift: vec![0.0; scale.len()],
                    scale: double(scale),
                    offset: double(offset),
                })
            }
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
