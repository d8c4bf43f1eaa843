//! CSV files: how they are written, samples to infer the types from, and byte ranges cut between
//! rows.

mod block;
mod builder;
mod byte_rows;
mod columns;
mod content;
mod dialect;
#[cfg(test)]
mod fuzz;
mod general;
mod lines;
mod options;
mod parse;
mod problem;
mod records;
mod split;
mod values;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use polars::prelude::DataFrame;

use super::column_type::ColumnType;
use super::number_type::NumberType;
use super::partition::{BLOCK_BYTES, Block as RowBlock, Part};
use super::scan::Scan;
use super::table_file::{Each, TableFile};
use crate::lake::reading::{OnProgress, ignore_progress};
use crate::lake::store::Lake;
use crate::{Error, Result, error::TableError};
use block::Block;
use columns::Columns;
use content::Content;
use dialect::Found;
pub use options::{CsvOptions, Encoding};
use problem::Problem;

/// The size of the first read of a file: its header and the first sample.
const FIRST_READ: u64 = 256 << 10;
/// The longest header that is accepted.
const LONGEST_HEADER: u64 = 64 << 20;
/// The size of the samples from the middle and the end of a larger file.
const SAMPLE: u64 = 64 << 10;
/// A part is parsed in blocks of about this size, while the next one is being fetched: large enough
/// for all cores, small enough that they don't wait long for the first.
const BLOCK: u64 = 8 << 20;
/// Files with less data than this are split by counting their rows.
const SMALL: u64 = 1 << 20;

/// A CSV file, read lazily.
#[derive(Clone)]
pub(crate) struct CsvFile {
    content: Content,
    columns: Arc<Columns>,
    data_start: u64,
    /// The beginning of the data, as much of it as the first read fetched.
    first: Bytes,
    /// Whether a line end may be in quotes, so that rows are found only from the first one on.
    breaks_in_quotes: bool,
    /// What was set and what was found.
    options: CsvOptions,
}

impl CsvFile {
    /// Reads the header and the samples.
    pub(crate) fn open(lake: &Lake, path: &str, options: &CsvOptions) -> Result<CsvFile> {
        options.validate()?;
        let (file, first) = lake.file(path, FIRST_READ)?;
        let (content, mut first) = Content::open(file, first, options)?;
        let found = loop {
            let whole = first.len() as u64 == content.size();
            match dialect::find(&first, whole, options) {
                Ok(Some(found)) => break found,
                Ok(None) if first.len() as u64 >= LONGEST_HEADER => {
                    return Err(TableError::failed(
                        content.url(),
                        format!("no line ends within the first {LONGEST_HEADER} bytes"),
                    ));
                }
                Ok(None) => {
                    first = content.read(0..(first.len() as u64 * 8).min(content.size()))?;
                }
                Err(None) => {
                    return Err(empty(
                        content.url(),
                        "its first line, which names the columns, is missing",
                    ));
                }
                Err(Some(reason)) => return Err(TableError::failed(content.url(), reason)),
            }
        };
        let Found {
            dialect,
            names,
            data_start,
            header,
        } = found;
        let options = options.like(&dialect, header);
        let first = first.slice(data_start.min(first.len())..);
        let data_start = data_start as u64;
        let syntax = &dialect.syntax;
        if data_start + first.len() as u64 == content.size()
            && syntax.skip_blank(&first, 0) >= first.len()
        {
            return Err(empty(content.url(), "there is no row below its header"));
        }
        let mut csv = CsvFile {
            columns: Arc::new(Columns::new(names, dialect)),
            content,
            data_start,
            first,
            breaks_in_quotes: false,
            options,
        };
        csv.learn_types()?;
        Ok(csv)
    }

    /// Learns the types that are not given from samples of the beginning, the middle and the end.
    fn learn_types(&mut self) -> Result<()> {
        let options = &self.options;
        let names = self.columns.names();
        for name in options.schema.keys() {
            if !names.contains(name) {
                return Err(Error::Table(TableError::ColumnNotFound {
                    table: self.content.url().to_owned(),
                    column: name.clone(),
                    available: crate::text::columns(names),
                }));
            }
        }
        let samples = self.samples()?;
        let quote = self.columns.dialect().syntax.quote;
        let quoted = samples
            .iter()
            .any(|sample| quote.is_some_and(|quote| sample.contains(&quote)));
        // Text is what no value widens: those that are given need not be learnt.
        let given = |name: &String| match options.schema.contains_key(name) {
            true => ColumnType::String,
            false => ColumnType::Null,
        };
        let mut types: Vec<ColumnType> = names.iter().map(given).collect();
        for sample in &samples {
            general::widen(&mut types, sample, &self.columns);
        }
        for (name, dtype) in names.iter().zip(&mut types) {
            if let Some(learnt) = options.learnt.get(name) {
                *dtype = *learnt;
            }
        }
        let mut columns = self.columns.with_types(&types);
        for (column, name) in self.columns.names().iter().enumerate() {
            if let Some(dtype) = options.schema.get(name) {
                columns = columns.with_given(column, *dtype);
            }
        }
        self.breaks_in_quotes = quote.is_some() && (quoted || columns.have_text());
        self.columns = Arc::new(columns);
        Ok(())
    }

