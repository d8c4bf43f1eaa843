//! The settings of a fit.

use serde::{Deserialize, Serialize};

use super::{
    Device, InitialWeights, LearningRateSchedule, LinearLr, Loss, Optimizer, Shuffle,
    check::{check_positive, is_one, is_zero},
    loss,
    schedule::{Moment, Schedule, ScheduleState},
    validation,
};
use crate::{Error, Network, Result, evaluate::ValidationMetric, network::Role};

/// The number of iterations of a fit that sets neither `iterations` nor `epochs`, as in SparkTorch.
const DEFAULT_ITERATIONS: usize = 10;

/// The settings of a fit. Notebooks, ranks and saved pipelines all use this struct.
//
// What came later is left out of the JSON at its default: a checkpoint, which a hash of the JSON
// identifies, still fits, and a program from before reads the pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingSettings {
    /// The number of steps of the optimiser. In each, every rank draws one mini-batch (more with
    /// `accumulate_grad_batches`). With `n` rows in total, an epoch takes
    /// `n / (partitions * mini_batch)` iterations. Default: 10, as in SparkTorch, unless `epochs`
    /// is set.
    pub iterations: Option<usize>,
    /// The number of passes through the training rows, in place of `iterations`. The last iteration
    /// may reach into the next epoch. Default: `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// The number of rows in a mini-batch of one rank. A rank with fewer rows takes all of them.
    /// `None`: all of its rows. Default: `None`.
    pub mini_batch: Option<usize>,
    /// The number of mini-batches of each rank whose gradients are added up for one step of the
    /// optimiser, for batches that do not fit in memory. Default: 1.
    #[serde(skip_serializing_if = "is_one")]
    pub accumulate_grad_batches: usize,
    /// The fraction of each rank's rows, in `[0, 1)`, that is held out to measure the validation
    /// loss. Default: 0.
    pub validation_fraction: f64,
    /// The number of iterations between two validation losses. One is also measured after the last
    /// iteration. Default: 10.
    pub validation_every: usize,
    /// Stops training after this many validation losses in a row without a new best (early
    /// stopping). If no rows are held out, the training loss counts instead: its mean since the
    /// last time, every `validation_every` iterations. `None`: never. Default: `None`.
    pub early_stop_patience: Option<usize>,
    /// A loss is a new best for early stopping only if it is lower by more than this. Default: 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub min_delta: f64,
    /// The metrics of the validation rows that are computed whenever the validation loss is, for a
    /// loss of classes, of labels that are 0 or 1, or of numbers. Rows count as much as their
    /// `weight_col` says, whatever the class weights of the loss. Default: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<ValidationMetric>,
    /// The metric that early stopping and the choice of the weights to keep follow, in place of the
    /// validation loss, and that `min_delta` is of. It is computed even if it is not among
    /// `metrics`. Default: `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor: Option<ValidationMetric>,
    /// The number of ranks, each of which trains on its own part of the rows. `None`: one per CPU
    /// core. Default: `None`.
    pub partitions: Option<usize>,
    /// The optimiser. Default: Adam.
    pub optimizer: Optimizer,
    /// The loss function. Default: cross-entropy.
    #[serde(deserialize_with = "loss::Loss::deserialize_saved")]
    pub loss: Loss,
    /// The weights to start from. `None`: PyTorch's random initialisation. Default: `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_weights: Option<InitialWeights>,
    /// Which parameters are not trained, by name: patterns in which `*` stands for any text, such
    /// as `0.*` for those of the first layer. See [`Network::state_names`]. Default: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
    /// The learning rate. Default: 0.001.
    pub learning_rate: f64,
    /// The learning-rate schedule. Default: constant.
    pub learning_rate_schedule: LearningRateSchedule,
    /// A linear warm-up of the learning rate, after which the schedule begins, as
    /// `torch.optim.lr_scheduler.SequentialLR` does with a `LinearLR` before another schedule.
    /// `None`: no warm-up. Default: `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<LinearLr>,
    /// The largest norm of the gradient of all parameters: a longer one is scaled down to it, as by
    /// `torch.nn.utils.clip_grad_norm_`. It is the mean gradient over all ranks that is clipped,
    /// before the optimiser's step. `None`: any norm. Default: `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_grad_norm: Option<f64>,
    /// The largest absolute value of a gradient, as for `torch.nn.utils.clip_grad_value_`. It is
    /// the mean gradient over all ranks that is clipped, before its norm. `None`: any value.
    /// Default: `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_grad_value: Option<f64>,
    /// The order in which each rank draws its rows, and whether it keeps their features or reads
    /// them again in every epoch. Default: [`Shuffle::Rows`], which keeps them.
    #[serde(skip_serializing_if = "Shuffle::is_rows")]
    pub shuffle: Shuffle,
    /// The number of epochs after which the parts of the table are dealt to the ranks anew, at
    /// random by the seed, like `partitionShuffles` of SparkTorch, but from the lake instead of
    /// through the driver. Mini-batches then meet rows that were on other ranks. The table is cut
    /// into 8 parts for each rank, or fewer if it has few rows. A rank begins with parts that
    /// follow each other, and reads those that it gets anew; beside these it keeps what it read
    /// first, for the stages after it, both within `memory_budget`. [`Shuffle::Blocks`] needs about
    /// as much for all parts as for the first. What `validation_fraction`
    /// holds out is chosen in each part, and stays held out. Rows that Spark holds come once and
    /// cannot be dealt anew. `None`: each rank keeps its rows. Default: `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_shuffles: Option<usize>,
    /// How many bytes of features each rank keeps in memory. It keeps them in a file otherwise, in
    /// the folder for temporary files, and draws mini-batches from there: in the same order, so the
    /// result has the same bits. With [`Shuffle::Blocks`] it keeps them nowhere, and needs a budget
    /// for those that it shuffles. `None`: half of the memory that is left when the fit begins,
    /// divided by the ranks on the machine. Default: `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_budget: Option<u64>,
    /// The device that the ranks compute on, and on which the fitted model predicts, on the machine
    /// that they run on. Default: the CPU.
    pub device: Device,
    /// The seed of the initial weights, the validation split, the order of the rows and dropout.
    /// The same seed and partitions give the same losses again. Default: 42.
    pub seed: u64,
    /// The number of iterations between two checkpoints in the run's folder, from which an
    /// interrupted fit resumes. `None`: no checkpoints. Default: `None`.
    pub checkpoint_every: Option<usize>,
    /// How often a fit restarts after a rank has failed, from the last checkpoint if there is one.
    /// Default: 0.
    pub max_restarts: usize,
    /// 0: prints nothing. 1: at most a dozen lines per fit, and failures. 2: a line for each
    /// validation loss, or for each iteration if there is no validation. Default: 1.
    pub verbose: u8,
}

