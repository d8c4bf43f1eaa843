//! Columns that hold images.

use polars::prelude::*;

use super::pixels::Pixels;
use crate::{
    Error, Result,
    data::{TableRows, column},
    error::{ImageError, TableError},
};

/// A column of images.
pub(super) struct Images {
    present: BooleanChunked,
    kind: Kind,
}

enum Kind {
    /// The bytes of files.
    Files(BinaryChunked),
    /// The structs in which Hugging Face keeps images: the bytes of files, and their paths.
    FilesAndPaths(BinaryChunked, StringChunked),
    /// The structs of Spark's image source.
    Spark(Box<SparkImages>),
}

/// The fields of Spark's image source, except `mode`, which follows from the others.
struct SparkImages {
    origin: StringChunked,
    height: Int64Chunked,
    width: Int64Chunked,
    channels: Int64Chunked,
    data: BinaryChunked,
}

/// The image of a row.
pub(super) enum Image<'a> {
    /// The bytes of a file.
    File(&'a [u8]),
    /// Pixels that Spark has decoded.
    Pixels(Pixels),
}

impl Images {
    /// The images of a column.
    pub(super) fn of(frame: &DataFrame, name: &str, rows: TableRows<'_>) -> Result<Images> {
        // Looking up a row takes long in a column of many chunks.
        let series = column(frame, name, rows)?.rechunk();
        let kind = match series.dtype() {
            DataType::Binary => series.binary().map(|bytes| Kind::Files(bytes.clone())),
            DataType::Struct(_) => match kind_of_struct(&series).transpose() {
                Some(kind) => kind,
                None => return Err(refused(&series, name, rows)),
            },
            _ => return Err(refused(&series, name, rows)),
        };
        Ok(Images {
            present: series.is_not_null(),
            kind: kind.map_err(TableError::about(rows.table()))?,
        })
    }

    /// The image of a row; `None` for a null.
    pub(super) fn get(&self, row: usize) -> Result<Option<Image<'_>>, ImageError> {
        if self.present.get(row) != Some(true) {
            return Ok(None);
        }
        match &self.kind {
            Kind::Files(bytes) => Ok(bytes.get(row).map(Image::File)),
            Kind::FilesAndPaths(bytes, paths) => match (bytes.get(row), paths.get(row)) {
                (Some(bytes), _) => Ok(Some(Image::File(bytes))),
                (None, Some(path)) => Err(ImageError::NoBytes {
                    path: path.to_owned(),
                }),
                (None, None) => Ok(None),
            },
            Kind::Spark(images) => images.get(row).map(|pixels| pixels.map(Image::Pixels)),
        }
    }

    /// The path of a row's image, if the column has it.
    pub(super) fn path(&self, row: usize) -> Option<&str> {
        match &self.kind {
            Kind::Files(_) => None,
            Kind::FilesAndPaths(_, paths) => paths.get(row),
            Kind::Spark(images) => images.origin.get(row),
        }
    }
}

/// Returns what a column of structs holds; `None` if these are no images.
fn kind_of_struct(series: &Series) -> PolarsResult<Option<Kind>> {
    let fields = series.struct_()?.fields_as_series();
    let field = |name: &str| fields.iter().find(|field| field.name() == name);
    let text = |name: &str| match field(name) {
        Some(field) => PolarsResult::Ok(field.cast(&DataType::String)?.str()?.clone()),
        None => Ok(StringChunked::full_null(name.into(), series.len())),
    };
    if let Some(bytes) = field("bytes").filter(|bytes| bytes.dtype() == &DataType::Binary) {
        return Ok(Some(Kind::FilesAndPaths(
            bytes.binary()?.clone(),
            text("path")?,
        )));
    }
    let data = field("data").filter(|data| data.dtype() == &DataType::Binary);
    let (Some(data), Some(height), Some(width), Some(channels)) =
        (data, field("height"), field("width"), field("nChannels"))
    else {
        return Ok(None);
    };
    let number = |field: &Series| PolarsResult::Ok(field.cast(&DataType::Int64)?.i64()?.clone());
    Ok(Some(Kind::Spark(Box::new(SparkImages {
        origin: text("origin")?,
        height: number(height)?,
        width: number(width)?,
        channels: number(channels)?,
        data: data.binary()?.clone(),
    }))))
}

impl SparkImages {
    fn get(&self, row: usize) -> Result<Option<Pixels>, ImageError> {
        let invalid = |reason: String| Err(ImageError::Struct { reason });
        let Some(data) = self.data.get(row) else {
            return Ok(None);
        };
        let number = |numbers: &Int64Chunked| numbers.get(row).unwrap_or(-1);
        let (height, width) = (number(&self.height), number(&self.width));
        let channels = number(&self.channels);
        if height <= 0 || width <= 0 {
            return invalid("has no pixels: Spark could not decode the file".to_owned());
        }
        if !matches!(channels, 1 | 3 | 4) {
            return invalid(format!("has {channels} channels, and 1, 3 and 4 are known"));
        }
        let length = height
            .checked_mul(width)
            .and_then(|n| n.checked_mul(channels));
        if length != i64::try_from(data.len()).ok() {
            return invalid(format!(
                "has {} bytes, and says that they are {width} x {height} pixels of {channels} \
                 channels",
                data.len()
            ));
        }
        let mut values = data.to_vec();
        if channels > 1 {
            // Spark's are blue, green and red, as OpenCV's.
            for pixel in values.chunks_exact_mut(channels as usize) {
                pixel.swap(0, 2);
            }
        }
        Ok(Some(Pixels {
            height: height as usize,
            width: width as usize,
            channels: channels as usize,
            values,
        }))
    }
}

fn refused(series: &Series, name: &str, rows: TableRows<'_>) -> Error {
    Error::Table(TableError::ColumnType {
        table: rows.table().to_owned(),
        column: name.to_owned(),
        found: series.dtype().to_string(),
        expected: "a column of images (the bytes of files, Hugging Face's structs of bytes and \
                   path, or those of Spark's image source)"
            .to_owned(),
    })
}
