//! Scales each row to unit norm.

use serde::{Deserialize, Serialize};

use super::{
    FitContext, StageModel,
    columns::{conversions, vector_setters},
    number::Number,
    stage::{PipelineStage, Transformer},
    table::{Table, Vector},
};
use crate::{Error, Result, collective::Collective};

/// Scales each row of a vector column to a p-norm of 1, like SparkML's `Normalizer`. A row of zeros
/// stays as it is.
///
/// ```
/// use mnist_support::ml::{Normalizer, Transform, VectorAssembler};
/// use polars::prelude::*;
///
/// let frame = df!("x" => [3.0], "y" => [4.0])?;
/// let assembled = VectorAssembler::new().input_cols(["x", "y"]).transform(&frame)?;
/// let normalized = Normalizer::new().transform(&assembled)?;
/// let row = normalized.column("normFeatures")?.list()?.get_as_series(0).unwrap();
/// assert_eq!(row, Series::new("normFeatures".into(), [0.6, 0.8]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalizer {
    input_col: String,
    output_col: String,
    p: Number,
}

impl Default for Normalizer {
    fn default() -> Self {
        Normalizer {
            input_col: "features".to_owned(),
            output_col: "normFeatures".to_owned(),
            p: Number(2.0),
        }
    }
}

impl Normalizer {
    /// Creates a stage from `features` to `normFeatures`, with the norm of p = 2.
    pub fn new() -> Self {
        Self::default()
    }

    /// The p of the norm: at least 1; with infinity, the norm is the largest absolute value.
    /// Default: 2.
    pub fn p(mut self, p: f64) -> Self {
        self.p = Number(p);
        self
    }

    fn norm(&self, values: &[f64]) -> f64 {
        let values = values.iter().map(|value| value.abs());
        match self.p.0 {
            1.0 => values.sum(),
            2.0 => values.map(|value| value * value).sum::<f64>().sqrt(),
            p if p.is_infinite() => values.fold(0.0, f64::max),
            p => values.map(|value| value.powf(p)).sum::<f64>().powf(1.0 / p),
        }
    }
}

vector_setters!(Normalizer, "features", "normFeatures");
conversions!(Normalizer);

impl PipelineStage for Normalizer {
    fn kind(&self) -> &'static str {
        "Normalizer"
    }

    fn input_cols(&self) -> Vec<&str> {
        vec![&self.input_col]
    }

    fn output_cols(&self) -> Vec<&str> {
        vec![&self.output_col]
    }

    fn validate(&self) -> Result<()> {
        if self.p.0 >= 1.0 {
            return Ok(());
        }
        Err(Error::InvalidSetting {
            setting: "p",
            value: self.p.0.to_string(),
            reason: "must be at least 1".to_owned(),
        })
    }

    fn learns(&self) -> bool {
        false
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

impl Transformer for Normalizer {
    fn stage(&self) -> &dyn PipelineStage {
        self
    }

    fn apply(&self, table: &mut Table) -> Result<()> {
        // On its own, nothing has checked it before.
        self.validate()?;
        let vector = table.vector(&self.input_col)?;
        let own = self.clone();
        let normalized = vector.map_f64(table.budget(), move |values| {
            for mut row in values.rows_mut() {
                let norm = own.norm(&row.to_vec());
                if norm != 0.0 {
                    row.mapv_inplace(|value| value / norm);
                }
            }
        })?;
        table.set_vector(&self.output_col, Vector::new(normalized));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;
    use crate::stages::testing::{lists, rows, transform};

    #[test]
    fn each_row_has_the_norm_1_or_stays_zero() {
        let frame = df!("features" => lists(&[&[3.0, -4.0], &[0.0, 0.0]])).unwrap();
        for (p, expected) in [
            (1.0, [3.0 / 7.0, -4.0 / 7.0]),
            (2.0, [0.6, -0.8]),
            (f64::INFINITY, [0.75, -1.0]),
        ] {
            let normalized = transform(Normalizer::new().p(p), &frame).unwrap();
            assert_eq!(rows(&normalized, "normFeatures"), [expected, [0.0, 0.0]]);
        }
        let error = transform(Normalizer::new().p(0.5), &frame).unwrap_err();
        assert!(
            matches!(error, Error::InvalidSetting { setting: "p", .. }),
            "{error}"
        );
    }
}
