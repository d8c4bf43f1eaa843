//! How a camera was held, by the EXIF metadata.

use super::pixels::Pixels;

/// The tag of the orientation in a directory of TIFF.
const TAG: u16 = 0x0112;
/// The type of a 16-bit integer in TIFF.
const SHORT: u16 = 3;

/// How an image is turned to be upright: the value of EXIF's tag, from 1 to 8.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Orientation(u16);

impl Default for Orientation {
    /// As it is.
    fn default() -> Self {
        Orientation(1)
    }
}

impl Orientation {
    /// The orientation that EXIF metadata has, which are a TIFF file; `None` if they have none.
    pub(super) fn of_exif(exif: &[u8]) -> Option<Orientation> {
        let short: fn([u8; 2]) -> u16 = match exif.get(..4)? {
            b"II*\0" => u16::from_le_bytes,
            b"MM\0*" => u16::from_be_bytes,
            _ => return None,
        };
        let long: fn([u8; 4]) -> u32 = match exif[0] {
            b'I' => u32::from_le_bytes,
            _ => u32::from_be_bytes,
        };
        let short_at = |start: usize| -> Option<u16> {
            Some(short(
                exif.get(start..start.checked_add(2)?)?.try_into().ok()?,
            ))
        };
        let directory = long(exif.get(4..8)?.try_into().ok()?) as usize;
        let entries = usize::from(short_at(directory)?);
        let entry = (0..entries)
            .map(|entry| directory + 2 + 12 * entry)
            .find(|start| short_at(*start) == Some(TAG))?;
        let value = short_at(entry + 8).filter(|_| short_at(entry + 2) == Some(SHORT))?;
        (1..=8).contains(&value).then_some(Orientation(value))
    }

    /// Turns and mirrors an image to be upright.
    pub(super) fn apply(self, pixels: Pixels) -> Pixels {
        let (height, width) = (pixels.height, pixels.width);
        // Where the pixel in row y and column x of the upright image is.
        let place = |y: usize, x: usize| match self.0 {
            2 => (y, width - 1 - x),
            3 => (height - 1 - y, width - 1 - x),
            4 => (height - 1 - y, x),
            5 => (x, y),
            6 => (height - 1 - x, y),
            7 => (height - 1 - x, width - 1 - y),
            8 => (x, width - 1 - y),
            _ => (y, x),
        };
        let (upright_height, upright_width) = match self.0 {
            1 => return pixels,
            2..=4 => (height, width),
            _ => (width, height),
        };
        let mut values = Vec::with_capacity(pixels.values.len());
        for y in 0..upright_height {
            for x in 0..upright_width {
                let (row, column) = place(y, x);
                let start = (row * width + column) * pixels.channels;
                values.extend_from_slice(&pixels.values[start..start + pixels.channels]);
            }
        }
        Pixels {
            height: upright_height,
            width: upright_width,
            values,
            ..pixels
        }
    }
}
