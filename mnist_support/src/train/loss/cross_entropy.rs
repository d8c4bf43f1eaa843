//! Cross-entropy.

use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, Tensor};

use super::criterion::{
    Criterion, Prediction, Target, WeightedSum, check_weight_count, check_weights,
    one_score_for_each_class, total_weight, weight_tensor,
};
use crate::{Error, Layer, Result};

/// PyTorch's own default for a label that is never ignored, because it is no class.
const NOTHING_IGNORED: i64 = -100;

/// The settings of `torch.nn.CrossEntropyLoss`, which takes raw scores (logits) `[rows, classes]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CrossEntropy {
    /// A weight for each class. A row counts as much as its class. Default: 1 for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<Vec<f64>>,
    /// The label of rows that count nothing. Default: none; any label that is not a class is an
    /// error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_index: Option<i64>,
    /// The label smoothing: the part of each label's weight that is spread over all classes, in
    /// `[0, 1)`. Default: 0.
    pub label_smoothing: f64,
}

impl Criterion for CrossEntropy {
    fn validate(&self) -> Result<()> {
        check_weights("weight", self.weight.as_deref())?;
        if (0.0..1.0).contains(&self.label_smoothing) {
            return Ok(());
        }
        Err(Error::InvalidSetting {
            setting: "label_smoothing",
            value: self.label_smoothing.to_string(),
            reason: "must be in [0, 1)".to_owned(),
        })
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
            Layer::LogSoftmax => Some(
                "CrossEntropy applies LogSoftmax itself, and the network ends in one: \
                 remove the layer, or use Loss::nll()",
            ),
            Layer::Softmax => Some(
                "CrossEntropy applies LogSoftmax itself, and the network ends in Softmax: \
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
        let class_weights = weight_tensor(self.weight.as_deref(), outputs)?;
        let loss = |reduction| {
            Ok(outputs.f_cross_entropy_loss(
                targets,
                class_weights.as_ref(),
                reduction,
                self.ignore_index.unwrap_or(NOTHING_IGNORED),
                self.label_smoothing,
            )?)
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
        Ok(Some(outputs.f_softmax(1, None)?))
    }
}

/// Returns the sum of the rows' losses and of what the rows weigh: their own weight times that of
/// their class, or nothing if their label is ignored. `loss` is already weighted by class.
pub(super) fn sum_of_classes(
    loss: impl Fn(Reduction) -> Result<Tensor>,
    targets: &Tensor,
    weights: Option<&Tensor>,
    class_weights: Option<&Tensor>,
    ignore_index: Option<i64>,
) -> Result<WeightedSum> {
    let sum = match weights {
        None => loss(Reduction::Sum)?,
        Some(weights) => loss(Reduction::None)?.f_dot(weights)?,
    };
    let rows = targets.size()[0];
    let counted = match ignore_index {
        None => None,
        Some(label) => Some(targets.f_ne(label)?),
    };
    let mut weight = weights.map(Tensor::shallow_clone);
    if let Some(class_weights) = class_weights {
        // An ignored label is no index.
        let index = match &counted {
            None => targets.shallow_clone(),
            Some(counted) => targets.f_mul(counted)?,
        };
        let own = class_weights.f_index_select(0, &index)?;
        weight = Some(match weight {
            None => own,
            Some(weight) => weight.f_mul(&own)?,
        });
    }
    if let Some(counted) = counted {
        let counted = counted.f_to_kind(Kind::Float)?;
        weight = Some(match weight {
            None => counted,
            Some(weight) => weight.f_mul(&counted)?,
        });
    }
    Ok(WeightedSum {
        loss: sum,
        weight: total_weight(weight.as_ref(), rows)?,
    })
}
