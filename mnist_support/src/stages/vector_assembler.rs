//! Combines columns into one vector column.

use serde::{Deserialize, Serialize};

use super::{
    FitContext, HandleInvalid, StageModel,
    columns::{conversions, names},
    stage::{PipelineStage, Transformer},
    table::{Table, Vector},
};
use crate::{
    Error, Result,
    collective::Collective,
    data::{Features, is_list, numeric_or_null},
    error::TableError,
};

/// Combines columns into a vector column, like SparkML's `VectorAssembler`: numbers, booleans (0
/// and 1), vector columns of stages before and columns of lists of one length.
///
/// ```
/// use mnist_support::ml::{Transform, VectorAssembler};
/// use polars::prelude::*;
///
/// let frame = df!("width" => [1_u8, 2], "height" => [3_u8, 4])?;
/// let assembler = VectorAssembler::new().input_cols(["width", "height"]).output_col("features");
/// assert_eq!(assembler.transform(&frame)?.column("features")?.list()?.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Spark refuses dates and times. Here, a date becomes the days since 1970-01-01, a time the
/// seconds since then, and a duration its seconds. They are kept in 64 bits until they are scaled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VectorAssembler {
    input_cols: Vec<String>,
    output_col: String,
    #[serde(default)]
    handle_invalid: HandleInvalid,
}

impl Default for VectorAssembler {
    fn default() -> Self {
        VectorAssembler {
            input_cols: Vec::new(),
            output_col: "features".to_owned(),
            handle_invalid: HandleInvalid::Error,
        }
    }
}

impl VectorAssembler {
    /// Creates an assembler of no columns into `features`.
    pub fn new() -> Self {
        Self::default()
    }

    /// The columns to assemble, in this order.
    pub fn input_cols<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.input_cols = names.into_iter().map(Into::into).collect();
        self
    }

    /// The vector column to add. Default: `features`.
    pub fn output_col(mut self, name: impl Into<String>) -> Self {
        self.output_col = name.into();
        self
    }

    /// What becomes of a row with a null or NaN. [`HandleInvalid::Skip`] leaves the row out.
    /// [`HandleInvalid::Keep`] makes NaN of it, which no network takes: something has to fill it in
    /// before. Default: [`HandleInvalid::Error`].
    ///
    /// ```
    /// use mnist_support::ml::{HandleInvalid, Transform, VectorAssembler};
    /// use polars::prelude::*;
    ///
    /// let frame = df!("age" => [Some(22.0), None, Some(38.0)])?;
    /// let assembler = VectorAssembler::new().input_cols(["age"]);
    /// assert!(assembler.transform(&frame).is_err());
    /// let known = assembler.handle_invalid(HandleInvalid::Skip).transform(&frame)?;
    /// assert_eq!(known.height(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handle_invalid(mut self, handle_invalid: HandleInvalid) -> Self {
        self.handle_invalid = handle_invalid;
        self
    }

    /// The columns that it assembles.
    pub(crate) fn columns(&self) -> &[String] {
        &self.input_cols
    }

    /// Which rows have neither null nor NaN.
    fn valid_rows(&self, table: &Table) -> Result<Vec<bool>> {
        let mut valid = vec![true; table.height()];
        for name in &self.input_cols {
            if table.has_vector(name) {
                continue;
            }
            if is_list(table.frame(), name) {
                let column = table.frame().column(name);
                let present = column
                    .map_err(TableError::about(table.name()))?
                    .is_not_null();
                for (valid, present) in valid.iter_mut().zip(present.iter()) {
                    *valid &= present.unwrap_or(false);
                }
                continue;
            }
            let series = numeric_or_null(table.frame(), name, table.rows())?;
            let values = series.f64().map_err(TableError::about(table.name()))?;
            for (valid, value) in valid.iter_mut().zip(values.iter()) {
                *valid &= value.is_some_and(|value| !value.is_nan());
            }
        }
        Ok(valid)
    }

    /// Returns the columns side by side.
    fn assemble(&self, table: &Table) -> Result<Features> {
        let is_vector = |name: &String| table.has_vector(name) || is_list(table.frame(), name);
        let keep = self.handle_invalid == HandleInvalid::Keep;
        if !keep && !self.input_cols.iter().any(is_vector) {
            return Features::from_frame(table.frame(), &self.input_cols, table.rows());
        }
        let mut parts = Vec::new();
        for columns in self
            .input_cols
            .chunk_by(|a, b| !is_vector(a) && !is_vector(b))
        {
            parts.push(match columns {
                [name] if is_vector(name) => table.vector(name)?.values()?,
                columns if keep => with_nan(table, columns)?,
                columns => Features::from_frame(table.frame(), columns, table.rows())?,
            });
        }
        Features::concatenate(&parts, table.name())
    }
}

