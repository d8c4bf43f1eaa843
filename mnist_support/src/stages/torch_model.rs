//! A trained network as a stage of a pipeline.

use ndarray::Array2;
use polars::prelude::*;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{
    StageModel, TorchEstimator,
    persistence::{GetTensors, PutTensors},
    stage::{PipelineStage, Transformer},
    table::{Table, Vector},
    torch_estimator::{check_width, network_input},
};
use crate::{
    Network, Result,
    data::{Features, array_from_tensor},
    interrupt,
    network::{prediction_batch_size, write_safetensors},
    train::{Device, FitReport, InitialWeights, Loss, Prediction, Targets, Trained, TrainingData},
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
    /// Puts a network that was trained elsewhere into a pipeline, like SparkTorch's
    /// `create_spark_torch_model`. `weights` are its parameters and buffers, in the order of
    /// [`Network::state_names`], for example from
    /// [`read_safetensors`](crate::network::read_safetensors). The columns are those of
    /// [`TorchEstimator::new`], the loss is cross-entropy.
    ///
    /// ```
    /// use mnist_support::ml::{PipelineModel, TorchModel, Transform, VectorAssembler};
    /// use mnist_support::train::Loss;
    /// use mnist_support::{Layer, Network};
    /// use polars::df;
    /// use tch::Tensor;
    ///
    /// let network = Network::new(&[2], vec![Layer::linear(2, 1)])?;
    /// let weights = vec![Tensor::from_slice2(&[[1.0_f32, -1.0]]), Tensor::from_slice(&[0.5_f32])];
    /// let model = PipelineModel::new()
    ///     .stage(VectorAssembler::new().input_cols(["a", "b"]))
    ///     .stage(TorchModel::new(network, weights)?.loss(Loss::mse()));
    /// let difference = model.transform(df!("a" => [3.0], "b" => [1.0])?)?;
    /// assert_eq!(difference.column("prediction")?.f64()?.get(0), Some(2.5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`NetworkError::InvalidWeights`](crate::error::NetworkError::InvalidWeights) and
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) for weights that do not fit.
    pub fn new(network: Network, weights: Vec<Tensor>) -> Result<Self> {
        // Also copies them, so that nobody else can change them.
        let file = write_safetensors(&network, &weights)?;
        let weights = InitialWeights::from(file).read(&network)?;
        let report = FitReport::default();
        Ok(TorchModel::trained(
            TorchEstimator::new(network),
            Trained { weights, report },
        ))
    }

    pub(super) fn trained(mut estimator: TorchEstimator, trained: Trained) -> Self {
        // The model has weights of its own, and an exported program starts from them.
        estimator.settings.initial_weights = None;
        if estimator.network.layers().is_empty() {
            let own = write_safetensors(&estimator.network, &trained.weights)
                .expect("a model's weights fit its network");
            estimator.network = estimator.network.with_weights(Some(own));
        }
        TorchModel {
            estimator,
            weights: trained.weights,
            report: trained.report,
        }
    }

    /// Sets the vector column that is the network's input.
    pub fn features_col(mut self, name: impl Into<String>) -> Self {
        self.estimator = self.estimator.features_col(name);
        self
    }

    /// Sets the column of predictions; see [`TorchEstimator::prediction_col`].
    pub fn prediction_col(mut self, name: impl Into<String>) -> Self {
        self.estimator = self.estimator.prediction_col(name);
        self
    }

    /// Adds a column of probabilities; see [`TorchEstimator::probability_col`].
    pub fn probability_col(mut self, name: impl Into<String>) -> Self {
        self.estimator = self.estimator.probability_col(name);
        self
    }

    /// Adds a column of the network's outputs; see [`TorchEstimator::raw_prediction_col`].
    pub fn raw_prediction_col(mut self, name: impl Into<String>) -> Self {
        self.estimator = self.estimator.raw_prediction_col(name);
        self
    }

    /// Sets the loss that the network was trained with, on which its predictions depend.
    pub fn loss(mut self, loss: Loss) -> Self {
        self.estimator = self.estimator.loss(loss);
        self
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

    /// Returns the weights as a safetensors file with PyTorch's names.
    pub fn to_safetensors(&self) -> Vec<u8> {
        write_safetensors(self.network(), &self.weights).expect("a model's weights fit its network")
    }

    /// Returns an exported program with the trained weights, in evaluation mode; see
    /// [`Network::to_pt2`].
    ///
    /// # Errors
    /// [`NetworkError::InvalidProgram`](crate::error::NetworkError::InvalidProgram) for a network
    /// of layers.
    pub fn to_pt2(&self) -> Result<Vec<u8>> {
        self.network().to_pt2(&self.weights, false)
    }

    /// The report of the fit. Empty for a network that was trained elsewhere.
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
        let mut estimator = self.estimator.clone();
        estimator.network = estimator.network.with_weights(None);
        Ok(SavedTorchModel {
            estimator,
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
        Ok(TorchModel::trained(estimator, Trained { weights, report }))
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

impl From<&TorchModel> for InitialWeights {
    fn from(model: &TorchModel) -> Self {
        InitialWeights::from(model.to_safetensors())
    }
}

impl Transformer for TorchModel {
    fn stage(&self) -> &dyn PipelineStage {
        &self.estimator
    }

    fn input_cols(&self) -> Vec<&str> {
        vec![&self.estimator.features_col]
    }

    fn torch_model(&self) -> Option<&TorchModel> {
        Some(self)
    }

    fn apply(&self, table: &mut Table) -> Result<()> {
        // A model that was made by hand has not been checked before.
        self.estimator.validate_outputs()?;
        let outputs = self.outputs(table)?;
        let prediction = self
            .estimator
            .settings
            .loss
            .prediction(self.estimator.outputs());
        let name = self.estimator.prediction_col.as_str();
        let predictions = &outputs.predictions;
        match prediction {
            Prediction::Class | Prediction::BinaryClass => {
                let classes = predictions.f_to_kind(tch::Kind::Int64)?.f_reshape([-1])?;
                let classes = Vec::<i64>::try_from(classes)?;
                table.set_column(Series::new(name.into(), classes))?;
            }
            Prediction::Number => {
                let numbers = predictions.f_to_kind(tch::Kind::Double)?.f_reshape([-1])?;
                let numbers = Vec::<f64>::try_from(numbers)?;
                table.set_column(Series::new(name.into(), numbers))?;
            }
            Prediction::Numbers => {
                table.set_vector(
                    name,
                    Vector::new(Features::F32(array_from_tensor(predictions)?)),
                );
            }
            Prediction::Labels => {
                let labels: Array2<u8> = array_from_tensor(predictions)?.mapv(|label| label as u8);
                table.set_vector(name, Vector::new(Features::U8(labels)));
            }
        }
        for (name, values) in [
            (&self.estimator.probability_col, outputs.probabilities),
            (&self.estimator.raw_prediction_col, outputs.raw),
        ] {
            if let (Some(name), Some(values)) = (name, values) {
                table.set_vector(
                    name,
                    Vector::new(Features::F32(array_from_tensor(&values)?)),
                );
            }
        }
        Ok(())
    }
}

/// What a network gives for all rows, on the CPU.
struct Outputs {
    predictions: Tensor,
    /// `[rows, classes]`, if a column needs them.
    probabilities: Option<Tensor>,
    raw: Option<Tensor>,
}

impl TorchModel {
    /// Runs the network on all rows of a table, one batch at a time.
    fn outputs(&self, table: &Table) -> Result<Outputs> {
        let network = &self.estimator.network;
        let needed = network.input_width() as usize;
        let vector = table.vector(&self.estimator.features_col)?;
        let vector = vector.widened_if_empty(needed);
        check_width(
            network,
            vector.features.width(),
            &self.estimator.features_col,
            table,
        )?;
        let rows = vector.features.rows();
        let device = self.estimator.settings.device.open()?;
        let column = &self.estimator.features_col;
        let (features, scaling) = network_input(&vector, column, table, false)?;
        let scaling = scaling
            .map(|scaling| scaling.to_device(device))
            .transpose()?;
        let weights = self
            .weights
            .iter()
            .map(|weight| weight.f_to_device(device))
            .collect::<Result<Vec<_>, _>>()?;
        let data = TrainingData::of_matrix(features, Targets::Features, scaling)?;
        let mut batches = Vec::new();
        let batch = self.network().max_rows_of(prediction_batch_size(device));
        // Even without rows, one empty batch runs: its columns have the right types.
        for start in (0..rows.max(1)).step_by(batch) {
            interrupt::check("predicting the rows of", table.name())?;
            let features = data.scaled_rows(start, batch.min(rows - start), device)?;
            let outputs = tch::no_grad(|| network.forward(&weights, &features, None))?;
            batches.push(self.of_batch(outputs)?);
        }
        let all = |of: fn(&Outputs) -> Option<&Tensor>| -> Result<Option<Tensor>> {
            let parts: Vec<&Tensor> = batches.iter().filter_map(of).collect();
            Ok(match parts.is_empty() {
                true => None,
                false => Some(Tensor::f_cat(&parts, 0)?),
            })
        };
        Ok(Outputs {
            predictions: all(|batch| Some(&batch.predictions))?.expect("there is a batch"),
            probabilities: all(|batch| batch.probabilities.as_ref())?,
            raw: all(|batch| batch.raw.as_ref())?,
        })
    }

    /// Returns the predictions from the outputs of a batch, and what else is asked for.
    fn of_batch(&self, outputs: Tensor) -> Result<Outputs> {
        let outputs = match outputs.dim() {
            0..=2 => outputs,
            _ => outputs.f_flatten(1, -1)?,
        };
        let cpu = |tensor: Tensor| tensor.f_to_device(tch::Device::Cpu);
        let binary = self
            .estimator
            .settings
            .loss
            .prediction(self.estimator.outputs())
            == Prediction::BinaryClass;
        let mut probabilities = match self.estimator.probability_col {
            Some(_) => self.estimator.settings.loss.probabilities(&outputs)?,
            None => None,
        };
        let predictions = cpu(self.estimator.settings.loss.predict(&outputs)?)?;
        let mut raw = self.estimator.raw_prediction_col.as_ref().map(|_| outputs);
        if binary {
            let complement = |of_one: Tensor| {
                let of_zero = of_one.f_neg()?.f_add_scalar(1.0)?;
                Tensor::f_cat(&[of_zero, of_one], 1)
            };
            let opposite = |of_one: Tensor| Tensor::f_cat(&[of_one.f_neg()?, of_one], 1);
            probabilities = probabilities.map(complement).transpose()?;
            raw = raw.map(opposite).transpose()?;
        }
        Ok(Outputs {
            predictions,
            probabilities: probabilities.map(cpu).transpose()?,
            raw: raw.map(cpu).transpose()?,
        })
    }
}
