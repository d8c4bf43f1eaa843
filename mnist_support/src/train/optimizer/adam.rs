//! Adam and AdamW on a flat vector of parameters.

use std::{ffi::c_char, ops::Not, ptr};

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};
use torch_sys::C_tensor;

use super::rule::{OptimizerConfig, UpdateRule};
use crate::{
    Result,
    native::check,
    train::check::{check_betas, check_not_negative},
};

unsafe extern "C" {
    fn mnist_adam_step(
        parameters: *mut C_tensor,
        gradient: *const C_tensor,
        mean: *mut C_tensor,
        mean_square: *mut C_tensor,
        max_mean_square: *mut C_tensor,
        steps: *const C_tensor,
        learning_rate: f64,
        first_beta: f64,
        second_beta: f64,
        weight_decay: f64,
        eps: f64,
        decoupled_weight_decay: bool,
    ) -> *mut c_char;
}

/// The settings of Adam and AdamW (Kingma and Ba, "Adam: A Method for Stochastic Optimization",
/// 2015; Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019; Reddi, Kale and
/// Kumar, "On the Convergence of Adam and Beyond", 2018, for `amsgrad`). The defaults are
/// `torch.optim.Adam`'s.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adam {
    /// The decay rates of the running averages of the gradient and of its square. Default: 0.9 and
    /// 0.999.
    pub betas: (f64, f64),
    /// Added to the denominator for numerical stability. Default: 1e-8.
    pub eps: f64,
    /// The weight decay (L2 penalty). Default: 0.
    pub weight_decay: f64,
    /// Whether weight decay applies to the weights themselves (AdamW) rather than through the
    /// gradient. Default: false.
    pub decoupled_weight_decay: bool,
    /// Whether to divide by the largest running average of the squared gradient so far, rather than
    /// by the current one. Default: false.
    #[serde(skip_serializing_if = "Not::not")] // checkpoints from before it existed still fit
    pub amsgrad: bool,
}

impl Default for Adam {
    fn default() -> Self {
        Adam {
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled_weight_decay: false,
            amsgrad: false,
        }
    }
}

impl OptimizerConfig for Adam {
    fn validate(&self) -> Result<()> {
        check_not_negative("weight_decay", self.weight_decay)?;
        check_betas(self.betas)?;
        check_not_negative("eps", self.eps)
    }

    fn start(&self, parameters: &Tensor) -> Result<Box<dyn UpdateRule>> {
        Ok(Box::new(AdamState {
            settings: *self,
            mean: parameters.f_zeros_like()?,
            mean_square: parameters.f_zeros_like()?,
            max_mean_square: match self.amsgrad {
                true => Some(parameters.f_zeros_like()?),
                false => None,
            },
        }))
    }
}

/// A step is libtorch's own, as in `torch.optim.Adam(fused=True)`: one pass through memory, where
/// separate operations make ten.
struct AdamState {
    settings: Adam,
    mean: Tensor,
    mean_square: Tensor,
    /// With amsgrad.
    max_mean_square: Option<Tensor>,
}

impl UpdateRule for AdamState {
    fn step(
        &mut self,
        step: i32,
        parameters: &mut Tensor,
        gradient: &Tensor,
        learning_rate: f64,
    ) -> Result<()> {
        let steps = Tensor::f_full([1], f64::from(step), (Kind::Float, parameters.device()))?;
        let Adam {
            betas: (first_beta, second_beta),
            eps,
            weight_decay,
            decoupled_weight_decay,
            amsgrad: _,
        } = self.settings;
        let max_mean_square = match &mut self.max_mean_square {
            Some(tensor) => tensor.as_mut_ptr(),
            None => ptr::null_mut(),
        };
        // SAFETY: the tensors are borrowed for longer than the call, those that it changes mutably.
        check(unsafe {
            mnist_adam_step(
                parameters.as_mut_ptr(),
                gradient.as_ptr(),
                self.mean.as_mut_ptr(),
                self.mean_square.as_mut_ptr(),
                max_mean_square,
                steps.as_ptr(),
                learning_rate,
                first_beta,
                second_beta,
                weight_decay,
                eps,
                decoupled_weight_decay,
            )
        })
        .map_err(TchError::Torch)?;
        Ok(())
    }

    fn state(&self) -> Vec<&Tensor> {
        let mut state = vec![&self.mean, &self.mean_square];
        state.extend(&self.max_mean_square);
        state
    }
}