/// Returns columns of numbers with NaN for null.
fn with_nan(table: &Table, columns: &[String]) -> Result<Features> {
    let about = || TableError::about(table.name().to_owned());
    let mut filled = Vec::new();
    for name in columns {
        let series = numeric_or_null(table.frame(), name, table.rows())?;
        let values = series.f64().map_err(about())?;
        filled.push(
            values
                .iter()
                .map(|value| value.unwrap_or(f64::NAN))
                .collect(),
        );
    }
    Ok(Features::from_columns(&filled, table.height()))
}

conversions!(VectorAssembler);

impl PipelineStage for VectorAssembler {
    fn kind(&self) -> &'static str {
        "VectorAssembler"
    }

    fn input_cols(&self) -> Vec<&str> {
        names(&self.input_cols)
    }

    fn output_cols(&self) -> Vec<&str> {
        vec![&self.output_col]
    }

    fn learns(&self) -> bool {
        false
    }

    fn leaves_rows_out(&self) -> bool {
        self.handle_invalid == HandleInvalid::Skip
    }

    /// There is nothing to learn.
    fn fit_shard(
        &self,
        _table: &Table,
        _collective: &dyn Collective,
        _context: FitContext<'_>,
    ) -> Result<StageModel> {
        Ok(self.clone().into())
    }
}

impl Transformer for VectorAssembler {
    fn stage(&self) -> &dyn PipelineStage {
        self
    }

    fn apply(&self, table: &mut Table) -> Result<()> {
        if self.input_cols.is_empty() {
            return Err(Error::InvalidSetting {
                setting: "input_cols",
                value: "[]".to_owned(),
                reason: "must name at least one column".to_owned(),
            });
        }
        if self.handle_invalid == HandleInvalid::Skip {
            let valid = self.valid_rows(table)?;
            table.keep(&valid)?;
        }
        let features = self.assemble(table)?;
        table.set_vector(&self.output_col, Vector::new(features));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::*;

    use super::*;
    use crate::stages::{
        MinMaxScaler, StageModel,
        testing::{fit, lists, rows, table, transform},
    };

    #[test]
    fn numbers_booleans_lists_and_vectors_of_stages_before_are_put_side_by_side() {
        let frame = df!(
            "n" => [1_u8, 2],
            "flag" => [true, false],
            "features" => lists(&[&[0.5, 6.0], &[1.5, 7.0]]),
        )
        .unwrap();
        let mut table = table(&frame, 0);
        let scaler = fit(&MinMaxScaler::new(), &frame);
        StageModel::from(scaler).apply(&mut table).unwrap();
        let columns = ["n", "scaledFeatures", "flag", "features"];
        let assembler = VectorAssembler::new().input_cols(columns).output_col("all");
        assembler.apply(&mut table).unwrap();
        let all = table.into_frame().unwrap();
        assert_eq!(
            rows(&all, "all"),
            [
                [1.0, 0.0, 0.0, 1.0, 0.5, 6.0],
                [2.0, 1.0, 1.0, 0.0, 1.5, 7.0]
            ]
        );
    }

    #[test]
    fn rows_with_holes_are_left_out_or_become_nan() {
        let frame = df!(
            "x" => [Some(1.0), None, Some(f64::NAN), Some(4.0)],
            "n" => [1_i64, 2, 3, 4],
        )
        .unwrap();
        let assembler = VectorAssembler::new().input_cols(["x", "n"]);
        let skipping = assembler.clone().handle_invalid(HandleInvalid::Skip);
        let left = transform(skipping, &frame).unwrap();
        assert_eq!(rows(&left, "features"), [[1.0, 1.0], [4.0, 4.0]]);
        let keeping = assembler.handle_invalid(HandleInvalid::Keep);
        let kept = rows(&transform(keeping, &frame).unwrap(), "features");
        assert_eq!(kept[3], [4.0, 4.0]);
        assert!(kept[1][0].is_nan() && kept[2][0].is_nan() && kept[1][1] == 2.0);
    }

    #[test]
    fn seconds_since_1970_that_are_scaled_stay_apart() {
        let seconds: Vec<i64> = (0..100).map(|second| 1_700_000_000 + second).collect();
        let frame = df!("time" => seconds).unwrap();
        let assembled = transform(VectorAssembler::new().input_cols(["time"]), &frame).unwrap();
        let scaler = fit(&MinMaxScaler::new(), &assembled);
        let scaled = rows(&transform(scaler, &assembled).unwrap(), "scaledFeatures");
        for (second, row) in scaled.iter().enumerate() {
            assert!(
                (row[0] - second as f64 / 99.0).abs() < 1e-12,
                "{second}: {row:?}"
            );
        }
    }
}
