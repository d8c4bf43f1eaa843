//! A learning rate that falls at regular intervals.

use serde::{Deserialize, Serialize};

use super::rule::{Moment, Schedule};
use crate::{
    Result,
    train::check::{check_at_least_1, check_positive},
};

/// The settings of `torch.optim.lr_scheduler.StepLR`: every `step_size` iterations, the learning
/// rate is multiplied by `gamma`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepLr {
    /// The number of iterations between two changes.
    pub step_size: usize,
    /// The factor of a change. PyTorch's default: 0.1.
    #[serde(default = "super::default_gamma")]
    pub gamma: f64,
}

impl Schedule for StepLr {
    fn validate(&self) -> Result<()> {
        check_at_least_1("step_size", self.step_size)?;
        check_positive("gamma", self.gamma)
    }

    fn learning_rate(&self, moment: &Moment) -> f64 {
        let changes = moment.steps() / self.step_size;
        moment.initial * self.gamma.powf(changes as f64)
    }
}
