//! The general parser, for any dialect and types.

use std::borrow::Cow;
use std::ops::Range;

use polars::prelude::{
    BooleanChunkedBuilder, ChunkedBuilder, Column, DataFrame, Float32Type, Float64Type, Int32Type,
    Int64Type, IntoSeries, PolarsNumericType, PolarsResult, PrimitiveChunkedBuilder, Series,
    StringChunkedBuilder, TimeUnit, UInt8Type,
};
use rayon::prelude::*;

use super::columns::Columns;
use super::problem::{Problem, RowProblem};
use super::records::{End, Field};
use super::values::{Values, trim};
use crate::lake::table::ColumnType;

/// Records are parsed in chunks of about this size, on all cores.
const CHUNK_SIZE: usize = 1 << 20;

/// Parses whole records at `chunks` of `bytes` into frames of the columns `wanted`.
pub(super) fn parse(
    bytes: &[u8],
    columns: &Columns,
    wanted: &[usize],
    chunks: &[Range<usize>],
) -> Result<Vec<DataFrame>, Problem> {
    let parsed: Vec<Result<DataFrame, Problem>> = chunks
        .par_iter()
        .map(|chunk| {
            parse_chunk(&bytes[chunk.clone()], columns, wanted).map_err(|problem| Problem {
                at: problem.at + chunk.start,
                ..problem
            })
        })
        .collect();
    // The first problem of the file, not the first that was found.
    parsed.into_iter().collect()
}

/// Divides whole records for [`parse`].
pub(super) fn chunks(
    bytes: &[u8],
    columns: &Columns,
    breaks_in_quotes: bool,
    at_end: bool,
) -> Vec<Range<usize>> {
    let syntax = &columns.dialect().syntax;
    syntax.chunks(bytes, CHUNK_SIZE, breaks_in_quotes, at_end)
}

