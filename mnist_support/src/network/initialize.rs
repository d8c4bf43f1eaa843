//! Parameter initialisation.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Tensor};

use super::data::Network;
use super::state::Init;
use crate::random::{Purpose, stream};

impl Network {
    /// Creates parameters and buffers by PyTorch's default initialisation of each layer, in the
    /// order of [`Network::state_names`], on the CPU, without gradients.
    ///
    /// The values come from a ChaCha stream of the seed, not from libtorch's generator: the same
    /// seed gives the same parameters on every machine and in every thread.
    ///
    /// An exported program starts from its own weights instead. One that was read from the JSON of
    /// a saved model has none, and gets zeros: the model has its weights.
    pub fn initialize(&self, seed: u64) -> Vec<Tensor> {
        if self.has_weights()
            && let Ok(weights) = self.initial_state(seed)
        {
            return weights;
        }
        let mut random = stream(Purpose::Initialization, seed, [0, 0]);
        let mut state = Vec::new();
        for (_, tensor) in self.state() {
            let shape = tensor.shape.as_slice();
            state.push(match tensor.init {
                Init::Uniform { bound } => {
                    let count = shape.iter().product::<i64>() as usize;
                    Tensor::from_slice(&uniform(&mut random, count, bound)).view(shape)
                }
                Init::Normal => {
                    let count = shape.iter().product::<i64>() as usize;
                    Tensor::from_slice(&normal(&mut random, count)).view(shape)
                }
                Init::Constant(value) => {
                    Tensor::full(shape, value, (tensor.role.kind(), Device::Cpu))
                }
            });
        }
        state
    }
}

/// Values in [-bound, bound), from the upper 24 bits of each draw, which an `f32` holds exactly.
fn uniform(random: &mut ChaCha8Rng, count: usize, bound: f32) -> Vec<f32> {
    let mut bits = vec![0_u32; count];
    random.fill(&mut bits);
    let step = 2.0_f32.powi(-23);
    bits.iter()
        .map(|&bits| ((bits >> 8) as f32 * step - 1.0) * bound)
        .collect()
}

/// Standard normal values, by the method of Box and Muller.
fn normal(random: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    let pairs = (0..count.div_ceil(2)).flat_map(|_| {
        let (u, v): (f64, f64) = (random.random(), random.random());
        // Above 0, whose logarithm is infinite.
        let radius = (-2.0 * (1.0 - u).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * v).sin_cos();
        [(radius * cos) as f32, (radius * sin) as f32]
    });
    pairs.take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::CnnConfig;

    #[test]
    fn the_same_seed_gives_the_same_parameters_and_another_seed_others() {
        let network = CnnConfig::default().network().unwrap();
        let (first, again) = (network.initialize(7), network.initialize(7));
        let other = network.initialize(8);
        for ((first, again), other) in first.iter().zip(&again).zip(&other) {
            assert_eq!(first, again);
            assert_ne!(first, other);
        }
    }

    #[test]
    fn parameters_have_the_shapes_of_the_network() {
        let network = CnnConfig::default().network().unwrap();
        let shapes: Vec<_> = network.initialize(1).iter().map(Tensor::size).collect();
        assert_eq!(shapes, network.parameter_shapes());
    }
}
