//! The tensors of a layer, as PyTorch's `state_dict` lists them.

/// One tensor of a layer: its name, its shape and what it starts from.
#[derive(Clone, Debug)]
pub(super) struct StateTensor {
    /// The name within the layer: `weight`.
    pub(super) name: &'static str,
    pub(super) shape: Vec<i64>,
    pub(super) init: Init,
}

/// What a tensor starts from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Init {
    /// Drawn from U(-bound, bound).
    Uniform { bound: f32 },
}

impl StateTensor {
    /// `weight` and `bias` as Conv2d and Linear start from them, where `fan_in` values make each output.
    ///
    /// PyTorch draws weights by `kaiming_uniform_(a=sqrt(5))` and biases from
    /// U(-1/sqrt(fan_in), 1/sqrt(fan_in)); with that `a` the bound of the weights is 1/sqrt(fan_in) too.
    pub(super) fn weight_and_bias(weight: Vec<i64>, outputs: i64, fan_in: i64) -> Vec<Self> {
        let bound = 1.0 / (fan_in as f32).sqrt();
        let uniform = |name, shape| Self {
            name,
            shape,
            init: Init::Uniform { bound },
        };
        vec![uniform("weight", weight), uniform("bias", vec![outputs])]
    }
}
