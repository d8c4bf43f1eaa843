//! What a stage is made of.

use super::{FitContext, Stage, StageModel, Table, TorchEstimator, TorchModel};
use crate::{Result, collective::Collective};

/// A stage before its fit.
pub(super) trait PipelineStage {
    /// What errors call it: its type's name.
    fn kind(&self) -> &'static str;

    /// The column that it adds.
    fn output_col(&self) -> &str;

    /// Fits it to one rank's rows, together with the other ranks; the model is the same in all of them.
    fn fit_shard(
        &self,
        table: &Table,
        collective: &dyn Collective,
        context: FitContext<'_>,
    ) -> Result<StageModel>;

    /// It itself, if it trains a network.
    fn torch_estimator(&self) -> Option<&TorchEstimator> {
        None
    }
}

/// A fitted stage.
pub(super) trait Transformer {
    /// Adds its column to one rank's rows.
    fn apply(&self, table: &mut Table) -> Result<()>;

    /// It itself, if it is a network.
    fn torch_model(&self) -> Option<&TorchModel> {
        None
    }
}

/// A stage that can be fitted by itself, as SparkML's `Estimator`: see
/// [`ml::Fit`](crate::ml::Fit).
pub trait Estimator: Clone + Into<Stage> {
    /// What its fit gives, as SparkML's `Model`.
    type Model: Clone + Into<StageModel>;

    /// The model in a fitted stage; `None` where that is another stage's.
    fn model(stage: StageModel) -> Option<Self::Model>;
}
