//! Binary cross-entropy.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::criterion::{
    Criterion, Prediction, WeightedSum, check_weight_count, check_weights, sum_of_means,
    weight_tensor,
};
use crate::{Layer, Result, data::TargetValues};

/// The settings of `torch.nn.BCEWithLogitsLoss`, which takes a raw score (logit) for each label.
///
/// With one output, the target is one of two classes, 0 or 1. With several outputs, it is as many
/// labels, each of them 0 or 1, any number of which may be 1 (multi-label classification).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BceWithLogits {
    /// For each label, how much more a 1 counts than a 0. Default: 1 for each.
    pub pos_weight: Option<Vec<f64>>,
}

impl Criterion for BceWithLogits {
    fn validate(&self) -> Result<()> {
        check_weights("pos_weight", self.pos_weight.as_deref())
    }

    fn values(&self) -> TargetValues {
        TargetValues::Binary
    }

    fn validate_output(&self, shape: &[i64]) -> Result<()> {
        let outputs = shape.iter().product();
        check_weight_count("pos_weight", self.pos_weight.as_deref(), outputs)
    }

    fn warning(&self, last: &Layer) -> Option<&'static str> {
        match last {
            Layer::Sigmoid => Some(
                "BceWithLogits applies Sigmoid itself, and the network ends in one: \
                 remove the layer",
            ),
            _ => None,
        }
    }

    fn sum(
        &self,
        outputs: &Tensor,
        targets: &Tensor,
        weights: Option<&Tensor>,
    ) -> Result<WeightedSum> {
        let pos_weight = weight_tensor(self.pos_weight.as_deref(), outputs)?;
        let losses = |reduction| {
            let (no_weight, pos_weight) = (None, pos_weight.as_ref());
            Ok(outputs
                .f_binary_cross_entropy_with_logits(targets, no_weight, pos_weight, reduction)?)
        };
        sum_of_means(losses, &outputs.size(), weights)
    }

    fn prediction(&self, outputs: i64) -> Prediction {
        match outputs {
            1 => Prediction::BinaryClass,
            _ => Prediction::Labels,
        }
    }

    fn predict(&self, outputs: &Tensor) -> Result<Tensor> {
        Ok(outputs.f_gt(0.0)?.f_to_kind(Kind::Float)?)
    }

    fn probabilities(&self, outputs: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(outputs.f_sigmoid()?))
    }
}
