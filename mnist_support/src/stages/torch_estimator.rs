//! A network as a stage of a pipeline.

use serde::{Deserialize, Serialize};

use super::{
    Estimator, FitContext, Stage, StageModel, TorchModel, stage::PipelineStage, table::Table,
};
use crate::{
    Error, Network, Result,
    collective::Collective,
    data::labels_from_frame,
    train::{
        Checkpoints, Device, LearningRateSchedule, Loss, Optimizer, Scaling, TrainingData,
        TrainingSettings, train,
    },
};

/// Trains a network on a vector column and a label column, data-parallel, like SparkTorch's
/// `SparkTorch`.
///
/// | SparkTorch | here |
/// |---|---|
/// | `inputCol`, `labelCol` | [`features_col`], [`label_col`] |
/// | `predictionCol` | [`prediction_col`] |
/// | `torchObj` | the [`Network`], [`optimizer`], [`loss`], [`learning_rate`] |
/// | `iters`, `miniBatch` | [`iterations`], [`mini_batch`] |
/// | `validationPct`, `earlyStopPatience` | [`validation_fraction`], [`early_stop_patience`] |
/// | `partitions`, `device`, `verbose` | the same |
///
/// There are two important differences. The validation loss is measured every [`validation_every`]
/// iterations rather than at each one, and patience counts these measurements. The weights with the
/// lowest validation loss are kept, rather than the last ones.
///
/// [`features_col`]: Self::features_col
/// [`label_col`]: Self::label_col
/// [`prediction_col`]: Self::prediction_col
/// [`optimizer`]: Self::optimizer
/// [`loss`]: Self::loss
/// [`learning_rate`]: Self::learning_rate
/// [`iterations`]: Self::iterations
/// [`mini_batch`]: Self::mini_batch
/// [`validation_fraction`]: Self::validation_fraction
/// [`early_stop_patience`]: Self::early_stop_patience
/// [`validation_every`]: Self::validation_every
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TorchEstimator {
    pub(super) network: Network,
    pub(super) features_col: String,
    pub(super) label_col: String,
    pub(super) prediction_col: String,
    pub(crate) settings: TrainingSettings,
}

impl TorchEstimator {
    /// Creates an estimator of `network` with the default [`TrainingSettings`], on the columns
    /// `features` and `label`.
    pub fn new(network: Network) -> Self {
        TorchEstimator {
            network,
            features_col: "features".to_owned(),
            label_col: "label".to_owned(),
            prediction_col: "prediction".to_owned(),
            settings: TrainingSettings::default(),
        }
    }

    /// The vector column that is the network's input. Default: `features`.
    pub fn features_col(mut self, name: impl Into<String>) -> Self {
        self.features_col = name.into();
        self
    }

    /// The column of class labels, from 0. Default: `label`.
    pub fn label_col(mut self, name: impl Into<String>) -> Self {
        self.label_col = name.into();
        self
    }

    /// The column of predicted classes that the model adds. Default: `prediction`.
    pub fn prediction_col(mut self, name: impl Into<String>) -> Self {
        self.prediction_col = name.into();
        self
    }

    /// Replaces all settings.
    pub fn settings(mut self, settings: TrainingSettings) -> Self {
        self.settings = settings;
        self
    }

    /// The number of mini-batches that each rank trains on; see [`TrainingSettings::iterations`].
    pub fn iterations(mut self, iterations: usize) -> Self {
        self.settings.iterations = iterations;
        self
    }

    /// The number of rows that each rank draws per iteration; see [`TrainingSettings::mini_batch`].
    pub fn mini_batch(mut self, rows: impl Into<Option<usize>>) -> Self {
        self.settings.mini_batch = rows.into();
        self
    }

    /// The fraction of the rows that is held out; see [`TrainingSettings::validation_fraction`].
    pub fn validation_fraction(mut self, fraction: f64) -> Self {
        self.settings.validation_fraction = fraction;
        self
    }

    /// How often the validation loss is measured; see [`TrainingSettings::validation_every`].
    pub fn validation_every(mut self, iterations: usize) -> Self {
        self.settings.validation_every = iterations;
        self
    }

    /// When to stop early; see [`TrainingSettings::early_stop_patience`].
    pub fn early_stop_patience(mut self, validations: impl Into<Option<usize>>) -> Self {
        self.settings.early_stop_patience = validations.into();
        self
    }

    /// The number of ranks; see [`TrainingSettings::partitions`].
    pub fn partitions(mut self, world_size: impl Into<Option<usize>>) -> Self {
        self.settings.partitions = world_size.into();
        self
    }

    /// The optimiser; see [`TrainingSettings::optimizer`].
    pub fn optimizer(mut self, optimizer: Optimizer) -> Self {
        self.settings.optimizer = optimizer;
        self
    }

