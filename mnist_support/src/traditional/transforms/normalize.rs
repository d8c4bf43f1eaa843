//! Normalisation by channel.

use tch::Tensor;

use super::{Transform, image};
use crate::{Error, Result};

/// (x - mean) / std for each channel, like torchvision's `Normalize`.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalize {
    mean: Vec<f64>,
    std: Vec<f64>,
}

impl Normalize {
    /// Normalises by a mean and a standard deviation for each channel.
    pub fn new(mean: impl Into<Vec<f64>>, std: impl Into<Vec<f64>>) -> Self {
        Normalize {
            mean: mean.into(),
            std: std.into(),
        }
    }
}

impl Transform for Normalize {
    /// # Errors
    /// [`Error::InvalidSetting`] for a standard deviation of 0, and for another number of means or
    /// standard deviations than the image has channels.
    fn apply(&self, features: &Tensor, _: u64) -> Result<Tensor> {
        let [channels, ..] = image(features)?;
        let refused = |setting, value: &[f64], reason: String| Error::InvalidSetting {
            setting,
            value: format!("{value:?}"),
            reason,
        };
        for (setting, values) in [("mean", &self.mean), ("std", &self.std)] {
            if values.len() as i64 != channels {
                let reason = format!("needs one value for each of the {channels} channels");
                return Err(refused(setting, values, reason));
            }
        }
        if self.std.contains(&0.0) {
            return Err(refused("std", &self.std, "must not be 0".to_owned()));
        }
        let by_channel = |values: &[f64]| {
            let values = Tensor::f_from_slice(values)?.f_to_kind(features.f_kind()?)?;
            values.f_to_device(features.device())?.f_view([-1, 1, 1])
        };
        let centred = features.f_sub(&by_channel(&self.mean)?)?;
        Ok(centred.f_div(&by_channel(&self.std)?)?)
    }
}
