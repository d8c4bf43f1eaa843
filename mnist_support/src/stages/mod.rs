//! The stages of a pipeline, before and after fitting, on the rows of one rank.
//!
//! A stage knows its columns, its settings, and how one rank fits it together with the others. It
//! does not know where the ranks run.
//!
//! A stage is one file: its settings, which implement [`PipelineStage`], and the model that fitting
//! gives, which implements [`Transformer`]. In this file it has a line in each of [`Stage`],
//! [`StageModel`] and the functions that delegate to it.

mod columns;
mod context;
mod index_to_string;
mod label;
mod min_max_scaler;
mod persistence;
mod stage;
mod standard_scaler;
mod string_indexer;
mod strings;
mod table;
mod torch_estimator;
mod torch_model;
mod vector_assembler;

use serde::{Deserialize, Serialize};

use self::{
    persistence::{GetTensors, PutTensors},
    stage::{PipelineStage, Transformer},
    torch_model::SavedTorchModel,
};
use crate::{Result, collective::Collective};

pub use self::{
    columns::HandleInvalid,
    context::FitContext,
    index_to_string::IndexToString,
    label::Label,
    min_max_scaler::{MinMaxScaler, MinMaxScalerModel},
    stage::Estimator,
    standard_scaler::{StandardScaler, StandardScalerModel},
    string_indexer::{StringIndexer, StringIndexerModel, StringOrderType},
    torch_estimator::TorchEstimator,
    torch_model::TorchModel,
    vector_assembler::VectorAssembler,
};
pub(crate) use self::{
    index_to_string::Labels,
    persistence::{load, save},
    table::Table,
};

/// An unfitted stage of a pipeline, as data that can be sent to another process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Stage {
    /// Combines numeric columns into a vector column.
    VectorAssembler(VectorAssembler),
    /// Rescales each feature of a vector column to a range.
    MinMaxScaler(MinMaxScaler),
    /// Scales each feature of a vector column to unit standard deviation.
    StandardScaler(StandardScaler),
    /// Numbers the words of columns.
    StringIndexer(StringIndexer),
    /// Turns indices into the words that they stand for.
    IndexToString(IndexToString),
    /// Trains a network.
    TorchEstimator(Box<TorchEstimator>),
}

/// A fitted stage of a pipeline.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StageModel {
    /// Needs no fitting.
    VectorAssembler(VectorAssembler),
    /// A fitted scaler.
    MinMaxScaler(MinMaxScalerModel),
    /// A fitted scaler.
    StandardScaler(StandardScalerModel),
    /// The words of columns, numbered.
    StringIndexer(StringIndexerModel),
    /// Needs no fitting.
    IndexToString(IndexToString),
    /// A trained network.
    Torch(Box<TorchModel>),
}

/// A [`StageModel`] as JSON. Its tensors are in a file of their own.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
enum SavedStage {
    VectorAssembler(VectorAssembler),
    MinMaxScaler(MinMaxScalerModel),
    StandardScaler(StandardScalerModel),
    StringIndexer(StringIndexerModel),
    IndexToString(IndexToString),
    Torch(Box<SavedTorchModel>),
}

impl Stage {
    fn stage(&self) -> &dyn PipelineStage {
        match self {
            Stage::VectorAssembler(stage) => stage,
            Stage::MinMaxScaler(stage) => stage,
            Stage::StandardScaler(stage) => stage,
            Stage::StringIndexer(stage) => stage,
            Stage::IndexToString(stage) => stage,
            Stage::TorchEstimator(stage) => &**stage,
        }
    }

    /// The stage's name in error messages.
    pub(crate) fn kind(&self) -> &'static str {
        self.stage().kind()
    }

    /// The columns that the stage reads.
    pub(crate) fn input_cols(&self) -> Vec<&str> {
        self.stage().input_cols()
    }

    /// The columns that the stage adds.
    pub(crate) fn output_cols(&self) -> Vec<&str> {
        self.stage().output_cols()
    }

    /// Checks what can be checked before any row is read.
    pub(crate) fn validate(&self) -> Result<()> {
        self.stage().validate()
    }

    /// Whether the stage learns from the rows.
    pub(crate) fn learns(&self) -> bool {
        self.stage().learns()
    }

    /// The estimator, if the stage trains a network.
    pub(crate) fn estimator(&self) -> Option<&TorchEstimator> {
        self.stage().torch_estimator()
    }

    /// Fits the stage to one rank's rows, together with the other ranks.
    pub(crate) fn fit_shard(
        &self,
        table: &Table,
        collective: &dyn Collective,
        context: FitContext<'_>,
    ) -> Result<StageModel> {
        self.stage().fit_shard(table, collective, context)
    }
}

impl StageModel {
    fn transformer(&self) -> &dyn Transformer {
        match self {
            StageModel::VectorAssembler(model) => model,
            StageModel::MinMaxScaler(model) => model,
            StageModel::StandardScaler(model) => model,
            StageModel::StringIndexer(model) => model,
            StageModel::IndexToString(model) => model,
            StageModel::Torch(model) => &**model,
        }
    }

    /// Whether a stop request ended the fit.
    pub(crate) fn is_interrupted(&self) -> bool {
        let model = self.transformer().torch_model();
        model.is_some_and(|model| model.report().interrupted)
    }

    /// The columns that the stage reads.
    pub(crate) fn input_cols(&self) -> Vec<&str> {
        self.transformer().input_cols()
    }

    /// The columns that the stage adds.
    pub(crate) fn output_cols(&self) -> Vec<&str> {
        self.transformer().output_cols()
    }

    /// Adds the stage's columns to one rank's rows.
    pub(crate) fn apply(&self, table: &mut Table) -> Result<()> {
        self.transformer().apply(table)
    }

    /// The network, if the stage is one.
    pub(crate) fn torch_model(&self) -> Option<&TorchModel> {
        self.transformer().torch_model()
    }

    fn to_saved(&self, put: &mut PutTensors<'_>) -> Result<SavedStage> {
        Ok(match self {
            StageModel::VectorAssembler(model) => SavedStage::VectorAssembler(model.clone()),
            StageModel::MinMaxScaler(model) => SavedStage::MinMaxScaler(model.clone()),
            StageModel::StandardScaler(model) => SavedStage::StandardScaler(model.clone()),
            StageModel::StringIndexer(model) => SavedStage::StringIndexer(model.clone()),
            StageModel::IndexToString(model) => SavedStage::IndexToString(model.clone()),
            StageModel::Torch(model) => SavedStage::Torch(Box::new(model.to_saved(put)?)),
        })
    }

    fn from_saved(saved: SavedStage, get: &GetTensors<'_>) -> Result<StageModel> {
        Ok(match saved {
            SavedStage::VectorAssembler(model) => StageModel::VectorAssembler(model),
            SavedStage::MinMaxScaler(model) => StageModel::MinMaxScaler(model),
            SavedStage::StandardScaler(model) => StageModel::StandardScaler(model),
            SavedStage::StringIndexer(model) => StageModel::StringIndexer(model),
            SavedStage::IndexToString(model) => StageModel::IndexToString(model),
            SavedStage::Torch(saved) => {
                StageModel::Torch(Box::new(TorchModel::from_saved(*saved, get)?))
            }
        })
    }
}
