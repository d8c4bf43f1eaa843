//! Adadelta on a flat vector of parameters.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::rule::{OptimizerConfig, UpdateRule, update_mean_square, with_weight_decay};
use crate::{
    Result,
    train::check::{check_fraction, check_not_negative},
};

/// The settings of Adadelta (Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012). The
/// defaults are `torch.optim.Adadelta`'s, whose default learning rate is 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adadelta {
    /// The decay rate of the running averages of the squared gradient and of the squared change.
    /// Default: 0.9.
    pub rho: f64,
    /// Added to both for numerical stability. Default: 1e-6.
    pub eps: f64,
    /// The weight decay (L2 penalty). Default: 0.
    pub weight_decay: f64,
}

impl Default for Adadelta {
    fn default() -> Self {
        Adadelta {
            rho: 0.9,
            eps: 1e-6,
            weight_decay: 0.0,
        }
    }
}

impl OptimizerConfig for Adadelta {
    fn validate(&self) -> Result<()> {
        check_fraction("rho", self.rho)?;
        check_not_negative("eps", self.eps)?;
        check_not_negative("weight_decay", self.weight_decay)
    }

    fn start(&self, parameters: &Tensor) -> Result<Box<dyn UpdateRule>> {
        Ok(Box::new(AdadeltaState {
            settings: *self,
            mean_square: parameters.f_zeros_like()?,
            mean_square_change: parameters.f_zeros_like()?,
        }))
    }
}

/// The order of operations is that of `torch.optim.Adadelta`.
struct AdadeltaState {
    settings: Adadelta,
    mean_square: Tensor,
    mean_square_change: Tensor,
}

impl UpdateRule for AdadeltaState {
    fn step(
        &mut self,
        _step: i32,
        parameters: &mut Tensor,
        gradient: &Tensor,
        learning_rate: f64,
    ) -> Result<()> {
        let Adadelta {
            rho,
            eps,
            weight_decay,
        } = self.settings;
        let gradient = with_weight_decay(gradient, parameters, weight_decay)?;
        update_mean_square(&mut self.mean_square, &gradient, rho)?;
        let root = |mean: &Tensor| mean.f_add_scalar(eps)?.f_sqrt();
        let change = root(&self.mean_square_change)?
            .f_div(&root(&self.mean_square)?)?
            .f_mul(&gradient)?;
        update_mean_square(&mut self.mean_square_change, &change, rho)?;
        let _ = parameters.f_sub_(&change.f_mul_scalar(learning_rate)?)?;
        Ok(())
    }

    fn state(&self) -> Vec<&Tensor> {
        vec![&self.mean_square, &self.mean_square_change]
    }
}
