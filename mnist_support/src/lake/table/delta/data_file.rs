//! A file of a Delta table.

use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use delta_kernel::Engine;
use delta_kernel::actions::deletion_vector::{DeletionVectorDescriptor, DeletionVectorStorageType};
use polars::prelude::{BooleanChunked, Column, DataFrame, IntoColumn, NewChunkedArray};

use super::log::{self, LogEngine};
use super::{DeletionVector, DeltaFile, DeltaVersion, stored, types};
use crate::lake::reading::{OnProgress, ignore_progress};
use crate::lake::store::Lake;
use crate::lake::table::number_type::NumberType;
use crate::lake::table::parquet::ParquetFile;
use crate::lake::table::partition::{Block, Part};
use crate::lake::table::plan;
use crate::lake::table::scan::Scan;
use crate::lake::table::stack::stack;
use crate::lake::table::table_file::{Each, TableFile};
use crate::{Error, Result, error::TableError};

/// A Parquet file of a Delta table: with the table's columns, and without the rows that were
/// deleted. The values of partition columns are not in it.
pub(super) struct DataFile {
    file: ParquetFile,
    version: Arc<DeltaVersion>,
    columns: Vec<String>,
    rows: Rows,
}

/// Which rows of a file count. Wherever this crate numbers rows, those that were deleted are left
/// out.
struct Rows {
    /// The rows of the file that were deleted, sorted.
    deleted: Vec<u64>,
    /// How many rows of each row group were not.
    group_rows: Vec<usize>,
}

impl DataFile {
    /// Opens a file of a version.
    pub(super) fn open(
        folder: &Lake,
        version: &Arc<DeltaVersion>,
        file: &DeltaFile,
    ) -> Result<DataFile> {
        if file.path.contains("://") {
            return Err(log::outside(&file.path, folder.url()));
        }
        let is_stored = |name: &String| !version.partition_columns.contains(name);
        let fields = version
            .schema
            .fields()
            .filter(|field| is_stored(field.name()));
        let fields: Vec<_> = fields.collect();
        let stored = fields.iter().zip(version.stored.fields());
        let stored: Vec<_> = stored
            .map(|(field, stored)| stored::column(field, stored))
            .collect();
        let parquet = ParquetFile::open_stored(folder, &file.path, &stored)?;
        let deleted = match &file.deletion_vector {
            None => Vec::new(),
            Some(vector) => deleted_rows(folder, vector)?,
        };
        let rows = Rows::new(parquet.group_rows(), deleted).ok_or_else(|| {
            TableError::failed(
                folder.url(),
                format!(
                    "the deletion vector of {} has rows that it does not have",
                    parquet.url()
                ),
            )
        })?;
        if rows.count() == 0 {
            return Err(Error::Table(TableError::EmptyFile {
                file: parquet.url().to_owned(),
                reason: "all of its rows were deleted".to_owned(),
            }));
        }
        Ok(DataFile {
            file: parquet,
            version: Arc::clone(version),
            columns: fields.iter().map(|field| field.name().clone()).collect(),
            rows,
        })
    }

    /// Reads a range of the rows that were not deleted.
    fn read_rows(
        &self,
        rows: Range<usize>,
        scan: &Scan,
        on_progress: OnProgress<'_>,
    ) -> Result<DataFrame> {
        let mut pieces = Vec::new();
        self.read_rows_each(rows, scan, on_progress, &mut |piece| {
            pieces.push(piece);
            Ok(())
        })?;
        Ok(stack(pieces, self.url())?.unwrap_or_default())
    }

