//! Stochastic gradient descent on a flat vector of parameters.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::rule::{OptimizerConfig, UpdateRule, check, check_fraction, check_not_negative};
use crate::Result;

/// The settings of stochastic gradient descent; the defaults are `torch.optim.SGD`'s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// The momentum factor, in `[0, 1)`. Default: 0.
    pub momentum: f64,
    /// The weight decay (L2 penalty). Default: 0.
    pub weight_decay: f64,
    /// Whether to use Nesterov momentum. Default: false.
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
        )
    }

    fn start(&self, parameters: &Tensor) -> Result<Box<dyn UpdateRule>> {
        Ok(Box::new(SgdState {
            settings: *self,
            velocity: parameters.f_zeros_like()?,
        }))
    }
}

/// The order of operations is that of `torch.optim.SGD` with a dampening of 0.
struct SgdState {
    settings: Sgd,
    velocity: Tensor,
}

impl UpdateRule for SgdState {
    fn step(
        &mut self,
        parameters: &mut Tensor,
        gradient: &Tensor,
        learning_rate: f64,
    ) -> Result<()> {
        let Sgd {
            momentum,
            weight_decay,
            nesterov,
        } = self.settings;
        let gradient = if weight_decay == 0.0 {
            gradient.shallow_clone()
        } else {
            gradient.f_add(&parameters.f_mul_scalar(weight_decay)?)?
        };
        let direction = if momentum == 0.0 {
            gradient
        } else {
            let _ = self.velocity.f_mul_scalar_(momentum)?;
            let _ = self.velocity.f_add_(&gradient)?;
            if nesterov {
                gradient.f_add(&self.velocity.f_mul_scalar(momentum)?)?
            } else {
                self.velocity.shallow_clone()
            }
        };
        let _ = parameters.f_sub_(&direction.f_mul_scalar(learning_rate)?)?;
        Ok(())
    }

    fn steps(&self) -> i32 {
        0
    }

    fn state_dict(&self) -> Vec<Tensor> {
        vec![self.velocity.shallow_clone()]
    }

    fn load_state_dict(&mut self, _steps: i32, state: &[Tensor]) -> Result<()> {
        for saved in state {
            self.velocity.f_copy_(saved)?;
        }
        Ok(())
    }
}
