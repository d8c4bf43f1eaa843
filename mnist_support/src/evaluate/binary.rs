//! SparkML's evaluator for binary classification.

use std::fmt;

use polars::prelude::DataFrame;
use serde::{Deserialize, Serialize};

use super::{
    columns::{check, numbers, vectors, weights},
    curve::{Scored, area},
};
use crate::{Result, data::is_list};

/// A metric of a binary classification, from 0 to 1, where larger is better. Defined as in SparkML.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BinaryMetric {
    /// The area under the curve of the true positive rate over the false positive rate: how likely
    /// a positive row has a higher score than a negative one. SparkML's default.
    #[default]
    AreaUnderROC,
    /// The area under the curve of precision over recall.
    AreaUnderPR,
}

impl BinaryMetric {
    /// Whether a larger value means better predictions, as SparkML's `isLargerBetter`: always.
    pub fn is_larger_better(self) -> bool {
        match self {
            BinaryMetric::AreaUnderROC | BinaryMetric::AreaUnderPR => true,
        }
    }
}

impl fmt::Display for BinaryMetric {
    /// Writes SparkML's name of the metric.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            BinaryMetric::AreaUnderROC => "areaUnderROC",
            BinaryMetric::AreaUnderPR => "areaUnderPR",
        })
    }
}

/// Compares a frame's scores with its labels, which are 0 or 1, like SparkML's class of the same
/// name.
///
/// ```
/// use mnist_support::evaluate::BinaryClassificationEvaluator;
/// use polars::df;
///
/// // Three of the four pairs of a positive and a negative row are in the right order.
/// let scores = df!("label" => [0, 0, 1, 1], "rawPrediction" => [-2.0, 0.5, 0.1, 3.0])?;
/// assert_eq!(BinaryClassificationEvaluator::new().evaluate(&scores)?, 0.75);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BinaryClassificationEvaluator {
    /// The column of labels. Default: `label`.
    pub label_col: String,
    /// The column of scores, which are larger for rows that are more likely 1: numbers, or lists of
    /// two, of which the second counts. Default: `rawPrediction`.
    pub raw_prediction_col: String,
    /// The column of the rows' weights. Default: none, each row weighs 1.
    pub weight_col: Option<String>,
    /// The metric to compute. Default: the area under the ROC curve.
    pub metric_name: BinaryMetric,
    /// With at least twice as many distinct scores, the curve has about this many points instead of
    /// one for each score; 0 for all points. Default: 1000.
    pub num_bins: usize,
}

impl Default for BinaryClassificationEvaluator {
    fn default() -> Self {
        Self {
            label_col: "label".to_owned(),
            raw_prediction_col: "rawPrediction".to_owned(),
            weight_col: None,
            metric_name: BinaryMetric::default(),
            num_bins: 1000,
        }
    }
}

impl BinaryClassificationEvaluator {
    /// Creates an evaluator with SparkML's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the column of labels.
    pub fn label_col(mut self, column: impl Into<String>) -> Self {
        self.label_col = column.into();
        self
    }

    /// Sets the column of scores.
    pub fn raw_prediction_col(mut self, column: impl Into<String>) -> Self {
        self.raw_prediction_col = column.into();
        self
    }

    /// Sets the column of the rows' weights.
    pub fn weight_col(mut self, column: impl Into<String>) -> Self {
        self.weight_col = Some(column.into());
        self
    }

    /// Sets the metric.
    pub fn metric_name(mut self, metric: BinaryMetric) -> Self {
        self.metric_name = metric;
        self
    }

    /// Sets about how many points the curve has; 0 for one for each score.
    pub fn num_bins(mut self, num_bins: usize) -> Self {
        self.num_bins = num_bins;
        self
    }

    /// Whether a larger value of the metric means better predictions.
    pub fn is_larger_better(&self) -> bool {
        self.metric_name.is_larger_better()
    }

