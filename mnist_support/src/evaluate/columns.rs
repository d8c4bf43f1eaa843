//! The columns that an evaluator reads: numbers, vectors and weights.

use polars::prelude::*;

use crate::{
    Error, Result,
    data::{Lists, TableRows, lists_from_frame, numeric_column},
    error::TableError,
};

/// What error messages call the frame, which has no name of its own.
pub(super) const TABLE: &str = "the data frame";
/// Returns a column as numbers, none of which may be missing, for a frame that has rows.
///
/// # Errors
/// [`TableError::ColumnNotFound`]; [`TableError::ColumnType`] for a column that is not numeric;
/// [`TableError::MissingValue`] with the row of a null or NaN; [`Error::ShapeMismatch`] if there
/// are no rows.
pub(super) fn numbers(frame: &DataFrame, column: &str) -> Result<Vec<f64>> {
    let values = numeric_column(frame, column, TABLE.into())?
        .cast(&DataType::Float64)
        .map_err(TableError::about(TABLE))?;
    let values = values.f64().map_err(TableError::about(TABLE))?;
    if values.is_empty() {
        return Err(no_rows(frame));
    }
    let number = |(index, value): (usize, f64)| {
        if value.is_nan() {
            return Err(TableRows::from(TABLE).missing(index, column));
        }
        // Adding 0 makes -0 the same class as 0.
        Ok(value + 0.0)
    };
    values.into_no_null_iter().enumerate().map(number).collect()
}

/// Like [`numbers`], for numbers that must be finite.
pub(super) fn finite_numbers(frame: &DataFrame, column: &str) -> Result<Vec<f64>> {
    let values = numbers(frame, column)?;
    check(&values, column, f64::is_finite, "a finite number")?;
    Ok(values)
}

/// Returns what the rows weigh: the column's values, or 1 for each row without a column.
///
/// # Errors
/// As [`numbers`]; [`TableError::InvalidValue`] for a weight that is negative or infinite;
/// [`Error::InvalidSetting`] if all are 0.
pub(super) fn weights(frame: &DataFrame, column: Option<&str>) -> Result<Vec<f64>> {
    let Some(column) = column else {
        return Ok(vec![1.0; frame.height()]);
    };
    let weights = numbers(frame, column)?;
    check(
        &weights,
        column,
        |weight| weight >= 0.0 && weight.is_finite(),
        "a weight, which is a finite number of 0 or more",
    )?;
    if weights.iter().all(|weight| *weight == 0.0) {
        return Err(Error::InvalidSetting {
            setting: "weight_col",
            value: column.to_owned(),
            reason: "is 0 in every row: some rows must count".to_owned(),
        });
    }
    Ok(weights)
}

/// The vectors of a list column, one after another, all of one length.
pub(super) struct Vectors {
    values: Vec<f64>,
    /// The length of each vector, at least 1.
    pub length: usize,
}

impl Vectors {
    pub(super) fn iter(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.length)
    }

    /// Checks every value of the column that the vectors are from.
    ///
    /// # Errors
    /// [`TableError::InvalidValue`] for the first value that is not `valid`.
    pub(super) fn check(
        &self,
        column: &str,
        valid: impl Fn(f64) -> bool,
        expected: &str,
    ) -> Result<()> {
        match self.values.iter().position(|value| !valid(*value)) {
            None => Ok(()),
            Some(index) => {
                let value = self.values[index];
                Err(TableRows::from(TABLE).invalid(index / self.length, column, value, expected))
            }
        }
    }
}

/// Returns a list column's vectors, for a frame that has rows.
///
/// # Errors
/// As [`numbers`]; [`TableError::InvalidValue`] for a list of another length than the first, or
/// than `length`, and for a list without values.
pub(super) fn vectors(frame: &DataFrame, column: &str, length: Option<usize>) -> Result<Vectors> {
    let Lists { values, length } = lists_from_frame(frame, column, length, "", TABLE.into())?;
    if values.is_empty() {
        return Err(no_rows(frame));
    }
    match values.iter().position(|value| value.is_nan()) {
        None => Ok(Vectors { values, length }),
        Some(index) => Err(TableRows::from(TABLE).missing(index / length, column)),
    }
}

/// Checks each value of a column.
///
/// # Errors
/// [`TableError::InvalidValue`] for the first value that is not `valid`.
pub(super) fn check(
    values: &[f64],
    column: &str,
    valid: impl Fn(f64) -> bool,
    expected: &str,
) -> Result<()> {
    match values.iter().position(|value| !valid(*value)) {
        None => Ok(()),
        Some(row) => Err(TableRows::from(TABLE).invalid(row, column, values[row], expected)),
    }
}

fn no_rows(frame: &DataFrame) -> Error {
    Error::ShapeMismatch {
        what: TABLE.to_owned(),
        found: vec![0, frame.width() as i64],
        expected: "at least one row".to_owned(),
    }
}
