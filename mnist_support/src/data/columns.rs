//! Looking up and checking the columns of a DataFrame.

use std::borrow::Cow;

use polars::prelude::*;

use crate::{Error, Result, error::TableError, shard::Shard, text};

/// Which rows of which table a DataFrame holds, for errors that name a row. A table's name alone
/// means all of its rows.
#[derive(Clone, Copy, Debug)]
pub struct TableRows<'a> {
    pub(super) table: &'a str,
    place: Place<'a>,
    /// The indices in the place of the frame's rows.
    indices: Indices<'a>,
}

/// Which rows of a place a frame holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Indices<'a> {
    /// Those that follow this many.
    From(usize),
    /// Those that are left of them.
    Kept(&'a [usize]),
}

#[derive(Clone, Copy, Debug)]
enum Place<'a> {
    /// The rows that follow this many.
    After(u64),
    /// The rows of a shard, which knows where they are from.
    Shard(&'a Shard),
}

impl<'a> From<&'a str> for TableRows<'a> {
    fn from(table: &'a str) -> Self {
        TableRows::after(0, table)
    }
}

impl<'a> TableRows<'a> {
    /// What errors that concern no row call the table.
    pub(crate) fn table(&self) -> &'a str {
        self.table
    }

    /// The rows of a table that follow its first `rows`.
    pub fn after(rows: u64, table: &'a str) -> Self {
        TableRows {
            table,
            place: Place::After(rows),
            indices: Indices::From(0),
        }
    }

    /// Rows of a shard. `table` is what errors that concern no row call it.
    pub(crate) fn of_shard(shard: &'a Shard, table: &'a str, indices: Indices<'a>) -> Self {
        TableRows {
            table,
            place: Place::Shard(shard),
            indices,
        }
    }

    /// The table, or the file of it, that has the frame's row `index`, and the row's number in it,
    /// from 1.
    pub(crate) fn locate(&self, index: usize) -> (String, u64) {
        let index = match self.indices {
            Indices::From(first) => first + index,
            Indices::Kept(kept) => kept[index],
        };
        match self.place {
            Place::After(rows) => (self.table.to_owned(), rows + index as u64 + 1),
            Place::Shard(shard) => shard.locate(index),
        }
    }

    /// The error of a value that the frame's row `index` lacks.
    pub(crate) fn missing(&self, index: usize, column: &str) -> Error {
        let (file, row) = self.locate(index);
        Error::Table(TableError::MissingValue {
            file,
            row,
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
        let (file, row) = self.locate(index);
        Error::Table(TableError::InvalidValue {
            file,
            row,
            column: column.to_owned(),
            value: value.to_string(),
            expected: expected.to_owned(),
        })
    }
}

/// Returns the column of this name.
pub(crate) fn column<'a>(
    frame: &'a DataFrame,
    name: &str,
    rows: TableRows<'_>,
) -> Result<&'a Series> {
    let table = rows.table;
    match frame.column(name) {
        Ok(column) => Ok(column.as_materialized_series()),
        Err(_) => Err(Error::Table(TableError::ColumnNotFound {
            table: table.to_owned(),
            column: name.to_owned(),
            available: text::columns(&frame.get_column_names()),
        })),
    }
}

/// Returns the column of this name as numbers without nulls: dates as days, times and durations as
/// seconds.
pub(super) fn feature_column<'a>(
    frame: &'a DataFrame,
    name: &str,
    rows: TableRows<'_>,
) -> Result<Cow<'a, Series>> {
    let series = column(frame, name, rows)?;
    let Some(numbers) = numbers_of_times(series).map_err(TableError::about(rows.table))? else {
        return numeric_column(frame, name, rows).map(Cow::Borrowed);
    };
    match first_null(&numbers) {
        Some(row) => Err(rows.missing(row, name)),
        None => Ok(Cow::Owned(numbers)),
    }
}

/// The row of the first null.
fn first_null(series: &Series) -> Option<usize> {
    // Polars has counted them.
    (series.null_count() > 0).then(|| series.is_null().first_true_idx())?
}

/// Returns the column of this name as `Float64`, with its nulls. Booleans become 0 and 1, times as
/// for [`feature_column`].
pub(crate) fn numeric_or_null(
    frame: &DataFrame,
    name: &str,
    rows: TableRows<'_>,
) -> Result<Series> {
    let series = column(frame, name, rows)?;
    let about = || TableError::about(rows.table);
    if let Some(numbers) = numbers_of_times(series).map_err(about())? {
        return Ok(numbers);
    }
    check_numeric(series, name, rows)?;
    series.cast(&DataType::Float64).map_err(about())
}

/// Returns the days of dates, and the seconds of times and durations, as `Float64`; `None` for a
/// column of anything else.
fn numbers_of_times(series: &Series) -> PolarsResult<Option<Series>> {
    let per_unit = match series.dtype() {
        DataType::Date => 1.0,
        DataType::Datetime(unit, _) | DataType::Duration(unit) => match unit {
            TimeUnit::Nanoseconds => 1e9,
            TimeUnit::Microseconds => 1e6,
            TimeUnit::Milliseconds => 1e3,
        },
        DataType::Time => 1e9,
        _ => return Ok(None),
    };
    let numbers = series.to_physical_repr().cast(&DataType::Float64)?;
    let numbers = numbers.f64()?.apply_values(|value| value / per_unit);
    Ok(Some(numbers.into_series()))
}

/// Returns the column of this name, checked to hold numbers or booleans and no nulls.
pub(crate) fn numeric_column<'a>(
    frame: &'a DataFrame,
    name: &str,
    rows: TableRows<'_>,
) -> Result<&'a Series> {
    let series = column(frame, name, rows)?;
    check_numeric(series, name, rows)?;
    match first_null(series) {
        Some(row) => Err(rows.missing(row, name)),
        None => Ok(series),
    }
}

fn check_numeric(series: &Series, name: &str, rows: TableRows<'_>) -> Result<()> {
    let dtype = series.dtype();
    if dtype.is_primitive_numeric() || dtype.is_bool() {
        return Ok(());
    }
    if let Some((row, text)) = series.str().ok().and_then(not_a_number) {
        return Err(rows.invalid(row, name, text, "a number"));
    }
    Err(Error::Table(TableError::ColumnType {
        table: rows.table.to_owned(),
        column: name.to_owned(),
        found: dtype.to_string(),
        expected: "a column of numbers or booleans".to_owned(),
    }))
}

/// The first text that is no number, and its row, in a column that has numbers too: one such value
/// makes a column of a CSV file text.
fn not_a_number(texts: &StringChunked) -> Option<(usize, &str)> {
    let is_number = |text: &str| text.trim().parse::<f64>().is_ok();
    texts.iter().flatten().find(|text| is_number(text))?;
    let mut rows = texts.iter().enumerate();
    rows.find_map(|(row, text)| Some((row, text.filter(|text| !is_number(text))?)))
}
