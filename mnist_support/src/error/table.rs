//! Errors of tables: CSV files, Parquet files and DataFrames.

use super::{Cause, Error, ImageError};

/// What is wrong with a table, its columns or its values.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// A file without a header or without rows.
    #[error("{file} is empty: {reason}")]
    EmptyFile { file: String, reason: String },
    /// A requested column that does not exist.
    #[error("{table} has no column {column:?}; it has {available}")]
    ColumnNotFound {
        table: String,
        column: String,
        available: String,
    },
    /// A column that a stage would add, and that the rows already have.
    #[error(
        "the rows already have a column {column:?}: rename it, or name the stage's output otherwise"
    )]
    ColumnExists { column: String },
    /// A row with more or fewer fields than the header.
    #[error("{file}, row {row}: {found} fields where the header has {expected}")]
    RaggedRow {
        file: String,
        row: u64,
        expected: usize,
        found: usize,
    },
    /// A field that is not a number of its column's type.
    #[error("{file}, row {row}, column {column:?}: {value:?} is not {expected}")]
    InvalidValue {
        file: String,
        row: u64,
        column: String,
        value: String,
        expected: String,
    },
    /// A field far down a CSV file that is none of the type that samples of the file gave its
    /// column. Reading all of the table widens the column, and so do fits and transformations.
    #[error(
        "{file}, row {row}, column {column:?}: {value:?} is not {expected}, the type of the file's \
         samples: give the column the type {dtype} with CsvOptions::schema"
    )]
    WiderValue {
        file: String,
        row: u64,
        column: String,
        value: String,
        expected: &'static str,
        dtype: Box<str>,
    },
    /// An empty field, or a null in a DataFrame.
    #[error("{file}, row {row}, column {column:?}: the value is missing")]
    MissingValue {
        file: String,
        row: u64,
        column: String,
    },
    /// An image that cannot be decoded.
    #[error("{file}, row {row}, column {column:?}{}: {reason}", of_path(path))]
    InvalidImage {
        file: String,
        row: u64,
        column: String,
        /// The path that the row gives for the image.
        path: Option<Box<str>>,
        #[source]
        reason: Box<ImageError>,
    },
    /// A column whose type cannot be a feature or a label.
    #[error("{table}, column {column:?} is of type {found}: {expected} is needed")]
    ColumnType {
        table: String,
        column: String,
        found: String,
        expected: String,
    },
    /// A label that is not one of the network's classes.
    #[error(
        "{table}, row {row}, column {column:?}: label {label} is not a class from 0 to {last_class}"
    )]
    LabelOutOfRange {
        table: String,
        row: u64,
        column: String,
        label: f64,
        last_class: i64,
    },
    /// Any other error while reading or writing a table.
    #[error("{table}: {reason}")]
    Failed {
        table: String,
        #[source]
        reason: Cause,
    },
}

/// The path of an image in a message.
fn of_path(path: &Option<Box<str>>) -> String {
    let path = path.as_ref();
    path.map(|path| format!(" (path {path:?})"))
        .unwrap_or_default()
}

impl TableError {
    /// Wraps the error of a library, such as polars, Arrow or Parquet, about `table`.
    pub(crate) fn about<E: Into<Cause>>(table: impl Into<String>) -> impl FnOnce(E) -> Error {
        |error| TableError::failed(table, error)
    }

    /// Says why `table` cannot be used.
    pub(crate) fn failed(table: impl Into<String>, reason: impl Into<Cause>) -> Error {
        Error::Table(TableError::Failed {
            table: table.into(),
            reason: reason.into(),
        })
    }
}
