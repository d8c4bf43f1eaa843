//! Fills in missing numbers.

use std::collections::HashMap;

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    FitContext, StageModel,
    columns::{check_columns, check_count, column_setters, conversions, names},
    number::Number,
    quantiles::{check_relative_error, quantiles},
    stage::{PipelineStage, Transformer},
    table::Table,
};
use crate::{
    Error, Result,
    collective::{Collective, ReduceOp, all_gather_json, all_reduce_f64},
    data::column,
    error::TableError,
};

/// Fills in missing numbers, like SparkML's `Imputer`: nulls, NaN or another `missing_value` become
/// the mean, the median or the most frequent value of the others.
///
/// ```
/// use mnist_support::ml::{Fit, Imputer, Transform};
/// use polars::prelude::*;
///
/// let frame = df!("age" => [Some(22.0), None, Some(38.0)])?;
/// let imputer = Imputer::new().input_col("age").output_col("knownAge").fit(&frame)?;
/// assert_eq!(imputer.surrogates(), [30.0]);
/// let filled = imputer.transform(&frame)?;
/// assert_eq!(filled.column("knownAge")?.f64()?.get(1), Some(30.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The column that it adds has the type of the one that it reads: in a column of integers, the
/// fraction of a mean is cut off, as in SparkML.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imputer {
    input_cols: Vec<String>,
    output_cols: Vec<String>,
    strategy: ImputerStrategy,
    missing_value: Number,
    relative_error: f64,
}

/// What an [`Imputer`] fills in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImputerStrategy {
    /// The mean.
    #[default]
    Mean,
    /// The median: of an even number of values the lower of the middle two, as in SparkML.
    Median,
    /// The most frequent value; of several, the smallest. The distinct values of all partitions
    /// have to fit into the memory of each.
    Mode,
}

impl Default for Imputer {
    fn default() -> Self {
        Imputer {
            input_cols: Vec::new(),
            output_cols: Vec::new(),
            strategy: ImputerStrategy::Mean,
            missing_value: Number(f64::NAN),
            relative_error: 0.001,
        }
    }
}

impl Imputer {
    /// Creates an imputer of no columns, of means.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is filled in. Default: [`ImputerStrategy::Mean`].
    pub fn strategy(mut self, strategy: ImputerStrategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// The value that stands for a missing one. Nulls are missing, too. Default: NaN.
    pub fn missing_value(mut self, value: f64) -> Self {
        self.missing_value = Number(value);
        self
    }

    /// How far the rank of the median may be off, as a part of the number of rows. The median here
    /// is exact, whatever is set. Default: 0.001.
    pub fn relative_error(mut self, error: f64) -> Self {
        self.relative_error = error;
        self
    }

    fn is_missing(&self, value: f64) -> bool {
        value == self.missing_value.0 || (value.is_nan() && self.missing_value.0.is_nan())
    }

    /// The values of a column that count.
    fn known(&self, table: &Table, name: &str) -> Result<Vec<f64>> {
        let values = numbers(table, name)?;
        let values = values.f64().map_err(TableError::about(table.name()))?;
        let values = values.iter().flatten();
        Ok(values
            .filter(|value| !value.is_nan() && !self.is_missing(*value))
            .collect())
    }

    fn learn(&self, table: &Table, collective: &dyn Collective) -> Result<ImputerModel> {
        let columns = self.input_cols.iter();
        let columns = columns.map(|name| self.known(table, name));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let surrogates: Vec<Option<f64>> = match self.strategy {
            ImputerStrategy::Mean => means(&columns, collective)?,
            ImputerStrategy::Median => {
                let medians = quantiles(columns, &[0.5], self.relative_error, collective)?;
                let medians = medians.into_iter();
                medians.map(|found| found.map(|values| values[0])).collect()
            }
            ImputerStrategy::Mode => modes(&columns, collective)?,
        };
        let surrogates = surrogates.into_iter().zip(&self.input_cols);
        let known = surrogates.map(|(surrogate, name)| {
            surrogate.ok_or_else(|| {
                Error::Table(TableError::ColumnType {
                    table: table.name().to_owned(),
                    column: name.clone(),
                    found: "missing values only".to_owned(),
                    expected: "a value to fill in".to_owned(),
                })
            })
        });
        Ok(ImputerModel {
            surrogates: known.collect::<Result<_>>()?,
            imputer: self.clone(),
        })
    }
}

/// Returns a column of numbers as `Float64`.
fn numbers(table: &Table, name: &str) -> Result<Series> {
    let series = column(table.frame(), name, table.rows())?;
    if !series.dtype().is_primitive_numeric() {
        return Err(Error::Table(TableError::ColumnType {
            table: table.name().to_owned(),
            column: name.to_owned(),
            found: series.dtype().to_string(),
            expected: "a column of numbers".to_owned(),
        }));
    }
    let cast = series.cast(&DataType::Float64);
    cast.map_err(TableError::about(table.name()))
}

fn means(columns: &[Vec<f64>], collective: &dyn Collective) -> Result<Vec<Option<f64>>> {
    let own = columns.iter().flat_map(|values| {
        let sum: f64 = values.iter().sum();
        [sum, values.len() as f64]
    });
    let own: Vec<f64> = own.collect();
    let all = all_reduce_f64(&own, ReduceOp::Sum, collective)?;
    let sums = all.chunks(2);
    Ok(sums
        .map(|sum| (sum[1] > 0.0).then(|| sum[0] / sum[1]))
        .collect())
}

fn modes(columns: &[Vec<f64>], collective: &dyn Collective) -> Result<Vec<Option<f64>>> {
    // As the bits of the numbers: JSON has no infinity. Adding 0 makes one zero of both.
    let count = |values: &Vec<f64>| {
        let mut counts: HashMap<u64, u64> = HashMap::new();
        for value in values {
            *counts.entry((value + 0.0).to_bits()).or_default() += 1;
        }
        counts.into_iter().collect::<Vec<(u64, u64)>>()
    };
    let own: Vec<_> = columns.iter().map(count).collect();
    let mut all: Vec<HashMap<u64, u64>> = vec![HashMap::new(); own.len()];
    for rank in all_gather_json(&own, collective)? {
        for (all, own) in all.iter_mut().zip(rank) {
            for (value, count) in own {
                *all.entry(value).or_default() += count;
            }
        }
    }
    let mode = |counts: HashMap<u64, u64>| {
        let counts = counts.into_iter();
        let counts = counts.map(|(bits, count)| (f64::from_bits(bits), count));
        let most = counts.max_by(|(a, of_a), (b, of_b)| of_a.cmp(of_b).then(b.total_cmp(a)));
        most.map(|(value, _)| value)
    };
    Ok(all.into_iter().map(mode).collect())
}

column_setters!(Imputer);
conversions!(Imputer, ImputerModel);

impl PipelineStage for Imputer {
    fn kind(&self) -> &'static str {
        "Imputer"
    }

