//! The traits that make up a stage.

use super::{FitContext, Stage, StageModel, Table, TorchEstimator, TorchModel};
use crate::{Result, collective::Collective, data::Statistic};

/// An unfitted stage.
pub(super) trait PipelineStage {
    /// The name of its type, for error messages.
    fn kind(&self) -> &'static str;

    /// The columns that it reads: the table's own, or those of stages before it.
    fn input_cols(&self) -> Vec<&str>;

    /// The columns that it adds. The first names the stage's folder in a run.
    fn output_cols(&self) -> Vec<&str>;

    /// Checks what can be checked before any row is read.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`](crate::Error::InvalidSetting) and
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch).
    fn validate(&self) -> Result<()> {
        Ok(())
    }

    /// Fits it to one rank's rows, together with the other ranks. The model is the same in all of
    /// them.
    fn fit_shard(
        &self,
        table: &Table,
        collective: &dyn Collective,
        context: FitContext<'_>,
    ) -> Result<StageModel>;

    /// Whether it learns from the rows. A stage that doesn't is fitted without them.
    fn learns(&self) -> bool {
        true
    }

    /// What it learns from which vector column, so that it can be taken as the rows are read.
    fn statistic(&self) -> Option<(&str, Statistic)> {
        None
    }

    /// Whether it may leave rows out, so that others must not come before it in its place.
    fn leaves_rows_out(&self) -> bool {
        false
    }

    /// Returns itself if it trains a network.
    fn torch_estimator(&self) -> Option<&TorchEstimator> {
        None
    }
}

/// A fitted stage.
pub(super) trait Transformer {
    /// The stage that it was fitted from, which knows its name and its columns.
    fn stage(&self) -> &dyn PipelineStage;

    /// The columns that it reads: those that the stage learnt from, unless it needs others.
    fn input_cols(&self) -> Vec<&str> {
        self.stage().input_cols()
    }

    /// Checks what was read from a file: whoever wrote it may have altered it.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Adds its columns to one rank's rows.
    fn apply(&self, table: &mut Table) -> Result<()>;

    /// Returns itself if it is a network.
    fn torch_model(&self) -> Option<&TorchModel> {
        None
    }
}

/// A stage that can be fitted on its own, like SparkML's `Estimator`: see
/// [`ml::Fit`](crate::ml::Fit).
pub trait Estimator: Clone + Into<Stage> {
    /// The result of fitting, like SparkML's `Model`.
    type Model: Clone + Into<StageModel>;

    /// Extracts the model from a fitted stage; `None` if it is another stage's.
    fn model(stage: StageModel) -> Option<Self::Model>;
}
