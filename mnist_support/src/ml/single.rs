//! Stages that are fitted and applied by themselves: each is a pipeline of one.

use polars::prelude::DataFrame;

use super::{Pipeline, PipelineModel};
use crate::{
    Result,
    shard::Data,
    stages::{
        MinMaxScaler, MinMaxScalerModel, Stage, StageModel, TorchEstimator, TorchModel,
        VectorAssembler,
    },
};

/// The model of a pipeline of this stage alone.
fn fit(stage: impl Into<Stage>, data: impl Into<Data>) -> Result<PipelineModel> {
    Pipeline::new().stage(stage).fit(data)
}

fn transform(model: StageModel, data: impl Into<Data>) -> Result<DataFrame> {
    PipelineModel::from_stages(vec![model]).transform(data)
}

impl VectorAssembler {
    /// Adds the vector column, as a list, to a frame.
    ///
    /// # Errors
    /// [`ColumnNotFound`](crate::Error::ColumnNotFound), [`ColumnType`](crate::Error::ColumnType) for a
    /// column that is no number, and [`MissingValue`](crate::Error::MissingValue).
    pub fn transform(&self, data: impl Into<Data>) -> Result<DataFrame> {
        transform(StageModel::VectorAssembler(self.clone()), data)
    }
}

impl MinMaxScaler {
    /// Learns from all rows.
    ///
    /// # Errors
    /// [`InvalidSetting`](crate::Error::InvalidSetting) where `min` is not below `max`; those of reading the
    /// column.
    pub fn fit(&self, data: impl Into<Data>) -> Result<MinMaxScalerModel> {
        fit(self.clone(), data)?.scaler_model().cloned()
    }
}

impl MinMaxScalerModel {
    /// Adds the scaled vector column, as a list, to a frame.
    ///
    /// # Errors
    /// Those of [`PipelineModel::transform`].
    pub fn transform(&self, data: impl Into<Data>) -> Result<DataFrame> {
        transform(StageModel::MinMaxScaler(self.clone()), data)
    }
}

impl TorchEstimator {
    /// Trains on all rows; the frame needs a list column, as a `VectorAssembler` makes.
    ///
    /// # Errors
    /// Those of [`Pipeline::fit`].
    pub fn fit(&self, data: impl Into<Data>) -> Result<TorchModel> {
        fit(self.clone(), data)?.torch_model().cloned()
    }
}

impl TorchModel {
    /// Adds the prediction column, class numbers as `Int64`, to a frame with a vector column.
    ///
    /// # Errors
    /// Those of [`PipelineModel::transform`].
    pub fn transform(&self, data: impl Into<Data>) -> Result<DataFrame> {
        transform(StageModel::Torch(Box::new(self.clone())), data)
    }
}
