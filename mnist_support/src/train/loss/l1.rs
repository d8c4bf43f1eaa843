//! The mean absolute error.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::criterion::{Criterion, Target, WeightedSum, sum_of_means};
use crate::{Result, data::TargetValues};

/// `torch.nn.L1Loss`: the absolute error of numbers. It has no settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct L1 {}

impl Criterion for L1 {
    fn validate(&self) -> Result<()> {
        Ok(())
    }

    fn target(&self, outputs: i64) -> Target {
        Target::Numbers {
            width: outputs,
            values: TargetValues::Finite,
        }
    }

    fn validate_output(&self, _shape: &[i64]) -> Result<()> {
        Ok(())
    }

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
