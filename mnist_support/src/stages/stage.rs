//! The stages of a pipeline, before and after a fit.

use serde::{Deserialize, Serialize};

use super::{
    FitContext, MinMaxScaler, MinMaxScalerModel, TorchEstimator, TorchModel, VectorAssembler,
    table::Table,
};
use crate::{Result, collective::Collective};

/// A stage of a pipeline that has not been fitted: data that can be sent to another process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Stage {
    /// Number columns to a vector column.
    VectorAssembler(VectorAssembler),
    /// A vector column scaled feature by feature.
    MinMaxScaler(MinMaxScaler),
    /// A network.
    TorchEstimator(Box<TorchEstimator>),
}

impl From<VectorAssembler> for Stage {
    fn from(stage: VectorAssembler) -> Self {
        Stage::VectorAssembler(stage)
    }
}

impl From<MinMaxScaler> for Stage {
    fn from(stage: MinMaxScaler) -> Self {
        Stage::MinMaxScaler(stage)
    }
}

impl From<TorchEstimator> for Stage {
    fn from(stage: TorchEstimator) -> Self {
        Stage::TorchEstimator(Box::new(stage))
    }
}

impl Stage {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Stage::VectorAssembler(_) => "VectorAssembler",
            Stage::MinMaxScaler(_) => "MinMaxScaler",
            Stage::TorchEstimator(_) => "TorchEstimator",
        }
    }

    /// The estimator, where the stage is one.
    pub(crate) fn estimator(&self) -> Option<&TorchEstimator> {
        match self {
            Stage::TorchEstimator(estimator) => Some(estimator),
            Stage::VectorAssembler(_) | Stage::MinMaxScaler(_) => None,
        }
    }

    /// The column that the stage adds.
    pub(crate) fn output_col(&self) -> &str {
        match self {
            Stage::VectorAssembler(stage) => &stage.output_col,
            Stage::MinMaxScaler(stage) => &stage.output_col,
            Stage::TorchEstimator(stage) => &stage.prediction_col,
        }
    }

    /// Fits the stage to one copy's rows, together with the other copies.
    pub(crate) fn fit_shard(
        &self,
        table: &Table,
        collective: &dyn Collective,
        context: FitContext<'_>,
    ) -> Result<StageModel> {
        Ok(match self {
            Stage::VectorAssembler(stage) => StageModel::VectorAssembler(stage.clone()),
            Stage::MinMaxScaler(stage) => {
                StageModel::MinMaxScaler(stage.fit_shard(table, collective)?)
            }
            Stage::TorchEstimator(stage) => {
                StageModel::Torch(Box::new(stage.fit_shard(table, collective, context)?))
            }
        })
    }
}

/// A stage of a fitted pipeline.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StageModel {
    /// Needs no fit.
    VectorAssembler(VectorAssembler),
    /// A fitted scaler.
    MinMaxScaler(MinMaxScalerModel),
    /// A trained network.
    Torch(Box<TorchModel>),
}

impl StageModel {
    /// Whether its fit was stopped on request.
    pub(crate) fn is_interrupted(&self) -> bool {
        matches!(self, StageModel::Torch(model) if model.report().interrupted)
    }

    /// Adds the stage's column to a copy's rows.
    pub(crate) fn apply(&self, table: &mut Table) -> Result<()> {
        match self {
            StageModel::VectorAssembler(model) => model.apply(table),
            StageModel::MinMaxScaler(model) => model.apply(table),
            StageModel::Torch(model) => model.apply(table),
        }
    }
}
