//! Parquet files: the footer says where each row group is, and only their bytes are read.

mod bytes;
mod chunk;
mod convert;
mod extract;
mod footer;
#[cfg(test)]
mod fuzz;
mod pages;
mod statistics;
mod stored;
mod thrift;
mod unpack;
mod write;

use std::ops::Range;
use std::sync::Arc;

use polars::prelude::DataFrame;

use super::number_type::NumberType;
use super::partition::{Block, Part};
use super::plan;
use super::scan::Scan;
use super::stack::stack;
use super::table_file::{Each, TableFile};
use crate::lake::file::LakeFile;
use crate::lake::reading::{OnProgress, ignore_progress};
use crate::lake::store::Lake;
use crate::{Error, Result, error::TableError};
use footer::Footer;
pub(in crate::lake::table) use stored::{Inner, StoredColumn};
pub(crate) use write::RowGroupWriter;

/// Row groups are fetched and decoded in runs of about this size, while the next run is being
/// fetched.
const RUN: u64 = 8 << 20;

/// A Parquet file, read lazily.
pub(crate) struct ParquetFile {
    file: LakeFile,
    footer: Footer,
    columns: Vec<String>,
}

impl ParquetFile {
    /// Reads the footer.
    pub(crate) fn open(lake: &Lake, path: &str) -> Result<ParquetFile> {
        ParquetFile::with_footer(lake, path, |_| ())
    }

    /// Opens a file that has other names for its columns. The others that it has are hidden.
    pub(super) fn open_stored(
        lake: &Lake,
        path: &str,
        columns: &[StoredColumn],
    ) -> Result<ParquetFile> {
        ParquetFile::with_footer(lake, path, |footer| footer.rename(columns))
    }

