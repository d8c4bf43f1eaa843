//! The settings of a fit.

use serde::{Deserialize, Serialize};

use super::{Device, LearningRateSchedule, Loss, Optimizer};
use crate::{Error, Result};

/// The settings of a fit. Notebooks, ranks and saved pipelines all use this struct.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingSettings {
    /// The number of mini-batches that each rank trains on. Not epochs: with `n` rows in total, an
    /// epoch takes `n / (partitions * mini_batch)` iterations. Default: 10, as in SparkTorch.
    pub iterations: usize,
    /// The number of rows that each rank draws per iteration. `None`: all of its rows. Default:
    /// `None`.
    pub mini_batch: Option<usize>,
    /// The fraction of each rank's rows, in `[0, 1)`, that is held out to measure the validation
    /// loss. Default: 0.
    pub validation_fraction: f64,
    /// The number of iterations between two validation losses. One is also measured after the last
    /// iteration. Default: 10.
    pub validation_every: usize,
    /// Stops training after this many validation losses in a row without a new best (early
    /// stopping). `None`: never. Default: `None`.
    pub early_stop_patience: Option<usize>,
    /// The number of ranks, each of which trains on its own part of the rows. `None`: one per CPU
    /// core. Default: `None`.
    pub partitions: Option<usize>,
    /// The optimiser. Default: Adam.
    pub optimizer: Optimizer,
    /// The loss function. Default: cross-entropy.
    pub loss: Loss,
    /// The learning rate. Default: 0.001.
    pub learning_rate: f64,
    /// The learning-rate schedule. Default: constant.
    pub learning_rate_schedule: LearningRateSchedule,
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
            iterations: 10,
            mini_batch: None,
            validation_fraction: 0.0,
            validation_every: 10,
            early_stop_patience: None,
            partitions: None,
            optimizer: Optimizer::default(),
            loss: Loss::default(),
            learning_rate: 0.001,
            learning_rate_schedule: LearningRateSchedule::default(),
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
        at_least_1("mini_batch", self.mini_batch, "None uses all rows")?;
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
        if patience.is_some() && fraction == 0.0 {
            return Err(invalid(
                "validation_fraction",
                0,
                "leaves no validation loss for early_stop_patience: hold out some rows, or disable early stopping",
            ));
        }
        at_least_1(
            "checkpoint_every",
            self.checkpoint_every,
            "None writes no checkpoints",
        )?;
        at_least_1("partitions", self.partitions, "None uses one per core")?;
        let rate = self.learning_rate;
        if !(rate > 0.0 && rate.is_finite()) {
            return Err(invalid("learning_rate", rate, "must be above 0 and finite"));
        }
        self.device.validate()?;
        self.optimizer.validate()?;
        self.loss.validate()
    }

    /// Returns how many of a rank's `rows` are held out for validation.
    pub(crate) fn validation_rows(&self, rows: usize) -> usize {
        (rows as f64 * self.validation_fraction) as usize
    }

    /// Returns the mini-batch size for a shard with `rows` training rows.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if the shard has fewer rows than `mini_batch`.
    pub(crate) fn mini_batch_of(&self, rows: usize) -> Result<usize> {
        match self.mini_batch {
            None => Ok(rows),
            Some(mini_batch) if mini_batch <= rows => Ok(mini_batch),
            Some(mini_batch) => Err(invalid(
                "mini_batch",
                mini_batch,
                &format!(
                    "is more than the {rows} rows that this partition has left to train on: \
                     lower it, or take fewer partitions"
                ),
            )),
        }
    }

    /// Whether a validation loss is due after `iteration`, which counts from 1.
    pub(crate) fn validates_at(&self, iteration: usize) -> bool {
        iteration.is_multiple_of(self.validation_every) || iteration == self.iterations
    }

    /// Returns the learning rate of `iteration`, which counts from 1.
    pub(crate) fn learning_rate_at(&self, iteration: usize) -> f64 {
        let schedule = &self.learning_rate_schedule;
        self.learning_rate * schedule.factor(iteration, self.iterations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let cases: [(&str, Change); 11] = [
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
            ("validation_fraction", |settings| {
                settings.validation_fraction = 0.0;
                settings.early_stop_patience = Some(3);
            }),
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
    fn a_mini_batch_above_the_shard_is_an_error_that_names_both() {
        let settings = TrainingSettings {
            mini_batch: Some(300),
            ..Default::default()
        };
        assert_eq!(settings.mini_batch_of(300).unwrap(), 300);
        let message = settings.mini_batch_of(299).unwrap_err().to_string();
        assert!(
            message.contains("300") && message.contains("299"),
            "{message}"
        );
    }

    #[test]
    fn a_misspelt_setting_in_json_is_refused() {
        assert!(serde_json::from_str::<TrainingSettings>(r#"{"iters": 5}"#).is_err());
    }
}
