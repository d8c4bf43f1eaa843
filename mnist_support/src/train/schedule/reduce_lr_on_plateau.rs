//! A learning rate that falls when the loss no longer does.

use serde::{Deserialize, Serialize};

use super::rule::{Moment, Schedule, ScheduleState};
use crate::{
    Result,
    train::check::{check, check_not_negative},
};

/// The settings of `torch.optim.lr_scheduler.ReduceLROnPlateau` in its mode `min`: the learning
/// rate is multiplied by `factor` when the loss has not become lower for a while. The defaults are
/// PyTorch's.
///
/// The losses are those that early stopping looks at: the validation loss if rows are held out,
/// otherwise the mean training loss, every `validation_every` iterations. `patience` and `cooldown`
/// count these losses.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReduceLrOnPlateau {
    /// The factor of a change, in `(0, 1)`. Default: 0.1.
    pub factor: f64,
    /// How many losses in a row may fail to be lower; the rate changes after one more. Default: 10.
    pub patience: usize,
    /// The fraction by which a loss must be below the lowest so far to count as lower. Default:
    /// 1e-4.
    pub threshold: f64,
    /// The number of losses after a change that do not count against the patience. Default: 0.
    pub cooldown: usize,
    /// The lowest learning rate. Default: 0.
    pub min_lr: f64,
    /// A change that is not larger than this is left out. Default: 1e-8.
    pub eps: f64,
}

impl Default for ReduceLrOnPlateau {
    fn default() -> Self {
        ReduceLrOnPlateau {
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            cooldown: 0,
            min_lr: 0.0,
            eps: 1e-8,
        }
    }
}

impl Schedule for ReduceLrOnPlateau {
    fn validate(&self) -> Result<()> {
        let reduces = self.factor > 0.0 && self.factor < 1.0;
        check("factor", self.factor, reduces, "must be in (0, 1)")?;
        check_not_negative("threshold", self.threshold)?;
        check_not_negative("min_lr", self.min_lr)?;
        check_not_negative("eps", self.eps)
    }

    fn learning_rate(&self, moment: &Moment) -> f64 {
        moment.state.learning_rate.unwrap_or(moment.initial)
    }

    fn observe(&self, state: &mut ScheduleState, initial: f64, loss: f64) {
        let lower = |best: f64| loss < best * (1.0 - self.threshold);
        if state.best.is_none_or(lower) {
            state.best = Some(loss);
            state.bad_losses = 0;
        } else {
            state.bad_losses += 1;
        }
        if state.cooldown > 0 {
            state.cooldown -= 1;
            state.bad_losses = 0;
        }
        if state.bad_losses > self.patience {
            let rate = state.learning_rate.unwrap_or(initial);
            let reduced = (rate * self.factor).max(self.min_lr);
            if rate - reduced > self.eps {
                state.learning_rate = Some(reduced);
            }
            state.cooldown = self.cooldown;
            state.bad_losses = 0;
        }
    }
}