    /// Like [`read_rows`](Self::read_rows), but passes the rows on in pieces, at least one.
    fn read_rows_each(
        &self,
        rows: Range<usize>,
        scan: &Scan,
        on_progress: OnProgress<'_>,
        each: Each<'_>,
    ) -> Result<()> {
        let wanted = scan.columns.as_deref().unwrap_or(&self.columns);
        let is_there = |name: &str| self.file.columns().iter().any(|column| column == name);
        let mut columns: Vec<String> = wanted.to_vec();
        columns.retain(|name| is_there(name));
        if columns.is_empty() {
            // The columns are newer than the file.
            let nothing = DataFrame::empty_with_height(rows.len());
            return each(self.with_types_of_table(&nothing, wanted)?);
        }
        // Row groups that are left out would move the rows that a deletion vector counts.
        let filter = scan.filter.clone().filter(|_| self.rows.deleted.is_empty());
        let scan = Scan {
            columns: Some(columns),
            filter: filter.and_then(|filter| filter.on(is_there)),
        };
        let rows = self.rows.in_file(rows);
        let mut start = rows.start;
        self.file
            .read_rows_each(rows, &scan, on_progress, &mut |piece| {
                let rows = start..start + piece.height();
                start = rows.end;
                let left = self.rows.not_deleted(piece, rows);
                let left = left.map_err(TableError::about(self.url()))?;
                each(self.with_types_of_table(&left, wanted)?)
            })
    }

    /// Columns of the table, of which the file has these.
    fn with_types_of_table(&self, frame: &DataFrame, wanted: &[String]) -> Result<DataFrame> {
        let columns = wanted.iter().map(|name| self.column(frame, name));
        let columns = columns.collect::<Result<Vec<Column>>>()?;
        DataFrame::new(frame.height(), columns).map_err(TableError::about(self.url()))
    }

    /// A column with the type that it has in the table; null if the file is older than the column.
    fn column(&self, frame: &DataFrame, name: &str) -> Result<Column> {
        let Some(field) = self.version.schema.field(name) else {
            return Err(Error::Table(TableError::ColumnNotFound {
                table: self.url().to_owned(),
                column: name.to_owned(),
                available: crate::text::columns(&self.columns),
            }));
        };
        let dtype = types::frame_type(field.data_type(), self.url(), name)?;
        let Ok(column) = frame.column(name) else {
            return Ok(Column::full_null(name.into(), frame.height(), &dtype));
        };
        if *column.dtype() == dtype {
            return Ok(column.clone());
        }
        let cast = column.as_materialized_series().strict_cast(&dtype);
        let cast = cast.map_err(|error| {
            let found = format!("{} in a file ({error})", column.dtype());
            Error::Table(TableError::ColumnType {
                table: self.url().to_owned(),
                column: name.to_owned(),
                found,
                expected: format!("{dtype}, as in the table's schema,"),
            })
        })?;
        Ok(cast.into_column())
    }
}

/// The rows that a deletion vector names, sorted.
fn deleted_rows(folder: &Lake, vector: &DeletionVector) -> Result<Vec<u64>> {
    let engine = LogEngine::new(folder)?;
    let rows = || {
        let storage_type = DeletionVectorStorageType::from_str(&vector.storage_type)?;
        let descriptor = DeletionVectorDescriptor::try_new(
            storage_type,
            &vector.path_or_inline_dv,
            vector.offset,
            vector.size_in_bytes,
            vector.cardinality,
        )?;
        descriptor.row_indexes(engine.storage_handler(), engine.log().root())
    };
    let rows = rows().map_err(|error| log::error(error, folder.url()))?;
    if rows.len() as i64 != vector.cardinality {
        return Err(TableError::failed(
            folder.url(),
            format!(
                "a deletion vector has {} rows, and the log says {}: it is damaged",
                rows.len(),
                vector.cardinality
            ),
        ));
    }
    Ok(rows)
}

impl Rows {
    /// `None` if rows were deleted that there are not.
    fn new(group_rows: &[usize], deleted: Vec<u64>) -> Option<Rows> {
        let mut end = 0;
        let group_rows: Vec<usize> = group_rows
            .iter()
            .map(|rows| {
                let start = end;
                end += *rows as u64;
                rows - between(&deleted, start..end).len()
            })
            .collect();
        let fits = deleted.last().is_none_or(|last| *last < end);
        fits.then_some(Rows {
            deleted,
            group_rows,
        })
    }

