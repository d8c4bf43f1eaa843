//! Precision, recall and F1 from the counts of one class.

/// What the measures of one class need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ClassCounts {
    /// Rows that have the class and are predicted to.
    pub true_positives: u64,
    /// Rows that have the class.
    pub labels: u64,
    /// Rows that are predicted to have the class.
    pub predictions: u64,
}

impl ClassCounts {
    /// The share of its predictions that are right; 0 if it is never predicted.
    pub(super) fn precision(self) -> f64 {
        share(self.true_positives, self.predictions)
    }

    /// The share of its rows that are found; 0 if there are none.
    pub(super) fn recall(self) -> f64 {
        share(self.true_positives, self.labels)
    }

    /// 2 precision recall / (precision + recall), which is 2 TP / (labels + predictions); 0 if both
    /// are 0.
    pub(super) fn f1(self) -> f64 {
        share(2 * self.true_positives, self.labels + self.predictions)
    }
}

/// a / b, and 0 for 0 / 0, as SparkML's MulticlassMetrics and scikit-learn (zero_division=0) have
/// it.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}
