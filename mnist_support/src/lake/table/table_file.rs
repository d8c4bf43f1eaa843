//! The trait of file formats that hold tables.

use std::sync::Arc;

use polars::prelude::DataFrame;

use super::column_type::ColumnType;
use super::csv::CsvOptions;
use super::number_type::NumberType;
use super::partition::{Block, Part};
use super::scan::Scan;
use crate::Result;
use crate::lake::reading::OnProgress;

/// Takes the pieces of a table, one after the other.
pub(crate) type Each<'a> = &'a mut dyn FnMut(DataFrame) -> Result<()>;

/// An open table file. It has read no more than it needs to know its columns and rows.
pub(crate) trait TableFile: Send + Sync {
    /// The file's URL.
    fn url(&self) -> &str;

    /// The file's size in bytes.
    fn size(&self) -> u64;

    /// The column names, in order.
    fn columns(&self) -> &[String];

    /// The same file with every column read as `dtype`, or `None` if the format has its own schema.
    fn with_dtype(&self, dtype: NumberType) -> Option<Arc<dyn TableFile>>;

    /// Returns the first `n` rows, or all rows if there are fewer, whatever the scan's filter. A
    /// scan asks for no column that the file does not have.
    fn head(&self, n: usize, scan: &Scan) -> Result<DataFrame>;

    /// Reads all rows.
    fn collect(&self, scan: &Scan, on_progress: OnProgress<'_>) -> Result<DataFrame>;

    /// Splits the file, or its first `limit` rows, into exactly `n` parts, at least 1. They are in
    /// order and hold every row once.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`](crate::Error::InvalidSetting) for more parts than rows.
    fn partitions(&self, n: usize, limit: Option<usize>) -> Result<Vec<Part>>;

    /// The number of rows of a part, or of all. A CSV file is read for it.
    fn rows(&self, part: Option<&Part>) -> Result<u64>;

    /// Returns the URL of the file that has row `index` of a part, and the row's number in it, from
    /// 1. For error messages: it may have to read.
    fn locate(&self, part: &Part, index: u64) -> Result<(String, u64)>;

    /// The number in the file, from 1, of its row `index`. They differ if the file has rows that do
    /// not count.
    fn row_number(&self, index: u64) -> u64 {
        index + 1
    }

    /// Reads the rows of one part. Returns `None` for a part that this file cannot have.
    fn read(
        &self,
        part: &Part,
        scan: &Scan,
        on_progress: OnProgress<'_>,
    ) -> Result<Option<DataFrame>>;

    /// Like [`read`](Self::read), but passes the rows on in pieces of some megabytes, in order and
    /// at least one. Returns `false` for a part that this file cannot have.
    fn read_each(
        &self,
        part: &Part,
        scan: &Scan,
        on_progress: OnProgress<'_>,
        each: Each<'_>,
    ) -> Result<bool> {
        match self.read(part, scan, on_progress)? {
            None => Ok(false),
            Some(rows) => each(rows).map(|()| true),
        }
    }

    /// Splits a part into blocks that can each be read alone, about as small as reading them is
    /// efficient. They are in order, hold every row once, and depend on the file and the part
    /// alone.
    fn blocks(&self, part: &Part) -> Result<Vec<Block>>;

    /// The options that read other CSV files as this one; `None` for another format.
    fn csv_options(&self) -> Option<CsvOptions> {
        None
    }

    /// The types of the columns, if they were learnt from samples of the rows; none for a format
    /// with its own schema. A value that none of them holds is
    /// [`WiderValue`](crate::error::TableError::WiderValue).
    fn types(&self) -> Vec<(String, ColumnType)> {
        Vec::new()
    }

    /// The types that hold the values of all rows, which are read for it.
    fn types_of_all_rows(&self) -> Result<Vec<(String, ColumnType)>> {
        Ok(Vec::new())
    }

    /// The same file with other types than the samples'; `None` if the format has its own schema.
    fn with_types(&self, _types: &[(String, ColumnType)]) -> Option<Arc<dyn TableFile>> {
        None
    }
}
