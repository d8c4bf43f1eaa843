//! Stages that are fitted and applied on their own, each as a pipeline of one.

use polars::prelude::DataFrame;

use super::{Estimator, Pipeline, PipelineModel, StageModel};
use crate::{Error, Result, error::PipelineError, shard::Data};

/// Fits a stage on its own, like SparkML's `Estimator.fit`: a pipeline of one.
pub trait Fit: Estimator {
    /// Fits the stage to all rows.
    ///
    /// # Errors
    /// Those of [`Pipeline::fit`].
    fn fit(&self, data: impl Into<Data>) -> Result<Self::Model> {
        let model = Pipeline::new().stage(self.clone()).fit(data)?;
        let stages = model.into_stages().into_iter();
        stages.filter_map(Self::model).next_back().ok_or_else(|| {
            Error::Pipeline(PipelineError::InvalidStage {
                stage: 0,
                kind: "none",
                reason: "fitting it gave a different kind of model".to_owned(),
            })
        })
    }
}

impl<T: Estimator> Fit for T {}

/// Applies a fitted stage on its own, like SparkML's `Transformer.transform`: a pipeline of one.
pub trait Transform: Clone + Into<StageModel> {
    /// Adds the stage's column to the rows: a vector column as a list, predictions as `Int64`.
    ///
    /// # Errors
    /// Those of [`PipelineModel::transform`].
    fn transform(&self, data: impl Into<Data>) -> Result<DataFrame> {
        PipelineModel::from_stages(vec![self.clone().into()]).transform(data)
    }
}

impl<T: Clone + Into<StageModel>> Transform for T {}
