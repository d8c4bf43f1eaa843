//! A learning rate that falls at given iterations.

use serde::{Deserialize, Serialize};

use super::rule::{Moment, Schedule};
use crate::{
    Result,
    train::check::{check, check_positive},
};

/// The settings of `torch.optim.lr_scheduler.MultiStepLR`: after each of the `milestones`, the
/// learning rate is multiplied by `gamma`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultiStepLr {
    /// The numbers of iterations after which the rate changes, in ascending order.
    pub milestones: Vec<usize>,
    /// The factor of a change. PyTorch's default: 0.1.
    #[serde(default = "super::default_gamma")]
    pub gamma: f64,
}

impl Schedule for MultiStepLr {
    fn validate(&self) -> Result<()> {
        let milestones = format!("{:?}", self.milestones);
        let sorted = self.milestones.is_sorted();
        check(
            "milestones",
            milestones,
            sorted,
            "must be in ascending order",
        )?;
        check_positive("gamma", self.gamma)
    }

    fn learning_rate(&self, moment: &Moment) -> f64 {
        let steps = moment.steps();
        let changes = self
            .milestones
            .partition_point(|milestone| *milestone <= steps);
        moment.initial * self.gamma.powf(changes as f64)
    }
}
