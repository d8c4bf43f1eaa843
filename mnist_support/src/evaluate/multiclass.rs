//! SparkML's evaluator for multiclass classification.

use std::{collections::BTreeMap, fmt};

use polars::prelude::{DataFrame, DataType};
use serde::{Deserialize, Serialize};

use super::class_counts::ClassCounts;
use crate::{
    Error, Result,
    data::{TableRows, numeric_column},
    error::TableError,
};

/// What error messages call the frame, which has no name of its own.
const TABLE: &str = "the data frame";

/// A metric of a classification, from 0 to 1, where larger is better. Defined as in SparkML.
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
}

impl fmt::Display for Metric {
    /// Writes SparkML's name of the metric.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Metric::F1 => "f1",
            Metric::Accuracy => "accuracy",
            Metric::WeightedPrecision => "weightedPrecision",
            Metric::WeightedRecall => "weightedRecall",
        })
    }
}

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MulticlassClassificationEvaluator {
    /// The column of labels. Default: `label`.
    pub label_col: String,
    /// The column of predictions. Default: `prediction`.
    pub prediction_col: String,
    /// The metric to compute. Default: F1.
    pub metric_name: Metric,
}

impl Default for MulticlassClassificationEvaluator {
    fn default() -> Self {
        Self {
            label_col: "label".to_owned(),
            prediction_col: "prediction".to_owned(),
            metric_name: Metric::default(),
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

    /// Sets the metric.
    pub fn metric_name(mut self, metric: Metric) -> Self {
        self.metric_name = metric;
        self
    }

    /// Computes the metric, from 0 to 1, over all rows of the frame.
    ///
    /// Both columns may have any numeric type. A class is any value that occurs as a label, and
    /// need not be a whole number.
    ///
    /// # Errors
    /// [`TableError::ColumnNotFound`]; [`TableError::ColumnType`] for a column that is not numeric;
    /// [`TableError::MissingValue`] with the row of a null or NaN; [`Error::ShapeMismatch`] if
    /// there are no rows.
    pub fn evaluate(&self, frame: &DataFrame) -> Result<f64> {
        let labels = numbers(frame, &self.label_col)?;
        let predictions = numbers(frame, &self.prediction_col)?;
        if labels.is_empty() {
            return Err(Error::ShapeMismatch {
                what: TABLE.to_owned(),
                found: vec![0, frame.width() as i64],
                expected: "at least one row".to_owned(),
            });
        }
        let mut classes: BTreeMap<u64, ClassCounts> = BTreeMap::new();
        let mut right = 0_u64;
        for (label, prediction) in labels.iter().zip(&predictions) {
            classes.entry(label.to_bits()).or_default().labels += 1;
            let predicted = classes.entry(prediction.to_bits()).or_default();
            predicted.predictions += 1;
            if label == prediction {
                predicted.true_positives += 1;
                right += 1;
            }
        }
        let rows = labels.len() as f64;
        let weighted = |measure: fn(ClassCounts) -> f64| -> f64 {
            classes
                .values()
                .map(|class| class.labels as f64 / rows * measure(*class))
                .sum()
        };
        Ok(match self.metric_name {
            Metric::F1 => weighted(ClassCounts::f1),
            Metric::Accuracy => right as f64 / rows,
            Metric::WeightedPrecision => weighted(ClassCounts::precision),
            Metric::WeightedRecall => weighted(ClassCounts::recall),
        })
    }
}

/// Returns a column as numbers, none of which may be missing.
fn numbers(frame: &DataFrame, column: &str) -> Result<Vec<f64>> {
    let rows = TableRows::from(TABLE);
    let values = numeric_column(frame, column, rows)?
        .cast(&DataType::Float64)
        .map_err(TableError::about(TABLE))?;
    let values = values.f64().map_err(TableError::about(TABLE))?;
    let number = |(index, value): (usize, f64)| {
        if value.is_nan() {
            return Err(Error::Table(TableError::MissingValue {
                file: TABLE.to_owned(),
                row: rows.number(index),
                column: column.to_owned(),
            }));
        }
        // Adding 0 makes -0 the same class as 0.
        Ok(value + 0.0)
    };
    values.into_no_null_iter().enumerate().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use polars::df;

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
}
