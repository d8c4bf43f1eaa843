//! The metrics of one class, from its counts.

/// The counts from which the metrics of one class are computed. A row counts as much as it weighs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ClassCounts {
    /// Rows that have the class and are predicted to have it.
    pub true_positives: f64,
    /// Rows that have the class.
    pub labels: f64,
    /// Rows that are predicted to have the class.
    pub predictions: f64,
}

impl ClassCounts {
    /// The fraction of the class's predictions that are correct; 0 if it is never predicted.
    pub(super) fn precision(self) -> f64 {
        share(self.true_positives, self.predictions)
    }

    /// The fraction of the class's rows that are predicted as it; 0 if there are none.
    pub(super) fn recall(self) -> f64 {
        share(self.true_positives, self.labels)
    }

    /// The fraction of the other classes' rows that are predicted as this class, where `rows` is
    /// the number of all rows; NaN if there are no others, as in SparkML.
    pub(super) fn false_positive_rate(self, rows: f64) -> f64 {
        (self.predictions - self.true_positives) / (rows - self.labels)
    }

    /// The weighted harmonic mean of precision and recall, in which recall counts `beta` times as
    /// much as precision; 0 if both are 0.
    pub(super) fn f_measure(self, beta: f64) -> f64 {
        // (1 + beta²) P R / (beta² P + R), with TP / predictions for P and TP / labels for R.
        let beta2 = beta * beta;
        share(
            (1.0 + beta2) * self.true_positives,
            beta2 * self.labels + self.predictions,
        )
    }

    /// The harmonic mean of precision and recall; 0 if both are 0.
    pub(super) fn f1(self) -> f64 {
        self.f_measure(1.0)
    }
}

/// Returns a / b, and 0 for 0 / 0, as SparkML's MulticlassMetrics and scikit-learn
/// (zero_division=0) do.
fn share(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}
