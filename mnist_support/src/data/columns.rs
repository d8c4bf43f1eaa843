//! A frame's columns, checked and looked up by name.

use polars::prelude::*;

use crate::{Error, Result, error::TableError};

/// The column of this name.
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

/// The column of this name, which holds numbers or booleans and no null.
pub(super) fn numeric_column<'a>(
    frame: &'a DataFrame,
    name: &str,
    table: &str,
) -> Result<&'a Series> {
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
        return Err(Error::Table(TableError::MissingValue {
            file: table.to_owned(),
            row: row as u64 + 1,
            column: name.to_owned(),
        }));
    }
    Ok(series)
}

/// The names of the frame's columns, shortened in the middle if there are many.
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

/// What polars reports, as an error about the table.
pub(super) fn table_error(table: &str, source: PolarsError) -> Error {
    Error::Table(TableError::Failed {
        table: table.to_owned(),
        reason: source.to_string(),
    })
}
