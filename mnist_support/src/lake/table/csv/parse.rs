//! The general parser: polars' CSV reader.

use std::io::Cursor;

use bytes::Bytes;
use polars::prelude::{CsvReadOptions, DataFrame, DataType, PolarsResult, SchemaRef, SerReader};

use super::columns::Columns;
use super::diagnose::{Problem, check_quotes, examine};
use super::lines;
use crate::{Result, error::TableError};

/// Parses whole lines.
///
/// Polars fills short rows and empty fields with nulls and reads `nan` as a number. A frame with
/// any of these is therefore examined again, slowly, to name the row. The same goes for lines that
/// polars rejects: either a row is invalid, or a column needs a wider type and the lines are parsed
/// once more.
pub(super) fn parse(bytes: Bytes, columns: &Columns) -> Result<DataFrame, Problem> {
    if bytes.is_empty() {
        return Ok(DataFrame::empty_with_schema(
            &columns.schema(columns.types()),
        ));
    }
    let quoted = bytes.contains(&b'"');
    if quoted {
        check_quotes(&bytes)?;
    }
    let refusal = match attempt(&bytes, columns.schema(columns.types()), quoted) {
        Ok(frame) if is_complete(&frame) && last_line_fits(&bytes, columns) => return Ok(frame),
        Ok(_) => "values are missing".to_owned(),
        Err(error) => error.to_string(),
    };
    let types = examine(&bytes, columns)?;
    if types == columns.types() {
        return Err(Problem::Other(
            refusal.lines().next().unwrap_or_default().into(),
        ));
    }
    match attempt(&bytes, columns.schema(&types), quoted) {
        Ok(frame) if is_complete(&frame) => Ok(frame),
        Ok(_) => Err(Problem::Other("values are missing".into())),
        Err(error) => Err(Problem::Other(
            error.to_string().lines().next().unwrap_or_default().into(),
        )),
    }
}

