//! The feature matrix, row-major, in the smallest type that holds it.

use std::borrow::Cow;

use ndarray::{Array2, Axis};
use polars::prelude::*;
use rayon::prelude::*;

use super::FeaturesView;
use super::columns::{TableRows, feature_column};
use super::transpose::{IntoRows, byte_columns_into_rows, columns_into_rows};
use crate::{Error, Result, error::TableError};

/// The number of columns that are made contiguous and transposed together.
const BLOCK_COLUMNS: usize = 64;
/// The number of rows that one core writes at a time.
const PART_ROWS: usize = 4096;

/// The features of a table: a row-major matrix `[rows, columns]`.
///
/// It is `U8` if every column is `UInt8`, as MNIST's pixels are. That takes a quarter of the memory
/// of `F32`. It is `F64` if there is a column that `F32` may not hold exactly, such as a time in
/// seconds: `Int32`, `Int64`, `Float64` and the like. Such values are scaled as they are, and
/// become `f32` only on their way into a network.
///
/// ```
/// use mnist_support::data::Features;
/// use polars::prelude::*;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let frame = df!("pixel1" => [0u8, 7], "pixel2" => [255u8, 8], "label" => [5i64, 0])?;
/// let columns = ["pixel1".to_owned(), "pixel2".to_owned()];
/// let features = Features::from_frame(&frame, &columns, "train.csv")?;
/// assert_eq!(features, Features::U8(ndarray::arr2(&[[0, 255], [7, 8]])));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Features {
    /// Integers from 0 to 255, such as grey values.
    U8(Array2<u8>),
    /// Numbers of up to 24 bits.
    F32(Array2<f32>),
    /// Anything else.
    F64(Array2<f64>),
}

