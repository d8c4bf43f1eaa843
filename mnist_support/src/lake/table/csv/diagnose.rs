//! The slow pass over lines that the fast parsers rejected: finds the row and column at fault, or
//! the types that are needed.

use super::columns::Columns;
use super::lines;
use super::numbers::{self, FieldKind};
use crate::lake::table::NumberType;
use crate::{Error, error::TableError};

/// What is wrong with a block of lines.
#[derive(Debug, PartialEq)]
pub(super) enum Problem {
    /// The row at fault, counted from 0 within the lines.
    Row { row: u64, kind: RowProblem },
    /// A problem that belongs to no row.
    Other(String),
}

#[derive(Debug, PartialEq)]
pub(super) enum RowProblem {
    Ragged {
        expected: usize,
        found: usize,
    },
    Missing {
        column: usize,
    },
    Invalid {
        column: usize,
        value: String,
        expected: &'static str,
    },
    OpenQuote,
}

impl Problem {
    /// Converts the problem to an error. `rows_above` rows come before these lines in the file.
    pub(super) fn into_error(self, file: &str, rows_above: u64, names: &[String]) -> Error {
        let file = file.to_owned();
        let (row, kind) = match self {
            Problem::Row { row, kind } => (rows_above + row + 1, kind),
            Problem::Other(reason) => {
                return TableError::failed(file, reason);
            }
        };
        match kind {
            RowProblem::Ragged { expected, found } => Error::Table(TableError::RaggedRow {
                file,
                row,
                expected,
                found,
            }),
            RowProblem::Missing { column } => Error::Table(TableError::MissingValue {
                file,
                row,
                column: names[column].clone(),
            }),
            RowProblem::Invalid {
                column,
                value,
                expected,
            } => Error::Table(TableError::InvalidValue {
                file,
                row,
                column: names[column].clone(),
                value,
                expected: expected.into(),
            }),
            RowProblem::OpenQuote => TableError::failed(
                file,
                format!(
                    "row {row} has a quote that does not close on its line; a line break inside a field is \
                     not supported"
                ),
            ),
        }
    }
}

/// Finds the first row with an unclosed quote.
pub(super) fn check_quotes(bytes: &[u8]) -> Result<(), Problem> {
    match lines::split(bytes).position(|line| !lines::quotes_close(line)) {
        Some(row) => Err(Problem::Row {
            row: row as u64,
            kind: RowProblem::OpenQuote,
        }),
        None => Ok(()),
    }
}

/// Checks every field. Returns the types that the lines need, or the first row that is invalid.
pub(super) fn examine(bytes: &[u8], columns: &Columns) -> Result<Vec<NumberType>, Problem> {
    let mut types = columns.types().to_vec();
    for (row, line) in lines::split(bytes).enumerate() {
        let problem = |kind| Problem::Row {
            row: row as u64,
            kind,
        };
        let fields = lines::fields(line);
        let found = if line.is_empty() && types.len() > 1 {
            0
        } else {
            fields.len()
        };
        if found != types.len() {
            return Err(problem(RowProblem::Ragged {
                expected: types.len(),
                found,
            }));
        }
        for (column, field) in fields.iter().enumerate() {
            match numbers::kind(field) {
                FieldKind::Number(number) if numbers::holds(types[column], number) => {}
                FieldKind::Number(number) if !columns.is_fixed() => types[column] = number,
                FieldKind::Missing => return Err(problem(RowProblem::Missing { column })),
                other => {
                    let expected = match (other, types[column]) {
                        (FieldKind::Number(_), NumberType::UInt8) => "a whole number from 0 to 255",
                        (FieldKind::Number(_), _) => "a whole number",
                        _ => "a finite number",
                    };
                    let value = shortened(&String::from_utf8_lossy(field));
                    return Err(problem(RowProblem::Invalid {
                        column,
                        value,
                        expected,
                    }));
                }
            }
        }
    }
    Ok(types)
}

/// Truncates a value to 60 characters.
fn shortened(value: &str) -> String {
    match value.char_indices().nth(60) {
        Some((at, _)) => format!("{}...", &value[..at]),
        None => value.into(),
    }
}
