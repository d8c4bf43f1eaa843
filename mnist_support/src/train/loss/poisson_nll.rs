//! The negative log-likelihood of counts.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::criterion::{Criterion, WeightedSum, sum_of_means};
use crate::{Result, data::TargetValues, train::check::check_positive};

/// The settings of `torch.nn.PoissonNLLLoss`: the targets are counts, and the network's output is
/// their expected number or its logarithm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PoissonNll {
    /// Whether the network's output is the logarithm of the expected number. Default: true.
    pub log_input: bool,
    /// Whether to add Stirling's approximation of the part that does not depend on the network.
    /// Default: false.
    pub full: bool,
    /// Added to the output if `log_input` is false, so that the logarithm of 0 is never taken.
    /// Default: 1e-8.
    pub eps: f64,
}

impl Default for PoissonNll {
    fn default() -> Self {
        PoissonNll {
            log_input: true,
            full: false,
            eps: 1e-8,
        }
    }
}

impl Criterion for PoissonNll {
    fn validate(&self) -> Result<()> {
        check_positive("eps", self.eps)
    }

    fn values(&self) -> TargetValues {
        TargetValues::NotNegative
    }

    fn sum(
        &self,
        outputs: &Tensor,
        targets: &Tensor,
        weights: Option<&Tensor>,
    ) -> Result<WeightedSum> {
        let losses = |reduction| {
            Ok(outputs.f_poisson_nll_loss(
                targets,
                self.log_input,
                self.full,
                self.eps,
                reduction,
            )?)
        };
        sum_of_means(losses, &outputs.size(), weights)
    }

    /// Predicts the expected number.
    fn predict(&self, outputs: &Tensor) -> Result<Tensor> {
        Ok(if self.log_input {
            outputs.f_exp()?
        } else {
            outputs.shallow_clone()
        })
    }
}
