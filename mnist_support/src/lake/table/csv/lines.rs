//! Where to split a file, and where its rows are.

use std::ops::Range;

use bytes::Bytes;
use memchr::{memchr, memchr_iter};

use super::columns::Columns;
use super::content::Content;
use super::general;
use super::records::{End, Syntax};
use crate::lake::reading::{OnProgress, ignore_progress};
use crate::{Error, Result, error::TableError};

/// The size of the first read that looks for a line end.
const WINDOW: u64 = 16 << 10;
/// How much of a block is first read for the record that it shares with the one before.
const SHARED: usize = 64 << 10;
/// The longest record that is accepted where line breaks may be in quotes.
const LONGEST_RECORD: usize = 256 << 20;

/// Returns `bytes` up to the last line end.
pub(super) fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1);
    &bytes[..end]
}

/// Returns `bytes` without trailing blank lines and line ends.
pub(super) fn without_blank_end(bytes: &[u8]) -> &[u8] {
    let end = bytes
        .iter()
        .rposition(|byte| !b"\r\n".contains(byte))
        .map_or(0, |at| at + 1);
    &bytes[..end]
}

/// Returns where the first `n` records of `bytes` end, if they do, or else how many there are.
pub(super) fn end_of(bytes: &[u8], n: usize, syntax: &Syntax) -> Result<usize, usize> {
    let mut at = 0;
    for row in 0..n {
        at = syntax.skip_blank(bytes, at);
        at = match syntax.record_end(bytes, at) {
            End::At(end) if at < bytes.len() && bytes[end - 1] == b'\n' => end,
            _ => return Err(row),
        };
    }
    Ok(at)
}

/// Splits a byte range that begins at the start of a line into at most `n` non-empty ranges of
/// whole lines, of about equal size, with one small read for each split.
pub(super) fn cut(content: &Content, data: Range<u64>, n: usize) -> Result<Vec<Range<u64>>> {
    let length = u128::from(data.end - data.start);
    // Starts one byte before, so that a split at the start of a line stays there.
    let targets = (1..n).map(|part| {
        let target = data.start + (length * part as u128 / n as u128) as u64;
        target.saturating_sub(1).max(data.start)
    });
    let windows: Vec<Range<u64>> = targets
        .map(|from| from..(from + WINDOW).min(data.end))
        .collect();
    let read = content.read_all(&windows)?;
    let ends = windows
        .into_iter()
        .zip(&read)
        .map(|(window, bytes)| line_end(content, window, bytes, data.end));
    let ends: Vec<u64> = ends.collect::<Result<_>>()?;
    let mut ranges = Vec::with_capacity(n);
    let mut start = data.start;
    for end in ends.into_iter().chain([data.end]) {
        if end > start {
            ranges.push(start..end);
            start = end;
        }
    }
    Ok(ranges)
}

/// Finds the byte after the next line end from the start of a window, at most `last`.
fn line_end(content: &Content, mut window: Range<u64>, bytes: &[u8], last: u64) -> Result<u64> {
    let find = |bytes: &[u8]| memchr(b'\n', bytes).map(|at| at as u64 + 1);
    if let Some(at) = find(bytes) {
        return Ok(window.start + at);
    }
    while window.end < last {
        let length = (window.end - window.start) * 4;
        window = window.end..(window.end + length).min(last);
        if let Some(at) = find(&content.read(window.clone())?) {
            return Ok(window.start + at);
        }
    }
    Ok(last)
}

/// Reads a range that begins with a record, in blocks of about `block` bytes, and calls `each` with
/// where a block begins, its bytes, and whether it is the last one. `each` returns how many of the
/// bytes are whole records; the others are part of the next block.
pub(super) fn for_each_read(
    content: &Content,
    range: Range<u64>,
    block: u64,
    on_progress: OnProgress<'_>,
    mut each: impl FnMut(u64, &Bytes, bool) -> Result<usize>,
) -> Result<()> {
    // The beginning of a record that does not end in the blocks so far.
    let mut carried = Bytes::new();
    content.for_each_range(&blocks(range.clone(), block), on_progress, |place, bytes| {
        let (mut bytes, mut taken) = (bytes, SHARED);
        let ends_range = place.end == range.end;
        while !carried.is_empty() && !bytes.is_empty() {
            // The record that two blocks share is read by itself, so that no block is copied.
            taken = taken.min(bytes.len());
            let start = place.end - (bytes.len() + carried.len()) as u64;
            let joined = Bytes::from([&carried[..], &bytes[..taken]].concat());
            let whole = each(start, &joined, ends_range && taken == bytes.len())?;
            if whole > carried.len() {
                bytes = bytes.slice(whole - carried.len()..);
                carried = Bytes::new();
            } else {
                bytes = bytes.slice(taken..);
                carried = joined.slice(whole..);
                taken *= 8;
            }
        }
        if !bytes.is_empty() {
            let start = place.end - bytes.len() as u64;
            let whole = each(start, &bytes, ends_range)?;
            carried = bytes.slice(whole..);
        }
        if carried.len() > LONGEST_RECORD {
            return Err(TableError::failed(
                content.url(),
                format!(
                    "a quote after its byte {} does not close: set another quote, or none, with \
                     CsvOptions",
                    place.end - carried.len() as u64
                ),
            ));
        }
        Ok(())
    })
}

