//! Lines, fields, and where to split a file.

use std::borrow::Cow;
use std::ops::Range;

use crate::lake::file::LakeFile;
use crate::lake::reading::ignore_progress;
use crate::{Error, Result};

/// The size of the first read that pending for a line end.
const WINDOW: u64 = 16 << 10;

/// Iterates over the lines of `bytes`, without their line ends.
pub(super) fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// Returns `bytes` up to the last line end.
pub(super) fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
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

/// Returns where line `n` of `bytes` ends, if it does.
pub(super) fn end_of(bytes: &[u8], n: usize) -> Option<usize> {
    match n.checked_sub(1) {
        None => Some(0),
        Some(before) => bytes
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n')
            .nth(before)
            .map(|(at, _)| at + 1),
    }
}

/// Whether every quote in a line is closed.
pub(super) fn quotes_close(line: &[u8]) -> bool {
    line.iter().filter(|byte| **byte == b'"').count() % 2 == 0
}

/// Splits a line into its fields.
pub(super) fn fields(line: &[u8]) -> Vec<Cow<'_, [u8]>> {
    if !line.contains(&b'"') {
        return line
            .split(|byte| *byte == b',')
            .map(Cow::Borrowed)
            .collect();
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(line);
    let mut record = csv::ByteRecord::new();
    match reader.read_byte_record(&mut record) {
        Ok(true) => record
            .iter()
            .map(|field| Cow::Owned(field.to_vec()))
            .collect(),
        // Reading from memory cannot fail. An empty record is a line with one empty field.
        _ => vec![Cow::Borrowed(&[])],
    }
}

/// Splits a byte range that begins at the start of a line into at most `n` non-empty ranges of
/// whole lines, of about equal size, with one small read for each split.
pub(super) fn cut(file: &LakeFile, data: Range<u64>, n: usize) -> Result<Vec<Range<u64>>> {
    let length = u128::from(data.end - data.start);
    // Starts one byte before, so that a split at the start of a line stays there.
    let targets: Vec<u64> = (1..n)
        .map(|part| data.start + (length * part as u128 / n as u128) as u64)
        .collect();
    let pending = targets
        .iter()
        .map(|target| {
            let from = target.saturating_sub(1).max(data.start);
            let window = from..(from + WINDOW).min(data.end);
            Ok((window.clone(), file.start(window)?))
        })
        .collect::<Result<Vec<_>>>()?;
    let mut ranges = Vec::with_capacity(n);
    let mut start = data.start;
    for (window, read) in pending {
        let end = line_end(file, window, &read.wait()??, data.end)?;
        if end > start {
            ranges.push(start..end);
            start = end;
        }
    }
    if data.end > start {
        ranges.push(start..data.end);
    }
    Ok(ranges)
}

/// Finds the byte after the next line end from the start of a window, at most `last`.
fn line_end(file: &LakeFile, mut window: Range<u64>, bytes: &[u8], last: u64) -> Result<u64> {
    let find = |bytes: &[u8]| {
        bytes
            .iter()
            .position(|byte| *byte == b'\n')
            .map(|at| at as u64 + 1)
    };
    if let Some(at) = find(bytes) {
        return Ok(window.start + at);
    }
    while window.end < last {
        let length = (window.end - window.start) * 4;
        window = window.end..(window.end + length).min(last);
        if let Some(at) = find(&file.read(window.clone())?) {
            return Ok(window.start + at);
        }
    }
    Ok(last)
}

/// Splits the data of a file into exactly `n` ranges with equal numbers of lines, by reading all of
/// it.
pub(super) fn cut_by_rows(
    file: &LakeFile,
    data: Range<u64>,
    n: usize,
    block: u64,
) -> Result<Vec<Range<u64>>> {
    let mut starts = row_starts(file, data.clone(), block)?;
    let rows = starts.len();
    if n > rows {
        return Err(Error::InvalidSetting {
            setting: "partitions",
            value: n.to_string(),
            reason: format!("is more than the {rows} rows of {}", file.url()),
        });
    }
    starts.push(data.end);
    let at = |part: usize| starts[(rows as u128 * part as u128 / n as u128) as usize];
    Ok((0..n).map(|part| at(part)..at(part + 1)).collect())
}

/// Counts the rows in a byte range that begins at the start of a line.
pub(super) fn rows(file: &LakeFile, range: Range<u64>, block: u64) -> Result<u64> {
    Ok(row_starts(file, range, block)?.len() as u64)
}

/// Returns where the rows of a byte range begin. Blank lines at the end are not rows.
fn row_starts(file: &LakeFile, data: Range<u64>, block: u64) -> Result<Vec<u64>> {
    let mut starts = vec![data.start];
    let mut content_end = data.start;
    let mut start = data.start;
    for_each_block(file, data, block, |bytes| {
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b'\n' => starts.push(start + at as u64 + 1),
                b'\r' => {}
                _ => content_end = start + at as u64 + 1,
            }
        }
        start += bytes.len() as u64;
    })?;
    starts.retain(|start| *start < content_end);
    Ok(starts)
}

/// Counts the line ends in a byte range.
pub(super) fn count(file: &LakeFile, range: Range<u64>, block: u64) -> Result<u64> {
    let mut lines = 0;
    for_each_block(file, range, block, |bytes| {
        lines += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    })?;
    Ok(lines)
}

/// Reads a byte range in blocks of a size.
fn for_each_block(
    file: &LakeFile,
    range: Range<u64>,
    size: u64,
    mut use_block: impl FnMut(&[u8]),
) -> Result<()> {
    let starts = range.clone().step_by(size as usize);
    let blocks = starts.map(|start| vec![start..(start + size).min(range.end)]);
    let blocks: Vec<Vec<Range<u64>>> = blocks.collect();
    let meter = file.meter(&blocks, &ignore_progress);
    for block in file.read_ahead(&blocks, &meter) {
        block?.iter().for_each(|bytes| use_block(bytes));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_a_line_feed_with_or_without_a_carriage_return() {
        assert_eq!(
            split(b"a\r\nb\n\nc").collect::<Vec<_>>(),
            [&b"a"[..], b"b", b"", b"c"]
        );
        assert_eq!(split(b"a\n").collect::<Vec<_>>(), [b"a"]);
        assert_eq!(whole_lines(b"a\nb"), b"a\n");
        assert_eq!(without_blank_end(b"a\r\n\r\n\n"), b"a");
        assert_eq!(end_of(b"a\nbc\nd", 2), Some(5));
        assert_eq!(end_of(b"a\nbc\nd", 3), None);
        assert_eq!(end_of(b"a\n", 0), Some(0));
    }

    #[test]
    fn fields_may_be_quoted() {
        assert_eq!(fields(b"1,,3"), [&b"1"[..], b"", b"3"]);
        assert_eq!(
            fields(br#""1,5","a ""b""",3"#),
            [&b"1,5"[..], b"a \"b\"", b"3"]
        );
        assert!(quotes_close(br#""a","b""#));
        assert!(!quotes_close(br#""a"#));
    }
}
