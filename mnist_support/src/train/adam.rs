//! Adam and AdamW on a flat vector of parameters.

use tch::Tensor;

use super::optimizer::Step;
use crate::Result;

/// Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015; with decoupled decay, Loshchilov and
/// Hutter, "Decoupled Weight Decay Regularization", 2019. The order of operations is that of
/// `torch.optim.Adam`.
pub(super) struct Adam {
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
    decoupled_weight_decay: bool,
    steps: i32,
    mean: Tensor,
    mean_square: Tensor,
}

impl Adam {
    pub(super) fn new(
        betas: (f64, f64),
        eps: f64,
        weight_decay: f64,
        decoupled_weight_decay: bool,
        parameters: &Tensor,
    ) -> Result<Self> {
        Ok(Adam {
            betas,
            eps,
            weight_decay,
            decoupled_weight_decay,
            steps: 0,
            mean: parameters.f_zeros_like()?,
            mean_square: parameters.f_zeros_like()?,
        })
    }
}

impl Step for Adam {
    fn step(
        &mut self,
        parameters: &mut Tensor,
        gradient: &Tensor,
        learning_rate: f64,
    ) -> Result<()> {
        self.steps += 1;
        let decayed;
        let gradient = if self.weight_decay == 0.0 {
            gradient
        } else if self.decoupled_weight_decay {
            let _ = parameters.f_mul_scalar_(1.0 - learning_rate * self.weight_decay)?;
            gradient
        } else {
            decayed = gradient.f_add(&parameters.f_mul_scalar(self.weight_decay)?)?;
            &decayed
        };
        let (first, second) = self.betas;
        let _ = self.mean.f_lerp_(gradient, 1.0 - first)?;
        let _ = self.mean_square.f_mul_scalar_(second)?;
        let _ = self
            .mean_square
            .f_add_(&gradient.f_square()?.f_mul_scalar_(1.0 - second)?)?;
        let first_correction = 1.0 - first.powi(self.steps);
        let second_correction = (1.0 - second.powi(self.steps)).sqrt();
        let mut denominator = self.mean_square.f_sqrt()?;
        let mut denominator = denominator.f_mul_scalar_(1.0 / second_correction)?;
        let denominator = denominator.f_add_scalar_(self.eps)?;
        let _ = parameters.f_addcdiv_(
            &self.mean.f_mul_scalar(-learning_rate / first_correction)?,
            &denominator,
        )?;
        Ok(())
    }

    fn steps(&self) -> i32 {
        self.steps
    }

    fn state(&self) -> Vec<Tensor> {
        vec![self.mean.shallow_clone(), self.mean_square.shallow_clone()]
    }

    fn restore(&mut self, steps: i32, state: &[Tensor]) -> Result<()> {
        self.steps = steps;
        for (own, saved) in [&mut self.mean, &mut self.mean_square]
            .into_iter()
            .zip(state)
        {
            own.f_copy_(saved)?;
        }
        Ok(())
    }
}
