//! Rescales each feature to a range.

use serde::{Deserialize, Serialize};

use super::{
    FitContext, StageModel,
    columns::{check_count, conversions, vector_setters},
    stage::{PipelineStage, Transformer},
    table::{Table, Vector},
};
use crate::{
    Error, Result,
    collective::{Collective, ReduceOp, all_reduce_f64},
    data::{MinMaxStatistics, Statistic},
};

/// Rescales each feature to a range by its minimum and maximum over all partitions, like SparkML's
/// `MinMaxScaler`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinMaxScaler {
    input_col: String,
    output_col: String,
    min: f64,
    max: f64,
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
    /// Creates a scaler from `features` to `scaledFeatures`, with the range `[0, 1]`.
    pub fn new() -> Self {
        Self::default()
    }

    /// The lower bound of the range. Default: 0.
    pub fn min(mut self, min: f64) -> Self {
        self.min = min;
        self
    }

    /// The upper bound of the range. Default: 1.
    pub fn max(mut self, max: f64) -> Self {
        self.max = max;
        self
    }

    /// Learns from the rows of all ranks, with one all-reduce of the minima and one of the maxima.
    fn learn(&self, table: &Table, collective: &dyn Collective) -> Result<MinMaxScalerModel> {
        if self.min.partial_cmp(&self.max) != Some(std::cmp::Ordering::Less) {
            return Err(Error::InvalidSetting {
                setting: "min",
                value: self.min.to_string(),
                reason: format!("must be below max = {}", self.max),
            });
        }
        let Vector { features, scaling } = table.vector_to_learn(&self.input_col, collective)?;
        let own = features.min_max()?;
        let mut statistics = MinMaxStatistics {
            minimum: all_reduce_f64(&own.minimum, ReduceOp::Min, collective)?,
            maximum: all_reduce_f64(&own.maximum, ReduceOp::Max, collective)?,
        };
        if let Some(affine) = scaling {
            // A negative factor swaps the minimum and the maximum.
            for column in 0..statistics.width() {
                let at = |value: f64| affine.at(column, value);
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

vector_setters!(MinMaxScaler, "features", "scaledFeatures");
conversions!(MinMaxScaler, MinMaxScalerModel);

impl PipelineStage for MinMaxScaler {
    fn kind(&self) -> &'static str {
        "MinMaxScaler"
    }

    fn input_cols(&self) -> Vec<&str> {
        vec![&self.input_col]
    }

    fn output_cols(&self) -> Vec<&str> {
        vec![&self.output_col]
    }

    fn statistic(&self) -> Option<(&str, Statistic)> {
        Some((&self.input_col, Statistic::MinMax))
    }

    fn fit_shard(
        &self,
        table: &Table,
        collective: &dyn Collective,
        _context: FitContext<'_>,
    ) -> Result<StageModel> {
        Ok(self.learn(table, collective)?.into())
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
    /// The minimum of each feature.
    pub fn original_min(&self) -> &[f64] {
        &self.statistics.minimum
    }

    /// The maximum of each feature.
    pub fn original_max(&self) -> &[f64] {
        &self.statistics.maximum
    }
}

impl Transformer for MinMaxScalerModel {
    fn stage(&self) -> &dyn PipelineStage {
        &self.scaler
    }

    fn check(&self) -> Result<()> {
        let MinMaxStatistics { minimum, maximum } = &self.statistics;
        check_count("maximum", maximum.len(), minimum.len(), "minimum")
    }

    fn apply(&self, table: &mut Table) -> Result<()> {
        let vector = table.vector_of_width(&self.scaler.input_col, self.statistics.width())?;
        let affine = self.statistics.to_range(self.scaler.min, self.scaler.max)?;
        table.set_vector(&self.scaler.output_col, vector.scaled_by(affine));
        Ok(())
    }
}
