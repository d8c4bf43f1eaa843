//! A network as a stage of a pipeline.

mod checks;
mod rows;

use serde::{Deserialize, Serialize};

pub(super) use rows::{check_width, network_input};

use super::{
    Estimator, FitContext, Label, Stage, StageModel, TorchModel, stage::PipelineStage, table::Table,
};
use crate::{
    Network, Result,
    collective::Collective,
    evaluate::ValidationMetric,
    train::{
        Checkpoints, Device, InitialWeights, LearningRateSchedule, LinearLr, Loss, Optimizer,
        Shuffle, TrainingRows, TrainingSettings, train_rows,
    },
};

/// Trains a network on a vector column and a label column, data-parallel, like SparkTorch's
/// `SparkTorch`.
///
/// The [`loss`] decides what the label is: a class, a number, several numbers, or several labels
/// that are 0 or 1. What the model predicts is in the same unit.
///
/// ```
/// use mnist_support::prelude::*;
///
/// // A regression: y = 2 x - 1.
/// let frame = df!("x" => [0.0, 1.0, 2.0, 3.0], "y" => [-1.0, 1.0, 3.0, 5.0])?;
/// let network = Network::new(&[1], vec![Layer::linear(1, 1)])?;
/// let estimator = TorchEstimator::new(network)
///     .label_col("y")
///     .loss(Loss::mse())
///     .iterations(500)
///     .learning_rate(0.1)
///     .partitions(1);
/// let model = Pipeline::new()
///     .stage(VectorAssembler::new().input_cols(["x"]))
///     .stage(estimator)
///     .fit(&frame)?;
/// let at_ten = df!("x" => [10.0])?;
/// let prediction = model.transform(&at_ten)?.column("prediction")?.f64()?.get(0).unwrap();
/// assert!((prediction - 19.0).abs() < 0.1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// | SparkTorch | here |
/// |---|---|
/// | `inputCol`, `labelCol` | [`features_col`], [`label_col`] ([`Label::Features`] if left out) |
/// | `predictionCol`, `useVectorOut` | [`prediction_col`], [`raw_prediction_col`] |
/// | `torchObj` | the [`Network`], [`optimizer`], [`loss`], [`learning_rate`] |
/// | `iters`, `miniBatch` | [`iterations`], [`mini_batch`] |
/// | `validationPct`, `earlyStopPatience` | [`validation_fraction`], [`early_stop_patience`] |
/// | `partitions`, `device`, `verbose` | the same |
/// | `partitionShuffles`, a number of rounds | [`partition_shuffles`], the epochs of a round |
///
/// There are two important differences. The validation loss is measured every [`validation_every`]
/// iterations rather than at each one, and patience counts these measurements. The weights with the
/// lowest validation loss are kept, rather than the last ones.
///
/// [`features_col`]: Self::features_col
/// [`label_col`]: Self::label_col
/// [`prediction_col`]: Self::prediction_col
/// [`raw_prediction_col`]: Self::raw_prediction_col
/// [`optimizer`]: Self::optimizer
/// [`loss`]: Self::loss
/// [`learning_rate`]: Self::learning_rate
/// [`iterations`]: Self::iterations
/// [`mini_batch`]: Self::mini_batch
/// [`partition_shuffles`]: Self::partition_shuffles
/// [`validation_fraction`]: Self::validation_fraction
/// [`early_stop_patience`]: Self::early_stop_patience
/// [`validation_every`]: Self::validation_every
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TorchEstimator {
    pub(super) network: Network,
    pub(super) features_col: String,
    pub(super) label_col: Label,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) weight_col: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) validation_indicator_col: Option<String>,
    pub(super) prediction_col: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) probability_col: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) raw_prediction_col: Option<String>,
    pub(crate) settings: TrainingSettings,
}

