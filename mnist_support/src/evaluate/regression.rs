//! SparkML's evaluator for regression.

use std::fmt;

use polars::prelude::DataFrame;
use serde::{Deserialize, Serialize};

use super::{
    columns::{finite_numbers, weights},
    regression_sums::RegressionSums,
};
use crate::Result;

/// A metric of a regression. Defined as in SparkML.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RegressionMetric {
    /// The root of the mean squared error. SparkML's default.
    #[default]
    Rmse,
    /// The mean squared error.
    Mse,
    /// The mean absolute error.
    Mae,
    /// The coefficient of determination: 1 minus the squared errors' sum over that of the labels'
    /// distances from their mean. 1 is best, 0 is as good as predicting the mean.
    R2,
    /// The explained variance: the mean squared distance of the predictions from the labels' mean.
    Var,
}

impl RegressionMetric {
    /// All metrics, in SparkML's order.
    pub const ALL: [RegressionMetric; 5] = [
        RegressionMetric::Rmse,
        RegressionMetric::Mse,
        RegressionMetric::R2,
        RegressionMetric::Mae,
        RegressionMetric::Var,
    ];

    /// Whether a larger value means better predictions, as SparkML's `isLargerBetter`.
    pub fn is_larger_better(self) -> bool {
        match self {
            RegressionMetric::R2 | RegressionMetric::Var => true,
            RegressionMetric::Rmse | RegressionMetric::Mse | RegressionMetric::Mae => false,
        }
    }
}

impl fmt::Display for RegressionMetric {
    /// Writes SparkML's name of the metric.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            RegressionMetric::Rmse => "rmse",
            RegressionMetric::Mse => "mse",
            RegressionMetric::Mae => "mae",
            RegressionMetric::R2 => "r2",
            RegressionMetric::Var => "var",
        })
    }
}

/// Compares a frame's predicted numbers with its labels, like SparkML's class of the same name.
///
/// ```
/// use mnist_support::evaluate::{RegressionEvaluator, RegressionMetric};
/// use polars::df;
///
/// let predictions = df!("label" => [1.0, 2.0, 4.0], "prediction" => [1.0, 2.5, 3.0])?;
/// let evaluator = RegressionEvaluator::new().metric_name(RegressionMetric::Mae);
/// assert_eq!(evaluator.evaluate(&predictions)?, 0.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegressionEvaluator {
    /// The column of labels. Default: `label`.
    pub label_col: String,
    /// The column of predictions. Default: `prediction`.
    pub prediction_col: String,
    /// The column of the rows' weights. Default: none, each row weighs 1.
    pub weight_col: Option<String>,
    /// The metric to compute. Default: the root of the mean squared error.
    pub metric_name: RegressionMetric,
    /// Whether the regression has no intercept: R² then compares with predicting 0 instead of the
    /// mean. Default: false.
    pub through_origin: bool,
}

impl Default for RegressionEvaluator {
    fn default() -> Self {
        Self {
            label_col: "label".to_owned(),
            prediction_col: "prediction".to_owned(),
            weight_col: None,
            metric_name: RegressionMetric::default(),
            through_origin: false,
        }
    }
}

impl RegressionEvaluator {
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

    /// Sets the column of the rows' weights.
    pub fn weight_col(mut self, column: impl Into<String>) -> Self {
        self.weight_col = Some(column.into());
        self
    }

    /// Sets the metric.
    pub fn metric_name(mut self, metric: RegressionMetric) -> Self {
        self.metric_name = metric;
        self
    }

    /// Sets whether R² compares with predicting 0 instead of the mean.
    pub fn through_origin(mut self, through_origin: bool) -> Self {
        self.through_origin = through_origin;
        self
    }

    /// Whether a larger value of the metric means better predictions.
    pub fn is_larger_better(&self) -> bool {
        self.metric_name.is_larger_better()
    }

