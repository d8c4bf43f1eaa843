//! Parquet files: the footer says where each row group is, and only their bytes are read.

mod convert;
mod extract;
mod footer;
mod plan;

use std::ops::Range;
use std::sync::Arc;

use polars::prelude::DataFrame;

use super::number_type::NumberType;
use super::partition::Part;
use super::scan::Scan;
use super::table_file::TableFile;
use crate::lake::file::LakeFile;
use crate::lake::reading::{OnProgress, ignore_progress};
use crate::lake::store::Lake;
use crate::{Error, Result, error::TableError};
use footer::Footer;

/// Row groups are fetched and decoded in runs of about this size, while the next run is being
/// fetched.
const RUN: u64 = 16 << 20;

/// A Parquet file, read lazily.
pub(crate) struct ParquetFile {
    file: LakeFile,
    footer: Footer,
    columns: Vec<String>,
}

impl ParquetFile {
    /// Reads the footer.
    pub(crate) fn open(lake: &Lake, path: &str) -> Result<ParquetFile> {
        let (file, first) = lake.file(path, footer::MAGIC.len() as u64)?;
        if file.size() == 0 {
            return Err(Error::Table(TableError::EmptyFile {
                file: file.url().into(),
                reason: "it has no bytes".into(),
            }));
        }
        let footer = Footer::read(&file, &first)?;
        if footer.rows() == 0 {
            return Err(Error::Table(TableError::EmptyFile {
                file: file.url().into(),
                reason: "it has no rows".into(),
            }));
        }
        let columns = footer.names().map(str::to_owned).collect();
        Ok(ParquetFile {
            file,
            footer,
            columns,
        })
    }

    fn read_groups(
        &self,
        groups: Range<usize>,
        skip: usize,
        rows: usize,
        scan: &Scan,
        on_progress: OnProgress<'_>,
    ) -> Result<DataFrame> {
        let selection = self.footer.select(scan.columns.as_deref());
        let runs = self.footer.runs(groups, &selection, RUN);
        let bytes: Vec<Vec<Range<u64>>> = runs
            .iter()
            .map(|run| self.footer.bytes_of(run.clone(), &selection))
            .collect();
        let (mut skip, mut left) = (skip, rows);
        let mut whole: Option<DataFrame> = None;
        let meter = self.file.meter(&bytes, on_progress);
        let fetched = self.file.read_ahead(&bytes, &meter);
        for ((run, ranges), fetched) in runs.into_iter().zip(&bytes).zip(fetched) {
            let fetched = fetched?;
            let available: usize = self.footer.group_rows()[run.clone()].iter().sum();
            let take = left.min(available.saturating_sub(skip));
            let small = self.footer.extract(run, &selection, ranges, &fetched);
            drop(fetched);
            let frame = extract::read(small, skip, take, self.url())?;
            (skip, left) = (skip.saturating_sub(available), left - take);
            match &mut whole {
                None => whole = Some(frame),
                Some(whole) => {
                    whole
                        .vstack_mut_owned(frame)
                        .map_err(|error| extract::damaged(self.url(), error))?;
                }
            }
        }
        let whole = match whole {
            Some(mut whole) => {
                whole.rechunk_mut_par();
                whole
            }
            None => {
                let nothing = self.footer.extract(0..0, &selection, &[], &[]);
                extract::read(nothing, 0, 0, self.url())?
            }
        };
        convert::frame(whole, &self.footer, scan, self.url())
    }
}

impl TableFile for ParquetFile {
    fn url(&self) -> &str {
        self.file.url()
    }

    fn size(&self) -> u64 {
        self.file.size()
    }

    fn columns(&self) -> &[String] {
        &self.columns
    }

    /// A Parquet file has its own schema.
    fn with_dtype(&self, _dtype: NumberType) -> Option<Arc<dyn TableFile>> {
        None
    }

    fn head(&self, n: usize, scan: &Scan) -> Result<DataFrame> {
        let (groups, skip, rows) =
            plan::locate(self.footer.group_rows(), 0..n.min(self.footer.rows()));
        self.read_groups(groups, skip, rows, scan, &ignore_progress)
    }

    fn collect(&self, scan: &Scan, on_progress: OnProgress<'_>) -> Result<DataFrame> {
        let groups = 0..self.footer.group_rows().len();
        self.read_groups(groups, 0, self.footer.rows(), scan, on_progress)
    }

    /// Splits the file into runs of row groups, or within row groups if there are fewer than `n`.
    fn partitions(&self, n: usize, limit: Option<usize>) -> Result<Vec<Part>> {
        let rows = limit.map_or(self.footer.rows(), |limit| limit.min(self.footer.rows()));
        if n > rows {
            return Err(Error::InvalidSetting {
                setting: "partitions",
                value: n.to_string(),
                reason: format!("is more than the {rows} rows of {}", self.url()),
            });
        }
        let part = |range| {
            let (groups, skip, rows) = plan::locate(self.footer.group_rows(), range);
            Part::RowGroups { groups, skip, rows }
        };
        let ranges = if rows == self.footer.rows() {
            plan::cut(self.footer.group_rows(), n)
        } else {
            let even = |part: usize| rows * part / n;
            (0..n).map(|part| even(part)..even(part + 1)).collect()
        };
        Ok(ranges.into_iter().map(part).collect())
    }

    fn rows(&self, part: Option<&Part>) -> Result<u64> {
        Ok(match part {
            Some(Part::RowGroups { rows, .. }) => *rows as u64,
            _ => self.footer.rows() as u64,
        })
    }

    fn locate(&self, part: &Part, index: u64) -> Result<(String, u64)> {
        let above = match part {
            Part::RowGroups { groups, skip, .. } => {
                let before = self.footer.group_rows().iter().take(groups.start);
                before.sum::<usize>() + skip
            }
            Part::Bytes(_) | Part::Files(_) => 0,
        };
        Ok((self.url().to_owned(), above as u64 + index + 1))
    }

    fn read(
        &self,
        part: &Part,
        scan: &Scan,
        on_progress: OnProgress<'_>,
    ) -> Result<Option<DataFrame>> {
        let Part::RowGroups { groups, skip, rows } = part else {
            return Ok(None);
        };
        let Some(sizes) = self.footer.group_rows().get(groups.clone()) else {
            return Ok(None);
        };
        let available: usize = sizes.iter().sum();
        if skip.checked_add(*rows).is_none_or(|end| end > available) {
            return Ok(None);
        }
        self.read_groups(groups.clone(), *skip, *rows, scan, on_progress)
            .map(Some)
    }
}
