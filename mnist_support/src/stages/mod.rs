//! The stages of a pipeline, before and after fitting, on the rows of one rank.
//!
//! A stage knows its columns, its settings, and how one rank fits it together with the others. It
//! does not know where the ranks run.
//!
//! A stage is one file: its settings, which implement [`PipelineStage`], and the model that fitting
//! gives, which implements [`Transformer`]. In this file it has a line in each of [`Stage`],
//! [`StageModel`] and the functions that delegate to it.

mod bucketizer;
mod column_blocks;
mod columns;
mod context;
mod image_decoder;
mod imputer;
mod index_to_string;
mod label;
mod max_abs_scaler;
mod min_max_scaler;
mod normalizer;
mod number;
mod one_hot_encoder;
mod persistence;
mod quantile_discretizer;
mod quantiles;
mod robust_scaler;
mod stage;
mod standard_scaler;
mod string_indexer;
mod strings;
mod table;
#[cfg(test)]
mod testing;
mod torch_estimator;
mod torch_model;
mod vector_assembler;

use serde::{Deserialize, Serialize};

use self::{
    persistence::{GetTensors, PutTensors},
    stage::{PipelineStage, Transformer},
    torch_model::SavedTorchModel,
};
use crate::{Result, collective::Collective, data::Statistic};

