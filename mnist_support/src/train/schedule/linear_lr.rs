//! A learning rate that changes linearly, above all to warm up.

use serde::{Deserialize, Serialize};

use super::rule::{Moment, Schedule};
use crate::{
    Result,
    train::check::{check, check_at_least_1, check_factor},
};

/// The settings of `torch.optim.lr_scheduler.LinearLR`: over the first `total_iters` iterations,
/// the factor on the learning rate goes from `start_factor` to `end_factor`, where it stays. The
/// defaults are PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinearLr {
    /// The factor in the first iteration, in `(0, 1]`. Default: 1/3.
    pub start_factor: f64,
    /// The factor in the end, in `[0, 1]`. Default: 1.
    pub end_factor: f64,
    /// The number of iterations to get there. Default: 5.
    pub total_iters: usize,
}

impl Default for LinearLr {
    fn default() -> Self {
        LinearLr {
            start_factor: 1.0 / 3.0,
            end_factor: 1.0,
            total_iters: 5,
        }
    }
}

impl Schedule for LinearLr {
    fn validate(&self) -> Result<()> {
        check_factor("start_factor", self.start_factor)?;
        let holds = (0.0..=1.0).contains(&self.end_factor);
        check("end_factor", self.end_factor, holds, "must be in [0, 1]")?;
        check_at_least_1("total_iters", self.total_iters)
    }

    fn learning_rate(&self, moment: &Moment) -> f64 {
        let steps = moment.steps().min(self.total_iters);
        let progress = steps as f64 / self.total_iters as f64;
        moment.initial * (self.start_factor + (self.end_factor - self.start_factor) * progress)
    }
}