    /// Whole records of the beginning, the middle and the end of the data.
    fn samples(&self) -> Result<Vec<Bytes>> {
        let syntax = &self.columns.dialect().syntax;
        let whole = self.data_start + self.first.len() as u64 == self.content.size();
        if whole {
            return Ok(vec![self.first.clone()]);
        }
        let chunks = syntax.chunks(&self.first, 1, true, false);
        let mut samples = vec![
            self.first
                .slice(..chunks.last().map_or(0, |chunk| chunk.end)),
        ];
        let data = self.data_start..self.content.size();
        if data.end - data.start <= SMALL {
            return Ok(samples);
        }
        let middle = data.start + (data.end - data.start) / 2;
        for start in [middle, data.end - SAMPLE] {
            let sample = self.content.read(start..start + SAMPLE)?;
            let at_end = start + SAMPLE == data.end;
            let lines = if at_end {
                &sample[..]
            } else {
                lines::whole_lines(&sample)
            };
            let from = records::next_line(lines, 0);
            samples.push(self.rows_of_sample(&sample.slice(from.min(lines.len())..lines.len())));
        }
        Ok(samples)
    }

    /// The rows of a sample that begins after a line end, which may be in quotes.
    fn rows_of_sample(&self, sample: &Bytes) -> Bytes {
        let syntax = &self.columns.dialect().syntax;
        let Some(quote) = syntax.quote.filter(|quote| sample.contains(quote)) else {
            return sample.clone();
        };
        let wrong = |bytes: &[u8]| {
            let mut wrong = 0;
            let counted: Result<(), ()> =
                general::for_each_record(bytes, &self.columns, |_, row| {
                    wrong += usize::from(row.is_err());
                    Ok(())
                });
            debug_assert!(counted.is_ok());
            wrong
        };
        let outside = wrong(sample);
        if outside == 0 {
            return sample.clone();
        }
        // If the sample begins in quotes, its first quote closes them.
        let close = sample.iter().position(|byte| *byte == quote);
        let inside = close.map(|close| sample.slice(records::next_line(sample, close)..));
        match inside {
            Some(inside) if wrong(&inside) < outside => inside,
            _ => sample.clone(),
        }
    }

    /// Learns the types from all rows.
    fn learn_all_types(&self) -> Result<Columns> {
        let mut types = self.columns.types().to_vec();
        let data = self.data_start..self.content.size();
        let learn = |_: u64, bytes: &Bytes, chunks: &[Range<usize>]| {
            for chunk in chunks {
                general::widen(&mut types, &bytes[chunk.clone()], &self.columns);
            }
            Ok(())
        };
        lines::for_each_block(
            &self.content,
            &self.columns,
            data,
            BLOCK,
            &ignore_progress,
            learn,
        )?;
        Ok(self.columns.with_types(&types))
    }

    /// Reads the first `n` rows, or all if there are fewer.
    fn first_rows(&self, n: usize) -> Result<Bytes> {
        let data = self.content.size() - self.data_start;
        let mut bytes = self.first.clone();
        loop {
            let end = lines::end_of(&bytes, n, &self.columns.dialect().syntax);
            if let Ok(end) = end {
                return Ok(bytes.slice(..end));
            }
            if bytes.len() as u64 == data {
                return Ok(bytes);
            }
            let length = (bytes.len() as u64 * 4)
                .clamp(SAMPLE, data.max(SAMPLE))
                .min(data);
            bytes = self
                .content
                .read(self.data_start..self.data_start + length)?;
        }
    }

    /// The columns of a scan, by their indexes.
    fn wanted(&self, scan: &Scan) -> Vec<usize> {
        let names = self.columns.names();
        match &scan.columns {
            None => (0..names.len()).collect(),
            Some(columns) => columns
                .iter()
                .filter_map(|column| names.iter().position(|name| name == column))
                .collect(),
        }
    }

    fn read_range(
        &self,
        range: Range<u64>,
        scan: &Scan,
        on_progress: OnProgress<'_>,
    ) -> Result<DataFrame> {
        let wanted = self.wanted(scan);
        let mut parsed = Vec::new();
        self.for_each_block(range, &wanted, on_progress, |block| {
            parsed.push(block);
            Ok(())
        })?;
        block::join(parsed, &self.columns, &wanted, self.url())
    }