impl TorchEstimator {
    /// Creates an estimator of `network` with the default [`TrainingSettings`], on the columns
    /// `features` and `label`.
    pub fn new(network: Network) -> Self {
        TorchEstimator {
            network,
            features_col: "features".to_owned(),
            label_col: Label::from("label"),
            weight_col: None,
            validation_indicator_col: None,
            prediction_col: "prediction".to_owned(),
            probability_col: None,
            raw_prediction_col: None,
            settings: TrainingSettings::default(),
        }
    }

    /// The vector column that is the network's input. Default: `features`.
    pub fn features_col(mut self, name: impl Into<String>) -> Self {
        self.features_col = name.into();
        self
    }

    /// The column of labels, several columns of numbers, or [`Label::Features`] for an autoencoder.
    /// What a label is depends on the [`loss`](Self::loss): a class from 0, or as many numbers as
    /// the network has outputs, in a list column, a vector column, or a column each. Default:
    /// `label`.
    pub fn label_col(mut self, columns: impl Into<Label>) -> Self {
        self.label_col = columns.into();
        self
    }

    /// The column of the rows' weights, in training and in validation. Losses are then weighted
    /// means. Default: every row weighs 1.
    pub fn weight_col(mut self, name: impl Into<String>) -> Self {
        self.weight_col = Some(name.into());
        self
    }

    /// The boolean column that marks the rows that are held out for validation, in place of
    /// [`validation_fraction`](Self::validation_fraction). Default: none.
    pub fn validation_indicator_col(mut self, name: impl Into<String>) -> Self {
        self.validation_indicator_col = Some(name.into());
        self
    }

    /// The column of predictions that the model adds, in the unit of the label: a class (`Int64`),
    /// a number (`Float64`), or a vector. Default: `prediction`.
    pub fn prediction_col(mut self, name: impl Into<String>) -> Self {
        self.prediction_col = name.into();
        self
    }

    /// The vector column of each class's or label's probability that the model adds. As in SparkML,
    /// a network with a single output gives the probabilities of 0 and of 1. Default: none.
    pub fn probability_col(mut self, name: impl Into<String>) -> Self {
        self.probability_col = Some(name.into());
        self
    }

    /// The vector column of the network's outputs that the model adds. As in SparkML, a classifier
    /// with a single output gives two scores, for 0 and for 1. Default: none.
    pub fn raw_prediction_col(mut self, name: impl Into<String>) -> Self {
        self.raw_prediction_col = Some(name.into());
        self
    }

    /// Replaces all settings.
    pub fn settings(mut self, settings: TrainingSettings) -> Self {
        self.settings = settings;
        self
    }

    /// The number of steps of the optimiser; see [`TrainingSettings::iterations`].
    pub fn iterations(mut self, iterations: usize) -> Self {
        self.settings.iterations = Some(iterations);
        self
    }

