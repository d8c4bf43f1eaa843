//! Adam and AdamW on a flat vector of parameters.

use std::ffi::c_char;

use tch::{Kind, TchError, Tensor};
use torch_sys::C_tensor;

use super::optimizer::Step;
use crate::{Result, native::check};

unsafe extern "C" {
    fn mnist_adam_step(
        parameters: *mut C_tensor,
        gradient: *const C_tensor,
        mean: *mut C_tensor,
        mean_square: *mut C_tensor,
        steps: *const C_tensor,
        learning_rate: f64,
        first_beta: f64,
        second_beta: f64,
        weight_decay: f64,
        eps: f64,
        decoupled_weight_decay: bool,
    ) -> *mut c_char;
}

/// Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015; with decoupled decay, Loshchilov and
/// Hutter, "Decoupled Weight Decay Regularization", 2019. A step is libtorch's own, that of
/// `torch.optim.Adam(fused=True)`: it goes through memory once, where separate operations go ten times.
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
        let steps = Tensor::f_full(
            [1],
            f64::from(self.steps),
            (Kind::Float, parameters.device()),
        )?;
        let (first_beta, second_beta) = self.betas;
        // SAFETY: the tensors are borrowed for longer than the call, those that it changes mutably.
        check(unsafe {
            mnist_adam_step(
                parameters.as_mut_ptr(),
                gradient.as_ptr(),
                self.mean.as_mut_ptr(),
                self.mean_square.as_mut_ptr(),
                steps.as_ptr(),
                learning_rate,
                first_beta,
                second_beta,
                self.weight_decay,
                self.eps,
                self.decoupled_weight_decay,
            )
        })
        .map_err(TchError::Torch)?;
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
