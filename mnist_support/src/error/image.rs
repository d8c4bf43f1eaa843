//! Errors of images.

use super::Cause;

/// Why an image cannot be decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// Bytes of another format than PNG and JPEG.
    #[error("its bytes are {found}, and only PNG and JPEG are decoded")]
    Format { found: String },
    /// Bytes that begin as a PNG or a JPEG does, and don't go on so.
    #[error("the {format} is damaged: {reason}")]
    Damaged {
        format: &'static str,
        #[source]
        reason: Cause,
    },
    /// An image that would need more memory than allowed.
    #[error(
        "it says that it has {width} x {height} pixels, and max_pixels is {max_pixels}: raise that \
         with ImageDecoder::max_pixels if the file is to be trusted"
    )]
    TooLarge {
        width: u64,
        height: u64,
        max_pixels: u64,
    },
    /// An image of another size than the first.
    #[error(
        "it has {width} x {height} pixels, and the first image {first_width} x {first_height}: \
         resize all to one size with ImageDecoder::size"
    )]
    Size {
        width: usize,
        height: usize,
        first_width: usize,
        first_height: usize,
    },
    /// A struct that has the path of a file, and not its bytes.
    #[error(
        "it has no bytes, only the path {path:?}: store the files' bytes in the table, or read the \
         files with Lake::images"
    )]
    NoBytes { path: String },
    /// A struct of Spark's image source that contradicts itself, or that Spark could not decode.
    #[error("Spark's image struct {reason}")]
    Struct { reason: String },
}
