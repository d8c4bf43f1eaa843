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
    /// - [`Error::InvalidSetting`] for a `metric_label` that is no row's label, for `beta` and `eps`
    ///   outside their ranges, and if all weights are 0.
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
mod tests {
    use polars::{df, prelude::*};

    use super::*;
    use crate::error::TableError;

    fn frame() -> DataFrame {
        df!(
            "label" => [0_i64, 0, 0, 0, 1, 1, 1, 2, 2, 2],
            "prediction" => [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 2.0, 1.0, 0.0],
        )
        .unwrap()
    }

    fn evaluate(metric: Metric, frame: &DataFrame) -> f64 {
        MulticlassClassificationEvaluator::new()
            .metric_name(metric)
            .evaluate(frame)
            .unwrap()
    }

    fn assert_near(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() < 1e-12,
            "{found} is not {expected}"
        );
    }

    #[test]
    fn metrics_are_those_computed_by_hand() {
        // Label frequencies 0.4, 0.3, 0.3; precisions 3/5, 2/4, 1; recalls 3/4, 2/3, 1/3.
        let frame = frame();
        assert_near(evaluate(Metric::Accuracy, &frame), 0.6);
        assert_near(
            evaluate(Metric::WeightedPrecision, &frame),
            0.4 * 0.6 + 0.3 * 0.5 + 0.3,
        );
        assert_near(evaluate(Metric::WeightedRecall, &frame), 0.6);
        let f1 = 0.4 * (2.0 / 3.0) + 0.3 * (4.0 / 7.0) + 0.3 * 0.5;
        assert_near(evaluate(Metric::F1, &frame), f1);
    }

    #[test]
    fn a_class_that_is_never_a_label_or_never_predicted_counts_as_in_spark() {
        let frame = df!("label" => [0_u8, 0, 5], "prediction" => [0_i32, 9, 9]).unwrap();
        // Class 0: precision 1, recall 1/2. Class 5: both 0. Class 9 has weight 0.
        assert_near(evaluate(Metric::WeightedPrecision, &frame), 2.0 / 3.0);
        assert_near(evaluate(Metric::WeightedRecall, &frame), 1.0 / 3.0);
        assert_near(evaluate(Metric::F1, &frame), 2.0 / 3.0 * (2.0 / 3.0));
        assert_near(evaluate(Metric::Accuracy, &frame), 1.0 / 3.0);
    }

    #[test]
    fn defaults_are_those_of_spark() {
        let evaluator = MulticlassClassificationEvaluator::new();
        assert_eq!(evaluator.metric_name, Metric::F1);
        assert_eq!(
            (
                evaluator.label_col.as_str(),
                evaluator.prediction_col.as_str()
            ),
            ("label", "prediction")
        );
        assert_eq!(
            serde_json::to_string(&Metric::WeightedPrecision).unwrap(),
            "\"weightedPrecision\""
        );
        assert_eq!(serde_json::to_string(&Metric::F1).unwrap(), "\"f1\"");
    }

    #[test]
    fn other_columns_of_other_types_can_be_compared() {
        let frame = df!("digit" => [1_u32, 2, 3], "guess" => [1.0_f32, 2.0, -0.0]).unwrap();
        let evaluator = MulticlassClassificationEvaluator::new()
            .label_col("digit")
            .prediction_col("guess")
            .metric_name(Metric::Accuracy);
        assert_near(evaluator.evaluate(&frame).unwrap(), 2.0 / 3.0);
        let zeros = df!("label" => [0.0], "prediction" => [-0.0]).unwrap();
        assert_near(evaluate(Metric::F1, &zeros), 1.0);
    }

    #[test]
    fn a_missing_column_is_named_with_the_existing_ones() {
        let evaluator = MulticlassClassificationEvaluator::new().prediction_col("guess");
        match evaluator.evaluate(&frame()) {
            Err(Error::Table(TableError::ColumnNotFound {
                column, available, ..
            })) => {
                assert_eq!(column, "guess");
                assert_eq!(available, "\"label\", \"prediction\"");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_missing_value_is_named_with_its_row_and_column() {
        let null = df!("label" => [Some(1_i64), Some(2), None], "prediction" => [1_i64, 2, 3]);
        let nan = df!("label" => [1_i64, 2, 3], "prediction" => [1.0, 2.0, f64::NAN]);
        for (frame, expected) in [(null, "label"), (nan, "prediction")] {
            match MulticlassClassificationEvaluator::new().evaluate(&frame.unwrap()) {
                Err(Error::Table(TableError::MissingValue { row, column, .. })) => {
                    assert_eq!((row, column.as_str()), (3, expected));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn text_and_a_frame_without_rows_are_refused() {
        let text = df!("label" => ["a", "b"], "prediction" => ["a", "b"]).unwrap();
        let error = MulticlassClassificationEvaluator::new()
            .evaluate(&text)
            .unwrap_err();
        assert!(
            matches!(&error, Error::Table(TableError::ColumnType { column, .. }) if column == "label"),
            "{error}"
        );
        let error = MulticlassClassificationEvaluator::new().evaluate(&frame().head(Some(0)));
        assert!(
            matches!(error, Err(Error::ShapeMismatch { .. })),
            "{error:?}"
        );
    }

    fn probabilities(rows: [&[f64]; 3]) -> DataFrame {
        let lists = rows.map(|row| Some(Series::from_iter(row.iter().copied())));
        let lists: ListChunked = lists.into_iter().collect();
        df!("label" => [0, 1, 2], "probability" => lists.into_series()).unwrap()
    }

    #[test]
    fn metrics_of_one_class_are_those_computed_by_hand() {
        // Class 1: 2 of 3 rows found, 4 predictions of which 2 are right, 7 rows of other classes.
        let frame = frame();
        let evaluator = MulticlassClassificationEvaluator::new().metric_label(1.0);
        let value = |metric| {
            evaluator
                .clone()
                .metric_name(metric)
                .evaluate(&frame)
                .unwrap()
        };
        assert_near(value(Metric::PrecisionByLabel), 0.5);
        assert_near(value(Metric::RecallByLabel), 2.0 / 3.0);
        assert_near(value(Metric::TruePositiveRateByLabel), 2.0 / 3.0);
        assert_near(value(Metric::FalsePositiveRateByLabel), 2.0 / 7.0);
        let f2 = evaluator
            .clone()
            .beta(2.0)
            .metric_name(Metric::FMeasureByLabel);
        // 5 P R / (4 P + R).
        assert_near(f2.evaluate(&frame).unwrap(), 5.0 / 3.0 / (2.0 + 2.0 / 3.0));
        let error = evaluator
            .metric_label(7.0)
            .metric_name(Metric::RecallByLabel);
        let error = error.evaluate(&frame).unwrap_err().to_string();
        assert!(
            error.contains("metric_label = 7 is the label of no row"),
            "{error}"
        );
    }

    #[test]
    fn a_weight_counts_as_that_many_rows() {
        let weighted = df!("label" => [0, 0, 1], "prediction" => [0, 1, 1], "times" => [3, 1, 2]);
        let repeated = df!("label" => [0, 0, 0, 0, 1, 1], "prediction" => [0, 0, 0, 1, 1, 1]);
        let (weighted, repeated) = (weighted.unwrap(), repeated.unwrap());
        for metric in [
            Metric::F1,
            Metric::HammingLoss,
            Metric::WeightedFalsePositiveRate,
        ] {
            let evaluator = MulticlassClassificationEvaluator::new().metric_name(metric);
            let expected = evaluator.evaluate(&repeated).unwrap();
            let found = evaluator.weight_col("times").evaluate(&weighted).unwrap();
            assert_near(found, expected);
        }
    }

    #[test]
    fn log_loss_is_the_mean_negative_logarithm_of_the_labels_probability() {
        let frame = probabilities([&[0.5, 0.5, 0.0], &[0.0, 1.0, 0.0], &[0.75, 0.0, 0.25]]);
        let evaluator = MulticlassClassificationEvaluator::new().metric_name(Metric::LogLoss);
        assert_near(evaluator.evaluate(&frame).unwrap(), 3.0 * 2_f64.ln() / 3.0);
        assert!(!evaluator.is_larger_better());
        let wrong = probabilities([&[0.0, 1.0, 0.0], &[0.0, 1.0, 0.0], &[0.0, 0.0, 1.0]]);
        assert_near(evaluator.evaluate(&wrong).unwrap(), -1e-15_f64.ln() / 3.0);
        let error = evaluator.eps(0.5).evaluate(&frame).unwrap_err().to_string();
        assert_eq!(error, "eps = 0.5 must be between 0 and 0.5");
    }

    #[test]
    fn probabilities_that_cannot_be_are_named_with_their_row_and_column() {
        let row: &[f64] = &[0.5, 0.25, 0.25];
        for (rows, expected) in [
            (
                [row, &[0.5, 0.5], row],
                r#"row 2, column "probability": "a list of 2" is not"#,
            ),
            (
                [row, row, &[-0.1, -2.5, -9.0]],
                r#"row 3, column "probability": "-0.1" is not"#,
            ),
            (
                [row, row, &[f64::NAN, 0.0, 0.0]],
                "row 3, column \"probability\": the value is",
            ),
            (
                [&[0.5, 0.5]; 3],
                r#"row 3, column "label": "2" is not a class from 0 to 1"#,
            ),
        ] {
            let evaluator = MulticlassClassificationEvaluator::new().metric_name(Metric::LogLoss);
            let error = evaluator
                .evaluate(&probabilities(rows))
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn an_evaluator_that_was_saved_before_weights_existed_still_loads() {
        let saved = r#"{"label_col":"digit","prediction_col":"guess","metric_name":"accuracy"}"#;
        let loaded: MulticlassClassificationEvaluator = serde_json::from_str(saved).unwrap();
        let expected = MulticlassClassificationEvaluator::new()
            .label_col("digit")
            .prediction_col("guess")
            .metric_name(Metric::Accuracy);
        assert_eq!(loaded, expected);
    }
}