impl Default for TrainingSettings {
    fn default() -> Self {
        TrainingSettings {
            iterations: None,
            epochs: None,
            mini_batch: None,
            accumulate_grad_batches: 1,
            validation_fraction: 0.0,
            validation_every: 10,
            early_stop_patience: None,
            min_delta: 0.0,
            metrics: Vec::new(),
            monitor: None,
            partitions: None,
            optimizer: Optimizer::default(),
            loss: Loss::default(),
            initial_weights: None,
            freeze: Vec::new(),
            learning_rate: 0.001,
            learning_rate_schedule: LearningRateSchedule::default(),
            warm_up: None,
            clip_grad_norm: None,
            clip_grad_value: None,
            shuffle: Shuffle::default(),
            partition_shuffles: None,
            memory_budget: None,
            device: Device::default(),
            seed: 42,
            checkpoint_every: None,
            max_restarts: 0,
            verbose: 1,
        }
    }
}

fn invalid(setting: &'static str, value: impl ToString, reason: &str) -> Error {
    Error::InvalidSetting {
        setting,
        value: value.to_string(),
        reason: reason.to_owned(),
    }
}

fn at_least_1(setting: &'static str, value: Option<usize>, none: &str) -> Result<()> {
    match value {
        Some(0) => Err(invalid(setting, 0, &format!("must be at least 1; {none}"))),
        _ => Ok(()),
    }
}

