//! A borrowed feature matrix, whichever type owns it.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, s};

use super::Features;
use crate::{Error, Result};

/// Borrowed features, `[rows, columns]`: the parameter type of functions that work on [`Features`]
/// and on plain arrays.
///
/// Such functions take `impl Into<FeaturesView>`, so you can pass `&Features`, `&Array2<u8>`,
/// `&Array2<f32>`, `&Array2<f64>` and views of them.
#[derive(Clone, Copy, Debug)]
pub enum FeaturesView<'a> {
    /// Integers from 0 to 255, such as grey values.
    U8(ArrayView2<'a, u8>),
    /// Numbers of up to 24 bits.
    F32(ArrayView2<'a, f32>),
    /// Anything else.
    F64(ArrayView2<'a, f64>),
}

impl FeaturesView<'_> {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Self::U8(array) => array.nrows(),
            Self::F32(array) => array.nrows(),
            Self::F64(array) => array.nrows(),
        }
    }

    /// The number of columns.
    pub fn width(&self) -> usize {
        match self {
            Self::U8(array) => array.ncols(),
            Self::F32(array) => array.ncols(),
            Self::F64(array) => array.ncols(),
        }
    }

    /// Selects rows by index, in this order. A row may be selected more than once.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] unless every index is below the number of rows.
    pub fn select(&self, indices: &[usize]) -> Result<Features> {
        if let Some(&index) = indices.iter().find(|&&index| index >= self.rows()) {
            return Err(Error::ShapeMismatch {
                what: "the matrix of features".to_owned(),
                found: vec![self.rows() as i64, self.width() as i64],
                expected: format!("a row of index {index}"),
            });
        }
        Ok(match self {
            Self::U8(array) => Features::U8(gather(array, indices)),
            Self::F32(array) => Features::F32(gather(array, indices)),
            Self::F64(array) => Features::F64(gather(array, indices)),
        })
    }

    /// Converts the values to `f32`, without scaling them.
    pub(crate) fn to_f32(self) -> Array2<f32> {
        match self {
            Self::U8(array) => array.mapv(f32::from),
            Self::F32(array) => array.to_owned(),
            Self::F64(array) => array.mapv(|value| value as f32),
        }
    }

    /// Converts the values to `f64`, without scaling them.
    pub(crate) fn to_f64(self) -> Array2<f64> {
        match self {
            Self::U8(array) => array.mapv(f64::from),
            Self::F32(array) => array.mapv(f64::from),
            Self::F64(array) => array.to_owned(),
        }
    }

    /// The rows of a range, which must be in the matrix.
    pub(crate) fn slice(&self, rows: Range<usize>) -> FeaturesView<'_> {
        match self {
            Self::U8(array) => FeaturesView::U8(array.slice(s![rows, ..])),
            Self::F32(array) => FeaturesView::F32(array.slice(s![rows, ..])),
            Self::F64(array) => FeaturesView::F64(array.slice(s![rows, ..])),
        }
    }

    /// The columns of a range, which must be in the matrix.
    pub(crate) fn columns(&self, columns: Range<usize>) -> FeaturesView<'_> {
        match self {
            Self::U8(array) => FeaturesView::U8(array.slice(s![.., columns])),
            Self::F32(array) => FeaturesView::F32(array.slice(s![.., columns])),
            Self::F64(array) => FeaturesView::F64(array.slice(s![.., columns])),
        }
    }
}

/// Copies rows. A mini-batch is drawn this way: ndarray's `select` costs more than the copies.
fn gather<T: Copy>(array: &ArrayView2<'_, T>, indices: &[usize]) -> Array2<T> {
    let Some(values) = array.as_slice() else {
        return array.select(Axis(0), indices);
    };
    let width = array.ncols();
    let mut gathered = Vec::with_capacity(indices.len() * width);
    for &index in indices {
        gathered.extend_from_slice(&values[index * width..][..width]);
    }
    Array2::from_shape_vec((indices.len(), width), gathered)
        .expect("there is a row of values for each index")
}

impl<'a> From<&'a Features> for FeaturesView<'a> {
    fn from(features: &'a Features) -> Self {
        match features {
            Features::U8(array) => Self::U8(array.view()),
            Features::F32(array) => Self::F32(array.view()),
            Features::F64(array) => Self::F64(array.view()),
        }
    }
}

impl<'a> From<&'a Array2<u8>> for FeaturesView<'a> {
    fn from(array: &'a Array2<u8>) -> Self {
        Self::U8(array.view())
    }
}

impl<'a> From<&'a Array2<f32>> for FeaturesView<'a> {
    fn from(array: &'a Array2<f32>) -> Self {
        Self::F32(array.view())
    }
}

impl<'a> From<&'a Array2<f64>> for FeaturesView<'a> {
    fn from(array: &'a Array2<f64>) -> Self {
        Self::F64(array.view())
    }
}

impl<'a> From<ArrayView2<'a, f64>> for FeaturesView<'a> {
    fn from(view: ArrayView2<'a, f64>) -> Self {
        Self::F64(view)
    }
}

impl<'a> From<ArrayView2<'a, u8>> for FeaturesView<'a> {
    fn from(view: ArrayView2<'a, u8>) -> Self {
        Self::U8(view)
    }
}

impl<'a> From<ArrayView2<'a, f32>> for FeaturesView<'a> {
    fn from(view: ArrayView2<'a, f32>) -> Self {
        Self::F32(view)
    }
}
