//! What is read of a file.

use std::collections::HashSet;

use super::predicate::Predicate;
use crate::{Error, Result, error::TableError, text};

/// What is read of a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scan {
    /// The columns, in this order; `None` for all. The others are neither decoded nor checked.
    pub(crate) columns: Option<Vec<String>>,
    /// Rows that don't fulfil it may be left out.
    pub(crate) filter: Option<Predicate>,
}

impl Scan {
    /// Reads these columns.
    pub(super) fn of(columns: Vec<String>) -> Scan {
        Scan {
            columns: Some(columns),
            filter: None,
        }
    }
}

/// Returns the columns of a table that are among `wanted`, in its order. With none of them, one
/// column remains: a frame without columns would have no rows.
pub(crate) fn columns_among(available: &[String], wanted: &[String]) -> Vec<String> {
    let wanted: HashSet<&String> = wanted.iter().collect();
    let among = available.iter().filter(|column| wanted.contains(column));
    let mut columns: Vec<String> = among.cloned().collect();
    if columns.is_empty() {
        columns.extend(available.first().cloned());
    }
    columns
}

/// Checks that a table has all columns of a list, each named once.
pub(super) fn check_columns(columns: &[String], available: &[String], table: &str) -> Result<()> {
    let known: HashSet<&String> = available.iter().collect();
    let mut named = HashSet::with_capacity(columns.len());
    for column in columns {
        if !known.contains(column) {
            return Err(Error::Table(TableError::ColumnNotFound {
                table: table.to_owned(),
                column: column.clone(),
                available: text::columns(available),
            }));
        }
        if !named.insert(column) {
            return Err(Error::InvalidSetting {
                setting: "columns",
                value: column.clone(),
                reason: "is named twice".to_owned(),
            });
        }
    }
    Ok(())
}
