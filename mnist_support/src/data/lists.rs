//! Columns of lists of numbers.

use polars::prelude::*;

use super::columns::{TableRows, column};
use crate::{Error, Result, error::TableError};

/// The values of a list column, one row after the other.
pub(crate) struct Lists {
    pub(crate) values: Vec<f64>,
    /// The number of values of each row; 0 if there are no rows.
    pub(crate) length: usize,
}

/// Whether a frame has a column of lists under this name.
pub(crate) fn is_list(frame: &DataFrame, name: &str) -> bool {
    let column = frame.column(name);
    column.is_ok_and(|column| matches!(column.dtype(), DataType::List(_)))
}

/// Returns the values of a column of lists of numbers or booleans, which all have `length` values,
/// or without one as many as the first. `reason` goes on after "a list of 3" in an error.
///
/// # Errors
/// [`TableError::ColumnNotFound`]; [`TableError::ColumnType`] for a column of anything else;
/// [`TableError::MissingValue`] for a row without a list and for a null in one;
/// [`TableError::InvalidValue`] for a list of another length or without values.
pub(crate) fn lists_from_frame(
    frame: &DataFrame,
    name: &str,
    length: Option<usize>,
    reason: &str,
    rows: TableRows<'_>,
) -> Result<Lists> {
    let about = || TableError::about(rows.table);
    let series = column(frame, name, rows)?;
    match series.dtype() {
        DataType::List(inner) if inner.is_primitive_numeric() || inner.is_bool() => {}
        other => {
            return Err(Error::Table(TableError::ColumnType {
                table: rows.table.to_owned(),
                column: name.to_owned(),
                found: other.to_string(),
                expected: "a column of lists of numbers".to_owned(),
            }));
        }
    }
    let series = series.cast(&DataType::List(Box::new(DataType::Float64)));
    let series = series.map_err(about())?;
    let lists = series.list().map_err(about())?;
    let mut values = Vec::with_capacity(lists.len() * length.unwrap_or(1));
    let mut expected_length = length;
    for (row, list) in lists.series_iter().enumerate() {
        let list = list.ok_or_else(|| rows.missing(row, name))?;
        let expected = *expected_length.get_or_insert(list.len());
        if list.len() != expected || list.is_empty() {
            let found = format!("a list of {}", list.len());
            let needed = match (length, expected) {
                (None, 0) => "a list with values".to_owned(),
                (None, _) => format!("a list of {expected}, as in row {}", rows.locate(0).1),
                (Some(_), _) => format!("a list of {expected}{reason}"),
            };
            return Err(rows.invalid(row, name, found, &needed));
        }
        for value in list.f64().map_err(about())?.iter() {
            values.push(value.ok_or_else(|| rows.missing(row, name))?);
        }
    }
    Ok(Lists {
        values,
        length: expected_length.unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;

    #[test]
    fn lists_of_anything_but_numbers_are_an_error_that_says_so() {
        let texts: ListChunked = [Some(Series::from_iter(["1", "2"]))].into_iter().collect();
        let frame = df!("texts" => texts.into_series(), "number" => [1.0]).unwrap();
        for name in ["texts", "number"] {
            let lists = lists_from_frame(&frame, name, None, "", "train.csv".into());
            let error = lists.err().unwrap();
            assert!(
                matches!(&error, Error::Table(TableError::ColumnType { column, .. }) if column == name),
                "{error}"
            );
        }
    }
}
