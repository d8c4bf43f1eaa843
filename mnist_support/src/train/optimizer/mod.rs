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
mod tests {
    use tch::nn::{self, OptimizerConfig};

    use super::*;
    use crate::Error;

    /// Takes twenty steps on `sum((w - target)^4)` with PyTorch's own optimiser and with ours.
    fn compare(theirs: impl OptimizerConfig, ours: Optimizer) {
        let (start, target) = (
            [1.0_f32, -2.0, 0.5, 3.0],
            Tensor::from_slice(&[0.0_f32, 1.0, 0.4, -1.0]),
        );
        let loss = |weights: &Tensor| {
            (weights - &target)
                .pow_tensor_scalar(4)
                .sum(tch::Kind::Float)
        };

        let store = nn::VarStore::new(tch::Device::Cpu);
        let reference = store.root().var_copy("w", &Tensor::from_slice(&start));
        let mut optimizer = theirs.build(&store, 0.01).unwrap();
        for _ in 0..20 {
            optimizer.backward_step(&loss(&reference));
        }

        let mut weights = Tensor::from_slice(&start);
        let mut optimizer = ours.start(&weights).unwrap();
        for _ in 0..20 {
            let leaf = weights.detach().copy().set_requires_grad(true);
            let gradient = Tensor::run_backward(&[loss(&leaf)], &[&leaf], false, false).remove(0);
            optimizer.step(&mut weights, &gradient, 0.01).unwrap();
        }
        let difference = (&weights - reference.detach())
            .abs()
            .max()
            .double_value(&[]);
        assert!(difference < 1e-5, "{ours:?}: {weights:?} {reference:?}");
        assert_ne!(weights, Tensor::from_slice(&start));
    }

    #[test]
    fn steps_are_those_of_pytorchs_optimisers() {
        compare(nn::Adam::default(), Optimizer::adam());
        compare(
            nn::AdamW {
                wd: 0.1,
                ..Default::default()
            },
            Optimizer::adam_w(0.1),
        );
        compare(
            nn::Adam {
                wd: 0.1,
                ..Default::default()
            },
            Optimizer::Adam(Adam {
                weight_decay: 0.1,
                ..Adam::default()
            }),
        );
        compare(nn::Sgd::default(), Optimizer::sgd(0.0));
        compare(
            nn::Sgd {
                momentum: 0.9,
                ..Default::default()
            },
            Optimizer::sgd(0.9),
        );
        compare(
            nn::Sgd {
                momentum: 0.9,
                dampening: 0.0,
                wd: 0.1,
                nesterov: true,
            },
            Optimizer::Sgd(Sgd {
                momentum: 0.9,
                weight_decay: 0.1,
                nesterov: true,
                ..Sgd::default()
            }),
        );
    }

    #[test]
    fn settings_are_written_by_pytorchs_names_and_left_out_they_are_its_defaults() {
        let json = r#"{"Sgd":{"momentum":0.9,"weight_decay":0.0,"nesterov":false}}"#;
        assert_eq!(serde_json::to_string(&Optimizer::sgd(0.9)).unwrap(), json);
        assert_eq!(
            serde_json::from_str::<Optimizer>(r#"{"Adam":{}}"#).unwrap(),
            Optimizer::adam()
        );
    }

    #[test]
    fn settings_outside_their_range_are_named() {
        let cases = [
            (
                "betas",
                Optimizer::Adam(Adam {
                    betas: (1.0, 0.999),
                    ..Adam::default()
                }),
            ),
            (
                "eps",
                Optimizer::Adam(Adam {
                    eps: -1.0,
                    ..Adam::default()
                }),
            ),
            ("weight_decay", Optimizer::adam_w(-0.1)),
            ("momentum", Optimizer::sgd(1.0)),
            (
                "momentum",
                Optimizer::Sgd(Sgd {
                    nesterov: true,
                    ..Sgd::default()
                }),
            ),
        ];
        for (expected, optimizer) in cases {
            match optimizer.validate() {
                Err(Error::InvalidSetting { setting, .. }) => assert_eq!(setting, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
    }
}
