//! The Kullback-Leibler divergence.

use serde::{Deserialize, Serialize};
use tch::{Reduction, Tensor};

use super::criterion::{Criterion, WeightedSum, sum_of_means};
use crate::{Layer, Result, data::TargetValues};

/// The settings of `torch.nn.KLDivLoss`, which takes log-probabilities.
///
/// The loss of a row is the sum over its outputs, as with `reduction="batchmean"`. PyTorch's
/// default, the mean over the outputs, is not the divergence, and PyTorch advises against it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KlDiv {
    /// Whether the targets are log-probabilities, too. Default: false.
    pub log_target: bool,
}

impl Criterion for KlDiv {
    fn values(&self) -> TargetValues {
        if self.log_target {
            TargetValues::Finite
        } else {
            TargetValues::Probabilities
        }
    }

    fn warning(&self, last: &Layer) -> Option<&'static str> {
        match last {
            Layer::LogSoftmax => None,
            _ => Some(
                "KlDiv needs log-probabilities, and the network does not end in LogSoftmax: \
                 add the layer",
            ),
        }
    }

    fn sum(
        &self,
        outputs: &Tensor,
        targets: &Tensor,
        weights: Option<&Tensor>,
    ) -> Result<WeightedSum> {
        let width = outputs.size()[1..].iter().product::<i64>() as f64;
        let losses = |reduction: Reduction| {
            let divergence = outputs.f_kl_div(targets, reduction, self.log_target)?;
            // What follows divides by the outputs.
            Ok(divergence.f_mul_scalar(width)?)
        };
        sum_of_means(losses, &outputs.size(), weights)
    }

    fn predict(&self, outputs: &Tensor) -> Result<Tensor> {
        Ok(if self.log_target {
            outputs.shallow_clone()
        } else {
            outputs.f_exp()?
        })
    }
}