    /// Parses a range block by block.
    fn for_each_block(
        &self,
        range: Range<u64>,
        wanted: &[usize],
        on_progress: OnProgress<'_>,
        mut each: impl FnMut(Block) -> Result<()>,
    ) -> Result<()> {
        if self.breaks_in_quotes {
            let parse = |start: u64, bytes: &Bytes, at_end: bool| {
                let records = Block::parse_records(bytes, &self.columns, wanted, at_end);
                let (block, whole) = records.map_err(|problem| self.error(start, problem))?;
                each(block)?;
                Ok(whole)
            };
            return lines::for_each_read(&self.content, range, BLOCK, on_progress, parse);
        }
        let blocks = (range.end - range.start).div_ceil(BLOCK).max(1) as usize;
        let ranges = lines::cut(&self.content, range, blocks)?;
        self.content
            .for_each_range(&ranges, on_progress, |range, bytes| {
                each(self.parse(range.start, bytes, wanted)?)
            })
    }

    /// The bytes of a part, if it can be one of this file.
    fn range_of(&self, part: &Part) -> Option<Range<u64>> {
        let data = self.data_start..=self.content.size();
        match part {
            Part::Bytes(range)
                if data.contains(&range.start)
                    && data.contains(&range.end)
                    && range.start <= range.end =>
            {
                Some(range.clone())
            }
            Part::Bytes(_) | Part::RowGroups { .. } | Part::Files(_) => None,
        }
    }

    /// Parses whole lines at byte `start` of the file.
    fn parse(&self, start: u64, bytes: Bytes, wanted: &[usize]) -> Result<Block> {
        let at_end = start + bytes.len() as u64 == self.content.size();
        let bytes = if at_end {
            bytes.slice(..lines::without_blank_end(&bytes).len())
        } else {
            bytes
        };
        Block::parse(&bytes, &self.columns, wanted).map_err(|problem| self.error(start, problem))
    }

    /// The error of a record in a block at byte `start`.
    fn error(&self, start: u64, problem: Problem) -> Error {
        match self.place(start + problem.at as u64) {
            Ok((file, row)) => problem.kind.into_error(file, row, self.columns.names()),
            Err(error) => error,
        }
    }

    /// What errors call the file, and the number of the row that begins at byte `at`. Where the
    /// row's line is not the one that its number suggests, the line is part of the file's name.
    fn place(&self, at: u64) -> Result<(String, u64)> {
        let rows = lines::count(&self.content, &self.columns, self.data_start..at, BLOCK)?;
        let header = lines::line_ends(&self.content, self.data_start, BLOCK)?;
        let line = lines::line_ends(&self.content, at, BLOCK)? + 1;
        let file = if line == header + rows + 1 && header <= 1 {
            self.url().to_owned()
        } else {
            format!("{}, line {line}", self.url())
        };
        Ok((file, rows + 1))
    }
}

fn empty(file: &str, reason: &str) -> Error {
    Error::Table(TableError::EmptyFile {
        file: file.to_owned(),
        reason: reason.to_owned(),
    })
}

impl TableFile for CsvFile {
    fn url(&self) -> &str {
        self.content.url()
    }

    fn size(&self) -> u64 {
        self.content.file_size()
    }

    fn columns(&self) -> &[String] {
        self.columns.names()
    }

    fn with_dtype(&self, dtype: NumberType) -> Option<Arc<dyn TableFile>> {
        Some(Arc::new(CsvFile {
            columns: Arc::new(self.columns.fixed(dtype)),
            ..self.clone()
        }))
    }

    fn head(&self, n: usize, scan: &Scan) -> Result<DataFrame> {
        let end = self.data_start + self.first_rows(n)?.len() as u64;
        self.read_range(self.data_start..end, scan, &ignore_progress)
    }

    fn collect(&self, scan: &Scan, on_progress: OnProgress<'_>) -> Result<DataFrame> {
        self.read_range(self.data_start..self.content.size(), scan, on_progress)
    }

    /// Splits the file into byte ranges of about equal size, between rows.
    fn partitions(&self, n: usize, limit: Option<usize>) -> Result<Vec<Part>> {
        let end = match limit {
            None => self.content.size(),
            Some(rows) => self.data_start + self.first_rows(rows)?.len() as u64,
        };
        let data = self.data_start..end;
        let mut ranges = Vec::new();
        if n == 1 {
            ranges.push(data.clone());
        } else if data.end - data.start > SMALL.max(4 * n as u64) {
            ranges = if self.breaks_in_quotes {
                lines::cut_by_records(&self.content, &self.columns, data.clone(), n, BLOCK)?
            } else {
                lines::cut(&self.content, data.clone(), n)?
            };
        }
        if ranges.len() != n || data.is_empty() {
            ranges = lines::cut_by_rows(&self.content, &self.columns, data, n, BLOCK)?;
        }
        Ok(ranges.into_iter().map(Part::Bytes).collect())
    }