    /// Computes the metric over all rows of the frame.
    ///
    /// R² is minus infinity or NaN where all labels are equal, as in SparkML, and, as there, uses
    /// the unbiased estimate of the labels' variance if rows have weights other than 1.
    ///
    /// # Errors
    /// [`ColumnNotFound`](crate::error::TableError::ColumnNotFound);
    /// [`ColumnType`](crate::error::TableError::ColumnType) for a column that is not numeric;
    /// [`MissingValue`](crate::error::TableError::MissingValue) with the row of a null or NaN;
    /// [`InvalidValue`](crate::error::TableError::InvalidValue) for an infinite number and a
    /// negative weight; [`ShapeMismatch`](crate::Error::ShapeMismatch) if there are no rows;
    /// [`InvalidSetting`](crate::Error::InvalidSetting) if all weights are 0.
    pub fn evaluate(&self, frame: &DataFrame) -> Result<f64> {
        let labels = finite_numbers(frame, &self.label_col)?;
        let predictions = finite_numbers(frame, &self.prediction_col)?;
        let weights = weights(frame, self.weight_col.as_deref())?;
        let (sum, weight) = labels
            .iter()
            .zip(&weights)
            .fold((0.0, 0.0), |(sum, all), (label, weight)| {
                (sum + label * weight, all + weight)
            });
        let mut sums = RegressionSums::around(sum / weight);
        for ((label, prediction), weight) in labels.iter().zip(&predictions).zip(&weights) {
            sums.add(*label, *prediction, *weight);
        }
        Ok(sums.value(self.metric_name, self.through_origin))
    }
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;
    use crate::{Error, error::TableError};

    fn evaluate(metric: RegressionMetric, frame: &DataFrame) -> f64 {
        let evaluator = RegressionEvaluator::new().metric_name(metric);
        evaluator.evaluate(frame).unwrap()
    }

    fn assert_near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
    }

    #[test]
    fn metrics_are_those_computed_by_hand() {
        // Errors 1, -1, 0, 2. The labels' mean is 2.5, their squared distances from it add up to 5.
        let frame = df!("label" => [1, 2, 3, 4], "prediction" => [0.0, 3.0, 3.0, 2.0]).unwrap();
        assert_near(evaluate(RegressionMetric::Mse, &frame), 1.5);
        assert_near(evaluate(RegressionMetric::Rmse, &frame), 1.5_f64.sqrt());
        assert_near(evaluate(RegressionMetric::Mae, &frame), 1.0);
        assert_near(evaluate(RegressionMetric::R2, &frame), 1.0 - 6.0 / 5.0);
        assert_near(evaluate(RegressionMetric::Var, &frame), 7.0 / 4.0);
        let origin = RegressionEvaluator::new()
            .metric_name(RegressionMetric::R2)
            .through_origin(true);
        assert_near(origin.evaluate(&frame).unwrap(), 1.0 - 6.0 / 30.0);
    }

    #[test]
    fn r2_is_accurate_for_labels_far_from_0() {
        let frame = df!("label" => [1e9, 1e9 + 1.0], "prediction" => [1e9, 1e9 + 0.5]).unwrap();
        assert_near(evaluate(RegressionMetric::R2, &frame), 0.5);
    }

    #[test]
    fn smaller_errors_and_larger_r2_are_better() {
        let better = |metric| {
            let evaluator = RegressionEvaluator::new().metric_name(metric);
            evaluator.is_larger_better()
        };
        assert!(better(RegressionMetric::R2) && better(RegressionMetric::Var));
        assert!(!better(RegressionMetric::Rmse) && !better(RegressionMetric::Mae));
    }

    #[test]
    fn wrong_weights_and_infinite_labels_are_named_with_their_row_and_column() {
        let frame = df!(
            "label" => [1.0, f64::INFINITY], "prediction" => [1.0, 2.0],
            "negative" => [1.0, -0.5], "nothing" => [0.0, 0.0],
        )
        .unwrap();
        let error = RegressionEvaluator::new().evaluate(&frame).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"the data frame, row 2, column "label": "inf" is not a finite number"#
        );
        let by = |column: &str| {
            let evaluator = RegressionEvaluator::new().label_col("prediction");
            evaluator.weight_col(column).evaluate(&frame).unwrap_err()
        };
        assert_eq!(
            by("negative").to_string(),
            "the data frame, row 2, column \"negative\": \"-0.5\" is not a weight, which is a \
             finite number of 0 or more"
        );
        assert!(matches!(
            by("nothing"),
            Error::InvalidSetting {
                setting: "weight_col",
                ..
            }
        ));
        assert!(matches!(
            by("absent"),
            Error::Table(TableError::ColumnNotFound { .. })
        ));
    }
}
