//! Learning-rate schedules, by the names of `torch.optim.lr_scheduler`.
//!
//! A schedule is one file: its settings, which implement [`Schedule`]. In this file it has a `mod`
//! line, a variant, a constructor and a line in [`LearningRateSchedule::schedule`].

mod constant;
mod cosine_annealing_lr;
mod exponential_lr;
mod linear_lr;
mod multi_step_lr;
mod one_cycle;
mod reduce_lr_on_plateau;
mod rule;
mod step_lr;

use serde::{Deserialize, Serialize};

use constant::Constant;
pub use cosine_annealing_lr::CosineAnnealingLr;
pub use exponential_lr::ExponentialLr;
pub use linear_lr::LinearLr;
pub use multi_step_lr::MultiStepLr;
use one_cycle::OneCycle;
pub use reduce_lr_on_plateau::ReduceLrOnPlateau;
pub(crate) use rule::{Moment, Schedule, ScheduleState};
pub use step_lr::StepLr;

use crate::Result;

/// How the learning rate changes during a fit.
///
/// Schedules count iterations, as in PyTorch if `scheduler.step()` follows every
/// `optimizer.step()`. For a schedule in epochs, multiply by the iterations of an epoch. A warm-up
/// before any of them is a setting of its own:
/// [`TrainingSettings::warm_up`](super::TrainingSettings::warm_up).
///
/// ```
/// use mnist_support::train::{LearningRateSchedule, ReduceLrOnPlateau};
///
/// let halve_every_1000_iterations = LearningRateSchedule::step_lr(1000, 0.5);
/// let halve_when_the_loss_stays = LearningRateSchedule::ReduceLrOnPlateau(ReduceLrOnPlateau {
///     factor: 0.5,
///     ..Default::default()
/// });
/// # assert_ne!(halve_every_1000_iterations, halve_when_the_loss_stays);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LearningRateSchedule {
    /// The same rate throughout.
    #[default]
    Constant,
    /// Cosine annealing from the full rate to 0 over the fit: [`CosineAnnealingLr`] with its
    /// defaults.
    CosineAnnealing,
    /// A linear warm-up over the first part of the iterations, then cosine annealing to 0 (Smith
    /// and Topin, "Super-Convergence", 2018, in its two-phase form).
    OneCycle {
        /// The fraction of the iterations that the warm-up takes, in `[0, 1]`.
        warm_up: f64,
    },
    /// `torch.optim.lr_scheduler.StepLR`: falls at regular intervals.
    StepLr(StepLr),
    /// `torch.optim.lr_scheduler.MultiStepLR`: falls at given iterations.
    MultiStepLr(MultiStepLr),
    /// `torch.optim.lr_scheduler.ExponentialLR`: falls exponentially.
    ExponentialLr(ExponentialLr),
    /// `torch.optim.lr_scheduler.CosineAnnealingLR`: a cosine to a lowest rate.
    CosineAnnealingLr(CosineAnnealingLr),
    /// `torch.optim.lr_scheduler.LinearLR`: a straight line from one factor to another.
    LinearLr(LinearLr),
    /// `torch.optim.lr_scheduler.ReduceLROnPlateau`: falls when the loss no longer does.
    ReduceLrOnPlateau(ReduceLrOnPlateau),
}

/// PyTorch's default for the schedules that multiply by a `gamma` from time to time.
fn default_gamma() -> f64 {
    0.1
}

impl LearningRateSchedule {
    /// `torch.optim.lr_scheduler.StepLR`: multiplies the rate by `gamma` every `step_size`
    /// iterations.
    pub fn step_lr(step_size: usize, gamma: f64) -> Self {
        LearningRateSchedule::StepLr(StepLr { step_size, gamma })
    }

    /// `torch.optim.lr_scheduler.MultiStepLR`: multiplies the rate by `gamma` after each of the
    /// `milestones`, which are numbers of iterations.
    pub fn multi_step_lr(milestones: impl Into<Vec<usize>>, gamma: f64) -> Self {
        LearningRateSchedule::MultiStepLr(MultiStepLr {
            milestones: milestones.into(),
            gamma,
        })
    }

    /// `torch.optim.lr_scheduler.ExponentialLR`: multiplies the rate by `gamma` after every
    /// iteration.
    pub fn exponential_lr(gamma: f64) -> Self {
        LearningRateSchedule::ExponentialLr(ExponentialLr { gamma })
    }

    /// `torch.optim.lr_scheduler.CosineAnnealingLR`: a cosine from the full rate to `eta_min` over
    /// `t_max` iterations.
    pub fn cosine_annealing_lr(t_max: impl Into<Option<usize>>, eta_min: f64) -> Self {
        LearningRateSchedule::CosineAnnealingLr(CosineAnnealingLr {
            t_max: t_max.into(),
            eta_min,
        })
    }

    /// `torch.optim.lr_scheduler.LinearLR`: a straight line from `start_factor` times the rate to
    /// `end_factor` times it over `total_iters` iterations.
    pub fn linear_lr(start_factor: f64, end_factor: f64, total_iters: usize) -> Self {
        LearningRateSchedule::LinearLr(LinearLr {
            start_factor,
            end_factor,
            total_iters,
        })
    }

    /// `torch.optim.lr_scheduler.ReduceLROnPlateau` with its defaults: multiplies the rate by 0.1
    /// when more than 10 losses in a row are not lower.
    pub fn reduce_lr_on_plateau() -> Self {
        LearningRateSchedule::ReduceLrOnPlateau(ReduceLrOnPlateau::default())
    }

    fn schedule(&self) -> Box<dyn Schedule> {
        match self {
            LearningRateSchedule::Constant => Box::new(Constant),
            LearningRateSchedule::CosineAnnealing => Box::new(CosineAnnealingLr::default()),
            LearningRateSchedule::OneCycle { warm_up } => Box::new(OneCycle { warm_up: *warm_up }),
            LearningRateSchedule::StepLr(schedule) => Box::new(*schedule),
            LearningRateSchedule::MultiStepLr(schedule) => Box::new(schedule.clone()),
            LearningRateSchedule::ExponentialLr(schedule) => Box::new(*schedule),
            LearningRateSchedule::CosineAnnealingLr(schedule) => Box::new(*schedule),
            LearningRateSchedule::LinearLr(schedule) => Box::new(*schedule),
            LearningRateSchedule::ReduceLrOnPlateau(schedule) => Box::new(*schedule),
        }
    }
}

impl Schedule for LearningRateSchedule {
    fn validate(&self) -> Result<()> {
        self.schedule().validate()
    }

    fn learning_rate(&self, moment: &Moment) -> f64 {
        self.schedule().learning_rate(moment)
    }

    fn observe(&self, state: &mut ScheduleState, initial: f64, loss: f64) {
        self.schedule().observe(state, initial, loss);
    }
}

#[cfg(test)]
mod tests;
