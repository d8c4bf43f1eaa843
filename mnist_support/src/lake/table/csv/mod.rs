//! CSV files: a header, samples to infer the types from, and byte ranges cut at line ends.

mod block;
mod byte_rows;
mod columns;
mod diagnose;
mod header;
mod lines;
mod numbers;
mod parse;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use polars::prelude::DataFrame;

use super::number_type::NumberType;
use super::partition::Part;
use super::scan::Scan;
use super::table_file::TableFile;
use crate::lake::file::LakeFile;
use crate::lake::reading::OnProgress;
use crate::lake::store::Lake;
use crate::{Error, Result, error::TableError};
use block::Block;
use columns::Columns;
use header::Header;

/// The size of the first read of a file: its header and the first sample.
const FIRST_READ: u64 = 256 << 10;
/// The longest header that is accepted.
const LONGEST_HEADER: u64 = 64 << 20;
/// The size of the samples from the middle and the end of a larger file.
const SAMPLE: u64 = 64 << 10;
/// A part is parsed in blocks of about this size, while the next one is being fetched: large enough
/// for all cores, small enough to avoid a second copy of the file in memory.
const BLOCK: u64 = 32 << 20;
/// Files with less data than this are split by counting their lines.
const SMALL: u64 = 1 << 20;

/// A CSV file, read lazily.
pub(crate) struct CsvFile {
    file: LakeFile,
    columns: Arc<Columns>,
    data_start: u64,
    /// The beginning of the data, as much of it as the first read fetched.
    first: Bytes,
}

impl CsvFile {
    /// Reads the header and the samples.
    pub(crate) fn open(lake: &Lake, path: &str) -> Result<CsvFile> {
        let (file, mut first) = lake.file(path, FIRST_READ)?;
        let header = loop {
            let whole = first.len() as u64 == file.size();
            match header::read(&first, whole, file.url())? {
                Some(header) => break header,
                None if first.len() as u64 >= LONGEST_HEADER => {
                    return Err(TableError::failed(
                        file.url(),
                        format!("no line ends within the first {LONGEST_HEADER} bytes"),
                    ));
                }
                None => first = file.read(0..(first.len() as u64 * 8).min(file.size()))?,
            }
        };
        let Header { names, data_start } = header;
        let first = first.slice(data_start.min(first.len())..);
        let data_start = data_start as u64;
        if data_start + first.len() as u64 == file.size()
            && lines::without_blank_end(&first).is_empty()
        {
            return Err(Error::Table(TableError::EmptyFile {
                file: file.url().into(),
                reason: "there is no row below its header".into(),
            }));
        }
        let mut csv = CsvFile {
            columns: Arc::new(Columns::new(names)),
            file,
            data_start,
            first,
        };
        let types = csv.learn_types()?;
        csv.columns = Arc::new(csv.columns.with_types(types));
        Ok(csv)
    }

    fn learn_types(&self) -> Result<Vec<NumberType>> {
        let mut types = vec![NumberType::UInt8; self.columns.len()];
        let whole = self.data_start + self.first.len() as u64 == self.file.size();
        numbers::widen(
            &mut types,
            if whole {
                &self.first
            } else {
                lines::whole_lines(&self.first)
            },
        );
        let data = self.data_start..self.file.size();
        if !whole && data.end - data.start > SMALL {
            let middle = data.start + (data.end - data.start) / 2;
            for start in [middle, data.end - SAMPLE] {
                let sample = self.file.read(start..start + SAMPLE)?;
                let from = sample
                    .iter()
                    .position(|byte| *byte == b'\n')
                    .map_or(sample.len(), |at| at + 1);
                let lines = &sample[from..];
                let at_end = start + SAMPLE == data.end;
                numbers::widen(
                    &mut types,
                    if at_end {
                        lines
                    } else {
                        lines::whole_lines(lines)
                    },
                );
            }
        }
        Ok(types)
    }

    /// Reads the lines of the first `n` rows, or of all if there are fewer.
    fn first_rows(&self, n: usize) -> Result<Bytes> {
        let data = self.file.size() - self.data_start;
        let mut bytes = self.first.clone();
        loop {
            if let Some(end) = lines::end_of(&bytes, n) {
                return Ok(bytes.slice(..end));
            }
            if bytes.len() as u64 == data {
                return Ok(bytes);
            }
            let length = (bytes.len() as u64 * 4)
                .clamp(SAMPLE, data.max(SAMPLE))
                .min(data);
            bytes = self.file.read(self.data_start..self.data_start + length)?;
        }
    }

