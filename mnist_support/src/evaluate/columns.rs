//! The columns that an evaluator reads: numbers, vectors and weights.

use polars::prelude::*;

use crate::{
    Error, Result,
    data::{TableRows, numeric_column},
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
    let rows = TableRows::from(TABLE);
    let values = numeric_column(frame, column, rows)?
        .cast(&DataType::Float64)
        .map_err(TableError::about(TABLE))?;
    let values = values.f64().map_err(TableError::about(TABLE))?;
    if values.is_empty() {
        return Err(no_rows(frame));
    }
    let number = |(index, value): (usize, f64)| {
        if value.is_nan() {
            return Err(missing(index, column));
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

/// Whether the frame has a column of this name that holds lists.
pub(super) fn is_list(frame: &DataFrame, column: &str) -> bool {
    let column = frame.column(column);
    column.is_ok_and(|column| matches!(column.dtype(), DataType::List(_)))
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
                let value = self.values[index].to_string();
                Err(invalid(index / self.length, column, value, expected))
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
    if !is_list(frame, column) {
        // The error for a column that does not exist is that of a number column.
        let found = numeric_column(frame, column, TABLE.into())?.dtype();
        return Err(Error::Table(TableError::ColumnType {
            table: TABLE.to_owned(),
            column: column.to_owned(),
            found: found.to_string(),
            expected: "a column of lists of numbers".to_owned(),
        }));
    }
    let series = frame.column(column).map_err(TableError::about(TABLE))?;
    let series = series
        .cast(&DataType::List(Box::new(DataType::Float64)))
        .map_err(TableError::about(TABLE))?;
    let lists = series.list().map_err(TableError::about(TABLE))?;
    let mut values = Vec::new();
    let mut expected_length = length;
    for (row, list) in lists.series_iter().enumerate() {
        let list = list.ok_or_else(|| missing(row, column))?;
        let expected = *expected_length.get_or_insert(list.len());
        if list.len() != expected || list.is_empty() {
            let needed = match (length, list.is_empty()) {
                (Some(length), _) => format!("a list of {length}"),
                (None, true) => "a list with a value for each class".to_owned(),
                (None, false) => format!("a list of {expected}, as in row 1"),
            };
            return Err(invalid(
                row,
                column,
                format!("a list of {}", list.len()),
                &needed,
            ));
        }
        for value in list.f64().map_err(TableError::about(TABLE))?.iter() {
            let value = value.filter(|value| !value.is_nan());
            values.push(value.ok_or_else(|| missing(row, column))?);
        }
    }
    match expected_length {
        Some(length) if !values.is_empty() => Ok(Vectors { values, length }),
        Some(_) | None => Err(no_rows(frame)),
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
        Some(row) => Err(invalid(row, column, values[row].to_string(), expected)),
    }
}

fn invalid(index: usize, column: &str, value: String, expected: &str) -> Error {
    Error::Table(TableError::InvalidValue {
        file: TABLE.to_owned(),
        row: TableRows::from(TABLE).number(index),
        column: column.to_owned(),
        value,
        expected: expected.to_owned(),
    })
}

fn missing(index: usize, column: &str) -> Error {
    Error::Table(TableError::MissingValue {
        file: TABLE.to_owned(),
        row: TableRows::from(TABLE).number(index),
        column: column.to_owned(),
    })
}

fn no_rows(frame: &DataFrame) -> Error {
    Error::ShapeMismatch {
        what: TABLE.to_owned(),
        found: vec![0, frame.width() as i64],
        expected: "at least one row".to_owned(),
    }
}
