//! Numbers as buckets of about as many rows each.

use serde::{Deserialize, Serialize};

use super::{
    Bucketizer, Estimator, FitContext, HandleInvalid, Stage, StageModel,
    columns::{check_columns, column_setters, names, no_rows},
    quantiles::{check_relative_error, quantiles},
    stage::PipelineStage,
    table::Table,
};
use crate::{Error, Result, collective::Collective, data::numeric_or_null, error::TableError};

/// Turns numbers into buckets of about as many rows each, like SparkML's `QuantileDiscretizer`. The
/// fitted stage is a [`Bucketizer`], from minus to plus infinity.
///
/// ```
/// use mnist_support::ml::{Fit, QuantileDiscretizer, Transform};
/// use polars::prelude::*;
///
/// let frame = df!("price" => [1.0, 2.0, 3.0, 400.0])?;
/// let discretizer = QuantileDiscretizer::new().input_col("price").output_col("half");
/// let buckets = discretizer.fit(&frame)?.transform(&frame)?;
/// assert_eq!(buckets.column("half")?, &Column::new("half".into(), [0.0, 1.0, 1.0, 1.0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Buckets that would be alike become one, so there may be fewer than asked for. NaN and null don't
/// count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantileDiscretizer {
    input_cols: Vec<String>,
    output_cols: Vec<String>,
    /// One for all columns, or one for each.
    num_buckets: Vec<usize>,
    relative_error: f64,
    handle_invalid: HandleInvalid,
}

impl Default for QuantileDiscretizer {
    fn default() -> Self {
        QuantileDiscretizer {
            input_cols: Vec::new(),
            output_cols: Vec::new(),
            num_buckets: vec![2],
            relative_error: 0.001,
            handle_invalid: HandleInvalid::Error,
        }
    }
}

impl QuantileDiscretizer {
    /// Creates a stage of no columns, with two buckets.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of buckets of every column. Default: 2.
    pub fn num_buckets(mut self, buckets: usize) -> Self {
        self.num_buckets = vec![buckets];
        self
    }

    /// The number of buckets of each column.
    pub fn num_buckets_array(mut self, buckets: impl IntoIterator<Item = usize>) -> Self {
        self.num_buckets = buckets.into_iter().collect();
        self
    }

    /// How far the ranks of the splits may be off, as a part of the number of rows. They are exact
    /// here, whatever is set. Default: 0.001.
    pub fn relative_error(mut self, error: f64) -> Self {
        self.relative_error = error;
        self
    }

    /// What the fitted [`Bucketizer`] makes of NaN and null. Default: [`HandleInvalid::Error`].
    pub fn handle_invalid(mut self, handle_invalid: HandleInvalid) -> Self {
        self.handle_invalid = handle_invalid;
        self
    }

    fn buckets_of(&self, column: usize) -> usize {
        match self.num_buckets[..] {
            [all] => all,
            _ => self.num_buckets[column],
        }
    }

    fn learn(&self, table: &Table, collective: &dyn Collective) -> Result<Bucketizer> {
        let mut splits = Vec::new();
        for (column, name) in self.input_cols.iter().enumerate() {
            let series = numeric_or_null(table.frame(), name, table.rows())?;
            let values = series.f64().map_err(TableError::about(table.name()))?;
            let values = values.iter().flatten().filter(|value| !value.is_nan());
            let buckets = self.buckets_of(column);
            let inner: Vec<f64> = (1..buckets)
                .map(|bucket| bucket as f64 / buckets as f64)
                .collect();
            let found = quantiles(
                vec![values.collect()],
                &inner,
                self.relative_error,
                collective,
            )?;
            let found = found.into_iter().next().flatten();
            let mut ends = found.ok_or_else(|| no_rows(name, table.name()))?;
            // Of both zeros one.
            ends.iter_mut().for_each(|end| *end += 0.0);
            ends.retain(|end| end.is_finite());
            ends.insert(0, f64::NEG_INFINITY);
            ends.push(f64::INFINITY);
            ends.dedup();
            splits.push(ends);
        }
        Ok(Bucketizer::new()
            .input_cols(self.input_cols.clone())
            .output_cols(self.output_cols.clone())
            .splits_array(splits)
            .handle_invalid(self.handle_invalid))
    }
}

column_setters!(QuantileDiscretizer);

impl From<QuantileDiscretizer> for Stage {
    fn from(stage: QuantileDiscretizer) -> Self {
        Stage::QuantileDiscretizer(stage)
    }
}

impl Estimator for QuantileDiscretizer {
    type Model = Bucketizer;

    fn model(stage: StageModel) -> Option<Bucketizer> {
        match stage {
            StageModel::Bucketizer(model) => Some(model),
            _ => None,
        }
    }
}

impl PipelineStage for QuantileDiscretizer {
    fn kind(&self) -> &'static str {
        "QuantileDiscretizer"
    }

    fn input_cols(&self) -> Vec<&str> {
        names(&self.input_cols)
    }

    fn output_cols(&self) -> Vec<&str> {
        names(&self.output_cols)
    }

    fn validate(&self) -> Result<()> {
        check_relative_error(self.relative_error)?;
        check_columns(&self.input_cols, &self.output_cols)?;
        let fitting = [1, self.input_cols.len()].contains(&self.num_buckets.len());
        if fitting && self.num_buckets.iter().all(|buckets| *buckets >= 2) {
            return Ok(());
        }
        Err(Error::InvalidSetting {
            setting: "num_buckets",
            value: format!("{:?}", self.num_buckets),
            reason: "must be at least 2, one number for all columns or one for each".to_owned(),
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

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;
    use crate::stages::testing::{fit, fit_ranks};

    #[test]
    fn the_buckets_end_at_quantiles_and_alike_ones_are_one() {
        let frame = df!(
            "x" => [Some(5.0), Some(1.0), None, Some(f64::NAN), Some(2.0), Some(4.0)],
            "same" => [3_i64; 6],
        )
        .unwrap();
        let discretizer = QuantileDiscretizer::new()
            .input_cols(["x", "same"])
            .output_cols(["of_x", "of_same"])
            .num_buckets(4);
        let (low, high) = (f64::NEG_INFINITY, f64::INFINITY);
        let splits = fit(&discretizer, &frame).get_splits_array();
        assert_eq!(
            splits,
            [vec![low, 1.0, 2.0, 4.0, high], vec![low, 3.0, high]]
        );
    }

    #[test]
    fn a_bucketizer_with_infinite_ends_survives_json() {
        let frame = df!("x" => [1.0, 2.0]).unwrap();
        let discretizer = QuantileDiscretizer::new()
            .input_col("x")
            .output_col("bucket");
        let model = fit(&discretizer, &frame);
        let json = serde_json::to_string(&model).unwrap();
        assert_eq!(serde_json::from_str::<Bucketizer>(&json).unwrap(), model);
    }

    #[test]
    fn a_single_bucket_is_refused() {
        let frame = df!("x" => [1.0]).unwrap();
        let discretizer = QuantileDiscretizer::new()
            .input_col("x")
            .output_col("bucket");
        let error = fit_ranks(&discretizer.num_buckets(1), &frame, &[1]).remove(0);
        assert!(matches!(error, Err(Error::InvalidSetting { .. })));
    }
}
