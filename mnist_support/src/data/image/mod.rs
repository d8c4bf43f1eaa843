//! The images of a column: from PNG and JPEG files to rows of features.

mod column;
mod decode;
mod jpeg;
mod orientation;
mod pixels;
mod png;
mod resize;
#[cfg(test)]
mod tests;

use ndarray::Array2;
use polars::prelude::DataFrame;
use rayon::prelude::*;

use self::{
    column::{Image, Images},
    pixels::Pixels,
};
use super::{Features, TableRows};
use crate::{
    Error, Result,
    error::{ImageError, TableError},
    interrupt,
};

/// How the images of a column are decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ImageOptions {
    /// 1 for grey values, 3 for red, green and blue.
    pub(crate) channels: usize,
    /// The height and the width to resize to.
    pub(crate) size: Option<[usize; 2]>,
    /// Whether images are turned as their EXIF tag says.
    pub(crate) apply_exif_orientation: bool,
    /// The largest number of pixels of an image.
    pub(crate) max_pixels: u64,
    /// Whether rows without an image that can be decoded are left out, instead of an error.
    pub(crate) skip_invalid: bool,
}

/// The images of a column, each a row of [channels, height, width] values.
pub(crate) struct DecodedImages {
    pub(crate) features: Features,
    /// Which rows have an image. The features are of these alone.
    pub(crate) valid: Vec<bool>,
}

/// Why a row has no image.
enum Problem {
    /// A null.
    Missing,
    /// An image that cannot be decoded.
    Invalid(ImageError),
    /// The decoding was stopped.
    Stopped,
}

impl From<ImageError> for Problem {
    fn from(error: ImageError) -> Self {
        Problem::Invalid(error)
    }
}

/// Decodes the images of a column, on all cores.
///
/// # Errors
/// - [`TableError::ColumnNotFound`], and [`TableError::ColumnType`] for a column of anything but
///   images.
/// - [`TableError::MissingValue`] and [`TableError::InvalidImage`] for the first row without an
///   image that can be decoded, unless such rows are left out.
/// - [`TableError::InvalidImage`] for the first image of another size, if there is no size to
///   resize to.
pub(crate) fn images_from_frame(
    frame: &DataFrame,
    name: &str,
    options: &ImageOptions,
    rows: TableRows<'_>,
) -> Result<DecodedImages> {
    let images = Images::of(frame, name, rows)?;
    let height = frame.height();
    let first = || (0..height).find_map(|row| Some(decoded(&images, row, options).ok()?.size()));
    // Without an image that tells its size, no row is left.
    let size = options.size.or_else(first).unwrap_or([1, 1]);
    let width = options.channels * size[0] * size[1];
    let mut values = vec![0; height * width];
    let interrupt = interrupt::current();
    let decode = |(row, output): (usize, &mut [u8])| -> Result<(), Problem> {
        if interrupt.is_requested() {
            return Err(Problem::Stopped);
        }
        let mut pixels = decoded(&images, row, options)?;
        if options.size.is_some() {
            pixels = resize::resized(pixels, size)?;
        }
        Ok(pixels.write(size, output)?)
    };
    let outputs = values.par_chunks_mut(width).enumerate();
    let problems: Vec<Option<Problem>> = outputs.map(|row| decode(row).err()).collect();
    let mut valid = vec![true; height];
    for (row, problem) in problems.into_iter().enumerate() {
        match problem {
            None => {}
            // Which of two sizes is the right one is not known.
            Some(problem @ (Problem::Stopped | Problem::Invalid(ImageError::Size { .. }))) => {
                return Err(problem.of_row(row, name, &images, rows));
            }
            Some(_) if options.skip_invalid => valid[row] = false,
            Some(problem) => return Err(problem.of_row(row, name, &images, rows)),
        }
    }
    let matrix = Array2::from_shape_vec((height, width), values);
    let mut features = Features::U8(matrix.map_err(TableError::about(rows.table()))?);
    if valid.contains(&false) {
        let kept: Vec<usize> = (0..height).filter(|row| valid[*row]).collect();
        features = features.select(&kept)?;
    }
    Ok(DecodedImages { features, valid })
}

/// Decodes the image of a row.
fn decoded(images: &Images, row: usize, options: &ImageOptions) -> Result<Pixels, Problem> {
    let image = images.get(row)?.ok_or(Problem::Missing)?;
    let pixels = match image {
        Image::File(bytes) => decode::decode(bytes, options)?,
        Image::Pixels(pixels) => pixels,
    };
    Ok(pixels.with_channels(options.channels))
}

impl Problem {
    /// The error of a row.
    fn of_row(self, row: usize, name: &str, images: &Images, rows: TableRows<'_>) -> Error {
        let reason = match self {
            Problem::Missing => return rows.missing(row, name),
            Problem::Stopped => return interrupt::interrupted("decoding images of", rows.table()),
            Problem::Invalid(reason) => reason,
        };
        let (file, number) = rows.locate(row);
        Error::Table(TableError::InvalidImage {
            file,
            row: number,
            column: name.to_owned(),
            path: images.path(row).map(Box::from),
            reason: Box::new(reason),
        })
    }
}
