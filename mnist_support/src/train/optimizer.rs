//! The rules that turn a gradient into new weights.
//!
//! They work on one flat vector of all parameters. tch's own optimisers keep their state to themselves;
//! these hand it out, because a checkpoint has to hold it.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{adam::Adam, sgd::Sgd};
use crate::{Error, Result};

/// An optimiser by PyTorch's names and defaults; the learning rate is a setting of the fit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Optimizer {
    /// `torch.optim.Adam`, or `torch.optim.AdamW` with `decoupled_weight_decay`.
    Adam {
        /// The decay rates of the mean and of the mean square.
        betas: (f64, f64),
        /// What keeps the denominator from 0.
        eps: f64,
        /// How strongly weights are drawn to 0.
        weight_decay: f64,
        /// Whether the decay acts on the weights themselves (AdamW) rather than through the gradient.
        decoupled_weight_decay: bool,
    },
    /// `torch.optim.SGD`.
    Sgd {
        /// The part of the former step that is kept, in `[0, 1)`.
        momentum: f64,
        /// How strongly weights are drawn to 0.
        weight_decay: f64,
        /// Whether to look ahead along the momentum.
        nesterov: bool,
    },
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
        Optimizer::Adam {
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled_weight_decay: false,
        }
    }

    /// `torch.optim.AdamW`: Adam with `weight_decay` on the weights themselves (PyTorch's default: 0.01).
    pub fn adam_w(weight_decay: f64) -> Self {
        Optimizer::Adam {
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay,
            decoupled_weight_decay: true,
        }
    }

    /// `torch.optim.SGD` with `momentum` and no weight decay.
    pub fn sgd(momentum: f64) -> Self {
        Optimizer::Sgd {
            momentum,
            weight_decay: 0.0,
            nesterov: false,
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let invalid = |setting, value: f64, reason: &str| {
            Err(Error::InvalidSetting {
                setting,
                value: value.to_string(),
                reason: reason.to_owned(),
            })
        };
        let fraction = |value: f64| (0.0..1.0).contains(&value);
        let (Optimizer::Adam { weight_decay, .. } | Optimizer::Sgd { weight_decay, .. }) = *self;
        if !(weight_decay >= 0.0 && weight_decay.is_finite()) {
            return invalid("weight_decay", weight_decay, "must be 0 or more");
        }
        match *self {
            Optimizer::Adam {
                betas: (first, second),
                eps,
                ..
            } => {
                for beta in [first, second] {
                    if !fraction(beta) {
                        return invalid("betas", beta, "must be in [0, 1)");
                    }
                }
                if !(eps >= 0.0 && eps.is_finite()) {
                    return invalid("eps", eps, "must be 0 or more");
                }
            }
            Optimizer::Sgd {
                momentum, nesterov, ..
            } => {
                if !fraction(momentum) {
                    return invalid("momentum", momentum, "must be in [0, 1)");
                }
                if nesterov && momentum == 0.0 {
                    return invalid("momentum", momentum, "must be above 0 for nesterov");
                }
            }
        }
        Ok(())
    }

    /// Starts the optimiser for parameters like `parameters`.
    pub(crate) fn start(&self, parameters: &Tensor) -> Result<Box<dyn Step>> {
        Ok(match *self {
            Optimizer::Adam {
                betas,
                eps,
                weight_decay,
                decoupled_weight_decay,
            } => Box::new(Adam::new(
                betas,
                eps,
                weight_decay,
                decoupled_weight_decay,
                parameters,
            )?),
            Optimizer::Sgd {
                momentum,
                weight_decay,
                nesterov,
            } => Box::new(Sgd::new(momentum, weight_decay, nesterov, parameters)?),
        })
    }
}

/// A started optimiser.
pub(crate) trait Step {
    /// Moves `parameters` against `gradient`, both flat. The caller has switched gradients off.
    fn step(
        &mut self,
        parameters: &mut Tensor,
        gradient: &Tensor,
        learning_rate: f64,
    ) -> Result<()>;

    /// How many steps were made, for rules that depend on it; else 0.
    fn steps(&self) -> i32;

    /// What the rule remembers from step to step, shaped like the parameters, sharing its memory.
    fn state(&self) -> Vec<Tensor>;

    /// Goes on where another of the same rule left off, with copies of its `state`.
    fn restore(&mut self, steps: i32, state: &[Tensor]) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use tch::nn::{self, OptimizerConfig};

    use super::*;

    /// Twenty steps on `sum((w - target)^4)`, by PyTorch's own optimiser and by ours.
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
            Optimizer::Adam {
                betas: (0.9, 0.999),
                eps: 1e-8,
                weight_decay: 0.1,
                decoupled_weight_decay: false,
            },
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
            Optimizer::Sgd {
                momentum: 0.9,
                weight_decay: 0.1,
                nesterov: true,
            },
        );
    }

    #[test]
    fn settings_outside_their_range_are_named() {
        let cases = [
            (
                "betas",
                Optimizer::Adam {
                    betas: (1.0, 0.999),
                    eps: 1e-8,
                    weight_decay: 0.0,
                    decoupled_weight_decay: false,
                },
            ),
            (
                "eps",
                Optimizer::Adam {
                    betas: (0.9, 0.999),
                    eps: -1.0,
                    weight_decay: 0.0,
                    decoupled_weight_decay: false,
                },
            ),
            ("weight_decay", Optimizer::adam_w(-0.1)),
            ("momentum", Optimizer::sgd(1.0)),
            (
                "momentum",
                Optimizer::Sgd {
                    momentum: 0.0,
                    weight_decay: 0.0,
                    nesterov: true,
                },
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