/// Reads a range that begins with a record, in blocks of whole records of about `block` bytes, and
/// calls `each` with where a block begins, its bytes, and their division for the general parser.
pub(super) fn for_each_block(
    content: &Content,
    columns: &Columns,
    range: Range<u64>,
    block: u64,
    on_progress: OnProgress<'_>,
    mut each: impl FnMut(u64, &Bytes, &[Range<usize>]) -> Result<()>,
) -> Result<()> {
    for_each_read(
        content,
        range,
        block,
        on_progress,
        |start, bytes, at_end| {
            let chunks = general::chunks(bytes, columns, true, at_end);
            let whole = chunks.last().map_or(0, |chunk| chunk.end);
            each(start, &bytes.slice(..whole), &chunks)?;
            Ok(whole)
        },
    )
}

/// Calls `each` with where every record of a range begins.
fn for_each_start(
    content: &Content,
    columns: &Columns,
    range: Range<u64>,
    block: u64,
    mut each: impl FnMut(u64),
) -> Result<()> {
    let syntax = &columns.dialect().syntax;
    for_each_block(
        content,
        columns,
        range,
        block,
        &ignore_progress,
        |start, bytes, _| {
            let mut at = 0;
            loop {
                at = syntax.skip_blank(bytes, at);
                if at >= bytes.len() {
                    return Ok(());
                }
                each(start + at as u64);
                at = match syntax.record_end(bytes, at) {
                    End::At(end) => end,
                    End::OpenQuote => bytes.len(),
                };
            }
        },
    )
}

/// Splits a byte range into at most `n` non-empty ranges of whole records, of about equal size, by
/// reading all of it.
pub(super) fn cut_by_records(
    content: &Content,
    columns: &Columns,
    data: Range<u64>,
    n: usize,
    block: u64,
) -> Result<Vec<Range<u64>>> {
    let length = u128::from(data.end - data.start);
    let target = |part: usize| data.start + (length * part as u128 / n as u128) as u64;
    let mut cuts = vec![data.start];
    let mut part = 1;
    for_each_start(content, columns, data.clone(), block, |start| {
        if part < n && start >= target(part) {
            while part < n && start >= target(part) {
                part += 1;
            }
            if cuts.last().is_some_and(|last| start > *last) {
                cuts.push(start);
            }
        }
    })?;
    cuts.push(data.end);
    Ok(cuts.windows(2).map(|ends| ends[0]..ends[1]).collect())
}

/// Splits the data of a file into exactly `n` ranges with equal numbers of rows, by reading all of
/// it.
pub(super) fn cut_by_rows(
    content: &Content,
    columns: &Columns,
    data: Range<u64>,
    n: usize,
    block: u64,
) -> Result<Vec<Range<u64>>> {
    let mut starts = Vec::new();
    for_each_start(content, columns, data.clone(), block, |start| {
        starts.push(start)
    })?;
    let rows = starts.len();
    if n > rows {
        return Err(Error::InvalidSetting {
            setting: "partitions",
            value: n.to_string(),
            reason: format!("is more than the {rows} rows of {}", content.url()),
        });
    }
    starts[0] = data.start;
    starts.push(data.end);
    let at = |part: usize| starts[(rows as u128 * part as u128 / n as u128) as usize];
    Ok((0..n).map(|part| at(part)..at(part + 1)).collect())
}

/// Counts the rows in a byte range that begins with one.
pub(super) fn count(
    content: &Content,
    columns: &Columns,
    range: Range<u64>,
    block: u64,
) -> Result<u64> {
    let mut rows = 0;
    for_each_start(content, columns, range, block, |_| rows += 1)?;
    Ok(rows)
}

/// Where row `index` of a range begins, counted from 0.
pub(super) fn start_of(
    content: &Content,
    columns: &Columns,
    range: Range<u64>,
    index: u64,
    block: u64,
) -> Result<Option<u64>> {
    let (mut row, mut found) = (0, None);
    for_each_start(content, columns, range, block, |start| {
        if row == index {
            found = Some(start);
        }
        row += 1;
    })?;
    Ok(found)
}

/// Counts the line ends before a byte of the file.
pub(super) fn line_ends(content: &Content, end: u64, block: u64) -> Result<u64> {
    let mut lines = 0;
    content.for_each_range(&blocks(0..end, block), &ignore_progress, |_, bytes| {
        lines += memchr_iter(b'\n', &bytes).count() as u64;
        Ok(())
    })?;
    Ok(lines)
}

fn blocks(range: Range<u64>, block: u64) -> Vec<Range<u64>> {
    let end = range.end;
    range
        .step_by(block as usize)
        .map(|start| start..(start + block).min(end))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_a_line_feed_with_or_without_a_carriage_return() {
        assert_eq!(whole_lines(b"a\nb"), b"a\n");
        assert_eq!(without_blank_end(b"a\r\n\r\n\n"), b"a");
        let syntax = Syntax::default();
        assert_eq!(end_of(b"a\nbc\nd", 2, &syntax), Ok(5));
        assert_eq!(end_of(b"a\nbc\nd", 3, &syntax), Err(2));
        assert_eq!(end_of(b"a\n", 0, &syntax), Ok(0));
        assert_eq!(end_of(b"\n\"a\n\"\n\nb\n", 1, &syntax), Ok(6));
    }
}
