//! What is wrong with the rows of a CSV file.

use crate::lake::table::ColumnType;
use crate::{Error, error::TableError};

/// What is wrong with a record.
#[derive(Debug, PartialEq)]
pub(super) struct Problem {
    /// Where the record begins, within the bytes that were parsed.
    pub(super) at: usize,
    pub(super) kind: RowProblem,
}

#[derive(Debug, PartialEq)]
pub(super) enum RowProblem {
    Ragged {
        expected: usize,
        found: usize,
    },
    /// A value that is none of the type that its column was given.
    Invalid {
        column: usize,
        value: String,
        expected: &'static str,
    },
    /// A value that is none of the type that samples gave its column.
    Wider {
        column: usize,
        value: String,
        own: ColumnType,
        needed: ColumnType,
    },
    OpenQuote,
    /// The message of a library.
    Other(String),
}

impl RowProblem {
    /// Converts the problem to an error about a row of `file`, counted from 1.
    pub(super) fn into_error(self, file: String, row: u64, names: &[String]) -> Error {
        Error::Table(match self {
            RowProblem::Ragged { expected, found } => TableError::RaggedRow {
                file,
                row,
                expected,
                found,
            },
            RowProblem::Invalid {
                column,
                value,
                expected,
            } => TableError::InvalidValue {
                file,
                row,
                column: names[column].clone(),
                value,
                expected: expected.into(),
            },
            RowProblem::Wider {
                column,
                value,
                own,
                needed,
            } => TableError::WiderValue {
                file,
                row,
                column: names[column].clone(),
                value,
                expected: own.description(),
                dtype: format!("{needed:?}").into(),
            },
            RowProblem::OpenQuote => {
                return TableError::failed(
                    file,
                    format!("row {row} has a quote that does not close"),
                );
            }
            RowProblem::Other(reason) => return TableError::failed(file, reason),
        })
    }
}