    fn with_footer(
        lake: &Lake,
        path: &str,
        change: impl FnOnce(&mut Footer),
    ) -> Result<ParquetFile> {
        let (file, first) = lake.file(path, footer::MAGIC.len() as u64)?;
        if file.size() == 0 {
            return Err(Error::Table(TableError::EmptyFile {
                file: file.url().into(),
                reason: "it has no bytes".into(),
            }));
        }
        let mut footer = Footer::read(&file, &first)?;
        change(&mut footer);
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

    /// The number of rows of each row group.
    pub(super) fn group_rows(&self) -> &[usize] {
        self.footer.group_rows()
    }

    /// The number of bytes of a row group.
    pub(super) fn group_bytes(&self, group: usize) -> u64 {
        self.footer.group_bytes(group)
    }

    /// Reads a range of the file's rows.
    pub(super) fn read_rows(
        &self,
        rows: Range<usize>,
        scan: &Scan,
        on_progress: OnProgress<'_>,
    ) -> Result<DataFrame> {
        let (groups, skip, rows) = plan::locate(self.footer.group_rows(), rows);
        self.read_groups(groups, skip, rows, scan, on_progress)
    }

    /// Like [`read_rows`](Self::read_rows), but passes the rows on in pieces, at least one.
    pub(super) fn read_rows_each(
        &self,
        rows: Range<usize>,
        scan: &Scan,
        on_progress: OnProgress<'_>,
        each: Each<'_>,
    ) -> Result<()> {
        let (groups, skip, rows) = plan::locate(self.footer.group_rows(), rows);
        self.for_each_run(groups, skip, rows, scan, on_progress, each)
    }

    fn read_groups(
        &self,
        groups: Range<usize>,
        skip: usize,
        rows: usize,
        scan: &Scan,
        on_progress: OnProgress<'_>,
    ) -> Result<DataFrame> {
        let mut runs = Vec::new();
        self.for_each_run(groups, skip, rows, scan, on_progress, &mut |run| {
            runs.push(run);
            Ok(())
        })?;
        Ok(stack(runs, self.url())?.unwrap_or_default())
    }

    /// Reads row groups run by run: at least one, which may have no rows.
    fn for_each_run(
        &self,
        groups: Range<usize>,
        skip: usize,
        rows: usize,
        scan: &Scan,
        on_progress: OnProgress<'_>,
        each: Each<'_>,
    ) -> Result<()> {
        let selection = self.footer.select(scan.columns.as_deref());
        let excluded = |group: &usize| {
            let filter = scan.filter.as_ref();
            filter.is_some_and(|filter| self.footer.is_excluded(*group, filter))
        };
        let kept = groups.clone().filter(|group| !excluded(group));
        let kept: Vec<usize> = kept.collect();
        let runs: Vec<Range<usize>> = kept
            .chunk_by(|before, group| before + 1 == *group)
            .flat_map(|some| {
                let some = some[0]..some[some.len() - 1] + 1;
                self.footer.runs(some, &selection, RUN)
            })
            .collect();
        let bytes: Vec<Vec<Range<u64>>> = runs
            .iter()
            .map(|run| self.footer.bytes_of(run.clone(), &selection))
            .collect();
        let rows_of = |groups: Range<usize>| self.footer.group_rows()[groups].iter().sum::<usize>();
        let first = rows_of(0..groups.start) + skip;
        if runs.is_empty() {
            let nothing = self.footer.extract(0..0, &selection, &[], &[]);
            let nothing = nothing.read(0, 0, self.url())?;
            return each(convert::frame(nothing, &self.footer, scan, self.url())?);
        }
        let meter = self.file.meter(&bytes, on_progress);
        let fetched = self.file.read_ahead(&bytes, &meter);
        for ((run, ranges), fetched) in runs.into_iter().zip(&bytes).zip(fetched) {
            let fetched = fetched?;
            let above = rows_of(0..run.start);
            let below = above + rows_of(run.clone());
            let wanted = first.max(above)..(first + rows).min(below);
            let small = self.footer.extract(run, &selection, ranges, &fetched);
            drop(fetched);
            let frame = small.read(wanted.start - above, wanted.len(), self.url())?;
            each(convert::frame(frame, &self.footer, scan, self.url())?)?;
        }
        Ok(())
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
        let scan = &Scan {
            filter: None,
            ..scan.clone()
        };
        self.read_rows(0..n.min(self.footer.rows()), scan, &ignore_progress)
    }

    fn collect(&self, scan: &Scan, on_progress: OnProgress<'_>) -> Result<DataFrame> {
        let groups = 0..self.footer.group_rows().len();
        self.read_groups(groups, 0, self.footer.rows(), scan, on_progress)
    }

    /// Splits the file into runs of row groups, or within row groups if there are fewer than `n`.
    fn partitions(&self, n: usize, limit: Option<usize>) -> Result<Vec<Part>> {
        plan::partitions(self.footer.group_rows(), n, limit, self.url())
    }

    fn rows(&self, part: Option<&Part>) -> Result<u64> {
        Ok(plan::rows(self.footer.group_rows(), part))
    }

    fn locate(&self, part: &Part, index: u64) -> Result<(String, u64)> {
        let row = plan::row_number(self.footer.group_rows(), part, index);
        Ok((self.url().to_owned(), row))
    }

    fn read(
        &self,
        part: &Part,
        scan: &Scan,
        on_progress: OnProgress<'_>,
    ) -> Result<Option<DataFrame>> {
        let Some((groups, skip, rows)) = plan::checked(self.footer.group_rows(), part) else {
            return Ok(None);
        };
        self.read_groups(groups, skip, rows, scan, on_progress)
            .map(Some)
    }

    fn read_each(
        &self,
        part: &Part,
        scan: &Scan,
        on_progress: OnProgress<'_>,
        each: Each<'_>,
    ) -> Result<bool> {
        let Some((groups, skip, rows)) = plan::checked(self.footer.group_rows(), part) else {
            return Ok(false);
        };
        self.for_each_run(groups, skip, rows, scan, on_progress, each)
            .map(|()| true)
    }

    fn blocks(&self, part: &Part) -> Result<Vec<Block>> {
        let bytes = |group| self.group_bytes(group);
        Ok(plan::blocks(self.footer.group_rows(), bytes, part))
    }
}