    /// Computes the metric, from 0 to 1, over all rows of the frame.
    ///
    /// If all labels are 1, both areas are 1. If all are 0, both are 0. So it is in SparkML.
    ///
    /// # Errors
    /// [`ColumnNotFound`](crate::error::TableError::ColumnNotFound);
    /// [`ColumnType`](crate::error::TableError::ColumnType) for a column of another type;
    /// [`MissingValue`](crate::error::TableError::MissingValue) with the row of a null or NaN;
    /// [`InvalidValue`](crate::error::TableError::InvalidValue) for a label that is not 0 or 1, a
    /// list that is not of two values, and a negative weight;
    /// [`ShapeMismatch`](crate::Error::ShapeMismatch) if there are no rows;
    /// [`InvalidSetting`](crate::Error::InvalidSetting) if all weights are 0.
    pub fn evaluate(&self, frame: &DataFrame) -> Result<f64> {
        let labels = numbers(frame, &self.label_col)?;
        check(
            &labels,
            &self.label_col,
            |label| label == 0.0 || label == 1.0,
            "0 or 1, as labels of a BinaryClassificationEvaluator must be: for more classes, use \
             MulticlassClassificationEvaluator",
        )?;
        let column = &self.raw_prediction_col;
        let scores: Vec<f64> = if is_list(frame, column) {
            let vectors = vectors(frame, column, Some(2))?;
            vectors.iter().map(|vector| vector[1] + 0.0).collect()
        } else {
            numbers(frame, column)?
        };
        let weights = weights(frame, self.weight_col.as_deref())?;
        let rows = scores.iter().zip(&labels).zip(&weights);
        let rows = rows.map(|((score, label), weight)| Scored {
            score: *score,
            positive: *label == 1.0,
            weight: *weight,
        });
        Ok(area(self.metric_name, rows.collect(), self.num_bins))
    }
}

#[cfg(test)]
mod tests {
    use polars::{df, prelude::*};

    use super::*;

    fn evaluate(metric: BinaryMetric, frame: &DataFrame) -> f64 {
        let evaluator = BinaryClassificationEvaluator::new().metric_name(metric);
        evaluator.evaluate(frame).unwrap()
    }

    fn assert_near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
    }

    fn lists(rows: [&[f64]; 2]) -> Series {
        let lists = rows.map(|row| Some(Series::from_iter(row.iter().copied())));
        let lists: ListChunked = lists.into_iter().collect();
        lists.into_series()
    }

    #[test]
    fn areas_are_those_computed_by_hand() {
        let frame = df!(
            "label" => [1, 0, 1, 0], "rawPrediction" => [0.9, 0.8, 0.7, 0.1],
        )
        .unwrap();
        assert_near(evaluate(BinaryMetric::AreaUnderROC, &frame), 0.75);
        // (recall, precision): (0, 1), (1/2, 1), (1/2, 1/2), (1, 2/3), (1, 1/2).
        let expected = 0.5 + 0.5 * (0.5 + 2.0 / 3.0) / 2.0;
        assert_near(evaluate(BinaryMetric::AreaUnderPR, &frame), expected);
    }

    #[test]
    fn equal_scores_count_as_half_in_order() {
        let frame = df!("label" => [1, 0], "rawPrediction" => [0.0, -0.0]).unwrap();
        assert_near(evaluate(BinaryMetric::AreaUnderROC, &frame), 0.5);
    }

    #[test]
    fn a_weight_counts_as_that_many_rows() {
        let weighted = df!(
            "label" => [1, 0, 1], "rawPrediction" => [3.0, 2.0, 1.0], "times" => [1, 2, 3],
        );
        let repeated = df!(
            "label" => [1, 0, 0, 1, 1, 1], "rawPrediction" => [3.0, 2.0, 2.0, 1.0, 1.0, 1.0],
        );
        let (weighted, repeated) = (weighted.unwrap(), repeated.unwrap());
        for metric in [BinaryMetric::AreaUnderROC, BinaryMetric::AreaUnderPR] {
            let evaluator = BinaryClassificationEvaluator::new()
                .metric_name(metric)
                .weight_col("times");
            let found = evaluator.evaluate(&weighted).unwrap();
            assert_near(found, evaluate(metric, &repeated));
        }
    }

    #[test]
    fn of_a_vector_the_second_value_counts() {
        let frame = df!(
            "label" => [1, 0], "rawPrediction" => lists([&[9.0, 1.0], &[8.0, 2.0]]),
        );
        assert_near(evaluate(BinaryMetric::AreaUnderROC, &frame.unwrap()), 0.0);
    }

    #[test]
    fn other_labels_and_vectors_of_other_lengths_are_named_with_their_row() {
        let frame = df!("label" => [1, 2], "rawPrediction" => lists([&[9.0, 1.0], &[8.0]]));
        let frame = frame.unwrap();
        let error = BinaryClassificationEvaluator::new().evaluate(&frame);
        let error = error.unwrap_err().to_string();
        let expected = r#"row 2, column "label": "2" is not 0 or 1"#;
        assert!(error.contains(expected), "{error}");
        let frame = df!("label" => [1, 1], "rawPrediction" => lists([&[9.0, 1.0], &[8.0]]));
        let error = BinaryClassificationEvaluator::new().evaluate(&frame.unwrap());
        assert_eq!(
            error.unwrap_err().to_string(),
            r#"the data frame, row 2, column "rawPrediction": "a list of 1" is not a list of 2"#
        );
    }
}
