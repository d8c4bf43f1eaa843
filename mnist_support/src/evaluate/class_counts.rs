//! Precision, recall and F1 from the counts of one class.

/// The counts from which the metrics of one class are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ClassCounts {
    /// Rows that have the class and are predicted to have it.
    pub true_positives: u64,
    /// Rows that have the class.
    pub labels: u64,
    /// Rows that are predicted to have the class.
    pub predictions: u64,
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

    /// The harmonic mean of precision and recall, which is 2 TP / (labels + predictions); 0 if both
    /// are 0.
    pub(super) fn f1(self) -> f64 {
        share(2 * self.true_positives, self.labels + self.predictions)
    }
}

/// Returns a / b, and 0 for 0 / 0, as SparkML's MulticlassMetrics and scikit-learn
/// (zero_division=0) do.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}