impl Features {
    /// Makes a matrix of the named columns of `frame`, in the order of `columns`. `table` names the
    /// frame in errors. Pass a name, or a [`TableRows`] if the frame is a part of a table.
    ///
    /// Columns can be integers or floats of any width, or booleans, which become 0 and 1. Dates
    /// become the days, and times the seconds, since 1970. The result depends on the types of the
    /// columns alone, so that the parts of a table become alike. `f64` rounds integers beyond 2^53.
    /// Every value of the result is finite.
    ///
    /// # Errors
    /// - [`TableError::ColumnNotFound`] for a name that the frame does not have.
    /// - [`TableError::ColumnType`] for a column that is neither numeric nor boolean.
    /// - [`TableError::MissingValue`] for the first null of a column.
    /// - [`TableError::InvalidValue`] for a value that is NaN or infinite.
    /// - [`Error::InvalidSetting`] if `columns` is empty.
    pub fn from_frame<'a>(
        frame: &DataFrame,
        columns: &[String],
        table: impl Into<TableRows<'a>>,
    ) -> Result<Features> {
        let place = table.into();
        let table = place.table;
        if columns.is_empty() {
            return Err(Error::InvalidSetting {
                setting: "columns",
                value: "[]".to_owned(),
                reason: "names no column: at least one is needed".to_owned(),
            });
        }
        let series = first_error(columns, |name| feature_column(frame, name, place))?;
        let series: Vec<&Series> = series.iter().map(|series| &**series).collect();
        let rows = frame.height();
        if series
            .iter()
            .all(|series| matches!(series.dtype(), DataType::UInt8))
        {
            let contiguous = |series| byte_column(series, table);
            let values = rows_of(&series, rows, table, contiguous, byte_columns_into_rows)?;
            Ok(Features::U8(matrix(values, rows, columns.len(), table)?))
        } else if series.iter().any(|series| !fits_f32(series.dtype())) {
            let contiguous = |series| {
                let column = double_column(series, table)?;
                check_finite(series, place)?;
                Ok(column)
            };
            let values = rows_of(&series, rows, table, contiguous, columns_into_rows)?;
            Ok(Features::F64(matrix(values, rows, columns.len(), table)?))
        } else {
            let contiguous = |series| {
                let column = float_column(series, table)?;
                check_finite(series, place)?;
                Ok(column)
            };
            let values = rows_of(&series, rows, table, contiguous, columns_into_rows)?;
            Ok(Features::F32(matrix(values, rows, columns.len(), table)?))
        }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        FeaturesView::from(self).rows()
    }

    /// The number of columns.
    pub fn width(&self) -> usize {
        FeaturesView::from(self).width()
    }

    /// Converts the values to `f32`, without scaling them.
    pub fn to_f32(&self) -> Array2<f32> {
        FeaturesView::from(self).to_f32()
    }

    /// Converts the values to `f64`, without scaling them.
    pub fn to_f64(&self) -> Array2<f64> {
        FeaturesView::from(self).to_f64()
    }

    /// Makes a matrix of columns of `rows` numbers each.
    pub(crate) fn from_columns(columns: &[Vec<f64>], rows: usize) -> Features {
        let value = |(row, column): (usize, usize)| columns[column][row];
        Features::F64(Array2::from_shape_fn((rows, columns.len()), value))
    }

    /// Appends the rows of another matrix, in the wider of the two types.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] for rows of another width.
    pub(crate) fn append(&mut self, more: &Features) -> Result<()> {
        let widths = (self.width(), more.width());
        let appended = match (&mut *self, more) {
            (Features::U8(own), Features::U8(more)) => own.append(Axis(0), more.view()),
            (Features::F32(own), Features::F32(more)) => own.append(Axis(0), more.view()),
            (Features::F64(own), more) => own.append(Axis(0), more.to_f64().view()),
            (own, Features::F64(more)) => {
                let mut wide = own.to_f64();
                let appended = wide.append(Axis(0), more.view());
                *own = Features::F64(wide);
                appended
            }
            (own, more) => {
                let mut wide = own.to_f32();
                let appended = wide.append(Axis(0), more.to_f32().view());
                *own = Features::F32(wide);
                appended
            }
        };
        appended.map_err(|_| Error::ShapeMismatch {
            what: "a row of features".to_owned(),
            found: vec![widths.1 as i64],
            expected: format!("{} features, as in the rows before,", widths.0),
        })
    }

    /// Puts matrices of as many rows side by side, in the widest of their types.
    pub(crate) fn concatenate(parts: &[Features], table: &str) -> Result<Features> {
        let about = || TableError::about(table);
        let all = |is: fn(&Features) -> bool| parts.iter().all(is);
        if all(|part| matches!(part, Features::U8(_))) {
            let arrays = parts.iter().filter_map(|part| match part {
                Features::U8(array) => Some(array.view()),
                _ => None,
            });
            let arrays: Vec<_> = arrays.collect();
            let whole = ndarray::concatenate(Axis(1), &arrays).map_err(about())?;
            return Ok(Features::U8(whole));
        }
        if all(|part| !matches!(part, Features::F64(_))) {
            let arrays: Vec<_> = parts.iter().map(Features::to_f32).collect();
            let views: Vec<_> = arrays.iter().map(Array2::view).collect();
            let whole = ndarray::concatenate(Axis(1), &views).map_err(about())?;
            return Ok(Features::F32(whole));
        }
        let arrays: Vec<_> = parts.iter().map(Features::to_f64).collect();
        let views: Vec<_> = arrays.iter().map(Array2::view).collect();
        let whole = ndarray::concatenate(Axis(1), &views).map_err(about())?;
        Ok(Features::F64(whole))
    }

    /// Selects rows by index, in this order. A row may be selected more than once.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] unless every index is below [`rows`](Features::rows).
    pub fn select(&self, indices: &[usize]) -> Result<Features> {
        FeaturesView::from(self).select(indices)
    }
}

/// Copies the columns into one row-major buffer. Columns are converted one block at a time, so that
/// there is never a second copy of all of them.
fn rows_of<'a, T>(
    series: &[&'a Series],
    rows: usize,
    table: &str,
    contiguous: impl Fn(&'a Series) -> Result<Cow<'a, ChunkedArray<T>>> + Send + Sync,
    into_rows: IntoRows<T::Native>,
) -> Result<Vec<T::Native>>
where
    T: PolarsNumericType,
{
    let width = series.len();
    let mut output = vec![T::Native::default(); rows * width];
    if rows == 0 {
        return Ok(output);
    }
    for (block, columns) in series.chunks(BLOCK_COLUMNS).enumerate() {
        let columns = first_error(columns, |series| contiguous(series))?;
        let slices = columns
            .iter()
            .map(|column| column.cont_slice())
            .collect::<PolarsResult<Vec<_>>>()
            .map_err(TableError::about(table))?;
        output
            .par_chunks_mut(PART_ROWS * width)
            .enumerate()
            .for_each(|(part, output)| {
                let first = part * PART_ROWS;
                let rows = first..first + output.len() / width;
                let slices: Vec<_> = slices.iter().map(|slice| &slice[rows.clone()]).collect();
                into_rows(&slices, output, width, block * BLOCK_COLUMNS);
            });
    }
    Ok(output)
}

/// Returns what `of` makes of each item, on all cores, or the error of the first that has one.
fn first_error<'a, I: Sync, T: Send>(
    items: &'a [I],
    of: impl Fn(&'a I) -> Result<T> + Send + Sync,
) -> Result<Vec<T>> {
    let results: Vec<Result<T>> = items.par_iter().map(of).collect();
    results.into_iter().collect()
}

fn byte_column<'a>(series: &'a Series, table: &str) -> Result<Cow<'a, UInt8Chunked>> {
    let column = series.u8().map_err(TableError::about(table))?;
    Ok(column.rechunk())
}

