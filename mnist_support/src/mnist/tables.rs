//! Images and labels as tables.

use std::io::{self, Write};

use polars::prelude::{
    Column, DataFrame, IntoColumn, ParquetCompression, ParquetWriter, PolarsResult,
    StatisticsOptions, UInt8Chunked,
};

use super::digits::Digits;
use crate::{Result, error::TableError};

/// The number of row groups in a Parquet file, for partitions to be split between.
const ROW_GROUPS: usize = 10;

impl Digits {
    fn width(&self) -> usize {
        self.images.rows * self.images.columns
    }

    /// The column names: `pixel1` ... `pixel784`, `label`.
    fn names(&self) -> Vec<String> {
        (1..=self.width())
            .map(|pixel| format!("pixel{pixel}"))
            .chain(["label".to_owned()])
            .collect()
    }

    /// Writes the table as CSV: a header, then one line for each image.
    ///
    /// # Errors
    /// The errors of `writer`.
    pub fn write_csv(&self, writer: &mut impl Write) -> io::Result<()> {
        let fields: Vec<String> = (0..=u8::MAX).map(|value| format!("{value},")).collect();
        writeln!(writer, "{}", self.names().join(","))?;
        let mut line = Vec::with_capacity(4 * (self.width() + 1));
        for (pixels, label) in self
            .images
            .pixels
            .chunks_exact(self.width())
            .zip(&self.labels)
        {
            line.clear();
            for pixel in pixels {
                line.extend_from_slice(fields[usize::from(*pixel)].as_bytes());
            }
            writeln!(line, "{label}")?;
            writer.write_all(&line)?;
        }
        Ok(())
    }

    /// Converts the table to a DataFrame of `UInt8` columns.
    ///
    /// # Errors
    /// [`TableError::Failed`] if polars refuses the columns.
    pub fn to_frame(&self) -> Result<DataFrame> {
        let width = self.width();
        let mut values = vec![Vec::with_capacity(self.len()); width];
        for pixels in self.images.pixels.chunks_exact(width) {
            for (column, pixel) in values.iter_mut().zip(pixels) {
                column.push(*pixel);
            }
        }
        values.push(self.labels.clone());
        let columns: Vec<Column> = self
            .names()
            .into_iter()
            .zip(values)
            .map(|(name, values)| {
                UInt8Chunked::from_vec(name.as_str().into(), values).into_column()
            })
            .collect();
        DataFrame::new(self.len(), columns).map_err(TableError::about("MNIST"))
    }

    /// Writes the table as Parquet, in ten row groups.
    ///
    /// # Errors
    /// [`TableError::Failed`] if writing fails.
    pub fn write_parquet(&self, writer: &mut impl Write) -> Result<()> {
        let mut frame = self.to_frame()?;
        let write = || -> PolarsResult<u64> {
            ParquetWriter::new(writer)
                .with_compression(ParquetCompression::Zstd(None))
                .with_statistics(StatisticsOptions::empty())
                .with_row_group_size(Some(self.len().div_ceil(ROW_GROUPS)))
                .finish(&mut frame)
        };
        write().map_err(TableError::about("MNIST"))?;
        Ok(())
    }
}
