//! Scales each feature by what lies between two of its quantiles.

use serde::{Deserialize, Serialize};

use super::{
    FitContext, StageModel,
    columns::{check_count, conversions, no_rows, vector_setters},
    quantiles::{check_relative_error, quantiles},
    stage::{PipelineStage, Transformer},
    table::Table,
};
use crate::{
    Error, Result,
    collective::{Collective, ReduceOp, all_reduce_f64},
    data::Affine,
};

/// The most features whose values are sorted at the same time.
const BLOCK_COLUMNS: usize = 64;
/// Their values may take this part of the memory budget, whatever is left of it: a pass for each
/// feature would take too long.
const SHARE: u64 = 8;

/// Scales each feature by the range between two of its quantiles over all partitions, like
/// SparkML's `RobustScaler`: a few outliers change nothing. By default, that is the range between
/// the quartiles, and features keep their median.
///
/// ```
/// use mnist_support::ml::{Fit, RobustScaler, Transform, VectorAssembler};
/// use polars::prelude::*;
///
/// let frame = df!("income" => [1.0, 2.0, 3.0, 4.0, 1e9])?;
/// let assembled = VectorAssembler::new().input_cols(["income"]).transform(&frame)?;
/// let scaler = RobustScaler::new().with_centering(true).fit(&assembled)?;
/// assert_eq!((scaler.median(), scaler.range()), (&[3.0][..], &[2.0][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The quantiles are exact. A feature whose range is 0 becomes 0, as in SparkML.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RobustScaler {
    input_col: String,
    output_col: String,
    lower: f64,
    upper: f64,
    with_centering: bool,
    with_scaling: bool,
    relative_error: f64,
}

impl Default for RobustScaler {
    fn default() -> Self {
        RobustScaler {
            input_col: "features".to_owned(),
            output_col: "scaledFeatures".to_owned(),
            lower: 0.25,
            upper: 0.75,
            with_centering: false,
            with_scaling: true,
            relative_error: 0.001,
        }
    }
}

impl RobustScaler {
    /// Creates a scaler from `features` to `scaledFeatures`.
    pub fn new() -> Self {
        Self::default()
    }

    /// The lower quantile of the range. Default: 0.25.
    pub fn lower(mut self, lower: f64) -> Self {
        self.lower = lower;
        self
    }

    /// The upper quantile of the range. Default: 0.75.
    pub fn upper(mut self, upper: f64) -> Self {
        self.upper = upper;
        self
    }

    /// Whether to subtract the median. Default: false.
    pub fn with_centering(mut self, with_centering: bool) -> Self {
        self.with_centering = with_centering;
        self
    }

    /// Whether to divide by the range. Default: true.
    pub fn with_scaling(mut self, with_scaling: bool) -> Self {
        self.with_scaling = with_scaling;
        self
    }

    /// How far the ranks of the quantiles may be off, as a part of the number of rows. They are
    /// exact here, whatever is set. Default: 0.001.
    pub fn relative_error(mut self, error: f64) -> Self {
        self.relative_error = error;
        self
    }

    fn learn(&self, table: &Table, collective: &dyn Collective) -> Result<RobustScalerModel> {
        let vector = table.vector_to_learn(&self.input_col, collective)?;
        // The ranks take the same columns at a time: as many as each has room for.
        let budget = table.budget();
        let bytes = budget.left().max(budget.total() / SHARE);
        let column = (size_of::<f64>() * table.height().max(1)) as u64;
        let room = (bytes / column).clamp(1, BLOCK_COLUMNS as u64);
        let together = all_reduce_f64(&[room as f64], ReduceOp::Min, collective)?[0] as usize;
        let (mut median, mut range) = (Vec::new(), Vec::new());
        for start in (0..vector.width()).step_by(together) {
            let end = vector.width().min(start + together);
            let mut values = vector.columns(start..end)?;
            for column in &mut values {
                column.retain(|value| !value.is_nan());
            }
            let probabilities = [self.lower, 0.5, self.upper];
            for found in quantiles(values, &probabilities, self.relative_error, collective)? {
                let found = found.ok_or_else(|| no_rows(&self.input_col, table.name()))?;
                median.push(found[1]);
                range.push(found[2] - found[0]);
            }
        }
        Ok(RobustScalerModel {
            scaler: self.clone(),
            median,
            range,
        })
    }
}

vector_setters!(RobustScaler, "features", "scaledFeatures");
conversions!(RobustScaler, RobustScalerModel);

