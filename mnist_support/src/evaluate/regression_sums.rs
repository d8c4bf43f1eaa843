//! The sums from which the metrics of a regression are computed.

use super::RegressionMetric;

/// Sums over rows, weighted by what the rows weigh. Those of several parts of the rows can be added
/// if they are around the same number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RegressionSums {
    /// A number near the labels' mean, which is subtracted from labels and predictions so that
    /// their variances keep their digits.
    center: f64,
    pub sums: [f64; Self::LENGTH],
}

impl RegressionSums {
    /// The number of sums: of the weights, their squares, the centered labels and predictions,
    /// their squares, the squared labels, and the errors' squares and sizes.
    pub(super) const LENGTH: usize = 9;

    pub(super) fn around(center: f64) -> Self {
        let sums = [0.0; Self::LENGTH];
        Self { center, sums }
    }

    pub(super) fn add(&mut self, label: f64, prediction: f64, weight: f64) {
        let (y, p, error) = (
            label - self.center,
            prediction - self.center,
            label - prediction,
        );
        let terms = [
            1.0,
            weight,
            y,
            p,
            y * y,
            p * p,
            label * label,
            error * error,
            error.abs(),
        ];
        for (sum, term) in self.sums.iter_mut().zip(terms) {
            *sum += weight * term;
        }
    }

    /// Computes a metric, with SparkML's formulas (`RegressionMetrics` of spark.mllib).
    pub(super) fn value(&self, metric: RegressionMetric, through_origin: bool) -> f64 {
        let [weight, weight2, y, p, y2, p2, label2, error2, error] = self.sums;
        match metric {
            RegressionMetric::Rmse => (error2 / weight).sqrt(),
            RegressionMetric::Mse => error2 / weight,
            RegressionMetric::Mae => error / weight,
            RegressionMetric::R2 if through_origin => 1.0 - error2 / label2,
            RegressionMetric::R2 => {
                // The unbiased variance for reliability weights, times (sum of weights - 1).
                let degrees = weight - weight2 / weight;
                let variance = if degrees > 0.0 {
                    ((y2 - y * y / weight) / degrees).max(0.0)
                } else {
                    0.0
                };
                1.0 - error2 / (variance * (weight - 1.0))
            }
            RegressionMetric::Var => {
                let mean = y / weight;
                p2 / weight - 2.0 * mean * p / weight + mean * mean
            }
        }
    }
}