    fn rows(&self, part: Option<&Part>) -> Result<u64> {
        let range = match part {
            Some(Part::Bytes(range)) => range.clone(),
            _ => self.data_start..self.content.size(),
        };
        lines::count(&self.content, &self.columns, range, BLOCK)
    }

    fn locate(&self, part: &Part, index: u64) -> Result<(String, u64)> {
        let range = match part {
            Part::Bytes(range) => range.clone(),
            Part::RowGroups { .. } | Part::Files(_) => self.data_start..self.content.size(),
        };
        match lines::start_of(&self.content, &self.columns, range, index, BLOCK)? {
            Some(start) => self.place(start),
            None => Ok((self.url().to_owned(), index + 1)),
        }
    }

    fn read(
        &self,
        part: &Part,
        scan: &Scan,
        on_progress: OnProgress<'_>,
    ) -> Result<Option<DataFrame>> {
        let range = self.range_of(part);
        let rows = range.map(|range| self.read_range(range, scan, on_progress));
        rows.transpose()
    }

    fn read_each(
        &self,
        part: &Part,
        scan: &Scan,
        on_progress: OnProgress<'_>,
        each: Each<'_>,
    ) -> Result<bool> {
        let Some(range) = self.range_of(part) else {
            return Ok(false);
        };
        let wanted = self.wanted(scan);
        let rows = |blocks| block::join(blocks, &self.columns, &wanted, self.url());
        let mut any = false;
        self.for_each_block(range, &wanted, on_progress, |block| {
            any = true;
            each(rows(vec![block])?)
        })?;
        if !any {
            each(rows(Vec::new())?)?;
        }
        Ok(true)
    }

    /// Byte ranges. A file that is decompressed from its beginning whenever it is read is one.
    fn blocks(&self, part: &Part) -> Result<Vec<RowBlock>> {
        let ranges = match self.range_of(part) {
            None => Vec::new(),
            Some(range) => {
                let blocks = ((range.end - range.start) / BLOCK_BYTES) as usize;
                if blocks <= 1 || self.content.is_unpacked_when_read() {
                    vec![range]
                } else if self.breaks_in_quotes {
                    lines::cut_by_records(&self.content, &self.columns, range, blocks, BLOCK)?
                } else {
                    lines::cut(&self.content, range, blocks)?
                }
            }
        };
        if ranges.is_empty() {
            // Reading it says that the file has changed.
            return Ok(vec![RowBlock {
                part: part.clone(),
                rows: None,
                bytes: 0,
            }]);
        }
        let blocks = ranges.into_iter().map(|range| RowBlock {
            bytes: range.end - range.start,
            rows: None,
            part: Part::Bytes(range),
        });
        Ok(blocks.collect())
    }

    fn csv_options(&self) -> Option<CsvOptions> {
        Some(self.options.clone())
    }

    fn types(&self) -> Vec<(String, ColumnType)> {
        named(&self.columns)
    }

    fn types_of_all_rows(&self) -> Result<Vec<(String, ColumnType)>> {
        self.learn_all_types().map(|columns| named(&columns))
    }

    fn with_types(&self, types: &[(String, ColumnType)]) -> Option<Arc<dyn TableFile>> {
        let own = self.columns.names().iter().zip(self.columns.types());
        let types: Vec<ColumnType> = own
            .map(|(name, own)| {
                let given = types.iter().find(|(other, _)| other == name);
                given.map_or(*own, |(_, dtype)| *dtype)
            })
            .collect();
        let columns = self.columns.with_types(&types);
        let quotes = columns.dialect().syntax.quote.is_some();
        Some(Arc::new(CsvFile {
            breaks_in_quotes: self.breaks_in_quotes || (quotes && columns.have_text()),
            columns: Arc::new(columns),
            ..self.clone()
        }))
    }
}

/// The types of columns by their names.
fn named(columns: &Columns) -> Vec<(String, ColumnType)> {
    let types = columns.types().iter().copied();
    columns.names().iter().cloned().zip(types).collect()
}

/// Columns for the tests of parsers.
#[cfg(test)]
mod testing {
    use super::*;

    pub(super) fn columns(types: &[NumberType]) -> Columns {
        let header: Vec<String> = (0..types.len())
            .map(|column| format!("c{column}"))
            .collect();
        let found = dialect::find(header.join(",").as_bytes(), true, &CsvOptions::new());
        let Found { dialect, names, .. } = found.unwrap().unwrap();
        let types: Vec<ColumnType> = types.iter().map(|dtype| (*dtype).into()).collect();
        Columns::new(names, dialect).with_types(&types)
    }
}
