//! The bytes of an image file.

use super::{ImageOptions, jpeg, orientation::Orientation, pixels::Pixels, png};
use crate::error::ImageError;

/// Decodes a PNG or a JPEG.
pub(super) fn decode(bytes: &[u8], options: &ImageOptions) -> Result<Pixels, ImageError> {
    let (pixels, exif) = if bytes.starts_with(png::SIGNATURE) {
        png::decode(bytes, options)?
    } else if bytes.starts_with(jpeg::SIGNATURE) {
        jpeg::decode(bytes, options)?
    } else {
        return Err(ImageError::Format {
            found: describe(bytes),
        });
    };
    let orientation = exif.filter(|_| options.apply_exif_orientation);
    let orientation = orientation.and_then(|exif| Orientation::of_exif(&exif));
    Ok(orientation.unwrap_or_default().apply(pixels))
}

/// Checks the number of pixels that a file claims to have.
pub(super) fn check_size(
    width: u64,
    height: u64,
    options: &ImageOptions,
) -> Result<(), ImageError> {
    let max_pixels = options.max_pixels;
    match width.checked_mul(height) {
        Some(pixels) if pixels <= max_pixels => Ok(()),
        _ => Err(ImageError::TooLarge {
            width,
            height,
            max_pixels,
        }),
    }
}

/// What bytes are that are no PNG and no JPEG, by how they begin.
fn describe(bytes: &[u8]) -> String {
    const KNOWN: [(&[u8], &str); 12] = [
        (b"GIF8", "a GIF"),
        (b"BM", "a BMP"),
        (b"II*\0", "a TIFF"),
        (b"MM\0*", "a TIFF"),
        (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000"),
        (b"\xff\x0a", "a JPEG XL"),
        (b"\x00\x00\x00\x0cJXL ", "a JPEG XL"),
        (b"%PDF", "a PDF"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x1f\x8b", "compressed with gzip"),
        (b"<svg", "an SVG"),
        (
            b"version https://git-lfs",
            "a pointer of Git LFS to the file",
        ),
    ];
    if bytes.is_empty() {
        return "none: it is empty".to_owned();
    }
    let known = KNOWN.iter().find(|(begin, _)| bytes.starts_with(begin));
    let of_container = || match (bytes.get(..4)?, bytes.get(4..8)?, bytes.get(8..12)?) {
        (b"RIFF", _, b"WEBP") => Some("a WebP"),
        (_, b"ftyp", b"avif" | b"avis") => Some("an AVIF"),
        (_, b"ftyp", b"heic" | b"heix" | b"mif1") => Some("a HEIC"),
        _ => None,
    };
    if let Some(name) = known.map(|(_, name)| *name).or_else(of_container) {
        return name.to_owned();
    }
    let begin = &bytes[..bytes.len().min(16)];
    match std::str::from_utf8(begin) {
        Ok(text) if !text.contains(|c: char| c.is_control() && !c.is_whitespace()) => {
            format!("text that begins with {text:?}")
        }
        _ => format!("of no image format that is known, and begin with {begin:02x?}"),
    }
}