fn float_column<'a>(series: &'a Series, table: &str) -> Result<Cow<'a, Float32Chunked>> {
    let polars = |source| TableError::failed(table, source);
    if let DataType::Float32 = series.dtype() {
        return Ok(series.f32().map_err(polars)?.rechunk());
    }
    let cast = series.cast(&DataType::Float32).map_err(polars)?;
    let column = cast.f32().map_err(polars)?.rechunk().into_owned();
    Ok(Cow::Owned(column))
}

fn double_column<'a>(series: &'a Series, table: &str) -> Result<Cow<'a, Float64Chunked>> {
    let polars = |source| TableError::failed(table, source);
    if let DataType::Float64 = series.dtype() {
        return Ok(series.f64().map_err(polars)?.rechunk());
    }
    let cast = series.cast(&DataType::Float64).map_err(polars)?;
    let column = cast.f64().map_err(polars)?.rechunk().into_owned();
    Ok(Cow::Owned(column))
}

/// Whether `f32` holds every value of a type.
pub(crate) fn fits_f32(dtype: &DataType) -> bool {
    matches!(
        dtype,
        DataType::UInt8
            | DataType::Int8
            | DataType::UInt16
            | DataType::Int16
            | DataType::Float32
            | DataType::Boolean
    )
}

/// Whether `is` holds for all values, those that stand under nulls too.
fn all<T: PolarsNumericType>(values: &ChunkedArray<T>, is: impl Fn(T::Native) -> bool) -> bool {
    let mut chunks = values.downcast_iter();
    // Without a branch for each value, the compiler looks at several at once.
    chunks.all(|chunk| {
        chunk
            .values_iter()
            .fold(true, |all, value| all & is(*value))
    })
}

/// NaN and infinities would turn a whole scaled column, and then the loss, into NaN.
fn check_finite(series: &Series, place: TableRows<'_>) -> Result<()> {
    let about = || TableError::about(place.table);
    let all_finite = match series.dtype() {
        DataType::Float32 => all(series.f32().map_err(about())?, f32::is_finite),
        DataType::Float64 => all(series.f64().map_err(about())?, f64::is_finite),
        _ => true,
    };
    if all_finite {
        return Ok(());
    }
    let finite = series.is_finite().map_err(about())?;
    let Some(row) = finite.iter().position(|finite| finite == Some(false)) else {
        return Ok(());
    };
    let value = series.get(row).map_err(about())?;
    Err(place.invalid(row, series.name(), value, "a finite number"))
}

