//! Adamax on a flat vector of parameters.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::rule::{OptimizerConfig, UpdateRule, add_ratio, with_weight_decay};
use crate::{
    Result,
    train::check::{check_betas, check_not_negative},
};

/// The settings of Adamax, which is Adam with the infinity norm (Kingma and Ba, "Adam: A Method for
/// Stochastic Optimization", 2015). The defaults are `torch.optim.Adamax`'s, whose default learning
/// rate is 0.002.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adamax {
    /// The decay rates of the running average of the gradient and of the running maximum of its
    /// absolute value. Default: 0.9 and 0.999.
    pub betas: (f64, f64),
    /// Added to the gradient's absolute value for numerical stability. Default: 1e-8.
    pub eps: f64,
    /// The weight decay (L2 penalty). Default: 0.
    pub weight_decay: f64,
}

impl Default for Adamax {
    fn default() -> Self {
        Adamax {
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
        }
    }
}

impl OptimizerConfig for Adamax {
    fn validate(&self) -> Result<()> {
        check_betas(self.betas)?;
        check_not_negative("eps", self.eps)?;
        check_not_negative("weight_decay", self.weight_decay)
    }

    fn start(&self, parameters: &Tensor) -> Result<Box<dyn UpdateRule>> {
        Ok(Box::new(AdamaxState {
            settings: *self,
            mean: parameters.f_zeros_like()?,
            maximum: parameters.f_zeros_like()?,
        }))
    }
}

/// The order of operations is that of `torch.optim.Adamax`.
struct AdamaxState {
    settings: Adamax,
    mean: Tensor,
    maximum: Tensor,
}

impl UpdateRule for AdamaxState {
    fn step(
        &mut self,
        step: i32,
        parameters: &mut Tensor,
        gradient: &Tensor,
        learning_rate: f64,
    ) -> Result<()> {
        let Adamax {
            betas: (first_beta, second_beta),
            eps,
            weight_decay,
        } = self.settings;
        let gradient = with_weight_decay(gradient, parameters, weight_decay)?;
        let _ = self.mean.f_lerp_(&gradient, 1.0 - first_beta)?;
        let decayed = self.maximum.f_mul_scalar(second_beta)?;
        self.maximum = decayed.f_maximum(&gradient.f_abs()?.f_add_scalar(eps)?)?;
        let bias_correction = 1.0 - first_beta.powi(step);
        let factor = -learning_rate / bias_correction;
        add_ratio(parameters, factor, &self.mean, &self.maximum)
    }

    fn state(&self) -> Vec<&Tensor> {
        vec![&self.mean, &self.maximum]
    }
}
