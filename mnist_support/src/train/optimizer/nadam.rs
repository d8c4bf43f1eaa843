//! NAdam on a flat vector of parameters.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::rule::{OptimizerConfig, UpdateRule, add_ratio, apply_weight_decay, update_mean_square};
use crate::{
    Result,
    train::check::{check_betas, check_not_negative},
};

/// The settings of NAdam, which is Adam with Nesterov momentum (Dozat, "Incorporating Nesterov
/// Momentum into Adam", 2016). The defaults are `torch.optim.NAdam`'s, whose default learning rate
/// is 0.002.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NAdam {
    /// The decay rates of the running averages of the gradient and of its square. Default: 0.9 and
    /// 0.999.
    pub betas: (f64, f64),
    /// Added to the denominator for numerical stability. Default: 1e-8.
    pub eps: f64,
    /// The weight decay (L2 penalty). Default: 0.
    pub weight_decay: f64,
    /// How fast the momentum rises to the first of `betas`. Default: 0.004.
    pub momentum_decay: f64,
    /// Whether weight decay applies to the weights themselves, as in AdamW, rather than through the
    /// gradient. Default: false.
    pub decoupled_weight_decay: bool,
}

impl Default for NAdam {
    fn default() -> Self {
        NAdam {
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            momentum_decay: 4e-3,
            decoupled_weight_decay: false,
        }
    }
}

impl OptimizerConfig for NAdam {
    fn validate(&self) -> Result<()> {
        check_betas(self.betas)?;
        check_not_negative("eps", self.eps)?;
        check_not_negative("weight_decay", self.weight_decay)?;
        check_not_negative("momentum_decay", self.momentum_decay)
    }

    fn start(&self, parameters: &Tensor) -> Result<Box<dyn UpdateRule>> {
        Ok(Box::new(NAdamState {
            settings: *self,
            mean: parameters.f_zeros_like()?,
            mean_square: parameters.f_zeros_like()?,
            momentum_product: Tensor::f_ones([1], (Kind::Float, Device::Cpu))?,
        }))
    }
}

/// The order of operations is that of `torch.optim.NAdam`.
struct NAdamState {
    settings: NAdam,
    mean: Tensor,
    mean_square: Tensor,
    /// The product of the momentums of all steps, PyTorch's mu_product.
    momentum_product: Tensor,
}

impl NAdamState {
    /// The momentum of a step.
    fn momentum(&self, step: i32) -> f64 {
        let exponent = f64::from(step) * self.settings.momentum_decay;
        self.settings.betas.0 * (1.0 - 0.5 * 0.96_f64.powf(exponent))
    }
}

impl UpdateRule for NAdamState {
    fn step(
        &mut self,
        step: i32,
        parameters: &mut Tensor,
        gradient: &Tensor,
        learning_rate: f64,
    ) -> Result<()> {
        let NAdam {
            betas: (first_beta, second_beta),
            eps,
            weight_decay,
            momentum_decay: _,
            decoupled_weight_decay: decoupled,
        } = self.settings;
        let gradient =
            apply_weight_decay(gradient, parameters, weight_decay, learning_rate, decoupled)?;
        let (momentum, next) = (self.momentum(step), self.momentum(step + 1));
        let _ = self.momentum_product.f_mul_scalar_(momentum)?;
        let product = self.momentum_product.f_double_value(&[0])?;
        let _ = self.mean.f_lerp_(&gradient, 1.0 - first_beta)?;
        update_mean_square(&mut self.mean_square, &gradient, second_beta)?;
        let bias_correction = 1.0 - second_beta.powi(step);
        let denominator = self.mean_square.f_div_scalar(bias_correction)?;
        let denominator = denominator.f_sqrt()?.f_add_scalar(eps)?;
        let of_gradient = -learning_rate * (1.0 - momentum) / (1.0 - product);
        add_ratio(parameters, of_gradient, &gradient, &denominator)?;
        let of_mean = -learning_rate * next / (1.0 - product * next);
        add_ratio(parameters, of_mean, &self.mean, &denominator)
    }

    fn state(&self) -> Vec<&Tensor> {
        vec![&self.mean, &self.mean_square, &self.momentum_product]
    }
}
