//! A decoded image.

use crate::error::ImageError;

/// A decoded image: rows of pixels, and pixels of bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pixels {
    pub(super) height: usize,
    pub(super) width: usize,
    /// 1 for grey values, 2 for grey values and alpha, 3 for red, green and blue, 4 with alpha.
    pub(super) channels: usize,
    pub(super) values: Vec<u8>,
}

impl Pixels {
    /// The height and the width.
    pub(super) fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// Converts to 1 or 3 channels. Alpha is dropped.
    pub(super) fn with_channels(self, channels: usize) -> Pixels {
        let pixels = self.values.chunks_exact(self.channels);
        let values = match (self.channels, channels) {
            (1, 1) | (3, 3) => return self,
            (2, 1) => pixels.map(|pixel| pixel[0]).collect(),
            (_, 1) => pixels.map(luma).collect(),
            (1 | 2, _) => pixels.flat_map(|pixel| [pixel[0]; 3]).collect(),
            (_, _) => pixels
                .flat_map(|pixel| [pixel[0], pixel[1], pixel[2]])
                .collect(),
        };
        Pixels {
            channels,
            values,
            ..self
        }
    }

    /// Writes the values, of 1 or 3 channels, channel by channel, if the image has this size.
    pub(super) fn write(&self, size: [usize; 2], output: &mut [u8]) -> Result<(), ImageError> {
        if self.size() != size {
            return Err(ImageError::Size {
                width: self.width,
                height: self.height,
                first_width: size[1],
                first_height: size[0],
            });
        }
        if self.channels == 1 {
            output.copy_from_slice(&self.values);
            return Ok(());
        }
        let (reds, others) = output.split_at_mut(self.height * self.width);
        let (greens, blues) = others.split_at_mut(self.height * self.width);
        let planes = reds.iter_mut().zip(greens).zip(blues);
        for (pixel, ((red, green), blue)) in self.values.chunks_exact(3).zip(planes) {
            (*red, *green, *blue) = (pixel[0], pixel[1], pixel[2]);
        }
        Ok(())
    }
}

/// The luma of a pixel by ITU-R BT.601, in 16-bit fixed point as Pillow computes it.
fn luma(pixel: &[u8]) -> u8 {
    let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
    ((red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16) as u8
}
