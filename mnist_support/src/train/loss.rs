//! The losses that training minimises.

use serde::{Deserialize, Serialize};
use tch::{Reduction, Tensor};

use crate::{Error, Result};

/// A loss for class labels, by PyTorch's names.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Loss {
    /// `torch.nn.CrossEntropyLoss`: takes the network's raw scores (logits).
    CrossEntropy {
        /// The label smoothing: the part of each label's weight that is spread over all classes, in
        /// `[0, 1)`.
        #[serde(default)]
        label_smoothing: f64,
    },
    /// `torch.nn.NLLLoss`: takes log-probabilities, for networks that end in `LogSoftmax`.
    NegativeLogLikelihood,
}

impl Default for Loss {
    /// Cross-entropy without label smoothing.
    fn default() -> Self {
        Loss::CrossEntropy {
            label_smoothing: 0.0,
        }
    }
}

impl Loss {
    pub(crate) fn validate(&self) -> Result<()> {
        match *self {
            Loss::CrossEntropy { label_smoothing } if !(0.0..1.0).contains(&label_smoothing) => {
                Err(Error::InvalidSetting {
                    setting: "label_smoothing",
                    value: label_smoothing.to_string(),
                    reason: "must be in [0, 1)".to_owned(),
                })
            }
            _ => Ok(()),
        }
    }

    /// Returns the sum of the rows' losses, for outputs `[rows, classes]` and labels `[rows]`.
    ///
    /// A sum rather than a mean, so that every row counts the same when ranks have batches of
    /// different sizes.
    pub(crate) fn sum(&self, outputs: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let no_weights: Option<Tensor> = None;
        const NOTHING_IGNORED: i64 = -100;
        Ok(match *self {
            Loss::CrossEntropy { label_smoothing } => outputs.f_cross_entropy_loss(
                labels,
                no_weights,
                Reduction::Sum,
                NOTHING_IGNORED,
                label_smoothing,
            )?,
            Loss::NegativeLogLikelihood => {
                outputs.f_nll_loss(labels, no_weights, Reduction::Sum, NOTHING_IGNORED)?
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cross_entropy_of_logits_is_nll_of_their_log_softmax() {
        let logits = Tensor::from_slice2(&[[1.0_f32, 2.0, 0.5], [0.0, -1.0, 3.0]]);
        let labels = Tensor::from_slice(&[1_i64, 0]);
        let cross_entropy = Loss::default()
            .sum(&logits, &labels)
            .unwrap()
            .double_value(&[]);
        let log_probabilities = logits.log_softmax(1, tch::Kind::Float);
        let nll = Loss::NegativeLogLikelihood
            .sum(&log_probabilities, &labels)
            .unwrap()
            .double_value(&[]);
        // By hand: log(e + e^2 + e^0.5) - 2, and log(1 + e^-1 + e^3) - 0.
        let expected = (1f64.exp() + 2f64.exp() + 0.5f64.exp()).ln() - 2.0
            + (1.0 + (-1f64).exp() + 3f64.exp()).ln();
        assert!((cross_entropy - expected).abs() < 1e-5);
        assert!((nll - expected).abs() < 1e-5);
    }

    #[test]
    fn label_smoothing_outside_its_range_is_named() {
        assert!(matches!(
            Loss::CrossEntropy {
                label_smoothing: 1.0
            }
            .validate(),
            Err(Error::InvalidSetting {
                setting: "label_smoothing",
                ..
            })
        ));
    }
}
