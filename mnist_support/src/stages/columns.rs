//! What stages of several columns have in common.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What a stage does with a row that has a null, NaN or another value that it cannot take:
/// SparkML's `handleInvalid`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HandleInvalid {
    /// An error, which names the row.
    #[default]
    Error,
    /// The row is left out.
    Skip,
    /// The row is kept; each stage says with what.
    Keep,
}

/// Checks that a fitted stage has as many of one thing as of another.
pub(super) fn check_count(
    what: &str,
    found: usize,
    expected: usize,
    of: &'static str,
) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::ShapeMismatch {
        what: what.to_owned(),
        found: vec![found as i64],
        expected: format!("[{expected}], one for each {of},"),
    })
}

/// Gives a stage with the fields `input_cols` and `output_cols` their setters.
macro_rules! column_setters {
    ($stage:ident) => {
        impl $stage {
            /// The column to read, if it is one.
            pub fn input_col(self, name: impl Into<String>) -> Self {
                self.input_cols([name])
            }

            /// The columns to read.
            pub fn input_cols<S: Into<String>>(
                mut self,
                names: impl IntoIterator<Item = S>,
            ) -> Self {
                self.input_cols = names.into_iter().map(Into::into).collect();
                self
            }

            /// The column to add, if it is one.
            pub fn output_col(self, name: impl Into<String>) -> Self {
                self.output_cols([name])
            }

            /// The columns to add, one for each that is read.
            pub fn output_cols<S: Into<String>>(
                mut self,
                names: impl IntoIterator<Item = S>,
            ) -> Self {
                self.output_cols = names.into_iter().map(Into::into).collect();
                self
            }
        }
    };
}
pub(super) use column_setters;

/// Gives a stage of one vector column, with the fields `input_col` and `output_col`, their setters.
macro_rules! vector_setters {
    ($stage:ident, $input:literal, $output:literal) => {
        impl $stage {
            #[doc = concat!("The vector column to read. Default: `", $input, "`.")]
            pub fn input_col(mut self, name: impl Into<String>) -> Self {
                self.input_col = name.into();
                self
            }

            #[doc = concat!("The vector column to add. Default: `", $output, "`.")]
            pub fn output_col(mut self, name: impl Into<String>) -> Self {
                self.output_col = name.into();
                self
            }
        }
    };
}
pub(super) use vector_setters;

/// Makes a fitted stage of a [`StageModel`](super::StageModel), and a stage of a
/// [`Stage`](super::Stage).
macro_rules! conversions {
    ($stage:ident) => {
        impl From<$stage> for $crate::stages::Stage {
            fn from(stage: $stage) -> Self {
                $crate::stages::Stage::$stage(stage)
            }
        }

        impl From<$stage> for $crate::stages::StageModel {
            fn from(stage: $stage) -> Self {
                $crate::stages::StageModel::$stage(stage)
            }
        }
    };
    ($stage:ident, $model:ident) => {
        impl From<$stage> for $crate::stages::Stage {
            fn from(stage: $stage) -> Self {
                $crate::stages::Stage::$stage(stage)
            }
        }

        impl From<$model> for $crate::stages::StageModel {
            fn from(model: $model) -> Self {
                $crate::stages::StageModel::$stage(model)
            }
        }

        impl $crate::stages::Estimator for $stage {
            type Model = $model;

            fn model(stage: $crate::stages::StageModel) -> Option<$model> {
                match stage {
                    $crate::stages::StageModel::$stage(model) => Some(model),
                    _ => None,
                }
            }
        }
    };
}
pub(super) use conversions;

/// The names as they are passed on.
pub(super) fn names(columns: &[String]) -> Vec<&str> {
    columns.iter().map(String::as_str).collect()
}

/// Checks that a stage reads at least one column, and adds one for each.
pub(super) fn check_columns(input_cols: &[String], output_cols: &[String]) -> Result<()> {
    let invalid = |setting, columns: &[String], reason: String| {
        Err(Error::InvalidSetting {
            setting,
            value: format!("{columns:?}"),
            reason,
        })
    };
    if input_cols.is_empty() {
        let reason = "must name at least one column".to_owned();
        return invalid("input_cols", input_cols, reason);
    }
    if input_cols.len() != output_cols.len() {
        let reason = format!(
            "must name as many columns as input_cols, which has {}",
            input_cols.len()
        );
        return invalid("output_cols", output_cols, reason);
    }
    for (index, column) in output_cols.iter().enumerate() {
        if output_cols[..index].contains(column) || input_cols.contains(column) {
            let reason = format!("{column:?} is there twice: choose a new name");
            return invalid("output_cols", output_cols, reason);
        }
    }
    Ok(())
}

/// The error of a stage that has no rows to learn from.
pub(super) fn no_rows(column: &str, table: &str) -> Error {
    Error::ShapeMismatch {
        what: format!("the column {column:?} of {table}, in all partitions together,"),
        found: vec![0],
        expected: "at least one row to learn from".to_owned(),
    }
}
