//! The minimum and maximum of every column.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::{Affine, FeaturesView};
use crate::{Error, Result, error::TableError};

/// The minimum and maximum of every column.
///
/// The statistics of parts of a table [`merge`](MinMaxStatistics::merge) into those of the whole
/// table, so a scaler can be fitted where the data is. A part without rows has infinite statistics,
/// with `minimum` above `maximum`, which change nothing when merged.
///
/// ```
/// use mnist_support::data::MinMaxStatistics;
///
/// # fn main() -> mnist_support::Result<()> {
/// let mut statistics = MinMaxStatistics::of(&ndarray::arr2(&[[0u8, 9], [4, 9]]))?;
/// statistics.merge(&MinMaxStatistics::of(&ndarray::arr2(&[[5u8, 9]]))?)?;
/// assert_eq!(statistics.minimum, [0.0, 9.0]);
/// assert_eq!(statistics.maximum, [5.0, 9.0]);
///
/// let (scale, offset) = statistics.scale_and_offset(0.0, 1.0)?;
/// assert_eq!(scale, [0.2, 0.0]);
/// assert_eq!(offset, [0.0, 0.5]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MinMaxStatistics {
    /// The minimum of each column.
    pub minimum: Vec<f64>,
    /// The maximum of each column.
    pub maximum: Vec<f64>,
}

impl MinMaxStatistics {
    /// The statistics of no rows, which change nothing when merged.
    pub fn empty(width: usize) -> MinMaxStatistics {
        MinMaxStatistics {
            minimum: vec![f64::INFINITY; width],
            maximum: vec![f64::NEG_INFINITY; width],
        }
    }

    /// Computes the statistics of these rows.
    ///
    /// # Errors
    /// [`TableError::InvalidValue`] for the first value that is NaN or infinite.
    /// [`Features::from_frame`](super::Features::from_frame) lets none through, but an array of
    /// your own may contain one.
    pub fn of<'a>(features: impl Into<FeaturesView<'a>>) -> Result<MinMaxStatistics> {
        match features.into() {
            FeaturesView::U8(array) if array.nrows() == 0 => Ok(Self::empty(array.ncols())),
            FeaturesView::U8(array) => Ok(extremes(&array, u8::MAX, u8::MIN)),
            FeaturesView::F32(array) => {
                check_finite(array)?;
                Ok(extremes(&array, f32::INFINITY, f32::NEG_INFINITY))
            }
            FeaturesView::F64(array) => {
                check_finite(array)?;
                Ok(extremes(&array, f64::INFINITY, f64::NEG_INFINITY))
            }
        }
    }

    /// The number of columns.
    pub fn width(&self) -> usize {
        self.minimum.len()
    }

    /// Merges other statistics into these.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] if the other statistics have a different number of columns.
    pub fn merge(&mut self, other: &MinMaxStatistics) -> Result<()> {
        if self.width() != other.width() {
            return Err(Error::ShapeMismatch {
                what: "the other minimum".to_owned(),
                found: vec![other.width() as i64],
                expected: format!("[{}]", self.width()),
            });
        }
        for (minimum, &other) in self.minimum.iter_mut().zip(&other.minimum) {
            *minimum = minimum.min(other);
        }
        for (maximum, &other) in self.maximum.iter_mut().zip(&other.maximum) {
            *maximum = maximum.max(other);
        }
        Ok(())
    }

    /// Returns the scale and offset with which `value * scale + offset` maps each column's minimum
    /// to `range_minimum` and its maximum to `range_maximum`. As in SparkML, a constant column maps
    /// to the middle of the range, with scale 0.
    ///
    /// The result is as exact as `f32` allows. For a column whose values are large compared with
    /// their spread, the error is about the rounding error of the values themselves.
    /// # Errors
    /// - [`Error::InvalidSetting`] unless `range_minimum` is below `range_maximum` and both are
    ///   finite.
    /// - [`Error::ShapeMismatch`] if these are the statistics of no rows.
    pub fn scale_and_offset(
        &self,
        range_minimum: f32,
        range_maximum: f32,
    ) -> Result<(Vec<f32>, Vec<f32>)> {
        Ok(self
            .to_range(range_minimum.into(), range_maximum.into())?
            .to_f32())
    }

    /// As [`scale_and_offset`](Self::scale_and_offset), in `f64`.
    pub(crate) fn to_range(&self, range_minimum: f64, range_maximum: f64) -> Result<Affine> {
        let middle = f64::midpoint(range_minimum, range_maximum);
        self.factors(range_minimum, range_maximum, (0.0, middle))
    }

    /// The function that maps each column to the range. `constant` is the scale and offset of a
    /// constant column.
    pub(crate) fn factors(
        &self,
        range_minimum: f64,
        range_maximum: f64,
        constant: (f64, f64),
    ) -> Result<Affine> {
        let finite = range_minimum.is_finite() && range_maximum.is_finite();
        if !finite || range_minimum >= range_maximum {
            return Err(Error::InvalidSetting {
                setting: "feature_range",
                value: format!("({range_minimum}, {range_maximum})"),
                reason: "must be two finite numbers, the smaller one first".to_owned(),
            });
        }
        let columns = self.minimum.iter().zip(&self.maximum);
        if columns.clone().any(|(minimum, maximum)| minimum > maximum) {
            return Err(Error::ShapeMismatch {
                what: "the matrix of features to scale".to_owned(),
                found: vec![0, self.width() as i64],
                expected: "at least one row".to_owned(),
            });
        }
        let range = range_maximum - range_minimum;
        let factors = columns.map(|(&minimum, &maximum)| {
            let scale = range / (maximum - minimum);
            // A spread too small to divide by in f32 counts as none.
            match (scale as f32).is_finite() {
                true => (scale, range_minimum),
                false => constant,
            }
        });
        let (scale, offset) = factors.unzip();
        Ok(Affine {
            shift: self.minimum.clone(),
            scale,
            offset,
        })
    }
}