    fn input_cols(&self) -> Vec<&str> {
        names(&self.input_cols)
    }

    fn output_cols(&self) -> Vec<&str> {
        names(&self.output_cols)
    }

    fn validate(&self) -> Result<()> {
        check_relative_error(self.relative_error)?;
        check_columns(&self.input_cols, &self.output_cols)
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

/// A fitted [`Imputer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImputerModel {
    imputer: Imputer,
    surrogates: Vec<f64>,
}

impl ImputerModel {
    /// What is filled in in each column: SparkML's `surrogateDF`.
    pub fn surrogates(&self) -> &[f64] {
        &self.surrogates
    }
}

impl Transformer for ImputerModel {
    fn stage(&self) -> &dyn PipelineStage {
        &self.imputer
    }

    fn check(&self) -> Result<()> {
        let columns = self.imputer.input_cols.len();
        check_count("surrogates", self.surrogates.len(), columns, "column")
    }

    fn apply(&self, table: &mut Table) -> Result<()> {
        let imputer = &self.imputer;
        let columns = imputer.input_cols.iter().zip(&imputer.output_cols);
        for ((input, output), surrogate) in columns.zip(&self.surrogates) {
            let about = || TableError::about(table.name().to_owned());
            let values = numbers(table, input)?;
            let values = values.f64().map_err(about())?.iter();
            let known = values.map(|value| value.is_some_and(|value| !imputer.is_missing(value)));
            let known: BooleanChunked = known.collect();
            let series = column(table.frame(), input, table.rows())?;
            let surrogate = Series::new("".into(), [*surrogate]);
            let surrogate = surrogate.cast(series.dtype()).map_err(about())?;
            let filled = series.zip_with(&known, &surrogate).map_err(about())?;
            table.set_column(filled.with_name(output.as_str().into()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::testing::{fit, fit_ranks, transform};

    fn frame() -> DataFrame {
        df!(
            "x" => [Some(4.0), None, Some(f64::NAN), Some(1.0), Some(1.0), Some(7.0)],
            "n" => [Some(3_i64), Some(3), None, Some(8), Some(9_007_199_254_740_993), None],
        )
        .unwrap()
    }

    fn imputer(strategy: ImputerStrategy) -> Imputer {
        Imputer::new()
            .strategy(strategy)
            .input_col("x")
            .output_col("known")
    }

    #[test]
    fn the_mean_the_lower_median_or_the_most_frequent_value_is_filled_in() {
        for (strategy, expected) in [
            (ImputerStrategy::Mean, 3.25),
            (ImputerStrategy::Median, 1.0),
            (ImputerStrategy::Mode, 1.0),
        ] {
            let model = fit(&imputer(strategy), &frame());
            assert_eq!(model.surrogates(), [expected]);
            let known = transform(model, &frame()).unwrap();
            let expected = [4.0, expected, expected, 1.0, 1.0, 7.0];
            assert_eq!(
                known.column("known").unwrap(),
                &Column::new("known".into(), expected)
            );
        }
    }

    #[test]
    fn integers_stay_what_they_are() {
        let imputer = Imputer::new().input_col("n").output_col("known");
        let imputer = imputer.strategy(ImputerStrategy::Median);
        let known = transform(fit(&imputer, &frame()), &frame()).unwrap();
        let expected = [3_i64, 3, 3, 8, 9_007_199_254_740_993, 3];
        assert_eq!(
            known.column("known").unwrap(),
            &Column::new("known".into(), expected)
        );
    }

    #[test]
    fn another_value_can_stand_for_a_missing_one() {
        let model = fit(&imputer(ImputerStrategy::Mean).missing_value(7.0), &frame());
        assert_eq!(model.surrogates(), [2.0]);
        let known = transform(model, &frame()).unwrap();
        let known = known.column("known").unwrap().f64().unwrap().clone();
        assert!(known.get(2).unwrap().is_nan());
        assert_eq!((known.get(1), known.get(5)), (Some(2.0), Some(2.0)));
    }

    #[test]
    fn a_column_of_nothing_is_an_error_in_every_rank() {
        let frame = df!("x" => [None::<f64>, Some(f64::NAN)]).unwrap();
        for strategy in [
            ImputerStrategy::Mean,
            ImputerStrategy::Median,
            ImputerStrategy::Mode,
        ] {
            for model in fit_ranks(&imputer(strategy), &frame, &[1, 1]) {
                let error = model.unwrap_err();
                assert!(error.to_string().contains("\"x\""), "{error}");
            }
        }
    }
}
