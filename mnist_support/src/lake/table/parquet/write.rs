//! Writes Parquet files.
//!
//! Polars encodes and compresses each row group on all cores, with a context of zstd for each page:
//! of a table with hundreds of columns, making these is most of the time. Pages are compressed here
//! instead, with one context, on the thread of the rank whose rows they are.

use std::io::Write;

use polars::frame::DataFrame;
use polars::io::parquet::write::{BatchedWriter, ParquetWriter, get_encodings};
use polars::prelude::{CompatLevel, PolarsResult, Schema, SchemaExt, StatisticsOptions};
use polars_parquet::parquet::CowBuffer;
use polars_parquet::parquet::compression::Compression;
use polars_parquet::parquet::page::CompressedDictPage;
use polars_parquet::write::{
    CompressedDataPage, CompressedPage, CompressionOptions, Encoding, Page, ParquetType, Version,
    WriteOptions, array_to_columns,
};
use zstd::{bulk::Compressor, zstd_safe::compress_bound};

/// As polars writes by default.
const OPTIONS: WriteOptions = WriteOptions {
    statistics: StatisticsOptions {
        min_value: true,
        max_value: true,
        distinct_count: false,
        null_count: true,
        binary_statistics_truncate_length: None,
    },
    version: Version::V1,
    compression: CompressionOptions::Zstd(None),
    data_page_size: None,
};

/// Writes a Parquet file, a row group at a time.
pub(crate) struct RowGroupWriter<W: Write> {
    writer: BatchedWriter<W>,
    types: Vec<ParquetType>,
    encodings: Vec<Vec<Encoding>>,
    zstd: Compressor<'static>,
}

impl<W: Write> RowGroupWriter<W> {
    /// Begins a file of rows of these columns.
    pub(crate) fn new(file: W, schema: &Schema) -> PolarsResult<Self> {
        let mut writer = ParquetWriter::new(file).batched(schema)?;
        Ok(RowGroupWriter {
            types: writer.parquet_schema().fields().to_vec(),
            encodings: get_encodings(&schema.to_arrow(CompatLevel::newest())).to_vec(),
            writer,
            zstd: Compressor::new(zstd::DEFAULT_COMPRESSION_LEVEL)?,
        })
    }

    /// Writes a row group, or none if there are no rows, and returns the number of its column
    /// chunks.
    pub(crate) fn write(&mut self, rows: &DataFrame) -> PolarsResult<usize> {
        let mut chunks = 0;
        for batch in rows.iter_chunks(CompatLevel::newest(), false) {
            if batch.is_empty() {
                continue;
            }
            let mut columns = Vec::with_capacity(batch.width());
            for ((array, type_), encoding) in
                batch.columns().iter().zip(&self.types).zip(&self.encodings)
            {
                for pages in array_to_columns(array, type_.clone(), OPTIONS, encoding)? {
                    let zstd = &mut self.zstd;
                    let pages = pages.map(|page| compress(page?, zstd));
                    columns.push(pages.collect::<PolarsResult<Vec<_>>>()?);
                }
            }
            self.writer.write_row_group(batch.len() as u64, &columns)?;
            chunks += columns.len();
        }
        Ok(chunks)
    }

    /// Ends the file, and returns its size in bytes.
    pub(crate) fn finish(self) -> PolarsResult<u64> {
        self.writer.finish()
    }
}

/// Compresses a page of version 1, all of it.
fn compress(page: Page, zstd: &mut Compressor<'_>) -> PolarsResult<CompressedPage> {
    let mut compress = |bytes: &[u8]| {
        let mut compressed = Vec::with_capacity(compress_bound(bytes.len()));
        zstd.compress_to_buffer(bytes, &mut compressed)?;
        PolarsResult::Ok(CowBuffer::Owned(compressed))
    };
    Ok(match page {
        Page::Data(page) => CompressedPage::Data(CompressedDataPage::new(
            page.header().clone(),
            compress(page.buffer())?,
            Compression::Zstd,
            page.buffer().len(),
            page.descriptor.clone(),
            page.num_rows.unwrap_or_else(|| page.num_values()),
        )),
        Page::Dict(page) => CompressedPage::Dict(CompressedDictPage::new(
            compress(&page.buffer)?,
            Compression::Zstd,
            page.buffer.len(),
            page.num_values,
            page.is_sorted,
        )),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use polars::prelude::*;

    use super::*;

    /// Columns of all kinds that a transformation returns, with holes.
    fn frame() -> DataFrame {
        let rows = 0..5000_i32;
        let vectors: ListChunked = rows
            .clone()
            .map(|row| (row % 5 > 0).then(|| Series::new("".into(), vec![row as f32; 3])))
            .collect();
        let mut frame = df!(
            "byte" => rows.clone().map(|row| (row % 251) as u8).collect::<Vec<_>>(),
            "number" => rows.clone().map(|row| f64::from(row) / 7.0).collect::<Vec<_>>(),
            "hole" => rows.clone().map(|row| (row % 3 > 0).then_some(i64::from(row))).collect::<Vec<_>>(),
            "text" => rows.clone().map(|row| (row % 4 > 0).then(|| format!("{row} ä"))).collect::<Vec<_>>(),
            "flag" => rows.clone().map(|row| (row % 9 > 0).then_some(row % 2 == 0)).collect::<Vec<_>>(),
            "empty" => vec![None::<i32>; 5000],
        )
        .unwrap();
        let bytes = rows.map(|row| vec![row as u8; row as usize % 4]);
        let bytes: BinaryChunked = bytes.map(Some).collect();
        for (name, column) in [
            ("vector", vectors.into_series()),
            ("bytes", bytes.into_series()),
        ] {
            let column = column.with_name(name.into());
            frame.with_column(column.into()).unwrap();
        }
        frame
    }

    #[test]
    fn what_is_written_is_read_with_its_row_groups_and_statistics() {
        let frame = frame();
        let mut file = Vec::new();
        let mut writer = RowGroupWriter::new(&mut file, frame.schema()).unwrap();
        for start in (0..5000).step_by(1500) {
            writer.write(&frame.slice(start, 1500)).unwrap();
        }
        writer.write(&frame.head(Some(0))).unwrap();
        let size = writer.finish().unwrap();
        assert_eq!(size, file.len() as u64);
        let mut theirs = Vec::new();
        let mut batched = ParquetWriter::new(&mut theirs)
            .batched(frame.schema())
            .unwrap();
        for start in (0..5000).step_by(1500) {
            batched.write_batch(&frame.slice(start, 1500)).unwrap();
        }
        batched.finish().unwrap();
        // The same bytes as polars', which compresses at the same level.
        assert_eq!(file, theirs);
        let read = ParquetReader::new(Cursor::new(file)).finish().unwrap();
        assert!(read.equals_missing(&frame), "{read}");
    }
}
