//! Stochastic gradient descent on a flat vector of parameters.

use tch::Tensor;

use super::optimizer::Step;
use crate::Result;

/// The order of operations is that of `torch.optim.SGD` (dampening 0).
pub(super) struct Sgd {
    momentum: f64,
    weight_decay: f64,
    nesterov: bool,
    velocity: Tensor,
}

impl Sgd {
    pub(super) fn new(
        momentum: f64,
        weight_decay: f64,
        nesterov: bool,
        parameters: &Tensor,
    ) -> Result<Self> {
        Ok(Sgd {
            momentum,
            weight_decay,
            nesterov,
            velocity: parameters.f_zeros_like()?,
        })
    }
}

impl Step for Sgd {
    fn step(
        &mut self,
        parameters: &mut Tensor,
        gradient: &Tensor,
        learning_rate: f64,
    ) -> Result<()> {
        let gradient = if self.weight_decay == 0.0 {
            gradient.shallow_clone()
        } else {
            gradient.f_add(&parameters.f_mul_scalar(self.weight_decay)?)?
        };
        let direction = if self.momentum == 0.0 {
            gradient
        } else {
            let _ = self.velocity.f_mul_scalar_(self.momentum)?;
            let _ = self.velocity.f_add_(&gradient)?;
            if self.nesterov {
                gradient.f_add(&self.velocity.f_mul_scalar(self.momentum)?)?
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

    fn state(&self) -> Vec<Tensor> {
        vec![self.velocity.shallow_clone()]
    }

    fn restore(&mut self, _steps: i32, state: &[Tensor]) -> Result<()> {
        for saved in state {
            self.velocity.f_copy_(saved)?;
        }
        Ok(())
    }
}
