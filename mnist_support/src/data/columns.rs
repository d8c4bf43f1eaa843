//! Looking up and checking the columns of a DataFrame.

use polars::prelude::*;

use crate::{Error, Result, error::TableError};

/// Which rows of which table a DataFrame holds, for errors that name a row: those from `first_row`
/// on. A name alone means all rows of the table.
#[derive(Clone, Copy, Debug)]
pub struct TableRows<'a> {
    /// The table's name.
    pub table: &'a str,
    /// The number of rows of the table that come before the first row of the frame.
    pub first_row: u64,
}

impl<'a> From<&'a str> for TableRows<'a> {
    fn from(table: &'a str) -> Self {
        TableRows {
            table,
            first_row: 0,
        }
    }
}

impl TableRows<'_> {
    /// The number of the frame's row `index` in the table, from 1.
    pub(crate) fn number(&self, index: usize) -> u64 {
        self.first_row + index as u64 + 1
    }

    /// The error of a value that the frame's row `index` lacks.
    pub(crate) fn missing(&self, index: usize, column: &str) -> Error {
        Error::Table(TableError::MissingValue {
            file: self.table.to_owned(),
            row: self.number(index),
            column: column.to_owned(),
        })
    }

    /// The error of a value of the frame's row `index` that is not what is `expected`.
    pub(crate) fn invalid(
        &self,
        index: usize,
        column: &str,
        value: impl ToString,
        expected: &str,
    ) -> Error {
        Error::Table(TableError::InvalidValue {
            file: self.table.to_owned(),
            row: self.number(index),
            column: column.to_owned(),
            value: value.to_string(),
            expected: expected.to_owned(),
        })
    }
}

/// Returns the column of this name.
pub(super) fn column<'a>(frame: &'a DataFrame, name: &str, table: &str) -> Result<&'a Series> {
    match frame.column(name) {
        Ok(column) => Ok(column.as_materialized_series()),
        Err(_) => Err(Error::Table(TableError::ColumnNotFound {
            table: table.to_owned(),
            column: name.to_owned(),
            available: available(frame),
        })),
    }
}

/// Returns the column of this name, checked to hold numbers or booleans and no nulls.
pub(crate) fn numeric_column<'a>(
    frame: &'a DataFrame,
    name: &str,
    rows: TableRows<'_>,
) -> Result<&'a Series> {
    let table = rows.table;
    let series = column(frame, name, table)?;
    let dtype = series.dtype();
    if !(dtype.is_primitive_numeric() || dtype.is_bool()) {
        return Err(Error::Table(TableError::ColumnType {
            table: table.to_owned(),
            column: name.to_owned(),
            found: dtype.to_string(),
            expected: "a column of numbers or booleans".to_owned(),
        }));
    }
    if let Some(row) = series.is_null().first_true_idx() {
        return Err(rows.missing(row, name));
    }
    Ok(series)
}

/// Lists the columns of a frame, shortened in the middle if there are many.
fn available(frame: &DataFrame) -> String {
    let names = frame.get_column_names();
    match names.as_slice() {
        [] => "no columns".to_owned(),
        names if names.len() <= 8 => names
            .iter()
            .map(|name| format!("{name:?}"))
            .collect::<Vec<_>>()
            .join(", "),
        [first, second, .., last] => format!(
            "{} columns: {first:?}, {second:?}, ..., {last:?}",
            names.len()
        ),
        [..] => format!("{} columns", names.len()),
    }
}