    fn count(&self) -> usize {
        self.group_rows.iter().sum()
    }

    /// Some rows of row groups, as rows of the file.
    fn range(&self, groups: Range<usize>, skip: usize, rows: usize) -> Range<usize> {
        let above: usize = self.group_rows[..groups.start].iter().sum();
        above + skip..above + skip + rows
    }

    /// The number in the file, from 0, of a row that was not deleted.
    fn row_in_file(&self, row: usize) -> u64 {
        // As many rows lie above it as were deleted above it, and each of these may add one more.
        let mut place = row as u64;
        loop {
            let above = self.deleted.partition_point(|deleted| *deleted <= place);
            let next = row as u64 + above as u64;
            if next == place {
                return place;
            }
            place = next;
        }
    }

    /// The rows of the file from the first to the last of some that were not deleted.
    fn in_file(&self, rows: Range<usize>) -> Range<usize> {
        if rows.is_empty() {
            return 0..0;
        }
        self.row_in_file(rows.start) as usize..self.row_in_file(rows.end - 1) as usize + 1
    }

    /// Leaves out the rows that were deleted, of those of the file that a frame has.
    fn not_deleted(
        &self,
        frame: DataFrame,
        rows: Range<usize>,
    ) -> polars::prelude::PolarsResult<DataFrame> {
        let deleted = between(&self.deleted, rows.start as u64..rows.end as u64);
        if deleted.is_empty() {
            return Ok(frame);
        }
        let mut mask = vec![true; frame.height()];
        for row in deleted {
            mask[*row as usize - rows.start] = false;
        }
        frame.filter(&BooleanChunked::from_slice("mask".into(), &mask))
    }
}

/// The sorted numbers that lie in a range.
fn between(sorted: &[u64], range: Range<u64>) -> &[u64] {
    let place = |bound: u64| sorted.partition_point(|number| *number < bound);
    &sorted[place(range.start)..place(range.end)]
}

impl TableFile for DataFile {
    fn url(&self) -> &str {
        self.file.url()
    }

    fn size(&self) -> u64 {
        self.file.size()
    }

    fn columns(&self) -> &[String] {
        &self.columns
    }

    /// A table has its own schema.
    fn with_dtype(&self, _dtype: NumberType) -> Option<Arc<dyn TableFile>> {
        None
    }

    fn head(&self, n: usize, scan: &Scan) -> Result<DataFrame> {
        let scan = &Scan {
            filter: None,
            ..scan.clone()
        };
        self.read_rows(0..n.min(self.rows.count()), scan, &ignore_progress)
    }

    fn collect(&self, scan: &Scan, on_progress: OnProgress<'_>) -> Result<DataFrame> {
        self.read_rows(0..self.rows.count(), scan, on_progress)
    }

    fn partitions(&self, n: usize, limit: Option<usize>) -> Result<Vec<Part>> {
        plan::partitions(&self.rows.group_rows, n, limit, self.url())
    }

    fn rows(&self, part: Option<&Part>) -> Result<u64> {
        Ok(plan::rows(&self.rows.group_rows, part))
    }

    fn locate(&self, part: &Part, index: u64) -> Result<(String, u64)> {
        let row = plan::row_number(&self.rows.group_rows, part, index);
        Ok((self.url().to_owned(), self.row_number(row - 1)))
    }

    fn row_number(&self, index: u64) -> u64 {
        self.rows.row_in_file(index as usize) + 1
    }

    fn read(
        &self,
        part: &Part,
        scan: &Scan,
        on_progress: OnProgress<'_>,
    ) -> Result<Option<DataFrame>> {
        let Some((groups, skip, rows)) = plan::checked(&self.rows.group_rows, part) else {
            return Ok(None);
        };
        let rows = self.rows.range(groups, skip, rows);
        self.read_rows(rows, scan, on_progress).map(Some)
    }

