//! Evaluates predictions: accuracy, the confusion matrix, and SparkML's evaluators.

mod accuracy;
mod binary;
mod class_counts;
mod columns;
mod confusion_matrix;
mod curve;
mod metric_state;
mod multiclass;
mod multiclass_metric;
mod multilabel;
mod multilabel_metric;
mod regression;
mod regression_sums;
mod validation_metric;

pub use accuracy::accuracy_score;
pub use binary::{BinaryClassificationEvaluator, BinaryMetric};
pub use confusion_matrix::ConfusionMatrix;
pub(crate) use metric_state::{EvaluatedRows, MetricState, RankRows};
pub use multiclass::MulticlassClassificationEvaluator;
pub use multiclass_metric::Metric;
pub use multilabel::MultilabelClassificationEvaluator;
pub use multilabel_metric::MultilabelMetric;
pub use regression::{RegressionEvaluator, RegressionMetric};
pub(crate) use validation_metric::Predicted;
pub use validation_metric::ValidationMetric;
