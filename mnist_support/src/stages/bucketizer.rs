//! Numbers as the buckets that they fall into.

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    FitContext, HandleInvalid, StageModel,
    columns::{check_columns, column_setters, conversions, names},
    number::Number,
    stage::{PipelineStage, Transformer},
    table::Table,
};
use crate::{Error, Result, collective::Collective, data::numeric_or_null, error::TableError};

/// Turns numbers into the buckets that they fall into, like SparkML's `Bucketizer`: bucket `i` is
/// from `splits[i]` to below `splits[i + 1]`, the last one up to and with its end.
///
/// ```
/// use mnist_support::ml::{Bucketizer, Transform};
/// use polars::prelude::*;
///
/// let frame = df!("age" => [3.0, 18.0, 70.0])?;
/// let bucketizer = Bucketizer::new()
///     .input_col("age")
///     .output_col("group")
///     .splits([0.0, 18.0, 65.0, f64::INFINITY]);
/// let buckets = bucketizer.transform(&frame)?;
/// assert_eq!(buckets.column("group")?, &Column::new("group".into(), [0.0, 1.0, 2.0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucketizer {
    input_cols: Vec<String>,
    output_cols: Vec<String>,
    splits: Vec<Vec<Number>>,
    handle_invalid: HandleInvalid,
}

impl Bucketizer {
    /// Creates a stage of no columns.
    pub fn new() -> Self {
        Self::default()
    }

    /// The ends of the buckets of a single column: at least three, each above the one before. The
    /// outer ones may be infinite.
    pub fn splits(self, splits: impl IntoIterator<Item = f64>) -> Self {
        self.splits_array([splits])
    }

    /// The ends of the buckets of each column.
    pub fn splits_array<S: IntoIterator<Item = f64>>(
        mut self,
        splits: impl IntoIterator<Item = S>,
    ) -> Self {
        let splits = splits.into_iter();
        self.splits = splits
            .map(|splits| splits.into_iter().map(Number).collect())
            .collect();
        self
    }

    /// What becomes of NaN: [`HandleInvalid::Keep`] gives it a bucket of its own after the others.
    /// As in SparkML, null stays null, unless [`HandleInvalid::Skip`] leaves its row out, too, and
    /// a number outside all buckets is always an error. Default: [`HandleInvalid::Error`].
    pub fn handle_invalid(mut self, handle_invalid: HandleInvalid) -> Self {
        self.handle_invalid = handle_invalid;
        self
    }

    /// The ends of each column's buckets.
    pub fn get_splits_array(&self) -> Vec<Vec<f64>> {
        let splits = self.splits.iter();
        splits
            .map(|splits| splits.iter().map(|split| split.0).collect())
            .collect()
    }

    fn check_splits(&self) -> Result<()> {
        let invalid = |reason: String| {
            Err(Error::InvalidSetting {
                setting: "splits",
                value: format!("{:?}", self.get_splits_array()),
                reason,
            })
        };
        if self.splits.len() != self.input_cols.len() {
            let columns = self.input_cols.len();
            return invalid(format!("must be as many lists as input columns, {columns}"));
        }
        let rising = |splits: &Vec<Number>| splits.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if self
            .splits
            .iter()
            .all(|splits| splits.len() >= 3 && rising(splits))
        {
            return Ok(());
        }
        invalid("must be at least three numbers, each above the one before".to_owned())
    }

    /// Returns the bucket of each number of a column; `None` for one that has none.
    fn buckets(&self, table: &Table, name: &str, splits: &[Number]) -> Result<Vec<Option<f64>>> {
        let rows = table.rows();
        let series = numeric_or_null(table.frame(), name, rows)?;
        let numbers = series.f64().map_err(TableError::about(table.name()))?;
        let last = splits.len() - 1;
        let bucket = |(row, number): (usize, Option<f64>)| {
            let number = match number {
                Some(number) if !number.is_nan() => number,
                invalid => {
                    return match (self.handle_invalid, invalid) {
                        (HandleInvalid::Error, Some(nan)) => {
                            let expected = "a number with a bucket; see handle_invalid";
                            Err(rows.invalid(row, name, nan, expected))
                        }
                        (HandleInvalid::Keep, Some(_)) => Ok(Some(last as f64)),
                        (_, None) | (HandleInvalid::Skip, _) => Ok(None),
                    };
                }
            };
            // A number at a split is the first of the bucket that starts there.
            let above = splits.partition_point(|split| split.0 <= number);
            match above {
                0 => {}
                above if above <= last => return Ok(Some((above - 1) as f64)),
                _ if number == splits[last].0 => return Ok(Some((last - 1) as f64)),
                _ => {}
            }
            let expected = format!("from {} to {}", splits[0].0, splits[last].0);
            Err(rows.invalid(row, name, number, &expected))
        };
        numbers.iter().enumerate().map(bucket).collect()
    }
}