/// Calls `each` with every record: where it begins, and its fields.
pub(super) fn for_each_record<'a, E>(
    bytes: &'a [u8],
    columns: &Columns,
    mut each: impl FnMut(usize, Result<&[Field<'a>], RowProblem>) -> Result<(), E>,
) -> Result<(), E> {
    let syntax = &columns.dialect().syntax;
    let width = columns.len();
    let (mut at, mut fields) = (0, Vec::with_capacity(width + 1));
    loop {
        at = syntax.skip_blank(bytes, at);
        if at >= bytes.len() {
            return Ok(());
        }
        let end = match syntax.fields(bytes, at, &mut fields) {
            End::At(end) => end,
            End::OpenQuote => {
                each(at, Err(RowProblem::OpenQuote))?;
                return Ok(());
            }
        };
        // A separator at the end of a row is no field.
        let last = fields.last().is_some_and(Field::is_empty);
        if fields.len() == width + 1 && last && columns.dialect().trailing_sep {
            fields.pop();
        }
        if fields.len() == width {
            each(at, Ok(&fields))?;
        } else {
            let found = fields.len();
            each(
                at,
                Err(RowProblem::Ragged {
                    expected: width,
                    found,
                }),
            )?;
        }
        at = end;
    }
}

fn parse_chunk(bytes: &[u8], columns: &Columns, wanted: &[usize]) -> Result<DataFrame, Problem> {
    let values = &columns.dialect().values;
    // Half as many rows as there would be if all of them were like the first.
    let rows = bytes.len() / (4 * columns.len().max(1)) + 1;
    let mut builders: Vec<Builder> = wanted
        .iter()
        .map(|&column| Builder::new(&columns.names()[column], columns.types()[column], rows))
        .collect();
    let mut height = 0;
    for_each_record(bytes, columns, |at, fields| {
        let problem = |kind| Problem { at, kind };
        let fields = fields.map_err(problem)?;
        for (builder, &column) in builders.iter_mut().zip(wanted) {
            if !builder.push(&fields[column], values) {
                return Err(problem(misfit(&fields[column], column, columns)));
            }
        }
        height += 1;
        Ok(())
    })?;
    let built = builders
        .into_iter()
        .map(|builder| builder.finish().map(Column::from));
    built
        .collect::<PolarsResult<Vec<_>>>()
        .and_then(|built| DataFrame::new(height, built))
        .map_err(|error| Problem {
            at: 0,
            kind: RowProblem::Other(error.to_string()),
        })
}

/// Why a field is none of its column's type.
#[cold]
fn misfit(field: &Field<'_>, column: usize, columns: &Columns) -> RowProblem {
    let text = field.text();
    let (own, values) = (columns.types()[column], &columns.dialect().values);
    let value = shortened(&String::from_utf8_lossy(&text));
    let needed = own.join(values.kind(&text));
    let is_text = own == ColumnType::String || std::str::from_utf8(&text).is_err();
    if columns.is_fixed(column) || is_text {
        let expected = if is_text { ColumnType::String } else { own };
        RowProblem::Invalid {
            column,
            value,
            expected: expected.description(),
        }
    } else {
        RowProblem::Wider {
            column,
            value,
            own,
            needed,
        }
    }
}

/// Truncates a value to 60 characters.
fn shortened(value: &str) -> String {
    match value.char_indices().nth(60) {
        Some((at, _)) => format!("{}...", &value[..at]),
        None => value.into(),
    }
}

/// The values of a column so far.
enum Builder {
    /// Nothing but nulls.
    Null(String, usize),
    Boolean(BooleanChunkedBuilder),
    UInt8(PrimitiveChunkedBuilder<UInt8Type>),
    Int64(PrimitiveChunkedBuilder<Int64Type>),
    Float32(PrimitiveChunkedBuilder<Float32Type>),
    Float64(PrimitiveChunkedBuilder<Float64Type>),
    Date(PrimitiveChunkedBuilder<Int32Type>),
    Datetime(PrimitiveChunkedBuilder<Int64Type>),
    String(StringChunkedBuilder),
}

impl Builder {
    fn new(name: &str, dtype: ColumnType, rows: usize) -> Builder {
        let polars_name = name.into();
        match dtype {
            ColumnType::Null => Builder::Null(name.to_owned(), 0),
            ColumnType::Boolean => Builder::Boolean(BooleanChunkedBuilder::new(polars_name, rows)),
            ColumnType::UInt8 => Builder::UInt8(PrimitiveChunkedBuilder::new(polars_name, rows)),
            ColumnType::Int64 => Builder::Int64(PrimitiveChunkedBuilder::new(polars_name, rows)),
            ColumnType::Float32 => {
                Builder::Float32(PrimitiveChunkedBuilder::new(polars_name, rows))
            }
            ColumnType::Float64 => {
                Builder::Float64(PrimitiveChunkedBuilder::new(polars_name, rows))
            }
            ColumnType::Date => Builder::Date(PrimitiveChunkedBuilder::new(polars_name, rows)),
            ColumnType::Datetime => {
                Builder::Datetime(PrimitiveChunkedBuilder::new(polars_name, rows))
            }
            ColumnType::String => Builder::String(StringChunkedBuilder::new(polars_name, rows)),
        }
    }

    /// Appends a field. Returns false if it is none of the column's type.
    #[inline]
    fn push(&mut self, field: &Field<'_>, values: &Values) -> bool {
        let owned;
        let text = match field.plain() {
            Some(text) => text,
            None => {
                owned = field.text();
                &*owned
            }
        };
        let untrimmed = text;
        let text = trim(text);
        match self {
            Builder::String(builder) => {
                if values.is_null_text(untrimmed) {
                    builder.append_null();
                    return true;
                }
                let text = std::str::from_utf8(untrimmed);
                text.map(|text| builder.append_value(text)).is_ok()
            }
            Builder::Null(_, count) => {
                *count += 1;
                values.is_null(text)
            }
            Builder::Boolean(builder) => match values.boolean(text) {
                Some(value) => {
                    builder.append_value(value);
                    true
                }
                None => append_null(values, text, || builder.append_null()),
            },
            Builder::UInt8(builder) => append(builder, values, text, || {
                u8::try_from(values.integer(text)?).ok()
            }),
            Builder::Int64(builder) => append(builder, values, text, || values.integer(text)),
            Builder::Float32(builder) => {
                append(builder, values, text, || Some(values.float(text)? as f32))
            }
            Builder::Float64(builder) => append(builder, values, text, || values.float(text)),
            Builder::Date(builder) => append(builder, values, text, || super::values::date(text)),
            Builder::Datetime(builder) => {
                append(builder, values, text, || super::values::datetime(text))
            }
        }
    }

    fn finish(self) -> PolarsResult<Series> {
        Ok(match self {
            Builder::Null(name, count) => {
                let dtype = ColumnType::Null.into();
                Series::full_null(name.as_str().into(), count, &dtype)
            }
            Builder::Boolean(builder) => builder.finish().into_series(),
            Builder::UInt8(builder) => builder.finish().into_series(),
            Builder::Int64(builder) => builder.finish().into_series(),
            Builder::Float32(builder) => builder.finish().into_series(),
            Builder::Float64(builder) => builder.finish().into_series(),
            Builder::Date(builder) => builder.finish().into_date().into_series(),
            Builder::Datetime(builder) => builder
                .finish()
                .into_datetime(TimeUnit::Microseconds, None)
                .into_series(),
            Builder::String(builder) => builder.finish().into_series(),
        })
    }
}

#[inline]
fn append<T: PolarsNumericType>(
    builder: &mut PrimitiveChunkedBuilder<T>,
    values: &Values,
    text: &[u8],
    value: impl FnOnce() -> Option<T::Native>,
) -> bool {
    match value() {
        Some(value) => {
            builder.append_value(value);
            true
        }
        None => append_null(values, text, || builder.append_null()),
    }
}

#[inline]
fn append_null(values: &Values, text: &[u8], append: impl FnOnce()) -> bool {
    let null = values.is_null(text);
    if null {
        append();
    }
    null
}

/// Widens `types` to hold the values of records, leaving out what is no row.
pub(super) fn widen(types: &mut [ColumnType], bytes: &[u8], columns: &Columns) {
    let values = &columns.dialect().values;
    let learnt: Result<(), ()> = for_each_record(bytes, columns, |_, fields| {
        for (dtype, field) in types.iter_mut().zip(fields.unwrap_or_default()) {
            if *dtype != ColumnType::String {
                let text: Cow<'_, [u8]> = field.text();
                let kind = values.kind(&text);
                if kind != *dtype {
                    *dtype = dtype.join(kind);
                }
            }
        }
        Ok(())
    });
    debug_assert!(learnt.is_ok());
}