impl TrainingSettings {
    /// Checks what can be checked before any row is read.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] names the first setting that is out of range,
    /// [`TrainingError::DeviceUnavailable`](crate::error::TrainingError::DeviceUnavailable) a
    /// device that no machine has.
    pub fn validate(&self) -> Result<()> {
        if let (Some(epochs), Some(iterations)) = (self.epochs, self.iterations) {
            let reason = format!("and iterations is {iterations}: set one of the two");
            return Err(invalid("epochs", epochs, &reason));
        }
        at_least_1("mini_batch", self.mini_batch, "None uses all rows")?;
        let accumulated = Some(self.accumulate_grad_batches);
        at_least_1("accumulate_grad_batches", accumulated, "1 adds up nothing")?;
        let fraction = self.validation_fraction;
        if !(0.0..1.0).contains(&fraction) {
            return Err(invalid(
                "validation_fraction",
                fraction,
                "must be in [0, 1)",
            ));
        }
        if self.validation_every == 0 {
            return Err(invalid("validation_every", 0, "must be at least 1"));
        }
        let patience = self.early_stop_patience;
        at_least_1("early_stop_patience", patience, "None never stops early")?;
        if !(self.min_delta >= 0.0 && self.min_delta.is_finite()) {
            return Err(invalid("min_delta", self.min_delta, "must be 0 or more"));
        }
        at_least_1(
            "checkpoint_every",
            self.checkpoint_every,
            "None writes no checkpoints",
        )?;
        at_least_1("partitions", self.partitions, "None uses one per core")?;
        let shuffles = self.partition_shuffles;
        at_least_1("partition_shuffles", shuffles, "None deals no parts anew")?;
        let rate = self.learning_rate;
        if !(rate > 0.0 && rate.is_finite()) {
            return Err(invalid("learning_rate", rate, "must be above 0 and finite"));
        }
        self.learning_rate_schedule.validate()?;
        if let Some(warm_up) = &self.warm_up {
            warm_up.validate()?;
        }
        for (setting, limit) in [
            ("clip_grad_norm", self.clip_grad_norm),
            ("clip_grad_value", self.clip_grad_value),
        ] {
            if let Some(limit) = limit {
                check_positive(setting, limit)?;
            }
        }
        self.device.validate()?;
        self.optimizer.validate()?;
        self.loss.validate()
    }

    /// The error if the parts of a table cannot be dealt anew.
    pub(crate) fn cannot_be_dealt(&self, table: &str) -> Error {
        invalid(
            "partition_shuffles",
            self.partition_shuffles.unwrap_or_default(),
            &format!(
                "needs rows that every rank can read again, such as a table of the lake, and {table} \
                 is not: leave it out"
            ),
        )
    }

    /// Returns the metrics that are computed at each validation.
    pub(super) fn computed_metrics(&self) -> Vec<ValidationMetric> {
        let mut metrics = self.metrics.clone();
        metrics.extend(self.monitor.filter(|metric| !metrics.contains(metric)));
        metrics
    }

    /// Returns how many of a rank's `rows` are held out for validation.
    pub(crate) fn validation_rows(&self, rows: usize) -> usize {
        (rows as f64 * self.validation_fraction) as usize
    }

    /// Returns how many of the `rows` of a part of the table are held out, by the part's number: of
    /// parts of one size, together as many as of one of all their rows.
    pub(crate) fn validation_rows_of_part(&self, part: usize, rows: usize) -> usize {
        let up_to = |parts: usize| (rows as f64 * self.validation_fraction * parts as f64) as usize;
        (up_to(part + 1) - up_to(part)).min(rows)
    }

    /// Checks that the settings suit a network: its output the loss, its parameters the names and
    /// weights given.
    ///
    /// # Errors
    /// Those of [`validate`](Self::validate); [`Error::InvalidSetting`] for a metric of something
    /// else than the loss predicts; [`Error::ShapeMismatch`] for an output that the loss can't
    /// use; [`NetworkError::InvalidWeights`](crate::error::NetworkError::InvalidWeights) for
    /// initial weights that do not fit.
    pub(crate) fn validate_for(&self, network: &Network) -> Result<()> {
        self.validate()?;
        self.loss.validate_for(network)?;
        let predicted = validation::predicted(&self.loss, network);
        for metric in self.computed_metrics() {
            metric.validate_for(predicted)?;
        }
        self.frozen(network)?;
        match &self.initial_weights {
            None => Ok(()),
            Some(weights) => weights.read(network).map(|_| ()),
        }
    }

