//! The IDX format of MNIST's files.
//!
//! Two zero bytes, a byte for the type of the values (8: unsigned bytes), a byte for the number of
//! dimensions, each dimension's size as a big-endian 32-bit number, then the values, row-major (the format's
//! description on the MNIST page of Y. LeCun).

use std::fs;
use std::path::Path;

use crate::{Error, Result};

/// The type of the values: unsigned bytes, the only one that MNIST has.
const UNSIGNED_BYTE: u8 = 0x08;

/// Images of equal size.
#[derive(Clone, Debug, PartialEq)]
pub struct IdxImages {
    /// The number of images.
    pub count: usize,
    /// The height of each.
    pub rows: usize,
    /// The width of each.
    pub columns: usize,
    /// `count * rows * columns` grey values from 0 to 255, image by image, row by row.
    pub pixels: Vec<u8>,
}

/// Reads a file of images (magic 2051: 3 dimensions of unsigned bytes).
///
/// # Errors
/// [`Error::Io`]; [`Error::InvalidIdx`] for another magic, or a length that is not what the header says.
pub fn read_images(path: &Path) -> Result<IdxImages> {
    let ([count, rows, columns], pixels) = read(path)?;
    Ok(IdxImages {
        count,
        rows,
        columns,
        pixels,
    })
}

/// Reads a file of labels (magic 2049: 1 dimension of unsigned bytes).
///
/// # Errors
/// As [`read_images`].
pub fn read_labels(path: &Path) -> Result<Vec<u8>> {
    let ([_], labels) = read(path)?;
    Ok(labels)
}

fn read<const DIMENSIONS: usize>(path: &Path) -> Result<([usize; DIMENSIONS], Vec<u8>)> {
    let mut bytes = fs::read(path).map_err(|source| Error::Io {
        operation: "reading",
        path: path.into(),
        source,
    })?;
    let invalid = |reason: String| Error::InvalidIdx {
        path: path.into(),
        reason,
    };
    let header = 4 + 4 * DIMENSIONS;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(invalid("it is compressed; unpack it first: gunzip".into()));
    }
    if bytes.len() < header {
        return Err(invalid(format!(
            "it has {} bytes, where its header alone has {header}",
            bytes.len()
        )));
    }
    let number = |at: usize| {
        bytes[at..at + 4]
            .iter()
            .fold(0_u32, |number, byte| (number << 8) | u32::from(*byte))
    };
    let expected = (u32::from(UNSIGNED_BYTE) << 8) | DIMENSIONS as u32;
    if number(0) != expected {
        return Err(invalid(format!(
            "its magic number is {}, not {expected}",
            number(0)
        )));
    }
    let sizes: [usize; DIMENSIONS] = std::array::from_fn(|index| number(4 + 4 * index) as usize);
    let values = sizes
        .iter()
        .try_fold(1_usize, |product, size| product.checked_mul(*size));
    let found = bytes.len() - header;
    if values != Some(found) {
        let shape = sizes.map(|size| size.to_string()).join(" x ");
        return Err(invalid(format!(
            "its header says {shape} values, which is {}, and {found} follow",
            values.map_or("too many".into(), |values| values.to_string())
        )));
    }
    bytes.drain(..header);
    Ok((sizes, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        file
    }

    const TWO_IMAGES: [u8; 24] = [
        0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8,
    ];

    fn refused(bytes: &[u8]) -> String {
        let file = file(bytes);
        let error = read_images(file.path()).unwrap_err();
        assert!(
            matches!(&error, Error::InvalidIdx { path, .. } if path == file.path()),
            "{error}"
        );
        error.to_string()
    }

    #[test]
    fn images_and_labels_are_read_with_their_sizes() {
        let images = read_images(file(&TWO_IMAGES).path()).unwrap();
        assert_eq!((images.count, images.rows, images.columns), (2, 2, 2));
        assert_eq!(images.pixels, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(
            read_labels(file(&[0, 0, 8, 1, 0, 0, 0, 2, 7, 9]).path()).unwrap(),
            [7, 9]
        );
    }

    #[test]
    fn a_wrong_magic_is_told_with_the_right_one() {
        let mut bytes = TWO_IMAGES;
        bytes[3] = 1;
        let message = refused(&bytes);
        assert!(message.contains("2049, not 2051"), "{message}");
    }

    #[test]
    fn a_file_that_is_cut_short_or_too_long_is_told_with_both_lengths() {
        let message = refused(&TWO_IMAGES[..23]);
        assert!(
            message.contains("2 x 2 x 2 values, which is 8, and 7 follow"),
            "{message}"
        );
        assert!(refused(&[&TWO_IMAGES[..], &[0]].concat()).contains("and 9 follow"));
        assert!(refused(&TWO_IMAGES[..9]).contains("9 bytes"));
        assert!(refused(&[]).contains("0 bytes"));
    }

    #[test]
    fn sizes_whose_product_is_beyond_memory_are_refused() {
        let mut bytes = TWO_IMAGES;
        bytes[4..16].fill(0xff);
        assert!(refused(&bytes).contains("4294967295"));
    }

    #[test]
    fn a_compressed_file_says_so() {
        assert!(refused(&[0x1f, 0x8b, 8, 0]).contains("gunzip"));
    }
}
