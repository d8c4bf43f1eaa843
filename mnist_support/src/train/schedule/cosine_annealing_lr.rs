//! Cosine annealing.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use super::rule::{Moment, Schedule};
use crate::{
    Result,
    train::check::{check_at_least_1, check_not_negative},
};

/// The settings of `torch.optim.lr_scheduler.CosineAnnealingLR`: a cosine from the full learning
/// rate to `eta_min` (Loshchilov and Hutter, "SGDR", 2017).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CosineAnnealingLr {
    /// The number of iterations to get to `eta_min`, after which the rate rises again. `None`: all
    /// iterations of the fit. Default: `None`.
    pub t_max: Option<usize>,
    /// The lowest learning rate. Default: 0.
    pub eta_min: f64,
}

impl Schedule for CosineAnnealingLr {
    fn validate(&self) -> Result<()> {
        if let Some(t_max) = self.t_max {
            check_at_least_1("t_max", t_max)?;
        }
        check_not_negative("eta_min", self.eta_min)
    }

    fn learning_rate(&self, moment: &Moment) -> f64 {
        let progress = match self.t_max {
            None => moment.done(),
            Some(t_max) => moment.steps() as f64 / t_max as f64,
        };
        self.eta_min + (moment.initial - self.eta_min) * cosine(progress)
    }
}

/// Returns the cosine that falls from 1 to 0 while `progress` rises from 0 to 1.
pub(super) fn cosine(progress: f64) -> f64 {
    0.5 * (1.0 + (PI * progress).cos())
}