    /// Returns which of the network's tensors are frozen.
    pub(super) fn frozen(&self, network: &Network) -> Result<Vec<bool>> {
        let (names, roles) = (network.state_names(), network.roles());
        let mut frozen = vec![false; names.len()];
        for pattern in &self.freeze {
            let glob = glob::Pattern::new(pattern)
                .map_err(|error| invalid("freeze", pattern, &format!("is no pattern: {error}")))?;
            let mut matches = false;
            for ((name, role), frozen) in names.iter().zip(&roles).zip(&mut frozen) {
                if *role == Role::Parameter && glob.matches(name) {
                    (matches, *frozen) = (true, true);
                }
            }
            if !matches {
                let parameters = names.iter().zip(&roles);
                let parameters: Vec<&str> = parameters
                    .filter(|(_, role)| **role == Role::Parameter)
                    .map(|(name, _)| name.as_str())
                    .collect();
                let reason = format!("matches no parameter; they are {}", parameters.join(", "));
                return Err(invalid("freeze", pattern, &reason));
            }
        }
        let trained = |(role, frozen): (&Role, &bool)| *role == Role::Parameter && !frozen;
        if !self.freeze.is_empty() && !roles.iter().zip(&frozen).any(trained) {
            let patterns = self.freeze.join(", ");
            return Err(invalid(
                "freeze",
                patterns,
                "leaves no parameter to train: freeze fewer",
            ));
        }
        Ok(frozen)
    }

    /// Returns the mini-batch size for a shard with `rows` training rows.
    pub(crate) fn mini_batch_of(&self, rows: usize) -> usize {
        self.mini_batch
            .map_or(rows, |mini_batch| mini_batch.min(rows))
    }

    /// Returns the number of iterations, for the numbers of training rows and of rows in one
    /// iteration over all ranks.
    pub(crate) fn iterations_of(&self, training_rows: usize, global_batch: usize) -> usize {
        match self.epochs {
            Some(epochs) => epochs
                .saturating_mul(training_rows)
                .div_ceil(global_batch.max(1)),
            None => self.iterations.unwrap_or(DEFAULT_ITERATIONS),
        }
    }

    /// Whether a validation loss is due after `iteration`, which counts from 1 to `iterations`.
    pub(crate) fn validates_at(&self, iteration: usize, iterations: usize) -> bool {
        iteration.is_multiple_of(self.validation_every) || iteration == iterations
    }

    /// Returns the learning rate of `iteration`, which counts from 1 to `iterations`.
    pub(super) fn learning_rate_at(
        &self,
        iteration: usize,
        iterations: usize,
        state: &ScheduleState,
    ) -> f64 {
        let moment = Moment {
            initial: self.learning_rate,
            iteration,
            iterations,
            state,
        };
        match &self.warm_up {
            None => self.learning_rate_schedule.learning_rate(&moment),
            Some(warm_up) if iteration <= warm_up.total_iters => warm_up.learning_rate(&moment),
            Some(warm_up) => {
                let moment = moment.after(warm_up.total_iters);
                self.learning_rate_schedule.learning_rate(&moment)
            }
        }
    }

