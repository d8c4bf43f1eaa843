//! Arrow IPC files (Feather, version 2) and streams: only the buffers of the columns that are asked
//! for are fetched.

#[cfg(test)]
mod fuzz;
mod layout;

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_ipc::reader::FileDecoder;
use bytes::Bytes;
use polars::prelude::DataFrame;

use super::arrow::frame_from_batches;
use super::guard::guarded;
use super::number_type::NumberType;
use super::partition::{Block, Part};
use super::plan;
use super::scan::Scan;
use super::stack::stack;
use super::table_file::{Each, TableFile};
use crate::lake::file::LakeFile;
use crate::lake::reading::{OnProgress, ignore_progress};
use crate::lake::store::Lake;
use crate::{Error, Result, error::TableError};
use layout::{LARGEST_RATIO, Layout, Message};

/// Record batches are fetched and decoded in runs of about this size, while the next run is being
/// fetched.
const RUN: u64 = 16 << 20;

/// An Arrow IPC file, read lazily.
pub(crate) struct IpcFile {
    file: LakeFile,
    layout: Layout,
    columns: Vec<String>,
    batch_rows: Vec<usize>,
}

impl IpcFile {
    /// Reads the schema and the metadata of the record batches.
    pub(crate) fn open(lake: &Lake, path: &str) -> Result<IpcFile> {
        let (file, first) = lake.file(path, layout::FIRST)?;
        let empty = |reason: &str| {
            Error::Table(TableError::EmptyFile {
                file: file.url().into(),
                reason: reason.into(),
            })
        };
        if file.size() == 0 {
            return Err(empty("it has no bytes"));
        }
        let layout = Layout::read(&file, &first)?;
        if layout.schema.fields().is_empty() {
            return Err(empty("it has no columns"));
        }
        let batch_rows: Vec<usize> = layout.batches.iter().map(|batch| batch.rows).collect();
        let rows = batch_rows
            .iter()
            .try_fold(0_usize, |sum, rows| sum.checked_add(*rows));
        match rows {
            Some(0) => return Err(empty("it has no rows")),
            Some(_) => {}
            None => return Err(damaged(file.url(), "it has more rows than there can be")),
        }
        let fields = layout.schema.fields().iter();
        let columns = fields.map(|field| field.name().clone()).collect();
        Ok(IpcFile {
            file,
            layout,
            columns,
            batch_rows,
        })
    }

    /// The indices of the columns of a scan, in the order of the file.
    fn projection(&self, scan: &Scan) -> Vec<usize> {
        let wanted = |name: &String| {
            scan.columns
                .as_ref()
                .is_none_or(|names| names.contains(name))
        };
        let columns = self.columns.iter().enumerate();
        columns
            .filter(|(_, name)| wanted(name))
            .map(|(index, _)| index)
            .collect()
    }

    fn read_batches(
        &self,
        batches: Range<usize>,
        skip: usize,
        rows: usize,
        scan: &Scan,
        on_progress: OnProgress<'_>,
    ) -> Result<DataFrame> {
        let mut runs = Vec::new();
        self.for_each_run(batches, skip, rows, scan, on_progress, &mut |run| {
            runs.push(run);
            Ok(())
        })?;
        Ok(stack(runs, self.url())?.unwrap_or_default())
    }

    /// Reads record batches run by run: at least one, which may have no rows.
    fn for_each_run(
        &self,
        batches: Range<usize>,
        skip: usize,
        rows: usize,
        scan: &Scan,
        on_progress: OnProgress<'_>,
        each: Each<'_>,
    ) -> Result<()> {
        let projection = self.projection(scan);
        let mut decoder = Decoder::new(self, &projection)?;
        let bodies = |batch: usize| self.layout.batches[batch].body_of(&projection);
        let size = |batch| plan::cost(bodies(batch).into_iter());
        let runs = plan::runs(batches, size, RUN);
        let ranges: Vec<Vec<Range<u64>>> = runs
            .iter()
            .map(|run| plan::coalesced(run.clone().flat_map(bodies)))
            .collect();
        let (mut skip, mut left) = (skip, rows);
        let mut any = false;
        let meter = self.file.meter(&ranges, on_progress);
        let fetched = self.file.read_ahead(&ranges, &meter);
        for ((run, ranges), fetched) in runs.into_iter().zip(&ranges).zip(fetched) {
            let fetched = fetched?;
            let mut decoded = Vec::new();
            for batch in run {
                let available = self.batch_rows[batch];
                let take = left.min(available.saturating_sub(skip));
                if take > 0 {
                    let batch = decoder.batch(&self.layout.batches[batch], ranges, &fetched)?;
                    decoded.push(batch.slice(skip, take));
                }
                (skip, left) = (skip.saturating_sub(available), left - take);
            }
            if !decoded.is_empty() {
                any = true;
                each(self.frame(&decoded, scan)?)?;
            }
        }
        if !any {
            each(self.frame(&[decoder.empty()?], scan)?)?;
        }
        Ok(())
    }

