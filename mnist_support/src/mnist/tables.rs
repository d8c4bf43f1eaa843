//! Images and labels as tables.

use std::io::{self, Write};
use std::path::Path;

use polars::prelude::{
    Column, DataFrame, IntoColumn, ParquetCompression, ParquetWriter, PolarsResult,
    StatisticsOptions, UInt8Chunked,
};

use super::idx::{IdxImages, read_images, read_labels};
use crate::{Error, Result};

/// A Parquet file gets this many row groups, so that partitions have a choice.
const ROW_GROUPS: usize = 10;
/// MNIST has ten digits.
const CLASSES: u8 = 10;

/// Images with their labels.
#[derive(Clone, Debug)]
pub struct Digits {
    /// The images.
    pub images: IdxImages,
    /// A label from 0 to 9 for each.
    pub labels: Vec<u8>,
}

impl Digits {
    /// Reads a file of images and one of labels.
    ///
    /// # Errors
    /// As [`read_images`]; [`Error::InvalidIdx`] where the counts of the two files disagree, there is no
    /// image, or a label is above 9.
    pub fn read(images: &Path, labels: &Path) -> Result<Digits> {
        let digits = Digits {
            images: read_images(images)?,
            labels: read_labels(labels)?,
        };
        let invalid = |reason: String| Error::InvalidIdx {
            path: labels.into(),
            reason,
        };
        let (count, found) = (digits.images.count, digits.labels.len());
        if count != found {
            let images = images.display();
            return Err(invalid(format!(
                "it has {found} labels, where {images} has {count} images"
            )));
        }
        if count == 0 || digits.images.rows * digits.images.columns == 0 {
            return Err(Error::InvalidIdx {
                path: images.into(),
                reason: "it has no pixel".into(),
            });
        }
        if let Some(index) = digits.labels.iter().position(|label| *label >= CLASSES) {
            let label = digits.labels[index];
            return Err(invalid(format!(
                "its label {} is {label}, above {}",
                index + 1,
                CLASSES - 1
            )));
        }
        Ok(digits)
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    fn width(&self) -> usize {
        self.images.rows * self.images.columns
    }

    /// `pixel1` ... `pixel784`, `label`.
    fn names(&self) -> Vec<String> {
        (1..=self.width())
            .map(|pixel| format!("pixel{pixel}"))
            .chain(["label".to_string()])
            .collect()
    }

    /// Writes the table as CSV: a header and a line for each image.
    ///
    /// # Errors
    /// What `writer` says.
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

    /// The table as a frame of `UInt8` columns.
    ///
    /// # Errors
    /// [`Error::Table`], where polars refuses the columns.
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
        DataFrame::new(self.len(), columns).map_err(table_error)
    }

    /// Writes the table as Parquet, in ten row groups.
    ///
    /// # Errors
    /// [`Error::Table`].
    pub fn write_parquet(&self, writer: &mut impl Write) -> Result<()> {
        let mut frame = self.to_frame()?;
        let write = || -> PolarsResult<u64> {
            ParquetWriter::new(writer)
                .with_compression(ParquetCompression::Zstd(None))
                .with_statistics(StatisticsOptions::empty())
                .with_row_group_size(Some(self.len().div_ceil(ROW_GROUPS)))
                .finish(&mut frame)
        };
        write().map_err(table_error)?;
        Ok(())
    }
}

fn table_error(error: polars::error::PolarsError) -> Error {
    Error::Table {
        table: "MNIST".into(),
        reason: error.to_string(),
    }
}
