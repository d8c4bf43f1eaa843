//! The tensors of a layer, as in PyTorch's `state_dict`.

use std::borrow::Cow;

use tch::Kind;

/// A tensor of a layer: its name, shape, role and initialisation.
#[derive(Clone, Debug)]
pub(super) struct StateTensor {
    /// The name within the layer: `weight`.
    pub(super) name: Cow<'static, str>,
    pub(super) shape: Vec<i64>,
    pub(super) role: Role,
    pub(super) init: Init,
}

/// The role of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A parameter, which the optimiser updates.
    Parameter,
    /// A buffer with running statistics. Each iteration moves it towards the statistics of its
    /// mini-batch, and the ranks average theirs.
    Statistic,
    /// A buffer that counts iterations, and is therefore equal on every rank.
    Counter,
    /// A tensor that training does not change.
    Constant(Kind),
}

/// The initialisation of a tensor.
#[derive(Clone, Copy, Debug)]
pub(super) enum Init {
    /// Drawn from U(-bound, bound).
    Uniform { bound: f32 },
    /// Drawn from the standard normal distribution.
    Normal,
    /// The same value for every element.
    Constant(f64),
}

impl Role {
    /// The kind of such a tensor.
    pub(super) fn kind(self) -> Kind {
        match self {
            Role::Parameter | Role::Statistic => Kind::Float,
            Role::Counter => Kind::Int64,
            Role::Constant(kind) => kind,
        }
    }
}

impl StateTensor {
    /// A tensor initialised to a constant.
    pub(super) fn constant(name: &'static str, shape: &[i64], role: Role, value: f64) -> Self {
        Self {
            name: name.into(),
            shape: shape.to_vec(),
            role,
            init: Init::Constant(value),
        }
    }

    /// The `weight` and `bias` of Conv2d and Linear, in which each output depends on `fan_in`
    /// inputs.
    ///
    /// PyTorch initialises weights by `kaiming_uniform_(a=sqrt(5))` and biases from
    /// U(-1/sqrt(fan_in), 1/sqrt(fan_in)). With this `a`, the bound of the weights is
    /// 1/sqrt(fan_in) too.
    pub(super) fn weight_and_bias(weight: Vec<i64>, outputs: i64, fan_in: i64) -> Vec<Self> {
        let bound = 1.0 / (fan_in as f32).sqrt();
        let uniform = |name: &'static str, shape| Self {
            name: name.into(),
            shape,
            role: Role::Parameter,
            init: Init::Uniform { bound },
        };
        vec![uniform("weight", weight), uniform("bias", vec![outputs])]
    }
}
