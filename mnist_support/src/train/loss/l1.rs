//! The mean absolute error.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::criterion::{Criterion, WeightedSum, sum_of_means};
use crate::Result;

/// `torch.nn.L1Loss`: the absolute error of numbers. It has no settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct L1 {}

impl Criterion for L1 {
    fn sum(
        &self,
        outputs: &Tensor,
        targets: &Tensor,
        weights: Option<&Tensor>,
    ) -> Result<WeightedSum> {
        let losses = |reduction| Ok(outputs.f_l1_loss(targets, reduction)?);
        sum_of_means(losses, &outputs.size(), weights)
    }
}
