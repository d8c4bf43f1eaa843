//! Random rotations.

use rand::RngExt;
use tch::{Kind, Tensor};

use super::{Transform, image, random};
use crate::{Error, Result};

/// A rotation about the centre by a random angle, like torchvision's `RandomRotation` with its
/// defaults: each pixel takes the nearest one, and what comes from outside of the image is 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomRotation {
    degrees: f64,
}

impl RandomRotation {
    /// Rotates by an angle from `-degrees` to `degrees`.
    pub fn new(degrees: f64) -> Self {
        RandomRotation { degrees }
    }
}

impl Transform for RandomRotation {
    /// # Errors
    /// [`Error::InvalidSetting`] for an angle that is negative or infinite.
    fn apply(&self, features: &Tensor, seed: u64) -> Result<Tensor> {
        let degrees = self.degrees;
        if !(degrees >= 0.0 && degrees.is_finite()) {
            return Err(Error::InvalidSetting {
                setting: "degrees",
                value: degrees.to_string(),
                reason: "must be 0 or more".to_owned(),
            });
        }
        rotated(features, random(seed).random_range(-degrees..=degrees))
    }
}

/// Rotates an image about its centre, counter-clockwise. The y axis of an image points down.
pub(super) fn rotated(features: &Tensor, degrees: f64) -> Result<Tensor> {
    let [_, height, width] = image(features)?;
    let (sin, cos) = degrees.to_radians().sin_cos();
    let options = (Kind::Float, features.device());
    // The centres of pixels, from the centre of the image.
    let centres = |length: i64| {
        let places = Tensor::f_arange(length, options)?;
        places.f_add_scalar((1 - length) as f64 / 2.0)
    };
    let (x, y) = (
        centres(width)?.f_view([1, -1])?,
        centres(height)?.f_view([-1, 1])?,
    );
    // Where each pixel comes from, in units of half the image.
    let from = |along_x: f64, along_y: f64, length: i64| {
        let place = x.f_mul_scalar(along_x)?.f_add(&y.f_mul_scalar(along_y)?)?;
        place.f_mul_scalar(2.0 / length as f64)
    };
    let grid = Tensor::f_stack(&[from(cos, -sin, width)?, from(sin, cos, height)?], -1)?;
    let images = features.f_unsqueeze(0)?.f_to_kind(Kind::Float)?;
    // 1 is the nearest pixel, 0 is padding with zeros.
    let rotated = images.f_grid_sampler(&grid.f_unsqueeze(0)?, 1, 0, false)?;
    Ok(rotated.f_squeeze_dim(0)?.f_to_kind(features.f_kind()?)?)
}
