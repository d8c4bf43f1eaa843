//! Scaling of each feature to a range.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::table::{Table, Vector};
use crate::{
    Error, Result,
    collective::{Collective, ReduceOp},
    data::MinMaxStatistics,
};

/// Learns the smallest and largest value of each feature over all partitions, as SparkML's `MinMaxScaler`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinMaxScaler {
    pub(super) input_col: String,
    pub(super) output_col: String,
    min: f32,
    max: f32,
}

impl Default for MinMaxScaler {
    fn default() -> Self {
        MinMaxScaler {
            input_col: "features".to_owned(),
            output_col: "scaledFeatures".to_owned(),
            min: 0.0,
            max: 1.0,
        }
    }
}

impl MinMaxScaler {
    /// A scaler of `features` to `scaledFeatures` in `[0, 1]`.
    pub fn new() -> Self {
        Self::default()
    }

    /// The vector column to scale. Default: `features`.
    pub fn input_col(mut self, name: impl Into<String>) -> Self {
        self.input_col = name.into();
        self
    }

    /// The vector column that is added. Default: `scaledFeatures`.
    pub fn output_col(mut self, name: impl Into<String>) -> Self {
        self.output_col = name.into();
        self
    }

    /// What the smallest value becomes. Default: 0.
    pub fn min(mut self, min: f32) -> Self {
        self.min = min;
        self
    }

    /// What the largest value becomes. Default: 1.
    pub fn max(mut self, max: f32) -> Self {
        self.max = max;
        self
    }

    /// Learns from the rows of all copies: one exchange of the minima, one of the maxima.
    pub(super) fn fit_shard(
        &self,
        table: &Table,
        collective: &dyn Collective,
    ) -> Result<MinMaxScalerModel> {
        if self.min.partial_cmp(&self.max) != Some(std::cmp::Ordering::Less) {
            return Err(Error::InvalidSetting {
                setting: "min",
                value: self.min.to_string(),
                reason: format!("must be below max = {}", self.max),
            });
        }
        let Vector { features, scaling } = table.vector(&self.input_col)?;
        let own = MinMaxStatistics::of(&*features)?;
        let reduce = |values: &[f32], operation| -> Result<Vec<f32>> {
            let mut tensor = Tensor::f_from_slice(values)?;
            collective.all_reduce(&mut tensor, operation)?;
            Ok(Vec::try_from(&tensor)?)
        };
        let mut statistics = MinMaxStatistics {
            minimum: reduce(&own.minimum, ReduceOp::Min)?,
            maximum: reduce(&own.maximum, ReduceOp::Max)?,
        };
        if let Some((scale, offset)) = scaling {
            // A factor below 0 would turn the range around.
            for column in 0..scale.len() {
                let at = |value: f32| value * scale[column] + offset[column];
                let (a, b) = (
                    at(statistics.minimum[column]),
                    at(statistics.maximum[column]),
                );
                (statistics.minimum[column], statistics.maximum[column]) = (a.min(b), a.max(b));
            }
        }
        Ok(MinMaxScalerModel {
            scaler: self.clone(),
            statistics,
        })
    }
}

/// A fitted [`MinMaxScaler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinMaxScalerModel {
    scaler: MinMaxScaler,
    statistics: MinMaxStatistics,
}

impl MinMaxScalerModel {
    /// The smallest value of each feature.
    pub fn original_min(&self) -> &[f32] {
        &self.statistics.minimum
    }

    /// The largest value of each feature.
    pub fn original_max(&self) -> &[f32] {
        &self.statistics.maximum
    }

    pub(super) fn apply(&self, table: &mut Table) -> Result<()> {
        let Vector { features, scaling } = table.vector(&self.scaler.input_col)?;
        let width = self.statistics.minimum.len();
        if features.width() != width {
            return Err(Error::ShapeMismatch {
                what: format!(
                    "the vector column {:?} of {}",
                    self.scaler.input_col,
                    table.name()
                ),
                found: vec![features.rows() as i64, features.width() as i64],
                expected: format!("{width} features, as the scaler was fitted on,"),
            });
        }
        let (mut scale, mut offset) = self
            .statistics
            .scale_and_offset(self.scaler.min, self.scaler.max)?;
        if let Some((first_scale, first_offset)) = scaling {
            for column in 0..width {
                offset[column] += first_offset[column] * scale[column];
                scale[column] *= first_scale[column];
            }
        }
        table.set_vector(
            &self.scaler.output_col,
            Vector {
                features,
                scaling: Some((scale, offset)),
            },
        );
        Ok(())
    }
}
