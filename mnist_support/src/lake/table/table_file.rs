//! What a file format has to do to be a table.

use std::sync::Arc;

use polars::prelude::DataFrame;

use super::number_type::NumberType;
use super::partition::Part;
use crate::Result;
use crate::lake::reading::Tell;

/// An open file of some format: it knows its columns and rows, and has read as little as that takes.
pub(crate) trait TableFile: Send + Sync {
    /// The file's URL.
    fn url(&self) -> &str;

    /// The file's size in bytes.
    fn size(&self) -> u64;

    /// The names of the columns, in order.
    fn columns(&self) -> &[String];

    /// The same file with every column read as `dtype`, if the format leaves types open.
    fn with_dtype(&self, dtype: NumberType) -> Option<Arc<dyn TableFile>>;

    /// The first `n` rows, or all where there are fewer.
    fn head(&self, n: usize) -> Result<DataFrame>;

    /// All rows.
    fn collect(&self, tell: Tell<'_>) -> Result<DataFrame>;

    /// Cuts the file into exactly `n` parts, at least 1, in order, that hold every row once.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`](crate::Error::InvalidSetting) for more parts than rows.
    fn partitions(&self, n: usize) -> Result<Vec<Part>>;

    /// The rows of one part; `None` where no part of this file can be like it.
    fn read(&self, part: &Part, tell: Tell<'_>) -> Result<Option<DataFrame>>;
}
