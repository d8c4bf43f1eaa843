//! A trained network as a stage of a pipeline.

use polars::prelude::*;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{
    StageModel, TorchEstimator,
    persistence::{GetTensors, PutTensors},
    stage::Transformer,
    table::Table,
    torch_estimator::check_width,
};
use crate::{
    Network, Result, interrupt,
    network::prediction_batch_size,
    train::{Device, FitReport, Scaling, Trained, TrainingData},
};

/// A trained network.
#[derive(Debug)]
pub struct TorchModel {
    estimator: TorchEstimator,
    weights: Vec<Tensor>,
    report: FitReport,
}

impl Clone for TorchModel {
    /// Shares the weights, which never change.
    fn clone(&self) -> Self {
        TorchModel {
            estimator: self.estimator.clone(),
            weights: self.weights.iter().map(Tensor::shallow_clone).collect(),
            report: self.report.clone(),
        }
    }
}

impl TorchModel {
    pub(super) fn new(estimator: TorchEstimator, trained: Trained) -> Self {
        TorchModel {
            estimator,
            weights: trained.weights,
            report: trained.report,
        }
    }

    /// The network's layers.
    pub fn network(&self) -> &Network {
        &self.estimator.network
    }

    /// The trained parameters and the buffers, in the order of [`Network::state_names`], on the
    /// CPU.
    pub fn weights(&self) -> &[Tensor] {
        &self.weights
    }

    /// The report of the fit.
    pub fn report(&self) -> &FitReport {
        &self.report
    }

    /// The estimator that trained the model.
    pub fn estimator(&self) -> &TorchEstimator {
        &self.estimator
    }

    /// Sets the device to predict on, such as `"cpu"`. Default: the device that the model was
    /// trained on.
    pub fn device(mut self, device: impl Into<Device>) -> Self {
        self.set_device(device.into());
        self
    }

    pub(crate) fn set_device(&mut self, device: Device) {
        self.estimator.settings.device = device;
    }

    /// Converts the model to JSON; `put` writes its tensors.
    pub(super) fn to_saved(&self, put: &mut PutTensors<'_>) -> Result<SavedTorchModel> {
        Ok(SavedTorchModel {
            estimator: self.estimator.clone(),
            report: self.report.clone(),
            weights: put(self.network(), &self.weights)?,
        })
    }

    /// Restores a model from JSON; `get` reads its tensors.
    pub(super) fn from_saved(saved: SavedTorchModel, get: &GetTensors<'_>) -> Result<TorchModel> {
        let SavedTorchModel {
            estimator,
            report,
            weights,
        } = saved;
        let weights = get(&estimator.network, &weights)?;
        Ok(TorchModel::new(estimator, Trained { weights, report }))
    }
}

/// A [`TorchModel`] as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedTorchModel {
    estimator: TorchEstimator,
    report: FitReport,
    /// The name of the file with its parameters and buffers.
    weights: String,
}

impl From<TorchModel> for StageModel {
    fn from(model: TorchModel) -> Self {
        StageModel::Torch(Box::new(model))
    }
}

impl Transformer for TorchModel {
    fn torch_model(&self) -> Option<&TorchModel> {
        Some(self)
    }

    fn apply(&self, table: &mut Table) -> Result<()> {
        let network = &self.estimator.network;
        let vector = table.vector(&self.estimator.features_col)?;
        check_width(
            network,
            vector.features.width(),
            &self.estimator.features_col,
            table,
        )?;
        let rows = vector.features.rows();
        let no_labels = Tensor::f_zeros([rows as i64], (Kind::Int64, tch::Device::Cpu))?;
        let device = self.estimator.settings.device.open()?;
        let scaling = vector
            .scaling
            .map(|(scale, offset)| Scaling::new(&scale, &offset)?.to_device(device))
            .transpose()?;
        let weights = self
            .weights
            .iter()
            .map(|weight| weight.f_to_device(device))
            .collect::<Result<Vec<_>, _>>()?;
        let data = TrainingData::new(vector.features.to_tensor()?, no_labels, scaling)?;
        let mut predictions: Vec<i64> = Vec::with_capacity(rows);
        let batch = prediction_batch_size(device);
        for start in (0..rows).step_by(batch) {
            interrupt::check("predicting the rows of", table.name())?;
            let features = data.scaled_rows(start, batch.min(rows - start), device)?;
            let scores = tch::no_grad(|| network.forward(&weights, &features, None))?;
            predictions.extend(Vec::<i64>::try_from(scores.f_argmax(1, false)?)?);
        }
        table.set_column(Series::new(
            self.estimator.prediction_col.as_str().into(),
            predictions,
        ))
    }
}
