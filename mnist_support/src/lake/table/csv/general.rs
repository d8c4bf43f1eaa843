//! The general parser, for any dialect and types.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr_iter, memrchr};
use polars::prelude::{Column, DataFrame};
use rayon::prelude::*;

use super::builder::Builder;
use super::columns::Columns;
use super::dialect::Dialect;
use super::problem::{Problem, RowProblem};
use super::records::{End, Field};
use super::split::{Rows, Splitter, Stop};
use crate::lake::table::ColumnType;

/// Records are parsed in chunks of about this size, on all cores.
pub(super) const CHUNK_SIZE: usize = 512 << 10;
/// How far from where a chunk should begin a record is looked for.
const WINDOW: usize = 64 << 10;
/// How many lines are tried as the first record of a chunk.
const TRIED: usize = 32;

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
            let whole = &bytes[chunk.clone()];
            let piece = parse_from(whole, 0..whole.len(), columns, wanted, true);
            piece.map(|piece| piece.frame).map_err(|problem| Problem {
                at: problem.at + chunk.start,
                ..problem
            })
        })
        .collect();
    // The first problem of the file, not the first that was found.
    parsed.into_iter().collect()
}

/// Parses the whole records of `bytes`, which begin with one, where a record may hold line ends.
/// Returns their frames, and where the first record begins that is not whole. At the end of a file
/// all are.
///
/// All cores begin somewhere in these bytes, in chunks of about `size` bytes, at a line that looks
/// like a record. Whether it is one is known when the records before it have been parsed, and what
/// was no record is parsed again.
pub(super) fn parse_records(
    bytes: &[u8],
    columns: &Columns,
    wanted: &[usize],
    size: usize,
    at_end: bool,
) -> Result<(Vec<DataFrame>, usize), Problem> {
    // A line that does not end within these bytes is no whole record.
    let lines = memrchr(b'\n', bytes).map_or(0, |end| end + 1);
    let bytes = if at_end { bytes } else { &bytes[..lines] };
    let parsed: Vec<(Range<usize>, Result<Piece, Problem>)> = likely_chunks(bytes, size, columns)
        .into_par_iter()
        .map(|chunk| {
            let piece = parse_from(bytes, chunk.clone(), columns, wanted, at_end);
            (chunk, piece)
        })
        .collect();
    let (mut frames, mut at) = (Vec::with_capacity(parsed.len()), 0);
    for (chunk, mut piece) in parsed {
        if at > chunk.start {
            if at >= chunk.end {
                continue;
            }
            piece = parse_from(bytes, at..chunk.end, columns, wanted, at_end);
        }
        let piece = piece?;
        frames.push(piece.frame);
        at = piece.end;
        if piece.is_cut {
            break;
        }
    }
    Ok((frames, at))
}

/// Divides bytes that begin with a record into chunks of about `size` bytes that probably do too.
fn likely_chunks(bytes: &[u8], size: usize, columns: &Columns) -> Vec<Range<usize>> {
    let mut starts = vec![0];
    for target in (size..bytes.len()).step_by(size) {
        let start = likely_start(bytes, target, columns);
        if start < bytes.len() && starts.last().is_some_and(|last| start > *last) {
            starts.push(start);
        }
    }
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    starts
        .iter()
        .copied()
        .zip(ends)
        .map(|(start, end)| start..end)
        .collect()
}

