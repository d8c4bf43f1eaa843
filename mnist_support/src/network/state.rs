//! The tensors of a layer, as PyTorch's `state_dict` lists them.

use tch::Kind;

/// One tensor of a layer: its name, its shape, what it is for and what it starts from.
#[derive(Clone, Debug)]
pub(super) struct StateTensor {
    /// The name within the layer: `weight`.
    pub(super) name: &'static str,
    pub(super) shape: Vec<i64>,
    pub(super) role: Role,
    pub(super) init: Init,
}

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A parameter: the optimiser changes it.
    Parameter,
    /// A buffer of running statistics: each training step moves it a little towards its own rows, and
    /// the ranks take the mean of theirs.
    Statistic,
    /// A buffer that counts training steps, and so is the same in every rank.
    Counter,
}

/// What a tensor starts from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Init {
    /// Drawn from U(-bound, bound).
    Uniform { bound: f32 },
    /// The same value everywhere.
    Constant(f64),
}

impl Role {
    /// The kind of number that such a tensor holds.
    pub(super) fn kind(self) -> Kind {
        match self {
            Role::Parameter | Role::Statistic => Kind::Float,
            Role::Counter => Kind::Int64,
        }
    }
}

impl StateTensor {
    /// A tensor that starts from one value.
    pub(super) fn constant(name: &'static str, shape: &[i64], role: Role, value: f64) -> Self {
        Self {
            name,
            shape: shape.to_vec(),
            role,
            init: Init::Constant(value),
        }
    }

    /// `weight` and `bias` as Conv2d and Linear start from them, where `fan_in` values make each output.
    ///
    /// PyTorch draws weights by `kaiming_uniform_(a=sqrt(5))` and biases from
    /// U(-1/sqrt(fan_in), 1/sqrt(fan_in)); with that `a` the bound of the weights is 1/sqrt(fan_in) too.
    pub(super) fn weight_and_bias(weight: Vec<i64>, outputs: i64, fan_in: i64) -> Vec<Self> {
        let bound = 1.0 / (fan_in as f32).sqrt();
        let uniform = |name, shape| Self {
            name,
            shape,
            role: Role::Parameter,
            init: Init::Uniform { bound },
        };
        vec![uniform("weight", weight), uniform("bias", vec![outputs])]
    }
}
