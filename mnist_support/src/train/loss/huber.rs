//! The Huber loss.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::criterion::{Criterion, WeightedSum, sum_of_means};
use crate::{Result, train::check::check_positive};

/// The settings of `torch.nn.HuberLoss`: `error² / 2` for errors below `delta`, else
/// `delta (|error| - delta / 2)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Huber {
    /// The error at which the loss changes from squared to absolute, above 0. Default: 1.
    pub delta: f64,
}

impl Default for Huber {
    fn default() -> Self {
        Huber { delta: 1.0 }
    }
}

impl Criterion for Huber {
    fn validate(&self) -> Result<()> {
        check_positive("delta", self.delta)
    }

    fn sum(
        &self,
        outputs: &Tensor,
        targets: &Tensor,
        weights: Option<&Tensor>,
    ) -> Result<WeightedSum> {
        let losses = |reduction| Ok(outputs.f_huber_loss(targets, reduction, self.delta)?);
        sum_of_means(losses, &outputs.size(), weights)
    }
}
