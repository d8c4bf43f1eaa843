//! The metrics of rows that have several labels, from the counts of the labels.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A metric of predictions of several labels for each row. Defined as in SparkML.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MultilabelMetric {
    /// The mean over the rows of the row's F1. SparkML's default.
    #[default]
    F1Measure,
    /// The fraction of rows whose labels are all predicted, and no other.
    SubsetAccuracy,
    /// The mean over the rows of the number of labels that the row both has and is predicted to
    /// have, over the number that it has or is predicted to have.
    Accuracy,
    /// The fraction of wrong labels, of those that any row has. Smaller is better.
    HammingLoss,
    /// The mean over the rows of the fraction of the predicted labels that are correct.
    Precision,
    /// The mean over the rows of the fraction of the row's labels that are predicted.
    Recall,
    /// The fraction of one label's predictions that are correct.
    PrecisionByLabel,
    /// The fraction of the rows with one label for which it is predicted.
    RecallByLabel,
    /// The F1 of one label.
    F1MeasureByLabel,
    /// The fraction of all predicted labels that are correct.
    MicroPrecision,
    /// The fraction of all rows' labels that are predicted.
    MicroRecall,
    /// The harmonic mean of [`MicroPrecision`](MultilabelMetric::MicroPrecision) and
    /// [`MicroRecall`](MultilabelMetric::MicroRecall).
    MicroF1Measure,
}

impl MultilabelMetric {
    /// All metrics.
    pub const ALL: [MultilabelMetric; 12] = [
        MultilabelMetric::F1Measure,
        MultilabelMetric::SubsetAccuracy,
        MultilabelMetric::Accuracy,
        MultilabelMetric::HammingLoss,
        MultilabelMetric::Precision,
        MultilabelMetric::Recall,
        MultilabelMetric::PrecisionByLabel,
        MultilabelMetric::RecallByLabel,
        MultilabelMetric::F1MeasureByLabel,
        MultilabelMetric::MicroPrecision,
        MultilabelMetric::MicroRecall,
        MultilabelMetric::MicroF1Measure,
    ];

    /// Whether a larger value means better predictions, as SparkML's `isLargerBetter`: except for
    /// the Hamming loss.
    pub fn is_larger_better(self) -> bool {
        self != MultilabelMetric::HammingLoss
    }
}

impl fmt::Display for MultilabelMetric {
    /// Writes SparkML's name of the metric.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            MultilabelMetric::F1Measure => "f1Measure",
            MultilabelMetric::SubsetAccuracy => "subsetAccuracy",
            MultilabelMetric::Accuracy => "accuracy",
            MultilabelMetric::HammingLoss => "hammingLoss",
            MultilabelMetric::Precision => "precision",
            MultilabelMetric::Recall => "recall",
            MultilabelMetric::PrecisionByLabel => "precisionByLabel",
            MultilabelMetric::RecallByLabel => "recallByLabel",
            MultilabelMetric::F1MeasureByLabel => "f1MeasureByLabel",
            MultilabelMetric::MicroPrecision => "microPrecision",
            MultilabelMetric::MicroRecall => "microRecall",
            MultilabelMetric::MicroF1Measure => "microF1Measure",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_printed_and_saved_under_sparks_name() {
        for metric in MultilabelMetric::ALL {
            let saved = serde_json::to_string(&metric).unwrap();
            assert_eq!(saved, format!("\"{metric}\""));
        }
    }
}
