//! The mean squared error.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::criterion::{Criterion, WeightedSum, sum_of_means};
use crate::Result;

/// `torch.nn.MSELoss`: the squared error of numbers. It has no settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mse {}

impl Criterion for Mse {
    fn sum(
        &self,
        outputs: &Tensor,
        targets: &Tensor,
        weights: Option<&Tensor>,
    ) -> Result<WeightedSum> {
        let losses = |reduction| Ok(outputs.f_mse_loss(targets, reduction)?);
        sum_of_means(losses, &outputs.size(), weights)
    }
}