    /// Concatenates record batches, with the columns in the order of the scan.
    fn frame(&self, batches: &[RecordBatch], scan: &Scan) -> Result<DataFrame> {
        let url = self.file.url();
        let frame = guarded(|| frame_from_batches(batches, url));
        let mut frame = frame.ok_or_else(|| damaged(url, "a column is damaged"))??;
        frame.rechunk_mut_par();
        match &scan.columns {
            None => Ok(frame),
            Some(columns) => frame.select(columns).map_err(TableError::about(url)),
        }
    }
}

/// Decodes record batches in ascending order.
struct Decoder<'a> {
    file: &'a IpcFile,
    decoder: FileDecoder,
    projection: &'a [usize],
    /// The dictionaries that have not been decoded yet.
    dictionaries: &'a [Message],
}

impl<'a> Decoder<'a> {
    fn new(file: &'a IpcFile, projection: &'a [usize]) -> Result<Decoder<'a>> {
        let layout = &file.layout;
        let decoder = FileDecoder::new(Arc::clone(&layout.schema), layout.version)
            .with_projection(projection.to_vec());
        let fields = layout.schema.fields();
        let needed = projection
            .iter()
            .any(|&column| layout::has_dictionary(fields[column].data_type()));
        Ok(Decoder {
            file,
            decoder,
            projection,
            dictionaries: if needed { &layout.dictionaries } else { &[] },
        })
    }

    /// Decodes a record batch, whose columns are in the fetched ranges.
    fn batch(
        &mut self,
        batch: &Message,
        ranges: &[Range<u64>],
        fetched: &[Bytes],
    ) -> Result<RecordBatch> {
        // In a stream, a dictionary may be replaced by a later one. In a file, the order of the
        // blocks means nothing, and there is one of each.
        while let [next, rest @ ..] = self.dictionaries
            && (self.file.layout.is_file || next.block.offset() < batch.block.offset())
        {
            self.dictionaries = rest;
            let range = next.range();
            let whole = self.file.file.read(range.clone())?;
            let bytes = self.placed(next, None, &[range], &[whole])?;
            self.decoded(|decoder| decoder.read_dictionary(&next.block, &bytes))?;
        }
        let bytes = self.placed(batch, Some(self.projection), ranges, fetched)?;
        self.decoded(|decoder| decoder.read_record_batch(&batch.block, &bytes))?
            .ok_or_else(|| damaged(self.file.url(), "a record batch has no data"))
    }

    /// A record batch without rows.
    fn empty(&self) -> Result<RecordBatch> {
        let schema = self.file.layout.schema.project(self.projection);
        let schema = schema.map_err(TableError::about(self.file.url()))?;
        Ok(RecordBatch::new_empty(Arc::new(schema)))
    }

    fn decoded<T>(
        &mut self,
        decode: impl FnOnce(&mut FileDecoder) -> Result<T, arrow_schema::ArrowError>,
    ) -> Result<T> {
        let url = self.file.url();
        match guarded(|| decode(&mut self.decoder)) {
            Some(decoded) => decoded.map_err(TableError::about(url)),
            None => Err(damaged(url, "a record batch is damaged")),
        }
    }

    /// A message as the decoder wants it: its metadata, and its body with zeros where nothing was
    /// fetched, because none of the columns is there.
    fn placed(
        &self,
        message: &Message,
        columns: Option<&[usize]>,
        ranges: &[Range<u64>],
        fetched: &[Bytes],
    ) -> Result<Buffer> {
        let whole = message.range();
        let mut bytes = MutableBuffer::try_from_len_zeroed((whole.end - whole.start) as usize)
            .map_err(TableError::about(self.file.url()))?;
        for (range, fetched) in ranges.iter().zip(fetched) {
            let (start, end) = (range.start.max(whole.start), range.end.min(whole.end));
            if start < end {
                let from = (start - range.start) as usize..(end - range.start) as usize;
                let to = (start - whole.start) as usize..(end - whole.start) as usize;
                bytes.as_slice_mut()[to].copy_from_slice(&fetched[from]);
            }
        }
        bytes.as_slice_mut()[..message.metadata.len()].copy_from_slice(&message.metadata);
        if message.compressed {
            self.check_sizes(message, columns, bytes.as_slice())?;
        }
        Ok(bytes.into())
    }

    /// Checks what compressed buffers claim to hold, for which the decoder allocates memory.
    fn check_sizes(
        &self,
        message: &Message,
        columns: Option<&[usize]>,
        bytes: &[u8],
    ) -> Result<()> {
        let start = message.range().start;
        let buffers = match columns {
            Some(columns) => message.buffers_of(columns),
            None => message.buffers.clone(),
        };
        for buffer in buffers {
            let own = (buffer.start - start) as usize..(buffer.end - start) as usize;
            let Some(claimed) = bytes.get(own).and_then(|own| own.first_chunk::<8>()) else {
                continue;
            };
            // -1 says that the buffer is not compressed.
            let claimed = i64::from_le_bytes(*claimed).max(0) as u64;
            if claimed > (buffer.end - buffer.start).saturating_mul(LARGEST_RATIO) {
                return Err(damaged(
                    self.file.url(),
                    "a compressed buffer claims to be larger than it can be",
                ));
            }
        }
        Ok(())
    }
}

