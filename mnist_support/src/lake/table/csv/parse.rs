//! The parser for numbers between commas: polars' CSV reader.

use std::io::Cursor;

use bytes::Bytes;
use memchr::memchr;
use polars::prelude::{
    Column, CsvReadOptions, DataFrame, DataType, PolarsResult, SchemaRef, SerReader,
};

use super::columns::Columns;

/// Parses whole lines of numbers without quotes around them. Returns `None` for anything else,
/// whether invalid or merely unusual, and leaves it to the general parser.
///
/// Polars fills short rows and empty fields with nulls, reads `nan` as a number and drops a surplus
/// empty field at the very end of its input: a frame with any of these is not returned.
pub(super) fn parse(bytes: &Bytes, columns: &Columns) -> Option<DataFrame> {
    let quote = columns.dialect().syntax.quote;
    if bytes.is_empty() || quote.is_some_and(|quote| memchr(quote, bytes).is_some()) {
        return None;
    }
    let frame = attempt(bytes, columns.schema()).ok()?;
    (is_complete(&frame) && last_line_fits(bytes, columns)).then_some(frame)
}

fn attempt(bytes: &Bytes, schema: SchemaRef) -> PolarsResult<DataFrame> {
    CsvReadOptions::default()
        .with_has_header(false)
        .with_schema(Some(schema))
        .map_parse_options(|options| options.with_quote_char(None))
        .into_reader_with_file_handle(Cursor::new(bytes.clone()))
        .finish()
}

/// Whether every value is present and finite.
fn is_complete(frame: &DataFrame) -> bool {
    frame.columns().iter().all(|column| {
        let series = column.as_materialized_series();
        let finite = match series.dtype() {
            DataType::Float64 => series.f64().is_ok_and(|values| {
                values
                    .downcast_iter()
                    .all(|part| part.values_iter().all(|v| v.is_finite()))
            }),
            DataType::Float32 => series.f32().is_ok_and(|values| {
                values
                    .downcast_iter()
                    .all(|part| part.values_iter().all(|v| v.is_finite()))
            }),
            _ => true,
        };
        finite && series.null_count() == 0
    })
}

fn last_line_fits(bytes: &[u8], columns: &Columns) -> bool {
    let last = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let start = memchr::memrchr(b'\n', last).map_or(0, |at| at + 1);
    memchr::memchr_iter(b',', &last[start..]).count() + 1 == columns.len()
}

/// The columns `wanted` of a frame.
pub(super) fn select(frame: &DataFrame, wanted: &[usize]) -> PolarsResult<DataFrame> {
    let columns: Vec<Column> = wanted
        .iter()
        .map(|&column| frame.columns()[column].clone())
        .collect();
    DataFrame::new(frame.height(), columns)
}

#[cfg(test)]
mod tests {
    use super::super::testing::columns;
    use super::*;
    use crate::lake::NumberType::{Float32, Float64, Int64, UInt8};

    #[test]
    fn only_whole_rows_of_finite_numbers_are_taken() {
        let columns = columns(&[Int64, Float64]);
        let taken = |text: &'static str| parse(&Bytes::from_static(text.as_bytes()), &columns);
        let frame = taken("-1,0.5\r\n 2,3\n").unwrap();
        assert_eq!(
            frame.columns()[0].i64().unwrap().to_vec(),
            [Some(-1), Some(2)]
        );
        assert_eq!(
            frame.columns()[1].f64().unwrap().to_vec(),
            [Some(0.5), Some(3.0)]
        );
        for text in [
            "1,2\n3\n",
            "1,2\n3,4,5\n6,7\n",
            "1,2\n3,4,",
            "1,2,\n3,4\n",
            "1,2\n3,\n",
            "1,2\n,4\n",
            "1,2\n3,x\n",
            "0.5,2\n",
            "1,nan\n",
            "1,inf\n",
            "\"1\",2\n",
            "",
        ] {
            assert!(taken(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_given_type_is_kept() {
        let text = Bytes::from_static(b"1,2\n");
        let frame = parse(&text, &columns(&[Float32, UInt8])).unwrap();
        assert_eq!(frame.columns()[0].dtype(), &DataType::Float32);
        assert_eq!(frame.columns()[1].dtype(), &DataType::UInt8);
    }
}
