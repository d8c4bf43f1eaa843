//! JPEG files.

use memchr::memmem;
use zune_jpeg::{
    JpegDecoder,
    errors::DecodeErrors,
    zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions},
};

use super::{ImageOptions, decode::check_size, pixels::Pixels};
use crate::error::ImageError;

/// How a JPEG begins.
pub(super) const SIGNATURE: &[u8] = b"\xff\xd8\xff";

/// The largest width and height that the format has.
const LARGEST: usize = 65_535;

/// Decodes a JPEG to grey values or to red, green and blue, with its EXIF metadata.
pub(super) fn decode(
    bytes: &[u8],
    options: &ImageOptions,
) -> Result<(Pixels, Option<Vec<u8>>), ImageError> {
    let lenient = DecoderOptions::default()
        .set_max_width(LARGEST)
        .set_max_height(LARGEST)
        .set_strict_mode(false);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), lenient);
    decoder.decode_headers().map_err(damaged)?;
    let (width, height) = decoder
        .dimensions()
        .ok_or_else(|| invalid("it has no size"))?;
    check_size(width as u64, height as u64, options)?;
    let grey = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => true,
        Some(ColorSpace::YCbCr) => options.channels == 1,
        _ => false,
    };
    let (channels, colours) = match grey {
        true => (1, ColorSpace::Luma),
        false => (3, ColorSpace::RGB),
    };
    // Strictly: otherwise what is missing of a file would be grey.
    let strict = lenient
        .set_strict_mode(true)
        .jpeg_set_out_colorspace(colours);
    decoder.set_options(strict);
    if !has_end(bytes) {
        return Err(invalid("it has no end: the file is incomplete"));
    }
    let values = decoder.decode().map_err(damaged)?;
    if values.len() != width * height * channels {
        return Err(invalid("it has more or fewer channels than it says"));
    }
    let exif = decoder.exif().cloned();
    let pixels = Pixels {
        height,
        width,
        channels,
        values,
    };
    Ok((pixels, exif))
}

fn damaged(error: DecodeErrors) -> ImageError {
    ImageError::Damaged {
        format: "JPEG",
        reason: error.into(),
    }
}

fn invalid(reason: &str) -> ImageError {
    ImageError::Damaged {
        format: "JPEG",
        reason: reason.into(),
    }
}

/// Whether the marker of the end follows the pixels. The decoder does without what is missing of
/// the last rows.
fn has_end(bytes: &[u8]) -> bool {
    // Among pixels, these bytes are nothing else. Segments before them may hold a thumbnail.
    let pixels = bytes.get(first_scan(bytes)..).unwrap_or_default();
    memmem::find(pixels, b"\xff\xd9").is_some()
}

/// Where the segment begins that the pixels follow.
fn first_scan(bytes: &[u8]) -> usize {
    let mut at = SIGNATURE.len() - 1;
    while let Some(&[first, marker, high, low]) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        at += match (first, marker) {
            (0xff, 0xda) => return at,
            // A byte that fills.
            (0xff, 0xff) | (0..0xff, _) => 1,
            (0xff, _) => 2 + usize::from(u16::from_be_bytes([high, low])),
        };
    }
    bytes.len()
}
