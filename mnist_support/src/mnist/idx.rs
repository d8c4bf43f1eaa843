//! The IDX format of MNIST's files.
//!
//! Two zero bytes, one byte for the type of the values, one byte for the number of dimensions, the
//! size of each dimension as a big-endian 32-bit integer, then the values, row-major and big-endian
//! (as described on Y. LeCun's MNIST page).

use std::path::Path;

use super::content::{Content, recognise};
use crate::error::IdxError;
use crate::{Error, Result, error::MnistError};

const UNSIGNED_BYTE: u8 = 0x08;
const INT32: u8 = 0x0C;
/// More pixels than images of this kind have, but few enough for the columns of a table.
const MOST_PIXELS: usize = 1 << 16;
/// How many bytes to examine to find out what a file is.
const START: u64 = 64;

/// Images of the same size.
#[derive(Clone, Debug, PartialEq)]
pub struct IdxImages {
    /// The number of images.
    pub count: usize,
    /// The height of each image.
    pub rows: usize,
    /// The width of each image.
    pub columns: usize,
    /// The grey values, from 0 to 255: `count * rows * columns`, image by image, row by row.
    pub pixels: Vec<u8>,
}

/// The accepted types and dimensions of a file of images or labels.
struct Wanted {
    what: &'static str,
    types: &'static [u8],
    type_names: &'static str,
    dimensions: std::ops::RangeInclusive<u8>,
    dimension_names: &'static str,
}

const IMAGES: Wanted = Wanted {
    what: "images (00 00 08 03)",
    types: &[UNSIGNED_BYTE],
    type_names: "unsigned bytes (0x08)",
    dimensions: 3..=3,
    dimension_names: "images have 3 (number, height, width)",
};

const LABELS: Wanted = Wanted {
    what: "labels (00 00 08 01)",
    types: &[UNSIGNED_BYTE, INT32],
    type_names: "unsigned bytes (0x08) or 32-bit integers (0x0C)",
    dimensions: 1..=2,
    dimension_names: "labels have 1, or 2 (rows, columns)",
};

/// Reads a file of images: 3 dimensions of unsigned bytes, plain or gzipped.
///
/// Memory use follows what the file holds, whatever its header claims.
///
/// # Errors
/// - [`Error::Io`] and [`LakeError::AccessDenied`](crate::error::LakeError::AccessDenied).
/// - [`MnistError::InvalidIdx`] for a file that is something else, is truncated, or has more data
///   than its header says.
pub fn read_images(path: &Path) -> Result<IdxImages> {
    let (sizes, _, pixels) = read(path, &IMAGES)?;
    Ok(IdxImages {
        count: sizes[0],
        rows: sizes[1],
        columns: sizes[2],
        pixels,
    })
}

/// Reads a file of labels, plain or gzipped: unsigned bytes or 32-bit integers, with 1 dimension,
/// or with 2, in which case the first column holds the classes (the other seven of QMNIST say who
/// wrote the digit).
///
/// # Errors
/// The errors of [`read_images`], also for a label outside 0 to 255.
pub fn read_labels(path: &Path) -> Result<Vec<u8>> {
    let (sizes, value_type, bytes) = read(path, &LABELS)?;
    let columns = sizes.get(1).copied().unwrap_or(1);
    if value_type == UNSIGNED_BYTE {
        return Ok(bytes.into_iter().step_by(columns).collect());
    }
    let first_of_rows = bytes
        .chunks_exact(4 * columns)
        .map(|row| big_endian(row) as i32);
    first_of_rows
        .enumerate()
        .map(|(index, label)| {
            u8::try_from(label).map_err(|_| {
                let (row, label) = (index as u64 + 1, i64::from(label));
                invalid(path, IdxError::Label { row, label })
            })
        })
        .collect()
}

/// Reads the sizes of the dimensions, the type of the values, and the values.
fn read(path: &Path, wanted: &Wanted) -> Result<(Vec<usize>, u8, Vec<u8>)> {
    let refused = |source| Err(invalid(path, source));
    let mut content = Content::open(path)?;
    let magic = content.next(4)?;
    let [0, 0, value_type, dimensions] = magic[..] else {
        let start = [&magic[..], &content.next(START)?].concat();
        let header = IdxError::Header {
            first: magic,
            wanted: wanted.what,
        };
        return refused(recognise(&start).unwrap_or(header));
    };
    if !wanted.types.contains(&value_type) {
        return refused(IdxError::ValueType {
            found: type_name(value_type),
            wanted: wanted.type_names,
        });
    }
    if !wanted.dimensions.contains(&dimensions) {
        return refused(IdxError::Dimensions {
            found: dimensions,
            wanted: wanted.dimension_names,
        });
    }
    let header = content.next(4 * u64::from(dimensions))?;
    if header.len() < 4 * usize::from(dimensions) {
        return refused(IdxError::Header {
            first: magic,
            wanted: "all sizes",
        });
    }
    let sizes: Vec<usize> = header
        .chunks_exact(4)
        .map(|size| big_endian(size) as usize)
        .collect();
    let bytes_each = if value_type == INT32 { 4 } else { 1 };
    let values = values(path, &mut content, &sizes, bytes_each)?;
    Ok((sizes, value_type, values))
}

/// Reads the values, and checks that nothing follows them.
fn values(path: &Path, content: &mut Content, sizes: &[usize], bytes_each: u64) -> Result<Vec<u8>> {
    let shape = || shape_of(sizes);
    let refused = |source| Err(invalid(path, source));
    if sizes.contains(&0) {
        let reason = "it holds no values";
        return refused(IdxError::Sizes {
            shape: shape(),
            reason,
        });
    }
    let each = sizes[1..]
        .iter()
        .try_fold(1_usize, |product, size| product.checked_mul(*size));
    let Some(each) = each.filter(|each| *each <= MOST_PIXELS) else {
        let reason = "more than 65,536 values each are not supported";
        return refused(IdxError::Sizes {
            shape: shape(),
            reason,
        });
    };
    // At most 2^32 x 2^16 x 4.
    let expected = sizes[0] as u64 * each as u64 * bytes_each;
    let cut = |found| IdxError::Cut {
        shape: shape(),
        expected,
        found,
    };
    if let Some(found) = content.bytes_left().filter(|left| *left < expected) {
        return refused(cut(found));
    }
    let values = content.next(expected)?;
    if (values.len() as u64) < expected {
        return refused(cut(values.len() as u64));
    }
    // Reading to the end also verifies a gzip's checksum.
    if !content.next(1)?.is_empty() {
        return refused(IdxError::TrailingBytes {
            shape: shape(),
            expected,
        });
    }
    Ok(values)
}

fn invalid(path: &Path, source: IdxError) -> Error {
    Error::Mnist(MnistError::InvalidIdx {
        path: path.into(),
        source,
    })
}

fn big_endian(bytes: &[u8]) -> u32 {
    let first = bytes.iter().take(4);
    first.fold(0, |number, byte| (number << 8) | u32::from(*byte))
}

fn shape_of(sizes: &[usize]) -> String {
    let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
    sizes.join(" x ")
}

fn type_name(value_type: u8) -> String {
    let name = match value_type {
        UNSIGNED_BYTE => "unsigned bytes",
        0x09 => "signed bytes",
        0x0B => "16-bit integers",
        INT32 => "32-bit integers",
        0x0D => "32-bit floats",
        0x0E => "64-bit floats",
        _ => "of an unknown type",
    };
    format!("{name} (0x{value_type:02X})")
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
