//! The optimisers.
//!
//! They work on one flat vector of all parameters. tch's own optimisers do not expose their state.
//! These do, because a checkpoint has to hold it.
//!
//! An optimiser is one file: its settings, which implement [`OptimizerConfig`], and its step and
//! state, which implement [`UpdateRule`](rule::UpdateRule). In this file it has a `mod` line, a
//! variant, a constructor and a line in [`Optimizer::config`].

mod adadelta;
mod adagrad;
mod adam;
mod adamax;
mod nadam;
mod radam;
mod rms_prop;
mod rule;
mod sgd;

use serde::{Deserialize, Serialize};
use tch::Tensor;

pub use adadelta::Adadelta;
pub use adagrad::Adagrad;
pub use adam::Adam;
pub use adamax::Adamax;
pub use nadam::NAdam;
pub use radam::RAdam;
pub use rms_prop::RmsProp;
use rule::OptimizerConfig;
pub(crate) use rule::OptimizerState;
pub use sgd::Sgd;

use crate::Result;

/// An optimiser, by PyTorch's names and with its defaults. The learning rate is a setting of the
/// fit.
///
/// ```
/// use mnist_support::train::{Optimizer, Sgd};
///
/// let nesterov = Optimizer::Sgd(Sgd { momentum: 0.9, nesterov: true, ..Default::default() });
/// assert_ne!(nesterov, Optimizer::sgd(0.9));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Optimizer {
    /// `torch.optim.Adam`, or `torch.optim.AdamW` with `decoupled_weight_decay`.
    Adam(Adam),
    /// `torch.optim.SGD`.
    Sgd(Sgd),
    /// `torch.optim.NAdam`.
    NAdam(NAdam),
    /// `torch.optim.RAdam`.
    RAdam(RAdam),
    /// `torch.optim.Adamax`.
    Adamax(Adamax),
    /// `torch.optim.RMSprop`.
    RmsProp(RmsProp),
    /// `torch.optim.Adagrad`.
    Adagrad(Adagrad),
    /// `torch.optim.Adadelta`.
    Adadelta(Adadelta),
}

impl Default for Optimizer {
    /// Adam with PyTorch's defaults.
    fn default() -> Self {
        Optimizer::adam()
    }
}

impl Optimizer {
    /// `torch.optim.Adam` with its defaults: betas 0.9 and 0.999, eps 1e-8, no weight decay.
    pub fn adam() -> Self {
        Optimizer::Adam(Adam::default())
    }

    /// `torch.optim.AdamW`: Adam with `weight_decay` on the weights themselves (PyTorch's default:
    /// 0.01).
    pub fn adam_w(weight_decay: f64) -> Self {
        Optimizer::Adam(Adam {
            weight_decay,
            decoupled_weight_decay: true,
            ..Adam::default()
        })
    }

    /// `torch.optim.SGD` with `momentum` and no weight decay.
    pub fn sgd(momentum: f64) -> Self {
        Optimizer::Sgd(Sgd {
            momentum,
            ..Sgd::default()
        })
    }

    /// `torch.optim.NAdam` with its defaults: those of Adam, and a momentum decay of 0.004.
    pub fn nadam() -> Self {
        Optimizer::NAdam(NAdam::default())
    }

    /// `torch.optim.RAdam` with its defaults, which are those of Adam.
    pub fn radam() -> Self {
        Optimizer::RAdam(RAdam::default())
    }

    /// `torch.optim.Adamax` with its defaults, which are those of Adam.
    pub fn adamax() -> Self {
        Optimizer::Adamax(Adamax::default())
    }

    /// `torch.optim.RMSprop` with its defaults: alpha 0.99, eps 1e-8, no momentum, not centred.
    pub fn rms_prop() -> Self {
        Optimizer::RmsProp(RmsProp::default())
    }

    /// `torch.optim.Adagrad` with its defaults: no decay of the learning rate, eps 1e-10.
    pub fn adagrad() -> Self {
        Optimizer::Adagrad(Adagrad::default())
    }

    /// `torch.optim.Adadelta` with its defaults: rho 0.9, eps 1e-6. It is meant for a learning rate
    /// of 1.
    pub fn adadelta() -> Self {
        Optimizer::Adadelta(Adadelta::default())
    }

    fn config(&self) -> &dyn OptimizerConfig {
        match self {
            Optimizer::Adam(adam) => adam,
            Optimizer::Sgd(sgd) => sgd,
            Optimizer::NAdam(nadam) => nadam,
            Optimizer::RAdam(radam) => radam,
            Optimizer::Adamax(adamax) => adamax,
            Optimizer::RmsProp(rms_prop) => rms_prop,
            Optimizer::Adagrad(adagrad) => adagrad,
            Optimizer::Adadelta(adadelta) => adadelta,
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        self.config().validate()
    }

    /// Creates the optimiser's state for `parameters`.
    pub(crate) fn start(&self, parameters: &Tensor) -> Result<OptimizerState> {
        Ok(OptimizerState::new(self.config().start(parameters)?))
    }
}

#[cfg(test)]
mod tests;