column_setters!(Bucketizer);
conversions!(Bucketizer);

impl PipelineStage for Bucketizer {
    fn kind(&self) -> &'static str {
        "Bucketizer"
    }

    fn input_cols(&self) -> Vec<&str> {
        names(&self.input_cols)
    }

    fn output_cols(&self) -> Vec<&str> {
        names(&self.output_cols)
    }

    fn validate(&self) -> Result<()> {
        check_columns(&self.input_cols, &self.output_cols)?;
        self.check_splits()
    }

    fn learns(&self) -> bool {
        false
    }

    fn leaves_rows_out(&self) -> bool {
        self.handle_invalid == HandleInvalid::Skip
    }

    fn fit_shard(
        &self,
        _table: &Table,
        _collective: &dyn Collective,
        _context: FitContext<'_>,
    ) -> Result<StageModel> {
        Ok(self.clone().into())
    }
}

impl Transformer for Bucketizer {
    fn stage(&self) -> &dyn PipelineStage {
        self
    }

    fn apply(&self, table: &mut Table) -> Result<()> {
        // On its own, nothing has checked it before.
        self.validate()?;
        let mut added = Vec::new();
        for ((input, output), splits) in self
            .input_cols
            .iter()
            .zip(&self.output_cols)
            .zip(&self.splits)
        {
            added.push((output, self.buckets(table, input, splits)?));
        }
        for (output, buckets) in &added {
            table.set_column(Series::new(output.as_str().into(), buckets))?;
        }
        if self.handle_invalid == HandleInvalid::Skip {
            let keep = (0..table.height())
                .map(|row| added.iter().all(|(_, buckets)| buckets[row].is_some()));
            table.keep(&keep.collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::testing::transform;

    fn bucketizer() -> Bucketizer {
        Bucketizer::new()
            .input_col("x")
            .output_col("bucket")
            .splits([0.0, 1.0, 2.0])
    }

    #[test]
    fn a_split_belongs_to_the_bucket_above_and_the_end_to_the_last() {
        let frame = df!("x" => [0.0, 0.5, 1.0, 2.0]).unwrap();
        let expected = Column::new("bucket".into(), [0.0, 0.0, 1.0, 1.0]);
        let buckets = transform(bucketizer(), &frame).unwrap();
        assert_eq!(buckets.column("bucket").unwrap(), &expected);
    }

    #[test]
    fn nan_is_an_error_that_names_the_row_or_left_out_or_kept() {
        let frame = df!("x" => [Some(0.5), Some(f64::NAN), None]).unwrap();
        let error = transform(bucketizer(), &frame).unwrap_err();
        assert!(
            matches!(error, Error::Table(TableError::InvalidValue { row: 2, .. })),
            "{error}"
        );
        let skipping = bucketizer().handle_invalid(HandleInvalid::Skip);
        assert_eq!(transform(skipping, &frame).unwrap().height(), 1);
        let keeping = bucketizer().handle_invalid(HandleInvalid::Keep);
        let kept = transform(keeping, &frame).unwrap();
        let expected = Column::new("bucket".into(), [Some(0.0), Some(2.0), None]);
        assert_eq!(kept.column("bucket").unwrap(), &expected);
    }

    #[test]
    fn a_number_outside_and_splits_that_fall_are_refused() {
        let frame = df!("x" => [0.5, 3.0]).unwrap();
        let keeping = bucketizer().handle_invalid(HandleInvalid::Keep);
        let error = transform(keeping, &frame).unwrap_err();
        assert!(
            matches!(&error, Error::Table(TableError::InvalidValue { row: 2, expected, .. }) if expected == "from 0 to 2"),
            "{error}"
        );
        for splits in [
            vec![0.0, 1.0],
            vec![0.0, 2.0, 1.0],
            vec![0.0, f64::NAN, 1.0],
        ] {
            let error = transform(bucketizer().splits(splits), &frame).unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::InvalidSetting {
                        setting: "splits",
                        ..
                    }
                ),
                "{error}"
            );
        }
    }
}