/// The first line after `at` that begins two rows with the right number of fields, or else the
/// first line.
fn likely_start(bytes: &[u8], at: usize, columns: &Columns) -> usize {
    let syntax = &columns.dialect().syntax;
    let window = &bytes[..bytes.len().min(at + WINDOW)];
    let widths = columns.len()..=columns.len() + usize::from(columns.dialect().trailing_sep);
    let mut fields = Vec::new();
    let mut begins_rows = |mut at: usize| {
        (0..2).all(|_| {
            at = syntax.skip_blank(window, at);
            match syntax.fields(window, at, &mut fields) {
                End::At(end) => at = end,
                End::OpenQuote => return false,
            }
            widths.contains(&fields.len()) && at < window.len()
        })
    };
    let lines = memchr_iter(b'\n', &window[at..]).map(|end| at + end + 1);
    lines
        .take(TRIED)
        .find(|line| begins_rows(*line))
        .or_else(|| memchr(b'\n', &bytes[at..]).map(|end| at + end + 1))
        .unwrap_or(bytes.len())
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

/// The records of a chunk.
struct Piece {
    frame: DataFrame,
    /// Where the next record begins, or blank lines before it.
    end: usize,
    /// Whether the next record is not whole.
    is_cut: bool,
}

/// Parses the records of `bytes` that begin in `chunk`, batch by batch and column by column.
fn parse_from(
    bytes: &[u8],
    chunk: Range<usize>,
    columns: &Columns,
    wanted: &[usize],
    at_end: bool,
) -> Result<Piece, Problem> {
    let mut splitter = Splitter::new(bytes, columns, wanted);
    let mut builders: Vec<Builder> = wanted
        .iter()
        .map(|&column| Builder::new(columns.types()[column], splitter.slot(column)))
        .collect();
    let (mut at, mut height, mut rows) = (chunk.start, 0, splitter.rows());
    let (end, is_cut) = loop {
        let stop = splitter.fill(&mut rows, at, chunk.end);
        let batch = &bytes[at..stop.at()];
        if height == 0 {
            // The others will be about as long.
            let left = chunk.end.saturating_sub(at) as u64 * rows.starts().len() as u64;
            let expected = left / batch.len().max(1) as u64;
            let expected = expected + expected / 16;
            builders
                .iter_mut()
                .for_each(|builder| builder.reserve(expected as usize));
        }
        append(&rows, batch, &mut builders, columns, wanted)?;
        height += rows.starts().len();
        match stop {
            Stop::Full(next) => at = next,
            Stop::Limit(end) => break (end, false),
            Stop::Problem(at, RowProblem::OpenQuote) if !at_end => break (at, true),
            Stop::Problem(at, kind) => return Err(Problem { at, kind }),
        }
    };
    let series = builders.into_iter().zip(wanted).map(|(builder, &column)| {
        let name = &columns.names()[column];
        Column::from(builder.finish(name))
    });
    let frame = DataFrame::new(height, series.collect()).map_err(|error| Problem {
        at: chunk.start,
        kind: RowProblem::Other(error.to_string()),
    })?;
    Ok(Piece { frame, end, is_cut })
}

/// Appends the fields of rows that stand in `batch`.
fn append(
    rows: &Rows<'_>,
    batch: &[u8],
    builders: &mut [Builder],
    columns: &Columns,
    wanted: &[usize],
) -> Result<(), Problem> {
    let has_text = builders.iter().any(Builder::is_text);
    let text = has_text.then(|| std::str::from_utf8(batch).ok()).flatten();
    let mut first: Option<(usize, usize, Field<'_>)> = None;
    for (builder, &column) in builders.iter_mut().zip(wanted) {
        if let Err((row, field)) = builder.extend(rows, columns.dialect(), text)
            && first.is_none_or(|(other, ..)| row < other)
        {
            first = Some((row, column, field));
        }
    }
    match first {
        None => Ok(()),
        Some((row, column, field)) => Err(Problem {
            at: rows.starts()[row],
            kind: misfit(&field, column, columns),
        }),
    }
}

/// Why a field is none of its column's type.
#[cold]
fn misfit(field: &Field<'_>, column: usize, columns: &Columns) -> RowProblem {
    let text = field.text(&columns.dialect().syntax);
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

/// Widens `types` to hold the values of records, leaving out what is no row.
pub(super) fn widen(types: &mut [ColumnType], bytes: &[u8], columns: &Columns) {
    if types.iter().all(|dtype| *dtype == ColumnType::String) {
        return;
    }
    let Dialect { syntax, values, .. } = columns.dialect();
    let learnt: Result<(), ()> = for_each_record(bytes, columns, |_, fields| {
        for (dtype, field) in types.iter_mut().zip(fields.unwrap_or_default()) {
            if *dtype != ColumnType::String {
                let text: Cow<'_, [u8]> = field.text(syntax);
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