    /// The loss function; see [`TrainingSettings::loss`].
    pub fn loss(mut self, loss: Loss) -> Self {
        self.settings.loss = loss;
        self
    }

    /// The learning rate; see [`TrainingSettings::learning_rate`].
    pub fn learning_rate(mut self, rate: f64) -> Self {
        self.settings.learning_rate = rate;
        self
    }

    /// The learning-rate schedule; see [`TrainingSettings::learning_rate_schedule`].
    pub fn learning_rate_schedule(mut self, schedule: LearningRateSchedule) -> Self {
        self.settings.learning_rate_schedule = schedule;
        self
    }

    /// The device that the ranks compute on, such as `"cuda"`; see [`TrainingSettings::device`].
    pub fn device(mut self, device: impl Into<Device>) -> Self {
        self.settings.device = device.into();
        self
    }

    /// The seed of everything random; see [`TrainingSettings::seed`].
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// How often a checkpoint is written; see [`TrainingSettings::checkpoint_every`].
    pub fn checkpoint_every(mut self, iterations: impl Into<Option<usize>>) -> Self {
        self.settings.checkpoint_every = iterations.into();
        self
    }

    /// How often a failed fit is restarted; see [`TrainingSettings::max_restarts`].
    pub fn max_restarts(mut self, restarts: usize) -> Self {
        self.settings.max_restarts = restarts;
        self
    }

    /// How much the fit prints; see [`TrainingSettings::verbose`].
    pub fn verbose(mut self, level: u8) -> Self {
        self.settings.verbose = level;
        self
    }

    /// The number of classes that the network distinguishes.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] if the network's output is not one score for each class.
    pub(crate) fn classes(&self) -> Result<i64> {
        match self.network.output_shape().as_slice() {
            [classes] => Ok(*classes),
            shape => Err(Error::ShapeMismatch {
                what: "the network's output".to_owned(),
                found: shape.to_vec(),
                expected: "[classes], one score for each class,".to_owned(),
            }),
        }
    }

    fn train(
        &self,
        table: &Table,
        collective: &dyn Collective,
        context: FitContext<'_>,
    ) -> Result<TorchModel> {
        let classes = self.classes()?;
        let vector = table.vector(&self.features_col)?;
        check_width(
            &self.network,
            vector.features.width(),
            &self.features_col,
            table,
        )?;
        let labels = labels_from_frame(table.frame(), &self.label_col, classes, table.rows())?;
        let scaling = vector
            .scaling
            .map(|(scale, offset)| Scaling::new(&scale, &offset))
            .transpose()?;
        let labels = tch::Tensor::f_from_slice(&labels.to_vec())?;
        let data = TrainingData::new(vector.features.to_tensor()?, labels, scaling)?;
        let checkpoints = match (context.run_folder, self.settings.checkpoint_every) {
            // The column's name keeps the checkpoints of two estimators apart.
            (Some(run), Some(every)) => {
                Some(Checkpoints::new(run.folder(&self.prediction_col), every)?)
            }
            _ => None,
        };
        let trained = train(
            &self.network,
            &data,
            collective,
            &self.settings,
            context.progress,
            checkpoints.as_ref(),
            context.interrupt,
        )?;
        Ok(TorchModel::new(self.clone(), trained))
    }
}

impl PipelineStage for TorchEstimator {
    fn kind(&self) -> &'static str {
        "TorchEstimator"
    }

    fn output_col(&self) -> &str {
        &self.prediction_col
    }

    fn fit_shard(
        &self,
        table: &Table,
        collective: &dyn Collective,
        context: FitContext<'_>,
    ) -> Result<StageModel> {
        Ok(self.train(table, collective, context)?.into())
    }

    fn torch_estimator(&self) -> Option<&TorchEstimator> {
        Some(self)
    }
}

impl From<TorchEstimator> for Stage {
    fn from(stage: TorchEstimator) -> Self {
        Stage::TorchEstimator(Box::new(stage))
    }
}

impl Estimator for TorchEstimator {
    type Model = TorchModel;

    fn model(stage: StageModel) -> Option<TorchModel> {
        match stage {
            StageModel::Torch(model) => Some(*model),
            _ => None,
        }
    }
}

/// Checks that a row of a vector column fills the network's input.
pub(super) fn check_width(
    network: &Network,
    width: usize,
    column: &str,
    table: &Table,
) -> Result<()> {
    let needed: i64 = network.input_shape().iter().product();
    if width as i64 == needed {
        return Ok(());
    }
    Err(Error::ShapeMismatch {
        what: format!("a row of the vector column {column:?} of {}", table.name()),
        found: vec![width as i64],
        expected: format!(
            "{needed} features, for the network's input of {:?},",
            network.input_shape()
        ),
    })
}
