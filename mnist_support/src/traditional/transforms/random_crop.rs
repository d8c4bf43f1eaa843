//! Random crops.

use rand::RngExt;
use tch::Tensor;

use super::{Transform, image, random};
use crate::{Error, Result};

/// A part of the image at a random place, like torchvision's `RandomCrop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomCrop {
    height: i64,
    width: i64,
    padding: i64,
}

impl RandomCrop {
    /// Crops to a square of `size` pixels, after `padding` zeros on each side of the image.
    pub fn new(size: i64, padding: i64) -> Self {
        RandomCrop::with_size([size, size], padding)
    }

    /// Crops to a height and a width.
    pub fn with_size([height, width]: [i64; 2], padding: i64) -> Self {
        RandomCrop {
            height,
            width,
            padding,
        }
    }
}

impl Transform for RandomCrop {
    /// # Errors
    /// [`Error::InvalidSetting`] for a size that the padded image does not have.
    fn apply(&self, features: &Tensor, seed: u64) -> Result<Tensor> {
        let [_, height, width] = image(features)?;
        let RandomCrop { padding, .. } = *self;
        let fits = |size: i64, whole: i64| {
            let whole = padding
                .checked_mul(2)
                .and_then(|both| both.checked_add(whole));
            whole.filter(|&whole| padding >= 0 && (1..=whole).contains(&size))
        };
        let (Some(padded_height), Some(padded_width)) =
            (fits(self.height, height), fits(self.width, width))
        else {
            return Err(Error::InvalidSetting {
                setting: "size",
                value: format!("[{}, {}]", self.height, self.width),
                reason: format!(
                    "does not fit into an image of [{height}, {width}] with a padding of {padding}"
                ),
            });
        };
        let mut random = random(seed);
        let top = random.random_range(0..=padded_height - self.height);
        let left = random.random_range(0..=padded_width - self.width);
        let padded = match padding {
            0 => features.shallow_clone(),
            _ => features.f_constant_pad_nd([padding; 4])?,
        };
        let rows = padded.f_narrow(1, top, self.height)?;
        Ok(rows.f_narrow(2, left, self.width)?)
    }
}