    fn read_range(
        &self,
        range: Range<u64>,
        scan: &Scan,
        on_progress: OnProgress<'_>,
    ) -> Result<DataFrame> {
        let blocks = (range.end - range.start).div_ceil(BLOCK).max(1) as usize;
        let ranges = lines::cut(&self.file, range, blocks)?;
        let mut parsed = Vec::with_capacity(ranges.len());
        let groups: Vec<Vec<Range<u64>>> = ranges.iter().map(|range| vec![range.clone()]).collect();
        let meter = self.file.meter(&groups, on_progress);
        for (range, block) in ranges.iter().zip(self.file.read_ahead(&groups, &meter)) {
            for bytes in block? {
                parsed.push(self.parse(range.start, bytes)?);
            }
        }
        self.join(parsed, scan)
    }

    /// Parses whole lines at byte `start` of the file into a frame.
    fn frame(&self, start: u64, bytes: Bytes, scan: &Scan) -> Result<DataFrame> {
        self.join(vec![self.parse(start, bytes)?], scan)
    }

    fn join(&self, blocks: Vec<Block>, scan: &Scan) -> Result<DataFrame> {
        let frame = block::join(blocks, &self.columns, self.url())?;
        match &scan.columns {
            None => Ok(frame),
            Some(columns) => frame.select(columns).map_err(TableError::about(self.url())),
        }
    }

    /// Parses whole lines at byte `start` of the file.
    fn parse(&self, start: u64, bytes: Bytes) -> Result<Block> {
        let at_end = start + bytes.len() as u64 == self.file.size();
        let bytes = if at_end {
            bytes.slice(..lines::without_blank_end(&bytes).len())
        } else {
            bytes
        };
        Block::parse(bytes, &self.columns).map_err(|problem| {
            match lines::count(&self.file, self.data_start..start, BLOCK) {
                Ok(rows_above) => problem.into_error(self.url(), rows_above, self.columns.names()),
                Err(error) => error,
            }
        })
    }
}

impl TableFile for CsvFile {
    fn url(&self) -> &str {
        self.file.url()
    }

    fn size(&self) -> u64 {
        self.file.size()
    }

    fn columns(&self) -> &[String] {
        self.columns.names()
    }

    fn with_dtype(&self, dtype: NumberType) -> Option<Arc<dyn TableFile>> {
        Some(Arc::new(CsvFile {
            file: self.file.clone(),
            columns: Arc::new(self.columns.fixed(dtype)),
            data_start: self.data_start,
            first: self.first.clone(),
        }))
    }

    fn head(&self, n: usize, scan: &Scan) -> Result<DataFrame> {
        self.frame(self.data_start, self.first_rows(n)?, scan)
    }

    fn collect(&self, scan: &Scan, on_progress: OnProgress<'_>) -> Result<DataFrame> {
        self.read_range(self.data_start..self.file.size(), scan, on_progress)
    }

    /// Splits the file into byte ranges of about equal size, at line ends.
    fn partitions(&self, n: usize, limit: Option<usize>) -> Result<Vec<Part>> {
        let end = match limit {
            None => self.file.size(),
            Some(rows) => self.data_start + self.first_rows(rows)?.len() as u64,
        };
        let data = self.data_start..end;
        let mut ranges = Vec::new();
        if data.end - data.start > SMALL.max(4 * n as u64) {
            ranges = lines::cut(&self.file, data.clone(), n)?;
        }
        if ranges.len() != n {
            ranges = lines::cut_by_rows(&self.file, data, n, BLOCK)?;
        }
        Ok(ranges.into_iter().map(Part::Bytes).collect())
    }

    fn rows(&self, part: Option<&Part>) -> Result<u64> {
        let range = match part {
            Some(Part::Bytes(range)) => range.clone(),
            _ => self.data_start..self.file.size(),
        };
        lines::rows(&self.file, range, BLOCK)
    }

    fn locate(&self, part: &Part, index: u64) -> Result<(String, u64)> {
        let above = match part {
            Part::Bytes(range) => lines::count(&self.file, self.data_start..range.start, BLOCK)?,
            Part::RowGroups { .. } | Part::Files(_) => 0,
        };
        Ok((self.url().to_owned(), above + index + 1))
    }

    fn read(
        &self,
        part: &Part,
        scan: &Scan,
        on_progress: OnProgress<'_>,
    ) -> Result<Option<DataFrame>> {
        let data = self.data_start..=self.file.size();
        match part {
            Part::Bytes(range)
                if data.contains(&range.start)
                    && data.contains(&range.end)
                    && range.start <= range.end =>
            {
                self.read_range(range.clone(), scan, on_progress).map(Some)
            }
            Part::Bytes(_) | Part::RowGroups { .. } | Part::Files(_) => Ok(None),
        }
    }
}
