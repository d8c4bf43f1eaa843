//! The smooth L1 loss.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::criterion::{Criterion, WeightedSum, sum_of_means};
use crate::{Result, train::check::check_positive};

/// The settings of `torch.nn.SmoothL1Loss`: `error² / (2 beta)` for errors below `beta`, else
/// `|error| - beta / 2`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmoothL1 {
    /// The error at which the loss changes from squared to absolute, above 0. Default: 1.
    pub beta: f64,
}

impl Default for SmoothL1 {
    fn default() -> Self {
        SmoothL1 { beta: 1.0 }
    }
}

impl Criterion for SmoothL1 {
    fn validate(&self) -> Result<()> {
        check_positive("beta", self.beta)
    }

    fn sum(
        &self,
        outputs: &Tensor,
        targets: &Tensor,
        weights: Option<&Tensor>,
    ) -> Result<WeightedSum> {
        let losses = |reduction| Ok(outputs.f_smooth_l1_loss(targets, reduction, self.beta)?);
        sum_of_means(losses, &outputs.size(), weights)
    }
}
