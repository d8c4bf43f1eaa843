//! The trait that makes up a schedule.

use serde::{Deserialize, Serialize};

use crate::Result;

/// A learning-rate schedule's settings and its rule.
pub(crate) trait Schedule {
    /// # Errors
    /// [`Error::InvalidSetting`](crate::Error::InvalidSetting) names the first setting that is
    /// outside its range.
    fn validate(&self) -> Result<()>;

    /// Returns the learning rate of an iteration.
    fn learning_rate(&self, moment: &Moment) -> f64;

    /// Records a loss, for schedules that follow it.
    fn observe(&self, _state: &mut ScheduleState, _initial: f64, _loss: f64) {}
}

/// What a schedule knows when an iteration begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment<'a> {
    /// The fit's learning rate.
    pub(crate) initial: f64,
    /// Counts from 1 to `iterations`.
    pub(crate) iteration: usize,
    pub(crate) iterations: usize,
    pub(crate) state: &'a ScheduleState,
}

impl Moment<'_> {
    /// The number of calls of `scheduler.step()` before this iteration, PyTorch's `last_epoch`.
    pub(super) fn steps(&self) -> usize {
        self.iteration - 1
    }

    /// The fraction of the iterations that are done, from 0.
    pub(super) fn done(&self) -> f64 {
        self.steps() as f64 / self.iterations.max(1) as f64
    }

    /// The same moment for a schedule that starts after `warm_up` iterations.
    pub(crate) fn after(self, warm_up: usize) -> Self {
        Moment {
            iteration: self.iteration - warm_up,
            iterations: self.iterations.saturating_sub(warm_up),
            ..self
        }
    }
}

/// What a schedule that follows the loss keeps between iterations. Checkpoints save it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ScheduleState {
    /// The learning rate, once it has been reduced.
    pub(super) learning_rate: Option<f64>,
    /// The lowest loss.
    pub(super) best: Option<f64>,
    /// The number of losses since then that count.
    pub(super) bad_losses: usize,
    /// The number of losses that do not count, before any count again.
    pub(super) cooldown: usize,
}
