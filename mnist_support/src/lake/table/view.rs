//! Which columns and rows of a table are wanted.

use std::collections::HashSet;

use polars::prelude::DataFrame;
use serde::{Deserialize, Serialize};

use super::predicate::Predicate;
use super::scan::{Scan, check_columns, columns_among};
use super::times::check_times;
use crate::{Error, Result, error::TableError};

/// Which columns and rows of a table are wanted: all of them by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// The columns, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    columns: Option<Vec<ViewColumn>>,
    /// The condition of the rows, on the columns' names in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filter: Option<Predicate>,
    /// How many of the first rows, before the condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ViewColumn {
    /// The column's name in the file.
    file: String,
    name: String,
}

impl View {
    /// The names of the columns, of a file with these.
    pub(super) fn columns(&self, file: &[String]) -> Vec<String> {
        match &self.columns {
            None => file.to_vec(),
            Some(columns) => columns.iter().map(|column| column.name.clone()).collect(),
        }
    }

    pub(super) fn limit(&self) -> Option<usize> {
        self.limit
    }

    pub(super) fn filter(&self) -> Option<&Predicate> {
        self.filter.as_ref()
    }

    fn view_columns(&self, file: &[String]) -> Vec<ViewColumn> {
        self.columns.clone().unwrap_or_else(|| {
            let same = |name: &String| ViewColumn {
                file: name.clone(),
                name: name.clone(),
            };
            file.iter().map(same).collect()
        })
    }

    /// The view with these of its columns alone.
    pub(super) fn select(&self, names: &[String], file: &[String], table: &str) -> Result<View> {
        check_columns(names, &self.columns(file), table)?;
        if names.is_empty() {
            return Err(Error::InvalidSetting {
                setting: "columns",
                value: "[]".to_owned(),
                reason: format!("leaves no column of {table}"),
            });
        }
        let columns = self.view_columns(file);
        let selected = names
            .iter()
            .filter_map(|name| columns.iter().find(|column| column.name == *name));
        Ok(View {
            columns: Some(selected.cloned().collect()),
            ..self.clone()
        })
    }

    /// The view with other names for some of its columns.
    pub(super) fn rename(
        &self,
        names: &[(String, String)],
        file: &[String],
        table: &str,
    ) -> Result<View> {
        let old: Vec<String> = names.iter().map(|(old, _)| old.clone()).collect();
        check_columns(&old, &self.columns(file), table)?;
        let mut columns = self.view_columns(file);
        for column in &mut columns {
            if let Some((_, new)) = names.iter().find(|(old, _)| *old == column.name) {
                column.name.clone_from(new);
            }
        }
        for (index, column) in columns.iter().enumerate() {
            if columns[..index]
                .iter()
                .any(|before| before.name == column.name)
            {
                return Err(Error::InvalidSetting {
                    setting: "columns",
                    value: column.name.clone(),
                    reason: "would be the name of two columns".to_owned(),
                });
            }
        }
        Ok(View {
            columns: Some(columns),
            ..self.clone()
        })
    }

    /// The view with the rows alone that fulfil a condition.
    pub(super) fn filtered(&self, by: Predicate, file: &[String], table: &str) -> Result<View> {
        let named = by.columns().into_iter().map(str::to_owned);
        check_columns(&named.collect::<Vec<_>>(), &self.columns(file), table)?;
        let columns = self.view_columns(file);
        let by = by.with_names(|name| {
            let column = columns.iter().find(|column| column.name == name);
            column.map_or_else(|| name.to_owned(), |column| column.file.clone())
        });
        let filter = match self.filter.clone() {
            None => by,
            Some(before) => before.and(by),
        };
        Ok(View {
            filter: Some(filter),
            ..self.clone()
        })
    }

    /// The view with its first `n` rows alone.
    pub(super) fn limited(&self, n: usize) -> Result<View> {
        if let Some(filter) = &self.filter {
            return Err(Error::InvalidSetting {
                setting: "limit",
                value: n.to_string(),
                reason: format!(
                    "comes after the filter {filter}: how many rows of which part fulfil it is not \
                     known before they are read; limit first, or use head({n})"
                ),
            });
        }
        Ok(View {
            limit: Some(self.limit.map_or(n, |limit| limit.min(n))),
            ..self.clone()
        })
    }

    /// How rows of a file are read to give what is wanted of them: all columns, or at least those
    /// of `wanted` that there are.
    pub(super) fn reading<'a>(
        &'a self,
        wanted: Option<&[String]>,
        file: &[String],
        table: &'a str,
    ) -> Reading<'a> {
        let filter = self.filter.as_ref();
        if wanted.is_none() && self.columns.is_none() && filter.is_none() {
            return Reading {
                scan: Scan::default(),
                columns: None,
                filter,
                table,
            };
        }
        let mut columns = self.view_columns(file);
        if let Some(wanted) = wanted {
            let names: HashSet<String> = columns_among(&self.columns(file), wanted)
                .into_iter()
                .collect();
            columns.retain(|column| names.contains(&column.name));
        }
        let compared = self.filter.iter().flat_map(Predicate::columns);
        let read = columns.iter().map(|column| column.file.as_str());
        let mut known = HashSet::with_capacity(columns.len());
        let scan = read.chain(compared).filter(|name| known.insert(*name));
        let scan: Vec<String> = scan.map(str::to_owned).collect();
        Reading {
            scan: Scan {
                columns: Some(scan),
                filter: self.filter.clone(),
            },
            columns: Some(columns),
            filter,
            table,
        }
    }
}

/// How rows of a file are read for a view of it.
pub(super) struct Reading<'a> {
    /// What is read of the file.
    pub(super) scan: Scan,
    /// The columns that are wanted; `None` for those that are read.
    columns: Option<Vec<ViewColumn>>,
    filter: Option<&'a Predicate>,
    table: &'a str,
}

impl Reading<'_> {
    /// Makes what is wanted of the rows that were read.
    pub(super) fn view(&self, mut frame: DataFrame) -> Result<DataFrame> {
        let about = || TableError::about(self.table);
        if let Some(filter) = self.filter {
            let mask = filter.mask(&frame, self.table)?;
            frame = frame.filter(&mask).map_err(about())?;
        }
        let Some(columns) = &self.columns else {
            check_times(&frame, self.table)?;
            return Ok(frame);
        };
        let selected = columns.iter().map(|column| {
            let mut read = frame.column(&column.file)?.clone();
            read.rename(column.name.as_str().into());
            Ok(read)
        });
        let selected = selected.collect::<polars::prelude::PolarsResult<Vec<_>>>();
        let frame = DataFrame::new(frame.height(), selected.map_err(about())?);
        let frame = frame.map_err(about())?;
        check_times(&frame, self.table)?;
        Ok(frame)
    }
}
