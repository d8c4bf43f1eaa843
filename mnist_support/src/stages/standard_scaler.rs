//! Scales each feature by its mean and standard deviation.

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
    data::{Affine, Statistic},
};

/// Scales each feature by its mean and standard deviation over all partitions, like SparkML's
/// `StandardScaler`. By default, features are divided by their standard deviation and keep their
/// mean.
///
/// The standard deviation is the corrected sample standard deviation (n - 1 in the denominator). A
/// constant feature becomes 0, as in SparkML.
///
/// ```
/// use mnist_support::ml::{Fit, StandardScaler, Transform, VectorAssembler};
/// use polars::prelude::*;
///
/// let frame = df!("size" => [1.0_f32, 2.0, 3.0])?;
/// let assembled = VectorAssembler::new().input_cols(["size"]).transform(&frame)?;
/// let scaler = StandardScaler::new().with_mean(true).fit(&assembled)?;
/// assert_eq!((scaler.mean(), scaler.std()), (&[2.0][..], &[1.0][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandardScaler {
    input_col: String,
    output_col: String,
    with_mean: bool,
    with_std: bool,
}

impl Default for StandardScaler {
    fn default() -> Self {
        StandardScaler {
            input_col: "features".to_owned(),
            output_col: "scaledFeatures".to_owned(),
            with_mean: false,
            with_std: true,
        }
    }
}

impl StandardScaler {
    /// Creates a scaler from `features` to `scaledFeatures`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether to subtract the mean. Default: false.
    pub fn with_mean(mut self, with_mean: bool) -> Self {
        self.with_mean = with_mean;
        self
    }

    /// Whether to divide by the standard deviation. Default: true.
    pub fn with_std(mut self, with_std: bool) -> Self {
        self.with_std = with_std;
        self
    }

    /// Learns from the rows of all ranks with one pass and two all-reduces: of the sums and the
    /// number of rows, then of the squared distances from the mean of all. A single all-reduce of
    /// squares would lose precision where the mean is large compared to the deviation.
    fn learn(&self, table: &Table, collective: &dyn Collective) -> Result<StandardScalerModel> {
        let Vector { features, scaling } = table.vector_to_learn(&self.input_col, collective)?;
        let width = features.width();
        let own = features.moments()?;
        let mut sums = own.sums().to_vec();
        sums.push(own.rows());
        let mut sums = all_reduce_f64(&sums, ReduceOp::Sum, collective)?;
        let rows = sums.pop().unwrap_or_default();
        if rows == 0.0 {
            return Err(Error::ShapeMismatch {
                what: format!("the vector column {:?} of {}", self.input_col, table.name()),
                found: vec![0, width as i64],
                expected: "at least one row".to_owned(),
            });
        }
        let mut mean: Vec<f64> = sums.iter().map(|sum| sum / rows).collect();
        let squares = own.squares_about(&mean);
        let mut std: Vec<f64> = all_reduce_f64(&squares, ReduceOp::Sum, collective)?
            .iter()
            .map(|square| (square / (rows - 1.0).max(1.0)).sqrt())
            .collect();
        if let Some(affine) = scaling {
            for column in 0..width {
                mean[column] = affine.at(column, mean[column]);
                std[column] *= affine.scale[column].abs();
            }
        }
        Ok(StandardScalerModel {
            scaler: self.clone(),
            mean,
            std,
        })
    }
}

vector_setters!(StandardScaler, "features", "scaledFeatures");
conversions!(StandardScaler, StandardScalerModel);

impl PipelineStage for StandardScaler {
    fn kind(&self) -> &'static str {
        "StandardScaler"
    }

    fn input_cols(&self) -> Vec<&str> {
        vec![&self.input_col]
    }

    fn output_cols(&self) -> Vec<&str> {
        vec![&self.output_col]
    }

    fn statistic(&self) -> Option<(&str, Statistic)> {
        Some((&self.input_col, Statistic::Moments))
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

/// A fitted [`StandardScaler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandardScalerModel {
    scaler: StandardScaler,
    mean: Vec<f64>,
    std: Vec<f64>,
}

impl StandardScalerModel {
    /// The mean of each feature.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The standard deviation of each feature.
    pub fn std(&self) -> &[f64] {
        &self.std
    }
}

impl Transformer for StandardScalerModel {
    fn stage(&self) -> &dyn PipelineStage {
        &self.scaler
    }

    fn check(&self) -> Result<()> {
        check_count("std", self.std.len(), self.mean.len(), "mean")
    }

