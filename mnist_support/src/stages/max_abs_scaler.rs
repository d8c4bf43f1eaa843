//! Rescales each feature by its largest absolute value.

use serde::{Deserialize, Serialize};

use super::{
    FitContext, StageModel,
    columns::{conversions, no_rows, vector_setters},
    stage::{PipelineStage, Transformer},
    table::Table,
};
use crate::{
    Result,
    collective::{Collective, ReduceOp, all_reduce_f64},
    data::{Affine, MaxAbs, Statistic},
};

/// Rescales each feature to [-1, 1] by its largest absolute value over all partitions, like
/// SparkML's `MaxAbsScaler`. Zeros stay zeros.
///
/// ```
/// use mnist_support::ml::{Fit, MaxAbsScaler, VectorAssembler, Transform};
/// use polars::prelude::*;
///
/// let frame = df!("change" => [-4.0, 1.0, 2.0])?;
/// let assembled = VectorAssembler::new().input_cols(["change"]).transform(&frame)?;
/// let scaler = MaxAbsScaler::new().fit(&assembled)?;
/// assert_eq!(scaler.max_abs(), [4.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxAbsScaler {
    input_col: String,
    output_col: String,
}

impl Default for MaxAbsScaler {
    fn default() -> Self {
        MaxAbsScaler {
            input_col: "features".to_owned(),
            output_col: "scaledFeatures".to_owned(),
        }
    }
}

impl MaxAbsScaler {
    /// Creates a scaler from `features` to `scaledFeatures`.
    pub fn new() -> Self {
        Self::default()
    }

    fn learn(&self, table: &Table, collective: &dyn Collective) -> Result<MaxAbsScalerModel> {
        let vector = table.vector_to_learn(&self.input_col, collective)?;
        let own = match &vector.scaling {
            None => vector.features.max_abs()?,
            Some(_) => {
                let mut own = MaxAbs::empty(vector.width());
                vector.for_each_block(|block| own.add(block.view()))?;
                own
            }
        };
        let max_abs = all_reduce_f64(own.values(), ReduceOp::Max, collective)?;
        if max_abs.iter().any(|largest| *largest < 0.0) {
            return Err(no_rows(&self.input_col, table.name()));
        }
        Ok(MaxAbsScalerModel {
            scaler: self.clone(),
            max_abs,
        })
    }
}

vector_setters!(MaxAbsScaler, "features", "scaledFeatures");
conversions!(MaxAbsScaler, MaxAbsScalerModel);

impl PipelineStage for MaxAbsScaler {
    fn kind(&self) -> &'static str {
        "MaxAbsScaler"
    }

    fn input_cols(&self) -> Vec<&str> {
        vec![&self.input_col]
    }

    fn output_cols(&self) -> Vec<&str> {
        vec![&self.output_col]
    }

    fn statistic(&self) -> Option<(&str, Statistic)> {
        Some((&self.input_col, Statistic::MaxAbs))
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

/// A fitted [`MaxAbsScaler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxAbsScalerModel {
    scaler: MaxAbsScaler,
    max_abs: Vec<f64>,
}

impl MaxAbsScalerModel {
    /// The largest absolute value of each feature.
    pub fn max_abs(&self) -> &[f64] {
        &self.max_abs
    }
}

impl Transformer for MaxAbsScalerModel {
    fn stage(&self) -> &dyn PipelineStage {
        &self.scaler
    }

    fn apply(&self, table: &mut Table) -> Result<()> {
        let width = self.max_abs.len();
        let vector = table.vector_of_width(&self.scaler.input_col, width)?;
        let factor = |largest: &f64| if *largest == 0.0 { 1.0 } else { 1.0 / largest };
        let affine = Affine {
            shift: vec![0.0; width],
            scale: self.max_abs.iter().map(factor).collect(),
            offset: vec![0.0; width],
        };
        table.set_vector(&self.scaler.output_col, vector.scaled_by(affine));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;
    use crate::{
        collective::thread_group,
        stages::{
            HandleInvalid, VectorAssembler,
            testing::{fit, lists, rows, table, transform},
        },
    };

    #[test]
    fn the_largest_absolute_value_becomes_1_and_zeros_stay() {
        let frame = df!("features" => lists(&[&[-4.0, 0.0], &[1.0, 0.0], &[2.0, 0.0]])).unwrap();
        let model = fit(&MaxAbsScaler::new(), &frame);
        assert_eq!(model.max_abs(), [4.0, 0.0]);
        let scaled = transform(model, &frame).unwrap();
        let expected = [[-1.0, 0.0], [0.25, 0.0], [0.5, 0.0]];
        assert_eq!(rows(&scaled, "scaledFeatures"), expected);
    }

    #[test]
    fn nan_is_not_counted_as_in_spark() {
        let frame = df!("a" => [Some(1.0), None, Some(-3.0)], "b" => [-4.0, 2.0, 1.0]).unwrap();
        let mut rows = table(&frame, 0);
        let assembler = VectorAssembler::new().input_cols(["a", "b"]);
        let assembler = assembler.handle_invalid(HandleInvalid::Keep);
        assembler.apply(&mut rows).unwrap();
        let rank = thread_group(1).remove(0);
        let model = MaxAbsScaler::new().learn(&rows, &rank).unwrap();
        // By Spark 4.3, of vectors with NaN in place of the null.
        assert_eq!(model.max_abs(), [3.0, 4.0]);
    }
}
