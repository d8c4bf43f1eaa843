//! The metrics of a classification, from the counts of its classes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::class_counts::ClassCounts;

/// A metric of a classification. Defined as in SparkML.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Metric {
    /// The mean of the classes' F1, weighted by the frequency of their labels. SparkML's default.
    #[default]
    F1,
    /// The fraction of correct predictions.
    Accuracy,
    /// The mean of the classes' precision, weighted by the frequency of their labels.
    WeightedPrecision,
    /// The mean of the classes' recall, weighted by the frequency of their labels. Equal to the
    /// accuracy.
    WeightedRecall,
    /// The same as [`WeightedRecall`](Metric::WeightedRecall).
    WeightedTruePositiveRate,
    /// The mean of the classes' false positive rate, weighted by the frequency of their labels.
    /// Smaller is better.
    WeightedFalsePositiveRate,
    /// The mean of the classes' F-measure, weighted by the frequency of their labels.
    WeightedFMeasure,
    /// The recall of one class.
    TruePositiveRateByLabel,
    /// The fraction of the other classes' rows that are predicted as this class. Smaller is better.
    FalsePositiveRateByLabel,
    /// The fraction of one class's predictions that are correct.
    PrecisionByLabel,
    /// The fraction of one class's rows that are predicted as it.
    RecallByLabel,
    /// The F-measure of one class: the weighted harmonic mean of precision and recall.
    FMeasureByLabel,
    /// The mean of the negative logarithm of the label's probability: the cross-entropy. Smaller is
    /// better.
    LogLoss,
    /// The fraction of wrong predictions. Smaller is better.
    HammingLoss,
}

impl Metric {
    /// All metrics, in SparkML's order.
    pub const ALL: [Metric; 14] = [
        Metric::F1,
        Metric::Accuracy,
        Metric::WeightedPrecision,
        Metric::WeightedRecall,
        Metric::WeightedTruePositiveRate,
        Metric::WeightedFalsePositiveRate,
        Metric::WeightedFMeasure,
        Metric::TruePositiveRateByLabel,
        Metric::FalsePositiveRateByLabel,
        Metric::PrecisionByLabel,
        Metric::RecallByLabel,
        Metric::FMeasureByLabel,
        Metric::LogLoss,
        Metric::HammingLoss,
    ];

    /// Whether a larger value means better predictions, as SparkML's `isLargerBetter`.
    pub fn is_larger_better(self) -> bool {
        match self {
            Metric::WeightedFalsePositiveRate
            | Metric::FalsePositiveRateByLabel
            | Metric::LogLoss
            | Metric::HammingLoss => false,
            Metric::F1
            | Metric::Accuracy
            | Metric::WeightedPrecision
            | Metric::WeightedRecall
            | Metric::WeightedTruePositiveRate
            | Metric::WeightedFMeasure
            | Metric::TruePositiveRateByLabel
            | Metric::PrecisionByLabel
            | Metric::RecallByLabel
            | Metric::FMeasureByLabel => true,
        }
    }

    /// Whether it is the metric of one class.
    pub(super) fn is_by_label(self) -> bool {
        match self {
            Metric::TruePositiveRateByLabel
            | Metric::FalsePositiveRateByLabel
            | Metric::PrecisionByLabel
            | Metric::RecallByLabel
            | Metric::FMeasureByLabel => true,
            Metric::F1
            | Metric::Accuracy
            | Metric::WeightedPrecision
            | Metric::WeightedRecall
            | Metric::WeightedTruePositiveRate
            | Metric::WeightedFalsePositiveRate
            | Metric::WeightedFMeasure
            | Metric::LogLoss
            | Metric::HammingLoss => false,
        }
    }
}

impl fmt::Display for Metric {
    /// Writes SparkML's name of the metric.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Metric::F1 => "f1",
            Metric::Accuracy => "accuracy",
            Metric::WeightedPrecision => "weightedPrecision",
            Metric::WeightedRecall => "weightedRecall",
            Metric::WeightedTruePositiveRate => "weightedTruePositiveRate",
            Metric::WeightedFalsePositiveRate => "weightedFalsePositiveRate",
            Metric::WeightedFMeasure => "weightedFMeasure",
            Metric::TruePositiveRateByLabel => "truePositiveRateByLabel",
            Metric::FalsePositiveRateByLabel => "falsePositiveRateByLabel",
            Metric::PrecisionByLabel => "precisionByLabel",
            Metric::RecallByLabel => "recallByLabel",
            Metric::FMeasureByLabel => "fMeasureByLabel",
            Metric::LogLoss => "logLoss",
            Metric::HammingLoss => "hammingLoss",
        })
    }
}

/// What the metrics of a classification are computed from.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    pub classes: Vec<ClassCounts>,
    /// The class that the metrics of one class are of.
    pub of_label: ClassCounts,
    /// The sum over the rows of log loss times weight.
    pub log_loss: f64,
}

impl Counts {
    pub(super) fn value(&self, metric: Metric, beta: f64) -> f64 {
        let rows: f64 = self.classes.iter().map(|class| class.labels).sum();
        let right = self.classes.iter().map(|class| class.true_positives);
        let right: f64 = right.sum();
        let weighted = |measure: &dyn Fn(ClassCounts) -> f64| -> f64 {
            let classes = self.classes.iter();
            classes
                .map(|class| class.labels / rows * measure(*class))
                .sum()
        };
        let class = self.of_label;
        match metric {
            Metric::F1 => weighted(&ClassCounts::f1),
            Metric::Accuracy => right / rows,
            Metric::WeightedPrecision => weighted(&ClassCounts::precision),
            Metric::WeightedRecall | Metric::WeightedTruePositiveRate => {
                weighted(&ClassCounts::recall)
            }
            Metric::WeightedFalsePositiveRate => weighted(&|class| class.false_positive_rate(rows)),
            Metric::WeightedFMeasure => weighted(&|class| class.f_measure(beta)),
            Metric::TruePositiveRateByLabel | Metric::RecallByLabel => class.recall(),
            Metric::FalsePositiveRateByLabel => class.false_positive_rate(rows),
            Metric::PrecisionByLabel => class.precision(),
            Metric::FMeasureByLabel => class.f_measure(beta),
            Metric::LogLoss => self.log_loss / rows,
            Metric::HammingLoss => (rows - right) / rows,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_printed_and_saved_under_sparks_name() {
        for metric in Metric::ALL {
            let saved = serde_json::to_string(&metric).unwrap();
            assert_eq!(saved, format!("\"{metric}\""));
        }
    }
}
