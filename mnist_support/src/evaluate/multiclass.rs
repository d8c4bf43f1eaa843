//! SparkML's evaluator for multiclass classification.

use std::collections::BTreeMap;

use polars::prelude::DataFrame;
use serde::{Deserialize, Serialize};

use super::{
    Metric,
    class_counts::ClassCounts,
    columns::{Vectors, check, numbers, vectors, weights},
    multiclass_metric::Counts,
};
use crate::{Error, Result};

/// Compares a frame's predictions with its labels, like SparkML's class of the same name.
///
/// The default metric is F1, as in SparkML.
///
/// ```
/// use mnist_support::evaluate::{Metric, MulticlassClassificationEvaluator};
/// use polars::df;
///
/// let predictions = df!("label" => [7_u8, 2, 1, 0], "prediction" => [7.0, 2.0, 1.0, 6.0])?;
/// let evaluator = MulticlassClassificationEvaluator::new().metric_name(Metric::Accuracy);
/// assert_eq!(evaluator.evaluate(&predictions)?, 0.75);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MulticlassClassificationEvaluator {
    /// The column of labels. Default: `label`.
    pub label_col: String,
    /// The column of predictions. Default: `prediction`.
    pub prediction_col: String,
    /// The column of the classes' probabilities, lists with a value for each class: for the log
    /// loss only. Default: `probability`.
    pub probability_col: String,
    /// The column of the rows' weights. Default: none, each row weighs 1.
    pub weight_col: Option<String>,
    /// The metric to compute. Default: F1.
    pub metric_name: Metric,
    /// The class whose metric is computed, for the metrics of one class. Default: 0.
    pub metric_label: f64,
    /// How many times as much as precision recall counts in the F-measures. Default: 1.
    pub beta: f64,
    /// The log loss takes probabilities below this as this, and those above 1 minus this as 1 minus
    /// this. Default: 1e-15.
    pub eps: f64,
}

impl Default for MulticlassClassificationEvaluator {
    fn default() -> Self {
        Self {
            label_col: "label".to_owned(),
            prediction_col: "prediction".to_owned(),
            probability_col: "probability".to_owned(),
            weight_col: None,
            metric_name: Metric::default(),
            metric_label: 0.0,
            beta: 1.0,
            eps: 1e-15,
        }
    }
}

impl MulticlassClassificationEvaluator {
    /// Creates an evaluator with SparkML's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the column of labels.
    pub fn label_col(mut self, column: impl Into<String>) -> Self {
        self.label_col = column.into();
        self
    }

    /// Sets the column of predictions.
    pub fn prediction_col(mut self, column: impl Into<String>) -> Self {
        self.prediction_col = column.into();
        self
    }

    /// Sets the column of the classes' probabilities, for the log loss.
    pub fn probability_col(mut self, column: impl Into<String>) -> Self {
        self.probability_col = column.into();
        self
    }

    /// Sets the column of the rows' weights.
    pub fn weight_col(mut self, column: impl Into<String>) -> Self {
        self.weight_col = Some(column.into());
        self
    }

    /// Sets the metric.
    pub fn metric_name(mut self, metric: Metric) -> Self {
        self.metric_name = metric;
        self
    }

    /// Sets the class whose metric is computed, for the metrics of one class.
    pub fn metric_label(mut self, label: f64) -> Self {
        self.metric_label = label;
        self
    }

    /// Sets how many times as much as precision recall counts in the F-measures.
    pub fn beta(mut self, beta: f64) -> Self {
        self.beta = beta;
        self
    }

    /// Sets the distance from 0 and 1 that the log loss keeps probabilities at.
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// Whether a larger value of the metric means better predictions.
    pub fn is_larger_better(&self) -> bool {
        self.metric_name.is_larger_better()
    }

