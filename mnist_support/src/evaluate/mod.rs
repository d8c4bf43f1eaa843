//! Evaluates predictions: accuracy, the confusion matrix, and SparkML's evaluator.

mod accuracy;
mod class_counts;
mod confusion_matrix;
mod multiclass;

pub use accuracy::accuracy_score;
pub use confusion_matrix::ConfusionMatrix;
pub use multiclass::{Metric, MulticlassClassificationEvaluator};
