//! One cycle: up and down.

use super::{
    cosine_annealing_lr::cosine,
    rule::{Moment, Schedule},
};
use crate::{Result, train::check::check};

pub(super) struct OneCycle {
    pub(super) warm_up: f64,
}

impl Schedule for OneCycle {
    fn validate(&self) -> Result<()> {
        let holds = (0.0..=1.0).contains(&self.warm_up);
        check("warm_up", self.warm_up, holds, "must be in [0, 1]")
    }

    fn learning_rate(&self, moment: &Moment) -> f64 {
        // The first iteration has the first step of the warm-up. None has 0.
        let (warm_up, done) = (self.warm_up, moment.done());
        let factor = if done < warm_up {
            (moment.iteration as f64 / (warm_up * moment.iterations as f64)).min(1.0)
        } else {
            cosine((done - warm_up) / (1.0 - warm_up))
        };
        moment.initial * factor
    }
}