fn attempt(bytes: &Bytes, schema: SchemaRef, quoted: bool) -> PolarsResult<DataFrame> {
    CsvReadOptions::default()
        .with_has_header(false)
        .with_schema(Some(schema))
        .map_parse_options(|options| options.with_quote_char(quoted.then_some(b'"')))
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

/// Polars drops one surplus empty field at the very end of its input.
fn last_line_fits(bytes: &[u8], columns: &Columns) -> bool {
    lines::split(bytes)
        .last()
        .is_some_and(|line| lines::fields(line).len() == columns.len())
}

/// Joins the frames of a file's blocks. Each column has the widest of its types and is contiguous.
pub(super) fn stack(frames: Vec<DataFrame>, columns: &Columns, file: &str) -> Result<DataFrame> {
    let width = |dtype: &DataType| match dtype {
        DataType::UInt8 => 0,
        DataType::Int64 => 1,
        DataType::Float32 => 2,
        _ => 3,
    };
    let mut frames = frames.into_iter();
    let Some(mut whole) = frames.next() else {
        return Ok(DataFrame::empty_with_schema(
            &columns.schema(columns.types()),
        ));
    };
    for mut frame in frames {
        for index in 0..columns.len() {
            let (left, right) = (
                whole.columns()[index].dtype().clone(),
                frame.columns()[index].dtype().clone(),
            );
            if width(&left) < width(&right) {
                whole
                    .try_apply_at_idx(index, |column| column.cast(&right))
                    .map_err(TableError::about(file))?;
            } else if width(&right) < width(&left) {
                frame
                    .try_apply_at_idx(index, |column| column.cast(&left))
                    .map_err(TableError::about(file))?;
            }
        }
        whole
            .vstack_mut_owned(frame)
            .map_err(TableError::about(file))?;
    }
    whole.rechunk_mut_par();
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::super::diagnose::RowProblem;
    use super::*;
    use crate::lake::NumberType;

    fn columns(names: &[&str]) -> Columns {
        Columns::new(names.iter().map(|name| name.to_string()).collect())
    }

    fn problem(text: &'static str) -> (u64, RowProblem) {
        match parse(Bytes::from_static(text.as_bytes()), &columns(&["a", "b"])) {
            Err(Problem::Row { row, kind }) => (row, kind),
            other => panic!("{text:?}: {other:?}"),
        }
    }

    fn dtypes(text: &'static str) -> Vec<DataType> {
        let frame = parse(Bytes::from_static(text.as_bytes()), &columns(&["a", "b"])).unwrap();
        frame
            .columns()
            .iter()
            .map(|column| column.dtype().clone())
            .collect()
    }

    #[test]
    fn a_column_is_as_narrow_as_its_values_allow() {
        assert_eq!(dtypes("0,255\n1,2\n"), [DataType::UInt8, DataType::UInt8]);
        assert_eq!(
            dtypes("0,256\r\n1,0.5\r\n"),
            [DataType::UInt8, DataType::Float64]
        );
        assert_eq!(dtypes("-1,\"7\"\n 1,2"), [DataType::Int64, DataType::UInt8]);
    }

    #[test]
    fn an_invalid_row_is_found_whatever_the_parser_makes_of_it() {
        let ragged = |found| RowProblem::Ragged { expected: 2, found };
        assert_eq!(problem("1,2\n3\n"), (1, ragged(1)));
        assert_eq!(problem("1,2\n3,4,5\n6,7\n"), (1, ragged(3)));
        assert_eq!(problem("1,2\n\n3,4\n"), (1, ragged(0)));
        assert_eq!(problem("1,2\n3,4,"), (1, ragged(3)));
        assert_eq!(problem("1,2,\n3,4\n"), (0, ragged(3)));
        assert_eq!(problem("1,2\n3,\n"), (1, RowProblem::Missing { column: 1 }));
        assert_eq!(problem("1,2\n,4\n"), (1, RowProblem::Missing { column: 0 }));
        let invalid = |column, value: &str| RowProblem::Invalid {
            column,
            value: value.into(),
            expected: "a finite number",
        };
        assert_eq!(problem("1,2\n3,x\n"), (1, invalid(1, "x")));
        assert_eq!(problem("0.5,2\nnan,3\n"), (1, invalid(0, "nan")));
        assert_eq!(problem("1,2 \n"), (0, invalid(1, "2 ")));
        assert_eq!(problem("1,2\n3,\"4\n5\"\n"), (1, RowProblem::OpenQuote));
    }

    #[test]
    fn a_fixed_type_is_not_widened() {
        let fixed = columns(&["a", "b"]).fixed(NumberType::UInt8);
        let Err(Problem::Row {
            row: 0,
            kind: RowProblem::Invalid { expected, .. },
        }) = parse(Bytes::from_static(b"1,256\n"), &fixed)
        else {
            panic!()
        };
        assert_eq!(expected, "a whole number from 0 to 255");
        let wide = columns(&["a", "b"]).fixed(NumberType::Float32);
        let frame = parse(Bytes::from_static(b"1,0.5\n"), &wide).unwrap();
        assert!(
            frame
                .columns()
                .iter()
                .all(|column| column.dtype() == &DataType::Float32)
        );
    }

    #[test]
    fn blocks_of_different_types_become_one_column_of_the_widest() {
        let columns = columns(&["a", "b"]);
        let frames = ["1,2\n", "3,-4\n", "0.5,6\n"]
            .map(|text| parse(Bytes::from_static(text.as_bytes()), &columns).unwrap());
        let whole = stack(frames.to_vec(), &columns, "test.csv").unwrap();
        assert_eq!(whole.height(), 3);
        assert_eq!(
            whole.column("a").unwrap().f64().unwrap().to_vec(),
            [Some(1.0), Some(3.0), Some(0.5)]
        );
        assert_eq!(
            whole.column("b").unwrap().i64().unwrap().to_vec(),
            [Some(2), Some(-4), Some(6)]
        );
        assert_eq!(whole.column("a").unwrap().n_chunks(), 1);
    }
}
