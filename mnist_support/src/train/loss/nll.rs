//! The negative log-likelihood.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{
    criterion::{
        Criterion, Prediction, Target, WeightedSum, check_weight_count, check_weights,
        one_score_for_each_class, weight_tensor,
    },
    cross_entropy::sum_of_classes,
};
use crate::{Layer, Result};

/// PyTorch's own default for a label that is never ignored, because it is no class.
const NOTHING_IGNORED: i64 = -100;

/// The settings of `torch.nn.NLLLoss`, which takes log-probabilities `[rows, classes]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nll {
    /// A weight for each class. A row counts as much as its class. Default: 1 for each.
    pub weight: Option<Vec<f64>>,
    /// The label of rows that count nothing. Default: none; any label that is not a class is an
    /// error.
    pub ignore_index: Option<i64>,
}

impl Criterion for Nll {
    fn validate(&self) -> Result<()> {
        check_weights("weight", self.weight.as_deref())
    }

    fn target(&self, outputs: i64) -> Target {
        Target::Class {
            classes: outputs,
            ignore_index: self.ignore_index,
        }
    }

    fn validate_output(&self, shape: &[i64]) -> Result<()> {
        one_score_for_each_class(shape)?;
        check_weight_count("weight", self.weight.as_deref(), shape[0])
    }

    fn warning(&self, last: &Layer) -> Option<&'static str> {
        match last {
            Layer::LogSoftmax => None,
            _ => Some(
                "Nll needs log-probabilities, and the network does not end in LogSoftmax: \
                 add the layer, or use Loss::cross_entropy()",
            ),
        }
    }

    fn sum(
        &self,
        outputs: &Tensor,
        targets: &Tensor,
        weights: Option<&Tensor>,
    ) -> Result<WeightedSum> {
        let class_weights = weight_tensor(self.weight.as_deref(), outputs)?;
        let loss = |reduction| {
            let ignored = self.ignore_index.unwrap_or(NOTHING_IGNORED);
            Ok(outputs.f_nll_loss(targets, class_weights.as_ref(), reduction, ignored)?)
        };
        sum_of_classes(
            loss,
            targets,
            weights,
            class_weights.as_ref(),
            self.ignore_index,
        )
    }

    fn prediction(&self, _outputs: i64) -> Prediction {
        Prediction::Class
    }

    fn predict(&self, outputs: &Tensor) -> Result<Tensor> {
        Ok(outputs.f_argmax(1, false)?)
    }

    fn probabilities(&self, outputs: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(outputs.f_exp()?))
    }
}