    fn read_each(
        &self,
        part: &Part,
        scan: &Scan,
        on_progress: OnProgress<'_>,
        each: Each<'_>,
    ) -> Result<bool> {
        let Some((groups, skip, rows)) = plan::checked(&self.rows.group_rows, part) else {
            return Ok(false);
        };
        let rows = self.rows.range(groups, skip, rows);
        self.read_rows_each(rows, scan, on_progress, each)
            .map(|()| true)
    }

    fn blocks(&self, part: &Part) -> Result<Vec<Block>> {
        let bytes = |group| self.file.group_bytes(group);
        Ok(plan::blocks(&self.rows.group_rows, bytes, part))
    }
}

#[cfg(test)]
mod tests {
    use polars::df;
    use polars::prelude::ParquetWriter;

    use super::*;
    use crate::lake::Credentials;

    #[test]
    fn rows_are_numbered_without_those_that_were_deleted() {
        let rows = Rows::new(&[4, 0, 3], vec![0, 1, 3, 6]).unwrap();
        assert_eq!(rows.group_rows, [1, 0, 2]);
        assert_eq!(
            (0..3).map(|row| rows.row_in_file(row)).collect::<Vec<_>>(),
            [2, 4, 5]
        );
        assert_eq!(rows.in_file(0..2), 2..5);
        assert_eq!(rows.in_file(1..1), 0..0);
        let frame = df!("x" => [2, 3, 4]).unwrap();
        let kept = rows.not_deleted(frame, 2..5).unwrap();
        assert_eq!(kept, df!("x" => [2, 4]).unwrap());
        assert!(Rows::new(&[4], vec![4]).is_none());
        assert_eq!(Rows::new(&[2], vec![0, 1]).unwrap().count(), 0);
    }

    #[test]
    fn a_large_file_comes_in_pieces_without_the_rows_that_were_deleted() {
        // Values that cannot be compressed, in row groups of 4 MB.
        let values = (0..2_400_000_u64).map(|row| row.wrapping_mul(0x9e37_79b9_7f4a_7c15) as i64);
        let values: Vec<i64> = values.collect();
        let folder = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(folder.path().join("x.parquet")).unwrap();
        let writer = ParquetWriter::new(file).with_row_group_size(Some(500_000));
        writer.finish(&mut df!("x" => &values).unwrap()).unwrap();
        let lake = Lake::open(&folder.path().to_string_lossy(), &Credentials::local()).unwrap();
        let file = ParquetFile::open(&lake, "x.parquet").unwrap();
        let deleted = vec![0, 499_999, 500_000, 1_999_999, 2_000_001];
        let rows = Rows::new(file.group_rows(), deleted.clone()).unwrap();
        let field = r#"{"type":"struct","fields":[
            {"name":"x","type":"long","nullable":true,"metadata":{}}]}"#;
        let version = DeltaVersion {
            version: 0,
            schema: serde_json::from_str(field).unwrap(),
            stored: serde_json::from_str(field).unwrap(),
            partition_columns: Vec::new(),
            files: Vec::new(),
        };
        let file = DataFile {
            file,
            version: Arc::new(version),
            columns: vec!["x".to_owned()],
            rows,
        };
        let left = values.iter().enumerate();
        let left = left.filter(|(row, _)| !deleted.contains(&(*row as u64)));
        let left: Vec<i64> = left.map(|(_, value)| *value).collect();
        let mut found = Vec::new();
        let mut pieces = 0;
        let part = &file.partitions(1, None).unwrap()[0];
        let read = file.read_each(part, &Scan::default(), &ignore_progress, &mut |piece| {
            found.extend(
                piece
                    .column("x")
                    .unwrap()
                    .i64()
                    .unwrap()
                    .into_no_null_iter(),
            );
            pieces += 1;
            Ok(())
        });
        assert!(read.unwrap());
        assert!(pieces > 1, "{pieces}");
        assert!(found == left);
    }
}