    /// Shows the schedule the loss after `iteration`. A warm-up does not look at it.
    pub(super) fn observe_loss(&self, iteration: usize, loss: f64, state: &mut ScheduleState) {
        if self
            .warm_up
            .is_none_or(|warm_up| iteration > warm_up.total_iters)
        {
            self.learning_rate_schedule
                .observe(state, self.learning_rate, loss);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Layer, train::CrossEntropy};

    #[test]
    fn the_defaults_are_valid_and_survive_json() {
        let settings = TrainingSettings::default();
        settings.validate().unwrap();
        let json = serde_json::to_string(&settings).unwrap();
        assert_eq!(
            serde_json::from_str::<TrainingSettings>(&json).unwrap(),
            settings
        );
    }

    #[test]
    fn settings_outside_their_range_are_named() {
        type Change = fn(&mut TrainingSettings);
        let cases: [(&str, Change); 19] = [
            ("mini_batch", |settings| settings.mini_batch = Some(0)),
            ("validation_fraction", |settings| {
                settings.validation_fraction = 1.0
            }),
            ("validation_fraction", |settings| {
                settings.validation_fraction = -0.1
            }),
            ("validation_fraction", |settings| {
                settings.validation_fraction = f64::NAN
            }),
            ("epochs", |settings| {
                settings.epochs = Some(3);
                settings.iterations = Some(300);
            }),
            ("accumulate_grad_batches", |settings| {
                settings.accumulate_grad_batches = 0
            }),
            ("min_delta", |settings| settings.min_delta = -0.1),
            ("validation_every", |settings| settings.validation_every = 0),
            ("early_stop_patience", |settings| {
                settings.early_stop_patience = Some(0)
            }),
            ("checkpoint_every", |settings| {
                settings.checkpoint_every = Some(0)
            }),
            ("partitions", |settings| settings.partitions = Some(0)),
            ("learning_rate", |settings| settings.learning_rate = 0.0),
            ("learning_rate", |settings| {
                settings.learning_rate = f64::NAN
            }),
            ("total_iters", |settings| {
                settings.warm_up = Some(LinearLr {
                    total_iters: 0,
                    ..Default::default()
                })
            }),
            ("clip_grad_norm", |settings| {
                settings.clip_grad_norm = Some(0.0)
            }),
            ("clip_grad_norm", |settings| {
                settings.clip_grad_norm = Some(f64::NAN)
            }),
            ("clip_grad_value", |settings| {
                settings.clip_grad_value = Some(0.0)
            }),
            ("clip_grad_value", |settings| {
                settings.clip_grad_value = Some(-1.0)
            }),
            ("clip_grad_value", |settings| {
                settings.clip_grad_value = Some(f64::INFINITY)
            }),
        ];
        for (expected, change) in cases {
            let mut settings = TrainingSettings {
                validation_fraction: 0.3,
                ..Default::default()
            };
            change(&mut settings);
            match settings.validate() {
                Err(Error::InvalidSetting { setting, .. }) => assert_eq!(setting, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_mini_batch_above_the_shard_takes_all_of_it() {
        let settings = TrainingSettings {
            mini_batch: Some(300),
            ..Default::default()
        };
        assert_eq!(settings.mini_batch_of(301), 300);
        assert_eq!(settings.mini_batch_of(299), 299);
    }

    #[test]
    fn epochs_are_as_many_iterations_as_reach_through_all_rows() {
        let settings = TrainingSettings {
            epochs: Some(3),
            ..Default::default()
        };
        assert_eq!(settings.iterations_of(100, 10), 30);
        assert_eq!(settings.iterations_of(101, 10), 31);
        let default = TrainingSettings::default();
        assert_eq!(default.iterations_of(101, 10), DEFAULT_ITERATIONS);
    }

    #[test]
    fn parameters_are_frozen_by_patterns_that_must_match_and_leave_some_to_train() {
        let layers = vec![Layer::linear(4, 3), Layer::ReLU, Layer::linear(3, 2)];
        let network = Network::new(&[4], layers).unwrap();
        let frozen = |patterns: &[&str]| {
            let freeze = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
            let settings = TrainingSettings {
                freeze,
                ..Default::default()
            };
            settings.frozen(&network)
        };
        assert_eq!(frozen(&["0.*"]).unwrap(), [true, true, false, false]);
        assert_eq!(frozen(&["*.bias"]).unwrap(), [false, true, false, true]);
        for (patterns, expected) in [
            (&["conv1.*"][..], "0.weight, 0.bias, 2.weight, 2.bias"),
            (&["0.*", "2.*"], "no parameter to train"),
            (&["[0"], "is no pattern"),
        ] {
            let error = frozen(patterns).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn settings_that_were_saved_before_are_read() {
        let json = r#"{"iterations": 300, "loss": "NegativeLogLikelihood"}"#;
        let settings: TrainingSettings = serde_json::from_str(json).unwrap();
        assert_eq!(settings.iterations, Some(300));
        assert_eq!(settings.loss, Loss::nll());
        let json = r#"{"loss": {"CrossEntropy": {"label_smoothing": 0.1}}}"#;
        let settings: TrainingSettings = serde_json::from_str(json).unwrap();
        let smoothed = CrossEntropy {
            label_smoothing: 0.1,
            ..Default::default()
        };
        assert_eq!(settings.loss, Loss::CrossEntropy(smoothed));
    }

    #[test]
    fn a_setting_that_is_not_used_does_not_keep_a_fit_from_its_checkpoint() {
        // A checkpoint belongs to the fit whose settings are the same JSON.
        let json = serde_json::to_string(&TrainingSettings::default()).unwrap();
        for setting in [
            "warm_up",
            "clip_grad_norm",
            "clip_grad_value",
            "amsgrad",
            "shuffle",
        ] {
            assert!(!json.contains(setting), "{json}");
        }
    }

    #[test]
    fn a_misspelt_setting_in_json_is_refused() {
        assert!(serde_json::from_str::<TrainingSettings>(r#"{"iters": 5}"#).is_err());
    }
}