    /// Computes the metric over all rows of the frame.
    ///
    /// Both columns may have any numeric type. A class is any value that occurs as a label, and
    /// need not be a whole number, except for the log loss.
    ///
    /// A false positive rate is NaN if all rows have the same label, as in SparkML.
    ///
    /// # Errors
    /// - [`ColumnNotFound`](crate::error::TableError::ColumnNotFound);
    ///   [`ColumnType`](crate::error::TableError::ColumnType) for a column of another type;
    ///   [`MissingValue`](crate::error::TableError::MissingValue) with the row of a null or NaN.
    /// - [`InvalidValue`](crate::error::TableError::InvalidValue) for a negative weight, and, for
    ///   the log loss, for a probability outside 0 to 1, for lists of different lengths, and for a
    ///   label that has no probability in its list.
    /// - [`Error::ShapeMismatch`] if there are no rows.
    /// - [`Error::InvalidSetting`] for a `metric_label` that is no row's label, for `beta` or `eps`
    ///   outside its range, and if all weights are 0.
    pub fn evaluate(&self, frame: &DataFrame) -> Result<f64> {
        self.check_settings()?;
        let labels = numbers(frame, &self.label_col)?;
        let weights = weights(frame, self.weight_col.as_deref())?;
        if self.metric_name == Metric::LogLoss {
            return self.log_loss(frame, &labels, &weights);
        }
        let predictions = numbers(frame, &self.prediction_col)?;
        let mut classes: BTreeMap<u64, ClassCounts> = BTreeMap::new();
        for ((label, prediction), weight) in labels.iter().zip(&predictions).zip(&weights) {
            classes.entry(label.to_bits()).or_default().labels += weight;
            let predicted = classes.entry(prediction.to_bits()).or_default();
            predicted.predictions += weight;
            if label == prediction {
                predicted.true_positives += weight;
            }
        }
        let metric_label = (self.metric_label + 0.0).to_bits();
        let of_label = classes.get(&metric_label).copied().unwrap_or_default();
        if self.metric_name.is_by_label() && of_label.labels == 0.0 {
            return Err(Error::InvalidSetting {
                setting: "metric_label",
                value: self.metric_label.to_string(),
                reason: format!(
                    "is the label of no row of column {:?}: choose one that occurs",
                    self.label_col
                ),
            });
        }
        let counts = Counts {
            classes: classes.into_values().collect(),
            of_label,
            log_loss: 0.0,
        };
        Ok(counts.value(self.metric_name, self.beta))
    }

    fn log_loss(&self, frame: &DataFrame, labels: &[f64], weights: &[f64]) -> Result<f64> {
        let column = &self.probability_col;
        let probabilities: Vectors = vectors(frame, column, None)?;
        probabilities.check(
            column,
            |probability| (-TOLERANCE..=1.0 + TOLERANCE).contains(&probability),
            "a probability, which is from 0 to 1: a network that ends in LogSoftmax or in scores \
             has other outputs",
        )?;
        let classes = probabilities.length;
        check(
            labels,
            &self.label_col,
            |label| label >= 0.0 && label.fract() == 0.0 && label < classes as f64,
            &format!(
                "a class from 0 to {}, which column {column:?} has",
                classes - 1
            ),
        )?;
        let (mut sum, mut all) = (0.0, 0.0);
        for ((probabilities, label), weight) in probabilities.iter().zip(labels).zip(weights) {
            sum += weight * log_loss(probabilities[*label as usize], self.eps);
            all += weight;
        }
        Ok(sum / all)
    }

    fn check_settings(&self) -> Result<()> {
        let invalid = |setting, value: f64, reason: &str| {
            Err(Error::InvalidSetting {
                setting,
                value: value.to_string(),
                reason: reason.to_owned(),
            })
        };
        if !(self.beta > 0.0 && self.beta.is_finite()) {
            return invalid("beta", self.beta, "must be greater than 0");
        }
        if !(self.eps > 0.0 && self.eps < 0.5) {
            return invalid("eps", self.eps, "must be between 0 and 0.5");
        }
        Ok(())
    }
}

/// Probabilities that were rounded to 32 bits can be this far outside 0 to 1.
const TOLERANCE: f64 = 1e-6;

/// The log loss of a row whose label has this probability.
pub(super) fn log_loss(probability: f64, eps: f64) -> f64 {
    if probability < eps {
        -eps.ln()
    } else if probability > 1.0 - eps {
        -(-eps).ln_1p()
    } else {
        -probability.ln()
    }
}

#[cfg(test)]
mod tests;