/// The minimum and maximum of every column, computed row by row so that the compiler vectorises
/// across columns.
fn extremes<T: Copy + PartialOrd + Into<f64>>(
    array: &ArrayView2<T>,
    highest: T,
    lowest: T,
) -> MinMaxStatistics {
    let mut minimum = vec![highest; array.ncols()];
    let mut maximum = vec![lowest; array.ncols()];
    for row in array.rows() {
        match row.as_slice() {
            Some(row) => widen(&mut minimum, &mut maximum, row),
            None => widen(&mut minimum, &mut maximum, &row.to_vec()),
        }
    }
    MinMaxStatistics {
        minimum: minimum.into_iter().map(Into::into).collect(),
        maximum: maximum.into_iter().map(Into::into).collect(),
    }
}

fn widen<T: Copy + PartialOrd>(minimum: &mut [T], maximum: &mut [T], row: &[T]) {
    for ((minimum, maximum), &value) in minimum.iter_mut().zip(maximum).zip(row) {
        *minimum = if value < *minimum { value } else { *minimum };
        *maximum = if value > *maximum { value } else { *maximum };
    }
}

/// Returns the first value that `is` holds for, and its place.
fn first<T: Copy + Into<f64>>(
    array: &ArrayView2<T>,
    is: impl Fn(T) -> bool,
) -> Option<((usize, usize), f64)> {
    // Looking for a place is slower than looking at the values, and there is hardly ever one.
    if !array.iter().any(|value| is(*value)) {
        return None;
    }
    let found = array.indexed_iter().find(|(_, value)| is(**value));
    found.map(|(place, value)| (place, (*value).into()))
}

