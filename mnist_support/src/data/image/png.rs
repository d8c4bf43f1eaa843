//! PNG files.

use std::io::Cursor;

use png::{Decoder, DecodingError, Limits, Transformations};

use super::{ImageOptions, decode::check_size, pixels::Pixels};
use crate::error::ImageError;

/// How a PNG begins.
pub(super) const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The memory that a decoder may use beside the pixels, for rows and metadata.
const LIMITS: Limits = Limits { bytes: 64 << 20 };

/// Decodes a PNG to 8 bits per channel, with its EXIF metadata, if it has any before its pixels.
pub(super) fn decode(
    bytes: &[u8],
    options: &ImageOptions,
) -> Result<(Pixels, Option<Vec<u8>>), ImageError> {
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), LIMITS);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    // Palettes and small depths become bytes. Of 16 bits the upper 8 are left, as in Pillow.
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let header = decoder.read_header_info().map_err(damaged)?;
    let (width, height) = header.size();
    check_size(width.into(), height.into(), options)?;
    let mut reader = decoder.read_info().map_err(damaged)?;
    let length = reader.output_buffer_size();
    let mut values = vec![
        0;
        length
            .ok_or(DecodingError::LimitsExceeded)
            .map_err(damaged)?
    ];
    let frame = reader.next_frame(&mut values).map_err(damaged)?;
    values.truncate(frame.buffer_size());
    let exif = reader.info().exif_metadata.as_deref().map(<[u8]>::to_vec);
    let pixels = Pixels {
        height: frame.height as usize,
        width: frame.width as usize,
        channels: frame.color_type.samples(),
        values,
    };
    Ok((pixels, exif))
}

fn damaged(error: DecodingError) -> ImageError {
    ImageError::Damaged {
        format: "PNG",
        reason: error.into(),
    }
}
