//! RAdam on a flat vector of parameters.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::rule::{OptimizerConfig, UpdateRule, apply_weight_decay, update_mean_square};
use crate::{
    Result,
    train::check::{check_betas, check_not_negative},
};

/// The settings of RAdam, which is Adam without its adaptive rate in the first steps (Liu et al.,
/// "On the Variance of the Adaptive Learning Rate and Beyond", 2020). The defaults are
/// `torch.optim.RAdam`'s.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RAdam {
    /// The decay rates of the running averages of the gradient and of its square. Default: 0.9 and
    /// 0.999.
    pub betas: (f64, f64),
    /// Added to the denominator for numerical stability. Default: 1e-8.
    pub eps: f64,
    /// The weight decay (L2 penalty). Default: 0.
    pub weight_decay: f64,
    /// Whether weight decay applies to the weights themselves, as in AdamW, rather than through the
    /// gradient. Default: false.
    pub decoupled_weight_decay: bool,
}

impl Default for RAdam {
    fn default() -> Self {
        RAdam {
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled_weight_decay: false,
        }
    }
}

impl OptimizerConfig for RAdam {
    fn validate(&self) -> Result<()> {
        check_betas(self.betas)?;
        check_not_negative("eps", self.eps)?;
        check_not_negative("weight_decay", self.weight_decay)
    }

    fn start(&self, parameters: &Tensor) -> Result<Box<dyn UpdateRule>> {
        Ok(Box::new(RAdamState {
            settings: *self,
            mean: parameters.f_zeros_like()?,
            mean_square: parameters.f_zeros_like()?,
        }))
    }
}

/// The order of operations is that of `torch.optim.RAdam`.
struct RAdamState {
    settings: RAdam,
    mean: Tensor,
    mean_square: Tensor,
}

/// Returns the factor that rectifies the variance of the adaptive rate; `None` in the first steps,
/// in which the variance is not known.
fn rectification(step: i32, second_beta: f64) -> Option<f64> {
    let decay = second_beta.powi(step);
    let limit = 2.0 / (1.0 - second_beta) - 1.0;
    let length = limit - 2.0 * f64::from(step) * decay / (1.0 - decay);
    let variance = (length - 4.0) * (length - 2.0) * limit;
    let at_limit = (limit - 4.0) * (limit - 2.0) * length;
    (length > 5.0).then(|| (variance / at_limit).sqrt())
}

impl UpdateRule for RAdamState {
    fn step(
        &mut self,
        step: i32,
        parameters: &mut Tensor,
        gradient: &Tensor,
        learning_rate: f64,
    ) -> Result<()> {
        let RAdam {
            betas: (first_beta, second_beta),
            eps,
            weight_decay,
            decoupled_weight_decay: decoupled,
        } = self.settings;
        let gradient =
            apply_weight_decay(gradient, parameters, weight_decay, learning_rate, decoupled)?;
        let _ = self.mean.f_lerp_(&gradient, 1.0 - first_beta)?;
        update_mean_square(&mut self.mean_square, &gradient, second_beta)?;
        let mut change = self.mean.f_div_scalar(1.0 - first_beta.powi(step))?;
        let _ = change.f_mul_scalar_(learning_rate)?;
        if let Some(rectification) = rectification(step, second_beta) {
            let bias_correction = (1.0 - second_beta.powi(step)).sqrt();
            let denominator = self.mean_square.f_sqrt()?.f_add_scalar(eps)?;
            let adaptive = denominator.f_reciprocal()?.f_mul_scalar(bias_correction)?;
            change = change.f_mul(&adaptive)?.f_mul_scalar(rectification)?;
        }
        let _ = parameters.f_sub_(&change)?;
        Ok(())
    }

    fn state(&self) -> Vec<&Tensor> {
        vec![&self.mean, &self.mean_square]
    }
}