pub use self::{
    bucketizer::Bucketizer,
    columns::HandleInvalid,
    context::FitContext,
    image_decoder::ImageDecoder,
    imputer::{Imputer, ImputerModel, ImputerStrategy},
    index_to_string::IndexToString,
    label::Label,
    max_abs_scaler::{MaxAbsScaler, MaxAbsScalerModel},
    min_max_scaler::{MinMaxScaler, MinMaxScalerModel},
    normalizer::Normalizer,
    one_hot_encoder::{OneHotEncoder, OneHotEncoderModel},
    quantile_discretizer::QuantileDiscretizer,
    robust_scaler::{RobustScaler, RobustScalerModel},
    stage::Estimator,
    standard_scaler::{StandardScaler, StandardScalerModel},
    string_indexer::{StringIndexer, StringIndexerModel, StringOrderType},
    torch_estimator::TorchEstimator,
    torch_model::TorchModel,
    vector_assembler::VectorAssembler,
};
pub(crate) use self::{
    context::Deal,
    index_to_string::Labels,
    persistence::{load, save},
    table::{ColumnReading, Streaming, Table},
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
    /// Turns indices of categories into vectors of one 1.
    OneHotEncoder(OneHotEncoder),
    /// Fills in missing numbers.
    Imputer(Imputer),
    /// Rescales each feature by its largest absolute value.
    MaxAbsScaler(MaxAbsScaler),
    /// Scales each feature by what lies between two of its quantiles.
    RobustScaler(RobustScaler),
    /// Scales each row to unit norm.
    Normalizer(Normalizer),
    /// Turns numbers into the buckets that they fall into.
    Bucketizer(Bucketizer),
    /// Turns numbers into buckets of about as many rows each.
    QuantileDiscretizer(QuantileDiscretizer),
    /// Decodes images into a vector column.
    ImageDecoder(ImageDecoder),
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
    /// A fitted encoder.
    OneHotEncoder(OneHotEncoderModel),
    /// A fitted imputer.
    Imputer(ImputerModel),
    /// A fitted scaler.
    MaxAbsScaler(MaxAbsScalerModel),
    /// A fitted scaler.
    RobustScaler(RobustScalerModel),
    /// Needs no fitting.
    Normalizer(Normalizer),
    /// Needs no fitting; or a fitted `QuantileDiscretizer`.
    Bucketizer(Bucketizer),
    /// Needs no fitting.
    ImageDecoder(ImageDecoder),
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
    OneHotEncoder(OneHotEncoderModel),
    Imputer(ImputerModel),
    MaxAbsScaler(MaxAbsScalerModel),
    RobustScaler(RobustScalerModel),
    Normalizer(Normalizer),
    Bucketizer(Bucketizer),
    ImageDecoder(ImageDecoder),
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
            Stage::OneHotEncoder(stage) => stage,
            Stage::Imputer(stage) => stage,
            Stage::MaxAbsScaler(stage) => stage,
            Stage::RobustScaler(stage) => stage,
            Stage::Normalizer(stage) => stage,
            Stage::Bucketizer(stage) => stage,
            Stage::QuantileDiscretizer(stage) => stage,
            Stage::ImageDecoder(stage) => stage,
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

    /// What the stage learns from which vector column, in one pass through the rows.
    pub(crate) fn statistic(&self) -> Option<(&str, Statistic)> {
        self.stage().statistic()
    }

    /// Whether the ranks get other parts of the table during the fit of the stage.
    pub(crate) fn deals_parts(&self) -> bool {
        self.estimator().is_some_and(TorchEstimator::deals_parts)
    }

    /// Whether the stage may leave rows out.
    pub(crate) fn leaves_rows_out(&self) -> bool {
        self.stage().leaves_rows_out()
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
            StageModel::OneHotEncoder(model) => model,
            StageModel::Imputer(model) => model,
            StageModel::MaxAbsScaler(model) => model,
            StageModel::RobustScaler(model) => model,
            StageModel::Normalizer(model) => model,
            StageModel::Bucketizer(model) => model,
            StageModel::ImageDecoder(model) => model,
            StageModel::Torch(model) => &**model,
        }
    }

    /// Whether a stop request ended the fit.
    pub(crate) fn is_interrupted(&self) -> bool {
        let model = self.transformer().torch_model();
        model.is_some_and(|model| model.report().interrupted)
    }

    /// The stage's name in error messages.
    pub(crate) fn kind(&self) -> &'static str {
        self.transformer().stage().kind()
    }

    /// The columns that the stage reads.
    pub(crate) fn input_cols(&self) -> Vec<&str> {
        self.transformer().input_cols()
    }

    /// The columns that the stage reads if they are there: more than those that it needs.
    pub(crate) fn columns_of_stage(&self) -> Vec<&str> {
        self.transformer().stage().input_cols()
    }

    /// The columns that the stage adds.
    pub(crate) fn output_cols(&self) -> Vec<&str> {
        self.transformer().stage().output_cols()
    }

    /// Checks what was read from a file.
    fn check(&self) -> Result<()> {
        self.transformer().check()
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
            StageModel::OneHotEncoder(model) => SavedStage::OneHotEncoder(model.clone()),
            StageModel::Imputer(model) => SavedStage::Imputer(model.clone()),
            StageModel::MaxAbsScaler(model) => SavedStage::MaxAbsScaler(model.clone()),
            StageModel::RobustScaler(model) => SavedStage::RobustScaler(model.clone()),
            StageModel::Normalizer(model) => SavedStage::Normalizer(model.clone()),
            StageModel::Bucketizer(model) => SavedStage::Bucketizer(model.clone()),
            StageModel::ImageDecoder(model) => SavedStage::ImageDecoder(model.clone()),
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
            SavedStage::OneHotEncoder(model) => StageModel::OneHotEncoder(model),
            SavedStage::Imputer(model) => StageModel::Imputer(model),
            SavedStage::MaxAbsScaler(model) => StageModel::MaxAbsScaler(model),
            SavedStage::RobustScaler(model) => StageModel::RobustScaler(model),
            SavedStage::Normalizer(model) => StageModel::Normalizer(model),
            SavedStage::Bucketizer(model) => StageModel::Bucketizer(model),
            SavedStage::ImageDecoder(model) => StageModel::ImageDecoder(model),
            SavedStage::Torch(saved) => {
                StageModel::Torch(Box::new(TorchModel::from_saved(*saved, get)?))
            }
        })
    }
}