fn matrix<T>(values: Vec<T>, rows: usize, width: usize, table: &str) -> Result<Array2<T>> {
    Array2::from_shape_vec((rows, width), values).map_err(TableError::about(table))
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn columns_come_in_the_order_asked_for() {
        let frame = df!("a" => [1u8, 2, 3], "b" => [4u8, 5, 6], "c" => [7u8, 8, 9]).unwrap();
        let features = Features::from_frame(&frame, &names(&["c", "a"]), "t").unwrap();
        assert_eq!(features, Features::U8(arr2(&[[7, 1], [8, 2], [9, 3]])));
    }

    #[test]
    fn the_type_is_the_smallest_that_holds_every_column() {
        let frame =
            df!("a" => [1u8, 2], "b" => [-3i64, 4], "c" => [0.5f64, 1.5], "d" => [true, false])
                .unwrap();
        let features = Features::from_frame(&frame, &names(&["a", "b", "c", "d"]), "t").unwrap();
        assert_eq!(
            features,
            Features::F64(arr2(&[[1.0, -3.0, 0.5, 1.0], [2.0, 4.0, 1.5, 0.0]]))
        );
        let frame = df!("a" => [1u8, 2], "c" => [0.5f32, 1.5], "d" => [true, false]).unwrap();
        let features = Features::from_frame(&frame, &names(&["a", "c", "d"]), "t").unwrap();
        assert_eq!(
            features,
            Features::F32(arr2(&[[1.0, 0.5, 1.0], [2.0, 1.5, 0.0]]))
        );
    }

    #[test]
    fn frames_of_several_chunks_and_many_columns_keep_every_value_in_its_place() {
        let part = |first: usize, rows: usize| {
            let columns = (0..150)
                .map(|column| {
                    let values: Vec<u8> = (first..first + rows)
                        .map(|row| ((row * 31 + column * 7) % 256) as u8)
                        .collect();
                    Column::new(format!("p{column}").into(), values)
                })
                .collect();
            DataFrame::new(rows, columns).unwrap()
        };
        let frame = part(0, 100)
            .vstack(&part(100, 3))
            .unwrap()
            .vstack(&part(103, 97))
            .unwrap();
        let columns: Vec<String> = (0..150).map(|column| format!("p{column}")).collect();
        let Features::U8(array) = Features::from_frame(&frame, &columns, "t").unwrap() else {
            panic!("bytes stay bytes");
        };
        let expected = Array2::from_shape_fn((200, 150), |(row, column)| {
            ((row * 31 + column * 7) % 256) as u8
        });
        assert_eq!(array, expected);
    }

    #[test]
    fn more_rows_than_one_core_takes_keep_every_value_in_its_place() {
        let rows = 2 * PART_ROWS + 5;
        let value = |row: usize, column: usize| ((row * 31 + column * 7) % 251) as u8;
        let columns = (0..3)
            .map(|column| {
                let values: Vec<u8> = (0..rows).map(|row| value(row, column)).collect();
                Column::new(format!("p{column}").into(), values)
            })
            .collect();
        let frame = DataFrame::new(rows, columns).unwrap();
        let features = Features::from_frame(&frame, &names(&["p0", "p1", "p2"]), "t").unwrap();
        let expected = Array2::from_shape_fn((rows, 3), |(row, column)| value(row, column));
        assert_eq!(features, Features::U8(expected));
    }

    #[test]
    fn a_frame_without_rows_gives_a_matrix_without_rows() {
        let frame = df!("a" => Vec::<u8>::new(), "b" => Vec::<u8>::new()).unwrap();
        let features = Features::from_frame(&frame, &names(&["a", "b"]), "t").unwrap();
        assert_eq!((features.rows(), features.width()), (0, 2));
    }

    #[test]
    fn a_missing_value_is_named_with_its_row_and_column() {
        let frame = df!("a" => [Some(1u8), Some(2), None], "b" => [1u8, 2, 3]).unwrap();
        let error = Features::from_frame(&frame, &names(&["b", "a"]), "train.csv").unwrap_err();
        assert!(
            matches!(&error, Error::Table(TableError::MissingValue { file, row: 3, column }) if file == "train.csv" && column == "a"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_column_is_named_with_those_that_are_there() {
        let frame = df!("a" => [1u8], "b" => [2u8]).unwrap();
        let error = Features::from_frame(&frame, &names(&["a", "pixel9"]), "t.csv").unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"t.csv has no column "pixel9"; it has "a", "b""#
        );
    }

    #[test]
    fn a_text_among_numbers_is_named() {
        let frame = df!("a" => ["1", "x"]).unwrap();
        let error = Features::from_frame(&frame, &names(&["a"]), "t").unwrap_err();
        assert!(
            matches!(&error, Error::Table(TableError::InvalidValue { row: 2, column, value, .. })
                if column == "a" && value == "x"),
            "{error}"
        );
    }

    #[test]
    fn a_column_of_text_is_refused_by_its_type() {
        let frame = df!("a" => ["x", "y"]).unwrap();
        let error = Features::from_frame(&frame, &names(&["a"]), "t").unwrap_err();
        assert!(
            matches!(&error, Error::Table(TableError::ColumnType { column, found, .. }) if column == "a" && found == "str"),
            "{error}"
        );
    }

    #[test]
    fn nan_and_infinity_are_named_with_their_row() {
        for (value, shown) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
            let frame = df!("a" => [0.0, value]).unwrap();
            let error = Features::from_frame(&frame, &names(&["a"]), "t").unwrap_err();
            assert!(
                matches!(&error, Error::Table(TableError::InvalidValue { row: 2, column, value, .. })
                    if column == "a" && value.eq_ignore_ascii_case(shown)),
                "{error}"
            );
        }
    }

    #[test]
    fn no_columns_are_refused() {
        let frame = df!("a" => [1u8]).unwrap();
        let error = Features::from_frame(&frame, &[], "t").unwrap_err();
        assert!(
            matches!(
                error,
                Error::InvalidSetting {
                    setting: "columns",
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn rows_are_selected_in_the_order_asked_for() {
        let features = Features::U8(arr2(&[[1, 2], [3, 4], [5, 6]]));
        let selected = features.select(&[2, 0, 2]).unwrap();
        assert_eq!(selected, Features::U8(arr2(&[[5, 6], [1, 2], [5, 6]])));
        let error = features.select(&[0, 3]).unwrap_err();
        assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
    }
}
