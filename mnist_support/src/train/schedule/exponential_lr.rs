//! A learning rate that falls exponentially.

use serde::{Deserialize, Serialize};

use super::rule::{Moment, Schedule};
use crate::{Result, train::check::check_positive};

/// The settings of `torch.optim.lr_scheduler.ExponentialLR`: after every iteration, the learning
/// rate is multiplied by `gamma`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExponentialLr {
    /// The factor of an iteration.
    pub gamma: f64,
}

impl Schedule for ExponentialLr {
    fn validate(&self) -> Result<()> {
        check_positive("gamma", self.gamma)
    }

    fn learning_rate(&self, moment: &Moment) -> f64 {
        moment.initial * self.gamma.powf(moment.steps() as f64)
    }
}
