//! SparkML's evaluator for rows that have several labels.

use polars::prelude::DataFrame;
use serde::{Deserialize, Serialize};

use super::{MultilabelMetric, class_counts::ClassCounts, columns::vectors};
use crate::{Error, Result};

/// Compares the labels that are predicted for each row with those that it has, like SparkML's class
/// of the same name.
///
/// SparkML's columns are arrays of the labels' numbers. These are lists of 0 and 1, one value for
/// each label, as a network that is trained with `Loss::bce_with_logits()` predicts: `[1, 0, 1]` is
/// SparkML's `[0.0, 2.0]`.
///
/// ```
/// use mnist_support::evaluate::{MultilabelClassificationEvaluator, MultilabelMetric};
/// use polars::{df, prelude::*};
///
/// let lists = |rows: [[i32; 3]; 2]| -> ListChunked {
///     rows.iter().map(|row| Some(Series::new("".into(), row))).collect()
/// };
/// let predictions = df!(
///     "label" => lists([[1, 0, 1], [0, 1, 0]]).into_series(),
///     "prediction" => lists([[1, 0, 0], [0, 1, 0]]).into_series(),
/// )?;
/// let evaluator =
///     MultilabelClassificationEvaluator::new().metric_name(MultilabelMetric::SubsetAccuracy);
/// assert_eq!(evaluator.evaluate(&predictions)?, 0.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MultilabelClassificationEvaluator {
    /// The column of labels: lists of 0 and 1. Default: `label`.
    pub label_col: String,
    /// The column of predictions: lists of 0 and 1. Default: `prediction`.
    pub prediction_col: String,
    /// The metric to compute. Default: the mean of the rows' F1.
    pub metric_name: MultilabelMetric,
    /// The place in the lists, from 0, of the label whose metric is computed, for the metrics of
    /// one label. Default: 0.
    pub metric_label: usize,
}

impl Default for MultilabelClassificationEvaluator {
    fn default() -> Self {
        Self {
            label_col: "label".to_owned(),
            prediction_col: "prediction".to_owned(),
            metric_name: MultilabelMetric::default(),
            metric_label: 0,
        }
    }
}

impl MultilabelClassificationEvaluator {
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

    /// Sets the metric.
    pub fn metric_name(mut self, metric: MultilabelMetric) -> Self {
        self.metric_name = metric;
        self
    }

    /// Sets the label whose metric is computed, for the metrics of one label.
    pub fn metric_label(mut self, label: usize) -> Self {
        self.metric_label = label;
        self
    }

    /// Whether a larger value of the metric means better predictions.
    pub fn is_larger_better(&self) -> bool {
        self.metric_name.is_larger_better()
    }

    /// Computes the metric over all rows of the frame.
    ///
    /// As in SparkML, the recall is NaN if a row has no label; accuracy and F1 are NaN if a row has
    /// none and none is predicted for it.
    ///
    /// # Errors
    /// [`ColumnNotFound`](crate::error::TableError::ColumnNotFound);
    /// [`ColumnType`](crate::error::TableError::ColumnType) for a column of another type;
    /// [`MissingValue`](crate::error::TableError::MissingValue) with the row of a null or NaN;
    /// [`InvalidValue`](crate::error::TableError::InvalidValue) for a value that is not 0 or 1, and
    /// for a list of another length than the others;
    /// [`Error::ShapeMismatch`] if there are no rows;
    /// [`Error::InvalidSetting`] for a `metric_label` that the lists do not have.
    pub fn evaluate(&self, frame: &DataFrame) -> Result<f64> {
        let labels = vectors(frame, &self.label_col, None)?;
        let predictions = vectors(frame, &self.prediction_col, Some(labels.length))?;
        for (vectors, column) in [
            (&labels, &self.label_col),
            (&predictions, &self.prediction_col),
        ] {
            let valid = |value: f64| value == 0.0 || value == 1.0;
            vectors.check(
                column,
                valid,
                "0 or 1, as each value of a list of labels is",
            )?;
        }
        if self.metric_label >= labels.length {
            return Err(Error::InvalidSetting {
                setting: "metric_label",
                value: self.metric_label.to_string(),
                reason: format!("must be below {}, the length of the lists", labels.length),
            });
        }
        let mut counts = LabelCounts {
            labels: vec![ClassCounts::default(); labels.length],
            rows: Vec::new(),
        };
        for (labels, predictions) in labels.iter().zip(predictions.iter()) {
            counts.add(labels, predictions);
        }
        Ok(counts.value(self.metric_name, self.metric_label))
    }
}

/// The counts over the rows for each label, and over the labels for each row.
struct LabelCounts {
    labels: Vec<ClassCounts>,
    rows: Vec<ClassCounts>,
}

impl LabelCounts {
    fn add(&mut self, labels: &[f64], predictions: &[f64]) {
        let mut row = ClassCounts::default();
        for ((label, prediction), of_label) in labels.iter().zip(predictions).zip(&mut self.labels)
        {
            for counts in [of_label, &mut row] {
                counts.labels += label;
                counts.predictions += prediction;
                counts.true_positives += label * prediction;
            }
        }
        self.rows.push(row);
    }

