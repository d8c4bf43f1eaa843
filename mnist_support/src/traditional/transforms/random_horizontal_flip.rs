//! Random flips.

use rand::RngExt;
use tch::Tensor;

use super::{Transform, image, random};
use crate::{Error, Result};

/// The mirror image, left to right, with a probability, like torchvision's `RandomHorizontalFlip`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomHorizontalFlip {
    p: f64,
}

impl RandomHorizontalFlip {
    /// Flips an image with probability `p`. torchvision's default is 0.5.
    pub fn new(p: f64) -> Self {
        RandomHorizontalFlip { p }
    }
}

impl Transform for RandomHorizontalFlip {
    /// # Errors
    /// [`Error::InvalidSetting`] for a probability outside of 0 to 1.
    fn apply(&self, features: &Tensor, seed: u64) -> Result<Tensor> {
        image(features)?;
        if !(0.0..=1.0).contains(&self.p) {
            return Err(Error::InvalidSetting {
                setting: "p",
                value: self.p.to_string(),
                reason: "must be from 0 to 1".to_owned(),
            });
        }
        match random(seed).random_bool(self.p) {
            true => Ok(features.f_flip([2])?),
            false => Ok(features.shallow_clone()),
        }
    }
}
