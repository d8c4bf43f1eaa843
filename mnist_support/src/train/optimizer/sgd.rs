//! Stochastic gradient descent on a flat vector of parameters.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::rule::{OptimizerConfig, UpdateRule, with_weight_decay};
use crate::{
    Result,
    train::check::{check, check_fraction, check_not_negative, is_zero},
};

/// The settings of stochastic gradient descent; the defaults are `torch.optim.SGD`'s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// The momentum factor, in `[0, 1)`. Default: 0.
    pub momentum: f64,
    /// By how much a new gradient counts less in the momentum, in `[0, 1]`. Default: 0.
    #[serde(skip_serializing_if = "is_zero")] // checkpoints from before it existed still fit
    pub dampening: f64,
    /// The weight decay (L2 penalty). Default: 0.
    pub weight_decay: f64,
    /// Whether to use Nesterov momentum, which needs `momentum` and no `dampening`. Default: false.
    pub nesterov: bool,
}

impl OptimizerConfig for Sgd {
    fn validate(&self) -> Result<()> {
        check_not_negative("weight_decay", self.weight_decay)?;
        check_fraction("momentum", self.momentum)?;
        let moves = self.momentum > 0.0 || !self.nesterov;
        check(
            "momentum",
            self.momentum,
            moves,
            "must be above 0 for nesterov",
        )?;
        let dampens = (0.0..=1.0).contains(&self.dampening);
        check("dampening", self.dampening, dampens, "must be in [0, 1]")?;
        let undamped = self.dampening == 0.0 || !self.nesterov;
        check(
            "dampening",
            self.dampening,
            undamped,
            "must be 0 for nesterov",
        )
    }

    fn start(&self, parameters: &Tensor) -> Result<Box<dyn UpdateRule>> {
        Ok(Box::new(SgdState {
            settings: *self,
            velocity: parameters.f_zeros_like()?,
        }))
    }
}

/// The order of operations is that of `torch.optim.SGD`.
struct SgdState {
    settings: Sgd,
    velocity: Tensor,
}

impl UpdateRule for SgdState {
    fn step(
        &mut self,
        step: i32,
        parameters: &mut Tensor,
        gradient: &Tensor,
        learning_rate: f64,
    ) -> Result<()> {
        let Sgd {
            momentum,
            dampening,
            weight_decay,
            nesterov,
        } = self.settings;
        let gradient = with_weight_decay(gradient, parameters, weight_decay)?;
        let direction = if momentum == 0.0 {
            gradient
        } else {
            let _ = self.velocity.f_mul_scalar_(momentum)?;
            // As in PyTorch, the first gradient is not dampened.
            let _ = if dampening == 0.0 || step == 1 {
                self.velocity.f_add_(&gradient)?
            } else {
                let dampened = gradient.f_mul_scalar(1.0 - dampening)?;
                self.velocity.f_add_(&dampened)?
            };
            if nesterov {
                gradient.f_add(&self.velocity.f_mul_scalar(momentum)?)?
            } else {
                self.velocity.shallow_clone()
            }
        };
        let _ = parameters.f_sub_(&direction.f_mul_scalar(learning_rate)?)?;
        Ok(())
    }

    fn state(&self) -> Vec<&Tensor> {
        vec![&self.velocity]
    }
}
