//! Decodes a small Parquet file in memory with polars' Parquet reader.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use polars::prelude::{ArrowDataType, Column, DataFrame, ParquetReader, PolarsResult, SerReader};

use super::footer::Footer;
use crate::lake::table::Scan;
use crate::{
    Error, Result,
    error::{Cause, TableError},
};

/// Returns the column names, if this build of polars can read all of their types.
pub(super) fn columns(footer: &Footer, file: &str) -> Result<Vec<String>> {
    let small = footer.extract(0..0, 0, &[]);
    let schema = guarded(file, || ParquetReader::new(Cursor::new(small)).schema())?;
    for field in schema.iter_values() {
        if !is_supported(&field.dtype) {
            return Err(Error::Table(TableError::ColumnType {
                table: file.into(),
                column: field.name.to_string(),
                found: format!("{:?}", field.dtype),
                expected: "UInt8, Int32, Int64, UInt32, UInt64, Float32 or Float64".into(),
            }));
        }
    }
    Ok(schema.iter_names().map(|name| name.to_string()).collect())
}

/// Polars is built with the types that images, labels and features need. Strings and booleans can
/// be read too, and strings are rejected when they are used as features.
fn is_supported(dtype: &ArrowDataType) -> bool {
    use ArrowDataType as D;
    matches!(
        dtype,
        D::Boolean
            | D::UInt8
            | D::Int32
            | D::Int64
            | D::UInt32
            | D::UInt64
            | D::Float32
            | D::Float64
    ) || matches!(
        dtype,
        D::Utf8View | D::LargeUtf8 | D::Utf8 | D::BinaryView | D::LargeBinary | D::Binary
    ) || matches!(
        dtype,
        D::Dictionary(..) | D::LargeList(_) | D::List(_) | D::FixedSizeList(..)
    )
}

/// Reads the scan's columns of `rows` rows of a small file, after skipping `skip`.
pub(super) fn read(
    small: Vec<u8>,
    skip: usize,
    rows: usize,
    scan: &Scan,
    file: &str,
) -> Result<DataFrame> {
    guarded(file, || {
        let frame = ParquetReader::new(Cursor::new(small))
            .with_columns(scan.columns.clone())
            .with_slice(Some((skip, rows)))
            .finish()?;
        // The reader keeps the order of the file.
        match &scan.columns {
            None => Ok(frame),
            Some(columns) => frame.select(columns),
        }
    })
}

/// Catches panics of the decoder, which may panic on corrupt bytes and on types that this build of
/// polars leaves out. Neither may end the program.
fn guarded<T>(file: &str, read: impl FnOnce() -> PolarsResult<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read.map_err(|error| damaged(file, error)),
        Err(_) => Err(damaged(
            file,
            "a column is damaged, or of a type that is not supported",
        )),
    }
}

/// The error for a file that cannot be decoded.
pub(super) fn damaged(file: &str, reason: impl Into<Cause>) -> Error {
    TableError::failed(file, reason)
}

/// Returns an error for the first value that is missing or not finite. The frame begins with row
/// `first_row` of the file, counted from 0.
pub(super) fn check(frame: &DataFrame, file: &str, first_row: usize) -> Result<()> {
    let row = |index: usize| (first_row + index) as u64 + 1;
    let mut missing: Option<(usize, &Column)> = None;
    for column in frame.columns() {
        if column.null_count() > 0
            && let Some(index) = column.is_null().iter().position(|null| null == Some(true))
            && missing.is_none_or(|(first, _)| index < first)
        {
            missing = Some((index, column));
        }
    }
    if let Some((index, column)) = missing {
        return Err(Error::Table(TableError::MissingValue {
            file: file.into(),
            row: row(index),
            column: column.name().to_string(),
        }));
    }
    for column in frame.columns() {
        let series = column.as_materialized_series();
        let found = if let Ok(values) = series.f64() {
            values
                .iter()
                .flatten()
                .enumerate()
                .find(|(_, value)| !value.is_finite())
        } else if let Ok(values) = series.f32() {
            values
                .iter()
                .flatten()
                .map(f64::from)
                .enumerate()
                .find(|(_, value)| !value.is_finite())
        } else {
            None
        };
        if let Some((index, value)) = found {
            return Err(Error::Table(TableError::InvalidValue {
                file: file.into(),
                row: row(index),
                column: column.name().to_string(),
                value: value.to_string(),
                expected: "a finite number".into(),
            }));
        }
    }
    Ok(())
}