    fn apply(&self, table: &mut Table) -> Result<()> {
        let StandardScaler {
            input_col,
            output_col,
            with_mean,
            with_std,
        } = &self.scaler;
        let vector = table.vector_of_width(input_col, self.mean.len())?;
        let factor = |std: &f64| match (with_std, *std == 0.0) {
            (false, _) => 1.0,
            (true, true) => 0.0,
            (true, false) => 1.0 / std,
        };
        let width = self.mean.len();
        let affine = Affine {
            shift: match with_mean {
                true => self.mean.clone(),
                false => vec![0.0; width],
            },
            scale: self.std.iter().map(factor).collect(),
            offset: vec![0.0; width],
        };
        table.set_vector(output_col, vector.scaled_by(affine));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use polars::prelude::*;

    use super::*;
    use crate::{
        collective::thread_group,
        data::MemoryBudget,
        lake::reading::ignore_progress,
        shard::{Data, Shard},
        stages::VectorAssembler,
    };

    /// One rank's rows, with the vector column `features`.
    fn assembled(shard: &Shard) -> Table {
        let mut table = Table::read(
            shard,
            None,
            &MemoryBudget::unlimited(),
            &ignore_progress,
            |_| Ok(()),
        )
        .unwrap();
        let assembler = VectorAssembler::new().input_cols(["a", "b", "c"]);
        assembler.apply(&mut table).unwrap();
        table
    }

    /// Returns the scaler fitted in `ranks` ranks, and the scaled values of all rows.
    fn scaled(scaler: &StandardScaler, ranks: usize) -> (StandardScalerModel, Vec<Vec<f64>>) {
        // The second feature is constant. The third is large compared to its deviation.
        let frame = df!(
            "a" => [1.0_f32, 2.0, 4.0, 9.0, 4.0],
            "b" => [7.0_f32; 5],
            "c" => [1e6_f32, 1e6 + 1.0, 1e6 + 2.0, 1e6 + 3.0, 1e6 + 4.0],
        )
        .unwrap();
        let shards = Data::from(&frame).shards(ranks).unwrap();
        let models: Vec<StandardScalerModel> = thread::scope(|scope| {
            let group = shards.iter().zip(thread_group(ranks));
            let running: Vec<_> = group
                .map(|(shard, rank)| scope.spawn(move || scaler.learn(&assembled(shard), &rank)))
                .collect();
            let models = running
                .into_iter()
                .map(|rank| rank.join().unwrap().unwrap());
            models.collect()
        });
        assert!(
            models.iter().all(|model| *model == models[0]),
            "the ranks have learnt different things: {models:?}"
        );
        let mut rows = Vec::new();
        for shard in &shards {
            let mut table = assembled(shard);
            models[0].apply(&mut table).unwrap();
            let frame = table.into_frame().unwrap();
            let lists = frame.column("scaledFeatures").unwrap().list().unwrap();
            for row in 0..lists.len() {
                let list = lists.get_as_series(row).unwrap();
                rows.push(list.f64().unwrap().into_no_null_iter().collect());
            }
        }
        (models[0].clone(), rows)
    }

    #[test]
    fn features_are_divided_by_the_deviation_of_a_sample_and_a_constant_one_becomes_zero() {
        let (model, rows) = scaled(&StandardScaler::new(), 1);
        // By numpy: [a.mean(), b.mean(), c.mean()], and std(ddof=1).
        assert_eq!(model.mean(), [4.0, 7.0, 1_000_002.0]);
        let expected = [9.5_f64.sqrt(), 0.0, 2.5_f64.sqrt()];
        for (std, expected) in model.std().iter().zip(expected) {
            assert!((std - expected).abs() < 1e-12, "{std} {expected}");
        }
        assert!((rows[3][0] - 9.0 / 9.5_f64.sqrt()).abs() < 1e-12);
        assert!(rows.iter().all(|row| row[1] == 0.0));
    }

    #[test]
    fn with_mean_the_features_lie_around_zero() {
        let (_, rows) = scaled(&StandardScaler::new().with_mean(true).with_std(false), 1);
        let first: Vec<f64> = rows.iter().map(|row| row[0]).collect();
        assert_eq!(first, [-3.0, -2.0, 0.0, 5.0, 0.0]);
        assert!(rows.iter().all(|row| row[1] == 0.0));
    }

    #[test]
    fn three_ranks_with_uneven_shards_learn_what_one_learns() {
        let (alone, rows) = scaled(&StandardScaler::new().with_mean(true), 1);
        let (together, rows_together) = scaled(&StandardScaler::new().with_mean(true), 3);
        assert_eq!((alone, rows), (together, rows_together));
    }
}