/// Checks that every value is finite.
///
/// # Errors
/// [`TableError::InvalidValue`] for the first value that is NaN or infinite.
pub(crate) fn check_finite<'a>(features: impl Into<FeaturesView<'a>>) -> Result<()> {
    let found = match features.into() {
        FeaturesView::U8(_) => None,
        FeaturesView::F32(array) => first(&array, |value| !value.is_finite()),
        FeaturesView::F64(array) => first(&array, |value| !value.is_finite()),
    };
    match found {
        None => Ok(()),
        Some(((row, column), value)) => Err(Error::Table(TableError::InvalidValue {
            file: "the matrix of features".to_owned(),
            row: row as u64 + 1,
            column: (column + 1).to_string(),
            value: value.to_string(),
            expected: "a finite number".to_owned(),
        })),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, arr2};

    use super::*;

    #[test]
    fn bytes_and_floats_of_the_same_values_have_the_same_statistics() {
        let bytes = Array2::from_shape_fn((40, 33), |(row, column)| {
            ((row * 37 + column * 101) % 251) as u8
        });
        let statistics = MinMaxStatistics::of(&bytes).unwrap();
        for (column, values) in bytes.columns().into_iter().enumerate() {
            assert_eq!(
                statistics.minimum[column],
                f64::from(*values.iter().min().unwrap())
            );
            assert_eq!(
                statistics.maximum[column],
                f64::from(*values.iter().max().unwrap())
            );
        }
        let floats = MinMaxStatistics::of(&bytes.mapv(f32::from)).unwrap();
        assert_eq!(statistics, floats);
    }

    #[test]
    fn parts_merge_into_the_whole_even_where_one_is_empty() {
        let whole = arr2(&[[1.0f32, -5.0], [3.0, 2.0], [2.0, 8.0]]);
        let mut merged = MinMaxStatistics::of(whole.slice(ndarray::s![..0, ..])).unwrap();
        merged
            .merge(&MinMaxStatistics::of(whole.slice(ndarray::s![..1, ..])).unwrap())
            .unwrap();
        merged
            .merge(&MinMaxStatistics::of(whole.slice(ndarray::s![1.., ..])).unwrap())
            .unwrap();
        assert_eq!(merged, MinMaxStatistics::of(&whole).unwrap());
    }

    #[test]
    fn no_rows_of_bytes_change_nothing_when_merged() {
        let none = MinMaxStatistics::of(&Array2::<u8>::zeros((0, 2))).unwrap();
        let mut merged = MinMaxStatistics::of(&arr2(&[[3u8, 4]])).unwrap();
        merged.merge(&none).unwrap();
        assert_eq!(merged.minimum, [3.0, 4.0]);
        assert_eq!(merged.maximum, [3.0, 4.0]);
    }

    #[test]
    fn statistics_of_different_widths_do_not_merge() {
        let mut statistics = MinMaxStatistics::empty(3);
        let error = statistics.merge(&MinMaxStatistics::empty(2)).unwrap_err();
        assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
    }

    #[test]
    fn the_extremes_map_to_the_ends_of_the_range_and_a_constant_to_its_middle() {
        let features = arr2(&[[0u8, 7, 10], [255, 7, 30]]);
        let statistics = MinMaxStatistics::of(&features).unwrap();
        let (scale, offset) = statistics.scale_and_offset(-1.0, 3.0).unwrap();
        let scaled = FeaturesView::from(&features)
            .affine(&scale, &offset)
            .unwrap();
        for (value, expected) in scaled.iter().zip([-1.0, 1.0, -1.0, 3.0, 1.0, 3.0]) {
            assert!((value - expected).abs() < 1e-6, "{scaled}");
        }
    }

    #[test]
    fn the_widest_and_the_narrowest_columns_keep_finite_factors() {
        let statistics = MinMaxStatistics {
            minimum: vec![f32::MIN.into(), 0.0],
            maximum: vec![f32::MAX.into(), f32::from_bits(1).into()],
        };
        let (scale, offset) = statistics.scale_and_offset(0.0, 1.0).unwrap();
        assert_eq!((scale[1], offset[1]), (0.0, 0.5));
        assert!(scale[0] > 0.0 && (offset[0] - 0.5).abs() < 1e-6);
    }

    #[test]
    fn a_range_that_is_empty_or_not_finite_is_refused() {
        let statistics = MinMaxStatistics::of(&arr2(&[[1u8]])).unwrap();
        for (low, high) in [
            (1.0, 1.0),
            (1.0, 0.0),
            (0.0, f32::NAN),
            (f32::NEG_INFINITY, 0.0),
        ] {
            let error = statistics.scale_and_offset(low, high).unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::InvalidSetting {
                        setting: "feature_range",
                        ..
                    }
                ),
                "{error}"
            );
        }
    }

    #[test]
    fn statistics_of_no_rows_give_no_scale() {
        let error = MinMaxStatistics::empty(2)
            .scale_and_offset(0.0, 1.0)
            .unwrap_err();
        assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
    }

    #[test]
    fn nan_is_named_with_its_row_and_column() {
        let error = MinMaxStatistics::of(&arr2(&[[0.0, 1.0], [2.0, f32::NAN]])).unwrap_err();
        assert!(
            matches!(&error, Error::Table(TableError::InvalidValue { row: 2, column, .. }) if column == "2"),
            "{error}"
        );
    }

    #[test]
    fn statistics_survive_json() {
        let statistics = MinMaxStatistics::of(&arr2(&[[0.1f32, 2.0], [3.0, -7.25]])).unwrap();
        let json = serde_json::to_string(&statistics).unwrap();
        assert_eq!(
            serde_json::from_str::<MinMaxStatistics>(&json).unwrap(),
            statistics
        );
    }
}
