//! The metrics that a fit can compute at each validation.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{BinaryMetric, Metric, RegressionMetric};
use crate::{Error, Result};

/// A metric of the validation rows: one of an evaluator's.
///
/// ```
/// use mnist_support::evaluate::{Metric, RegressionMetric, ValidationMetric};
///
/// assert!(ValidationMetric::from(Metric::Accuracy).is_larger_better());
/// assert_eq!(ValidationMetric::from(RegressionMetric::Rmse).to_string(), "rmse");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ValidationMetric {
    /// Of classes. Of several labels that are 0 or 1, each counts as a row.
    Classification(Metric),
    /// Of numbers. Where a row has several, each counts as a row.
    Regression(RegressionMetric),
    /// Of two classes, or of labels that are 0 or 1, each of which counts as a row.
    Binary(BinaryMetric),
}

/// What a network predicts, as far as metrics are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Predicted {
    /// One of so many classes, or labels that are 0 or 1, of which each counts as a row of two
    /// classes.
    Classes(usize),
    /// Numbers, of which each counts as a row.
    Numbers,
}

impl ValidationMetric {
    /// Whether a larger value means better predictions.
    pub fn is_larger_better(self) -> bool {
        match self {
            ValidationMetric::Classification(metric) => metric.is_larger_better(),
            ValidationMetric::Regression(metric) => metric.is_larger_better(),
            ValidationMetric::Binary(metric) => metric.is_larger_better(),
        }
    }

    /// Checks that the metric is one of what the network predicts.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] says what is needed.
    pub(crate) fn validate_for(self, predicted: Predicted) -> Result<()> {
        let reason = match (self, predicted) {
            (ValidationMetric::Classification(metric), _) if metric.is_by_label() => {
                "is of one class only: compute it after the fit with \
                 MulticlassClassificationEvaluator and its metric_label"
            }
            (ValidationMetric::Binary(_), Predicted::Classes(classes)) if classes != 2 => {
                "needs two classes, and the network has another number: choose a Metric, such as \
                 Metric::Accuracy"
            }
            (
                ValidationMetric::Classification(_) | ValidationMetric::Binary(_),
                Predicted::Numbers,
            ) => "is of classes, and this loss is of numbers: choose a RegressionMetric",
            (ValidationMetric::Regression(_), Predicted::Classes(_)) => {
                "is of numbers, and this loss is of classes: choose a Metric or a BinaryMetric"
            }
            (
                ValidationMetric::Classification(_) | ValidationMetric::Binary(_),
                Predicted::Classes(_),
            )
            | (ValidationMetric::Regression(_), Predicted::Numbers) => return Ok(()),
        };
        Err(Error::InvalidSetting {
            setting: "metrics",
            value: self.to_string(),
            reason: reason.to_owned(),
        })
    }
}

impl fmt::Display for ValidationMetric {
    /// Writes SparkML's name of the metric.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValidationMetric::Classification(metric) => metric.fmt(f),
            ValidationMetric::Regression(metric) => metric.fmt(f),
            ValidationMetric::Binary(metric) => metric.fmt(f),
        }
    }
}

impl From<Metric> for ValidationMetric {
    fn from(metric: Metric) -> Self {
        ValidationMetric::Classification(metric)
    }
}

impl From<RegressionMetric> for ValidationMetric {
    fn from(metric: RegressionMetric) -> Self {
        ValidationMetric::Regression(metric)
    }
}

impl From<BinaryMetric> for ValidationMetric {
    fn from(metric: BinaryMetric) -> Self {
        ValidationMetric::Binary(metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: Predicted = Predicted::Classes(10);

    #[test]
    fn a_metric_of_each_family_survives_json_under_its_name() {
        for metric in [
            ValidationMetric::from(Metric::LogLoss),
            RegressionMetric::R2.into(),
            BinaryMetric::AreaUnderPR.into(),
        ] {
            let saved = serde_json::to_string(&metric).unwrap();
            assert_eq!(saved, format!("\"{metric}\""));
            let loaded: ValidationMetric = serde_json::from_str(&saved).unwrap();
            assert_eq!(loaded, metric);
        }
    }

    #[test]
    fn a_metric_of_something_else_than_the_loss_predicts_is_refused() {
        let refused = |metric: ValidationMetric, predicted| {
            let error = metric.validate_for(predicted).unwrap_err();
            error.to_string()
        };
        ValidationMetric::from(Metric::F1)
            .validate_for(DIGITS)
            .unwrap();
        let error = refused(Metric::Accuracy.into(), Predicted::Numbers);
        assert_eq!(
            error,
            "metrics = accuracy is of classes, and this loss is of numbers: choose a \
             RegressionMetric"
        );
        assert!(refused(RegressionMetric::Mae.into(), DIGITS).contains("of numbers"));
        assert!(refused(BinaryMetric::AreaUnderPR.into(), DIGITS).contains("two classes"));
        assert!(refused(Metric::RecallByLabel.into(), DIGITS).contains("of one class"));
    }
}