impl PipelineStage for RobustScaler {
    fn kind(&self) -> &'static str {
        "RobustScaler"
    }

    fn input_cols(&self) -> Vec<&str> {
        vec![&self.input_col]
    }

    fn output_cols(&self) -> Vec<&str> {
        vec![&self.output_col]
    }

    fn validate(&self) -> Result<()> {
        check_relative_error(self.relative_error)?;
        if 0.0 < self.lower && self.lower < self.upper && self.upper < 1.0 {
            return Ok(());
        }
        Err(Error::InvalidSetting {
            setting: "lower",
            value: self.lower.to_string(),
            reason: format!(
                "must be above 0 and below upper = {}, which must be below 1",
                self.upper
            ),
        })
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

/// A fitted [`RobustScaler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RobustScalerModel {
    scaler: RobustScaler,
    median: Vec<f64>,
    range: Vec<f64>,
}

impl RobustScalerModel {
    /// The median of each feature.
    pub fn median(&self) -> &[f64] {
        &self.median
    }

    /// The range between the two quantiles of each feature.
    pub fn range(&self) -> &[f64] {
        &self.range
    }
}

impl Transformer for RobustScalerModel {
    fn stage(&self) -> &dyn PipelineStage {
        &self.scaler
    }

    fn check(&self) -> Result<()> {
        check_count("range", self.range.len(), self.median.len(), "median")
    }

    fn apply(&self, table: &mut Table) -> Result<()> {
        let width = self.median.len();
        let vector = table.vector_of_width(&self.scaler.input_col, width)?;
        let factor = |range: &f64| match (self.scaler.with_scaling, *range == 0.0) {
            (false, _) => 1.0,
            (true, true) => 0.0,
            (true, false) => 1.0 / range,
        };
        let affine = Affine {
            shift: match self.scaler.with_centering {
                true => self.median.clone(),
                false => vec![0.0; width],
            },
            scale: self.range.iter().map(factor).collect(),
            offset: vec![0.0; width],
        };
        table.set_vector(&self.scaler.output_col, vector.scaled_by(affine));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use polars::df;

    use super::*;
    use crate::{
        collective::thread_group,
        data::MemoryBudget,
        stages::testing::{fit, fit_ranks, lists, rows, table, transform},
    };

    #[test]
    fn an_outlier_changes_nothing() {
        let values: [&[f64]; 5] = [
            &[1.0, 3.0],
            &[2.0, 3.0],
            &[3.0, 3.0],
            &[4.0, 3.0],
            &[1e9, 3.0],
        ];
        let frame = df!("features" => lists(&values)).unwrap();
        let model = fit(&RobustScaler::new().with_centering(true), &frame);
        assert_eq!(
            (model.median(), model.range()),
            (&[3.0, 3.0][..], &[2.0, 0.0][..])
        );
        let scaled = rows(&transform(model, &frame).unwrap(), "scaledFeatures");
        assert_eq!(scaled[..3], [[-1.0, 0.0], [-0.5, 0.0], [0.0, 0.0]]);
    }

    #[test]
    fn a_small_budget_takes_fewer_features_at_a_time_and_learns_the_same() {
        let frame =
            df!("features" => lists(&[&[5.0, 1.0, 7.0], &[6.0, 3.0, 7.0], &[9.0, 2.0, 8.0]]))
                .unwrap();
        let scaler = RobustScaler::new().with_centering(true);
        let expected = fit(&scaler, &frame);
        for bytes in [0, 8 * 3 * 2, 8 * 3 * 8 * 2] {
            // The other rank has room for all.
            let budgets = [MemoryBudget::of(bytes), MemoryBudget::unlimited()];
            let models: Vec<RobustScalerModel> = thread::scope(|scope| {
                let ranks = [(0, 2), (2, 1)]
                    .into_iter()
                    .zip(budgets)
                    .zip(thread_group(2));
                let running: Vec<_> = ranks
                    .map(|(((first, rows), budget), collective)| {
                        let rows = table(&frame.slice(first as i64, rows), first);
                        let rows = rows.with_budget(&budget);
                        let scaler = &scaler;
                        scope.spawn(move || scaler.learn(&rows, &collective).unwrap())
                    })
                    .collect();
                let models = running.into_iter().map(|rank| rank.join().unwrap());
                models.collect()
            });
            assert_eq!(
                models,
                [expected.clone(), expected.clone()],
                "{bytes} bytes"
            );
        }
    }

    #[test]
    fn quantiles_that_are_none_are_refused() {
        let frame = df!("features" => lists(&[&[1.0]])).unwrap();
        for scaler in [
            RobustScaler::new().lower(0.8),
            RobustScaler::new().upper(1.0),
            RobustScaler::new().relative_error(-0.1),
        ] {
            let error = fit_ranks(&scaler, &frame, &[1]).remove(0).unwrap_err();
            assert!(matches!(error, Error::InvalidSetting { .. }), "{error}");
        }
    }
}
