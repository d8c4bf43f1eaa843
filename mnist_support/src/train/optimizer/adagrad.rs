//! Adagrad on a flat vector of parameters.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::rule::{OptimizerConfig, UpdateRule, add_ratio, with_weight_decay};
use crate::{Result, train::check::check_not_negative};

/// The settings of Adagrad (Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online
/// Learning and Stochastic Optimization", 2011). The defaults are `torch.optim.Adagrad`'s, whose
/// default learning rate is 0.01.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adagrad {
    /// How fast the learning rate falls: in step `n`, from 0, it is divided by `1 + n * lr_decay`.
    /// Default: 0.
    pub lr_decay: f64,
    /// The weight decay (L2 penalty). Default: 0.
    pub weight_decay: f64,
    /// What the sum of the squared gradients starts from. Default: 0.
    pub initial_accumulator_value: f64,
    /// Added to the denominator for numerical stability. Default: 1e-10.
    pub eps: f64,
}

impl Default for Adagrad {
    fn default() -> Self {
        Adagrad {
            lr_decay: 0.0,
            weight_decay: 0.0,
            initial_accumulator_value: 0.0,
            eps: 1e-10,
        }
    }
}

impl OptimizerConfig for Adagrad {
    fn validate(&self) -> Result<()> {
        check_not_negative("lr_decay", self.lr_decay)?;
        check_not_negative("weight_decay", self.weight_decay)?;
        check_not_negative("initial_accumulator_value", self.initial_accumulator_value)?;
        check_not_negative("eps", self.eps)
    }

    fn start(&self, parameters: &Tensor) -> Result<Box<dyn UpdateRule>> {
        Ok(Box::new(AdagradState {
            settings: *self,
            sum: parameters.f_full_like(self.initial_accumulator_value)?,
        }))
    }
}

/// The order of operations is that of `torch.optim.Adagrad`.
struct AdagradState {
    settings: Adagrad,
    /// The sum of the squared gradients.
    sum: Tensor,
}

impl UpdateRule for AdagradState {
    fn step(
        &mut self,
        step: i32,
        parameters: &mut Tensor,
        gradient: &Tensor,
        learning_rate: f64,
    ) -> Result<()> {
        let Adagrad {
            lr_decay,
            weight_decay,
            initial_accumulator_value: _,
            eps,
        } = self.settings;
        let gradient = with_weight_decay(gradient, parameters, weight_decay)?;
        let learning_rate = learning_rate / (1.0 + f64::from(step - 1) * lr_decay);
        let _ = self.sum.f_addcmul_(&gradient, &gradient)?;
        let denominator = self.sum.f_sqrt()?.f_add_scalar(eps)?;
        add_ratio(parameters, -learning_rate, &gradient, &denominator)
    }

    fn state(&self) -> Vec<&Tensor> {
        vec![&self.sum]
    }
}