fn damaged(file: &str, reason: &str) -> Error {
    TableError::failed(file, reason.to_owned())
}

impl TableFile for IpcFile {
    fn url(&self) -> &str {
        self.file.url()
    }

    fn size(&self) -> u64 {
        self.file.size()
    }

    fn columns(&self) -> &[String] {
        &self.columns
    }

    /// An Arrow IPC file has its own schema.
    fn with_dtype(&self, _dtype: NumberType) -> Option<Arc<dyn TableFile>> {
        None
    }

    fn head(&self, n: usize, scan: &Scan) -> Result<DataFrame> {
        let all: usize = self.batch_rows.iter().sum();
        let (batches, skip, rows) = plan::locate(&self.batch_rows, 0..n.min(all));
        self.read_batches(batches, skip, rows, scan, &ignore_progress)
    }

    fn collect(&self, scan: &Scan, on_progress: OnProgress<'_>) -> Result<DataFrame> {
        let rows = self.batch_rows.iter().sum();
        self.read_batches(0..self.batch_rows.len(), 0, rows, scan, on_progress)
    }

    /// Splits the file into runs of record batches, or within them if there are fewer than `n`.
    fn partitions(&self, n: usize, limit: Option<usize>) -> Result<Vec<Part>> {
        plan::partitions(&self.batch_rows, n, limit, self.url())
    }

    fn rows(&self, part: Option<&Part>) -> Result<u64> {
        Ok(plan::rows(&self.batch_rows, part))
    }

    fn locate(&self, part: &Part, index: u64) -> Result<(String, u64)> {
        let row = plan::row_number(&self.batch_rows, part, index);
        Ok((self.url().to_owned(), row))
    }

    fn read(
        &self,
        part: &Part,
        scan: &Scan,
        on_progress: OnProgress<'_>,
    ) -> Result<Option<DataFrame>> {
        let Some((batches, skip, rows)) = plan::checked(&self.batch_rows, part) else {
            return Ok(None);
        };
        self.read_batches(batches, skip, rows, scan, on_progress)
            .map(Some)
    }

    fn read_each(
        &self,
        part: &Part,
        scan: &Scan,
        on_progress: OnProgress<'_>,
        each: Each<'_>,
    ) -> Result<bool> {
        let Some((batches, skip, rows)) = plan::checked(&self.batch_rows, part) else {
            return Ok(false);
        };
        self.for_each_run(batches, skip, rows, scan, on_progress, each)
            .map(|()| true)
    }

    fn blocks(&self, part: &Part) -> Result<Vec<Block>> {
        let bytes = |batch: usize| {
            let range = self.layout.batches[batch].range();
            range.end - range.start
        };
        Ok(plan::blocks(&self.batch_rows, bytes, part))
    }
}