    /// The number of passes through the rows; see [`TrainingSettings::epochs`].
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.settings.epochs = Some(epochs);
        self
    }

    /// How many bytes of features each rank keeps in memory; see
    /// [`TrainingSettings::memory_budget`].
    pub fn memory_budget(mut self, bytes: u64) -> Self {
        self.settings.memory_budget = Some(bytes);
        self
    }

    /// In what order the rows are drawn, and whether the features are read again in every epoch:
    /// see [`Shuffle`].
    pub fn shuffle(mut self, shuffle: Shuffle) -> Self {
        self.settings.shuffle = shuffle;
        self
    }

    /// After how many epochs the parts of the table are dealt to the ranks anew; see
    /// [`TrainingSettings::partition_shuffles`].
    ///
    /// ```
    /// use mnist_support::prelude::*;
    ///
    /// // Sorted by what is to be predicted: without it, each rank would have one class.
    /// let frame = df!(
    ///     "x" => (0..64).map(f64::from).collect::<Vec<_>>(),
    ///     "label" => (0..64).map(|row| i64::from(row > 31)).collect::<Vec<_>>(),
    /// )?;
    /// let network = Network::new(&[1], vec![Layer::linear(1, 2)])?;
    /// let estimator = TorchEstimator::new(network)
    ///     .partitions(2)
    ///     .mini_batch(8)
    ///     .epochs(6)
    ///     .partition_shuffles(2);
    /// let model = Pipeline::new()
    ///     .stage(VectorAssembler::new().input_cols(["x"]))
    ///     .stage(estimator)
    ///     .fit(&frame)?;
    /// assert_eq!(model.report()?.iterations(), 24);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn partition_shuffles(mut self, epochs: impl Into<Option<usize>>) -> Self {
        self.settings.partition_shuffles = epochs.into();
        self
    }

    /// How many mini-batches make one step; see [`TrainingSettings::accumulate_grad_batches`].
    pub fn accumulate_grad_batches(mut self, mini_batches: usize) -> Self {
        self.settings.accumulate_grad_batches = mini_batches;
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

    /// By how much a loss must fall to count as lower; see [`TrainingSettings::min_delta`].
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.settings.min_delta = min_delta;
        self
    }

    /// The metrics that are computed with each validation loss, from the rows of all ranks. They
    /// are in the fit's progress and [report](crate::train::FitReport::metric); see
    /// [`TrainingSettings::metrics`].
    ///
    /// ```
    /// use mnist_support::prelude::*;
    ///
    /// let frame = df!("x" => [-2.0, -1.0, 1.0, 2.0], "label" => [0, 0, 1, 1])?;
    /// let network = Network::new(&[1], vec![Layer::linear(1, 2)])?;
    /// let estimator = TorchEstimator::new(network)
    ///     .metrics([Metric::Accuracy])
    ///     .validation_fraction(0.5)
    ///     .partitions(1);
    /// let model = Pipeline::new()
    ///     .stage(VectorAssembler::new().input_cols(["x"]))
    ///     .stage(estimator)
    ///     .fit(&frame)?;
    /// let accuracies = model.torch_model()?.report().metric(Metric::Accuracy);
    /// assert_eq!(accuracies.len(), 1); // after the 10th iteration
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn metrics<M: Into<ValidationMetric>>(
        mut self,
        metrics: impl IntoIterator<Item = M>,
    ) -> Self {
        self.settings.metrics = metrics.into_iter().map(Into::into).collect();
        self
    }

    /// The metric that early stopping and the choice of the weights follow, in place of the
    /// validation loss; see [`TrainingSettings::monitor`].
    pub fn monitor(mut self, metric: impl Into<ValidationMetric>) -> Self {
        self.settings.monitor = Some(metric.into());
        self
    }

    /// The weights to start from: the bytes of a safetensors file, or a fitted model, whose
    /// training then goes on; see [`TrainingSettings::initial_weights`].
    ///
    /// ```no_run
    /// # fn example(model: mnist_support::ml::PipelineModel, lake: mnist_support::lake::Lake)
    /// # -> mnist_support::Result<()> {
    /// let model = model.torch_model()?;
    /// let longer = model.estimator().clone().initial_weights(model).iterations(100);
    /// let from_pytorch = longer.initial_weights(lake.get("weights.safetensors")?);
    /// # Ok(()) }
    /// ```
    pub fn initial_weights(mut self, weights: impl Into<InitialWeights>) -> Self {
        self.settings.initial_weights = Some(weights.into());
        self
    }

    /// Which parameters are not trained; see [`TrainingSettings::freeze`].
    pub fn freeze<S: Into<String>>(mut self, patterns: impl IntoIterator<Item = S>) -> Self {
        self.settings.freeze = patterns.into_iter().map(Into::into).collect();
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

    /// A warm-up of the learning rate before the schedule; see [`TrainingSettings::warm_up`].
    ///
    /// ```
    /// # use mnist_support::prelude::*;
    /// # let network = Network::new(&[2], vec![Layer::linear(2, 2)])?;
    /// let estimator = TorchEstimator::new(network)
    ///     .optimizer(Optimizer::sgd(0.9))
    ///     .learning_rate(0.1)
    ///     .warm_up(LinearLr { start_factor: 0.1, total_iters: 100, ..Default::default() })
    ///     .learning_rate_schedule(LearningRateSchedule::step_lr(1000, 0.5))
    ///     .clip_grad_norm(1.0);
    /// # Ok::<(), mnist_support::Error>(())
    /// ```
    pub fn warm_up(mut self, warm_up: impl Into<Option<LinearLr>>) -> Self {
        self.settings.warm_up = warm_up.into();
        self
    }

    /// The largest norm of the gradient; see [`TrainingSettings::clip_grad_norm`].
    pub fn clip_grad_norm(mut self, max_norm: impl Into<Option<f64>>) -> Self {
        self.settings.clip_grad_norm = max_norm.into();
        self
    }

    /// The largest absolute value of a gradient; see [`TrainingSettings::clip_grad_value`].
    pub fn clip_grad_value(mut self, clip_value: impl Into<Option<f64>>) -> Self {
        self.settings.clip_grad_value = clip_value.into();
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

    /// The number of the network's outputs for a row.
    pub(super) fn outputs(&self) -> i64 {
        self.network.output_shape().iter().product()
    }

    /// The columns that the model adds.
    pub(super) fn added_cols(&self) -> Vec<&str> {
        let others = [&self.probability_col, &self.raw_prediction_col];
        let mut columns = vec![self.prediction_col.as_str()];
        columns.extend(others.into_iter().flatten().map(String::as_str));
        columns
    }

    fn train(
        &self,
        table: &Table,
        collective: &dyn Collective,
        context: FitContext<'_>,
    ) -> Result<TorchModel> {
        let mut data = self
            .training_data(table, context.validation)?
            .memory_budget(table.budget());
        if let Some(validation) = context.validation {
            data = data.validated_with(self.training_data(validation, Some(table))?);
        }
        let deal = |round| {
            let Some(deal) = context.deal else {
                return Ok(None);
            };
            let Some(table) = deal(self.settings.seed, round)? else {
                return Ok(None);
            };
            let data = self.training_data(&table, context.validation)?;
            Ok(Some(data.memory_budget(table.budget())))
        };
        let checkpoints = match (context.run_folder, self.settings.checkpoint_every) {
            // The column's name keeps the checkpoints of two estimators apart.
            (Some(run), Some(every)) => {
                Some(Checkpoints::new(run.folder(&self.prediction_col), every)?)
            }
            _ => None,
        };
        let rows = TrainingRows {
            data: &data,
            deal: &deal,
        };
        let trained = train_rows(
            &self.network,
            rows,
            collective,
            &self.settings,
            context.progress,
            checkpoints.as_ref(),
            context.interrupt,
        )?;
        Ok(TorchModel::trained(self.clone(), trained))
    }
}

impl TorchEstimator {
    /// The vector column that is the network's input.
    pub(crate) fn features(&self) -> &str {
        &self.features_col
    }

    /// The columns of the label, if it is not the features themselves.
    pub(crate) fn label_columns(&self) -> &[String] {
        self.label_col.columns()
    }

    /// Whether the ranks get other parts of the table during the fit.
    pub(crate) fn deals_parts(&self) -> bool {
        self.settings.partition_shuffles.is_some()
    }

    /// The column that says which rows are held out, if there is one.
    pub(crate) fn validation_indicator(&self) -> Option<&str> {
        self.validation_indicator_col.as_deref()
    }
}

impl PipelineStage for TorchEstimator {
    fn kind(&self) -> &'static str {
        "TorchEstimator"
    }

    fn input_cols(&self) -> Vec<&str> {
        let mut columns = vec![self.features_col.as_str()];
        columns.extend(self.label_col.columns().iter().map(String::as_str));
        let others = [&self.weight_col, &self.validation_indicator_col];
        columns.extend(others.into_iter().flatten().map(String::as_str));
        columns
    }

    fn output_cols(&self) -> Vec<&str> {
        self.added_cols()
    }

    fn validate(&self) -> Result<()> {
        self.settings.validate_for(&self.network)?;
        self.validate_label()?;
        self.validate_columns()?;
        self.validate_outputs()
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