    /// Computes a metric, with SparkML's formulas (`MultilabelMetrics` of spark.mllib).
    fn value(&self, metric: MultilabelMetric, label: usize) -> f64 {
        let mean = |measure: fn(&ClassCounts) -> f64| -> f64 {
            self.rows.iter().map(measure).sum::<f64>() / self.rows.len() as f64
        };
        let label = self.labels[label];
        let all = self
            .rows
            .iter()
            .fold(ClassCounts::default(), |all, row| ClassCounts {
                true_positives: all.true_positives + row.true_positives,
                labels: all.labels + row.labels,
                predictions: all.predictions + row.predictions,
            });
        match metric {
            MultilabelMetric::F1Measure => {
                mean(|row| 2.0 * row.true_positives / (row.labels + row.predictions))
            }
            MultilabelMetric::SubsetAccuracy => mean(|row| {
                let same = row.labels == row.true_positives && row.labels == row.predictions;
                f64::from(u8::from(same))
            }),
            MultilabelMetric::Accuracy => {
                mean(|row| row.true_positives / (row.labels + row.predictions - row.true_positives))
            }
            MultilabelMetric::HammingLoss => {
                let wrong = all.labels + all.predictions - 2.0 * all.true_positives;
                let occur = self.labels.iter().filter(|label| label.labels > 0.0);
                wrong / (self.rows.len() * occur.count()) as f64
            }
            MultilabelMetric::Precision => mean(|row| row.precision()),
            MultilabelMetric::Recall => mean(|row| row.true_positives / row.labels),
            MultilabelMetric::PrecisionByLabel => label.precision(),
            MultilabelMetric::RecallByLabel => label.recall(),
            MultilabelMetric::F1MeasureByLabel => label.f1(),
            MultilabelMetric::MicroPrecision => all.precision(),
            MultilabelMetric::MicroRecall => all.true_positives / all.labels,
            MultilabelMetric::MicroF1Measure => all.f1(),
        }
    }
}

#[cfg(test)]
mod tests {
    use polars::{df, prelude::*};

    use super::*;

    fn lists(rows: &[&[f64]]) -> Series {
        let rows = rows
            .iter()
            .map(|row| Some(Series::from_iter(row.iter().copied())));
        rows.collect::<ListChunked>().into_series()
    }

    fn frame(labels: &[&[f64]], predictions: &[&[f64]]) -> DataFrame {
        df!("label" => lists(labels), "prediction" => lists(predictions)).unwrap()
    }

    #[test]
    fn metrics_are_those_computed_by_hand() {
        let frame = frame(
            &[&[1.0, 1.0, 0.0], &[0.0, 0.0, 1.0]],
            &[&[1.0, 0.0, 1.0], &[0.0, 0.0, 1.0]],
        );
        for (metric, expected) in [
            (MultilabelMetric::F1Measure, (0.5 + 1.0) / 2.0),
            (MultilabelMetric::SubsetAccuracy, 0.5),
            (MultilabelMetric::Accuracy, (1.0 / 3.0 + 1.0) / 2.0),
            (MultilabelMetric::HammingLoss, 2.0 / 6.0),
            (MultilabelMetric::Precision, 0.75),
            (MultilabelMetric::Recall, 0.75),
            (MultilabelMetric::MicroRecall, 2.0 / 3.0),
            (MultilabelMetric::MicroPrecision, 2.0 / 3.0),
        ] {
            let evaluator = MultilabelClassificationEvaluator::new().metric_name(metric);
            let found = evaluator.evaluate(&frame).unwrap();
            assert!((found - expected).abs() < 1e-12, "{metric}: {found}");
        }
        let of_last = MultilabelClassificationEvaluator::new()
            .metric_name(MultilabelMetric::PrecisionByLabel)
            .metric_label(2);
        assert_eq!(of_last.evaluate(&frame).unwrap(), 0.5);
        let error = of_last.metric_label(3).evaluate(&frame).unwrap_err();
        assert_eq!(
            error.to_string(),
            "metric_label = 3 must be below 3, the length of the lists"
        );
    }

    #[test]
    fn probabilities_and_lists_of_other_lengths_are_named_with_their_row_and_column() {
        let labels: &[&[f64]] = &[&[1.0, 0.0], &[0.0, 1.0]];
        for (predictions, expected) in [
            (
                [&[1.0, 0.0][..], &[0.25, 1.0]],
                r#"row 2, column "prediction": "0.25" is not 0 or 1"#,
            ),
            (
                [&[1.0, 0.0][..], &[1.0]],
                r#"row 2, column "prediction": "a list of 1" is not a list of 2"#,
            ),
        ] {
            let frame = frame(labels, &predictions);
            let error = MultilabelClassificationEvaluator::new().evaluate(&frame);
            let error = error.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
