//! Combines numeric columns into one vector column.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    FitContext, Stage, StageModel,
    stage::{PipelineStage, Transformer},
    table::{Table, Vector},
};
use crate::{Error, Result, collective::Collective, data::Features};

/// Combines numeric columns into a vector column, like SparkML's `VectorAssembler`.
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VectorAssembler {
    input_cols: Vec<String>,
    output_col: String,
}

impl Default for VectorAssembler {
    fn default() -> Self {
        VectorAssembler {
            input_cols: Vec::new(),
            output_col: "features".to_owned(),
        }
    }
}

impl VectorAssembler {
    /// The columns that it assembles.
    pub(crate) fn columns(&self) -> &[String] {
        &self.input_cols
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
}

impl PipelineStage for VectorAssembler {
    fn kind(&self) -> &'static str {
        "VectorAssembler"
    }

    fn input_cols(&self) -> Vec<&str> {
        self.input_cols.iter().map(String::as_str).collect()
    }

    fn output_cols(&self) -> Vec<&str> {
        vec![&self.output_col]
    }

    fn learns(&self) -> bool {
        false
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

impl From<VectorAssembler> for Stage {
    fn from(stage: VectorAssembler) -> Self {
        Stage::VectorAssembler(stage)
    }
}

impl From<VectorAssembler> for StageModel {
    fn from(stage: VectorAssembler) -> Self {
        StageModel::VectorAssembler(stage)
    }
}

impl Transformer for VectorAssembler {
    fn input_cols(&self) -> Vec<&str> {
        self.input_cols.iter().map(String::as_str).collect()
    }

    fn output_cols(&self) -> Vec<&str> {
        vec![&self.output_col]
    }

    fn apply(&self, table: &mut Table) -> Result<()> {
        if self.input_cols.is_empty() {
            return Err(Error::InvalidSetting {
                setting: "input_cols",
                value: "[]".to_owned(),
                reason: "must name at least one column".to_owned(),
            });
        }
        let features = Features::from_frame(table.frame(), &self.input_cols, table.rows())?;
        table.set_vector(
            &self.output_col,
            Vector {
                features: Arc::new(features),
                scaling: None,
            },
        );
        Ok(())
    }
}
