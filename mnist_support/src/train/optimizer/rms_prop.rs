//! RMSprop on a flat vector of parameters.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::rule::{OptimizerConfig, UpdateRule, add_ratio, update_mean_square, with_weight_decay};
use crate::{
    Result,
    train::check::{check_fraction, check_not_negative},
};

/// The settings of RMSprop (Hinton, "Neural Networks for Machine Learning", lecture 6, 2012;
/// Graves, "Generating Sequences With Recurrent Neural Networks", 2013, for `centered`). The
/// defaults are `torch.optim.RMSprop`'s, whose default learning rate is 0.01.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RmsProp {
    /// The decay rate of the running average of the squared gradient. Default: 0.99.
    pub alpha: f64,
    /// Added to the denominator for numerical stability. Default: 1e-8.
    pub eps: f64,
    /// The weight decay (L2 penalty). Default: 0.
    pub weight_decay: f64,
    /// The momentum factor, in `[0, 1)`. Default: 0.
    pub momentum: f64,
    /// Whether to divide by the running standard deviation of the gradient rather than by its root
    /// mean square. Default: false.
    pub centered: bool,
}

impl Default for RmsProp {
    fn default() -> Self {
        RmsProp {
            alpha: 0.99,
            eps: 1e-8,
            weight_decay: 0.0,
            momentum: 0.0,
            centered: false,
        }
    }
}

impl OptimizerConfig for RmsProp {
    fn validate(&self) -> Result<()> {
        check_fraction("alpha", self.alpha)?;
        check_not_negative("eps", self.eps)?;
        check_not_negative("weight_decay", self.weight_decay)?;
        check_fraction("momentum", self.momentum)
    }

    fn start(&self, parameters: &Tensor) -> Result<Box<dyn UpdateRule>> {
        let zeros = |needed: bool| needed.then(|| parameters.f_zeros_like()).transpose();
        Ok(Box::new(RmsPropState {
            settings: *self,
            mean_square: parameters.f_zeros_like()?,
            mean: zeros(self.centered)?,
            velocity: zeros(self.momentum > 0.0)?,
        }))
    }
}

/// The order of operations is that of `torch.optim.RMSprop`.
struct RmsPropState {
    settings: RmsProp,
    mean_square: Tensor,
    /// If it is centred.
    mean: Option<Tensor>,
    /// With momentum.
    velocity: Option<Tensor>,
}

impl UpdateRule for RmsPropState {
    fn step(
        &mut self,
        _step: i32,
        parameters: &mut Tensor,
        gradient: &Tensor,
        learning_rate: f64,
    ) -> Result<()> {
        let RmsProp {
            alpha,
            eps,
            weight_decay,
            momentum,
            centered: _,
        } = self.settings;
        let gradient = with_weight_decay(gradient, parameters, weight_decay)?;
        update_mean_square(&mut self.mean_square, &gradient, alpha)?;
        let variance = match &mut self.mean {
            None => self.mean_square.shallow_clone(),
            Some(mean) => {
                let _ = mean.f_lerp_(&gradient, 1.0 - alpha)?;
                self.mean_square.f_addcmul(&mean.f_neg()?, mean)?
            }
        };
        let denominator = variance.f_sqrt()?.f_add_scalar(eps)?;
        match &mut self.velocity {
            None => add_ratio(parameters, -learning_rate, &gradient, &denominator),
            Some(velocity) => {
                let _ = velocity.f_mul_scalar_(momentum)?;
                let _ = velocity.f_addcdiv_(&gradient, &denominator)?;
                let _ = parameters.f_sub_(&velocity.f_mul_scalar(learning_rate)?)?;
                Ok(())
            }
        }
    }

    fn state(&self) -> Vec<&Tensor> {
        let mut state = vec![&self.mean_square];
        state.extend(&self.mean);
        state.extend(&self.velocity);
        state
    }
}
