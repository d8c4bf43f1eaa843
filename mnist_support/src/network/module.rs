//! A network as a tch module, for training loops written with tch.

use tch::Tensor;
use tch::nn::{ModuleT, Path};

use super::data::Network;
use super::layers::Mode;
use super::state::{Role, StateTensor};
use crate::{Error, Result, error::NetworkError};

/// A [`Network`] with its parameters in a tch variable store, to be trained by tch's optimisers.
///
/// ```
/// use mnist_support::network::CnnConfig;
/// use tch::nn::{Adam, ModuleT, OptimizerConfig, VarStore};
/// use tch::{Device, Kind, Tensor};
///
/// let variables = VarStore::new(Device::Cpu);
/// let cnn = CnnConfig::default().network()?.build(&variables.root(), 42)?;
/// let mut optimizer = Adam::default().build(&variables, 1e-3)?;
///
/// let images = Tensor::rand([4, 784], (Kind::Float, Device::Cpu));
/// let labels = Tensor::from_slice(&[3_i64, 1, 4, 1]);
/// let loss = cnn.forward_t(&images, true).cross_entropy_for_logits(&labels);
/// optimizer.backward_step(&loss);
///
/// let predictions = cnn.predict(&images)?;
/// assert_eq!(predictions.len(), 4);
/// # Ok::<(), mnist_support::Error>(())
/// ```
#[derive(Debug)]
pub struct NetworkModule {
    network: Network,
    /// The parameters and buffers, in the network's order.
    state: Vec<Tensor>,
}

impl Network {
    /// Adds new parameters and buffers to a variable store, on its device, under PyTorch's names
    /// ("0.weight") below `path`. Their values are those of [`Network::initialize`] with this seed.
    ///
    /// # Errors
    /// [`NetworkError::InvalidWeights`] if the store already has a variable of that name.
    pub fn build(&self, path: &Path<'_>, seed: u64) -> Result<NetworkModule> {
        // Each part of a name but the last is a path of its own: `3.layers.0`, `weight`.
        let split = |name: &str| {
            let mut parts: Vec<&str> = name.split('.').collect();
            let last = parts.pop().unwrap_or_default().to_owned();
            let path = parts
                .into_iter()
                .fold(path.clone(), |path, part| path.sub(part));
            (path, last)
        };
        for parameter in self.state_names() {
            let (layer, name) = split(&parameter);
            if layer.get(&name).is_some() {
                return Err(Error::Network(NetworkError::InvalidWeights {
                    parameter: layer.path(&name),
                    reason: "the variable store has it already: build under another path".into(),
                }));
            }
        }
        let mut state = Vec::new();
        for ((variable, StateTensor { role, .. }), tensor) in
            self.state().into_iter().zip(self.initial_state(seed)?)
        {
            let (layer, name) = split(&variable);
            let tensor = tensor.f_to_device(path.device())?;
            let (tensor, trainable) = match role {
                Role::Parameter => (tensor.f_to_kind(path.kind())?, true),
                Role::Statistic => (tensor.f_to_kind(path.kind())?, false),
                Role::Counter | Role::Constant(_) => (tensor, false),
            };
            state.push(layer.add(&name, tensor, trainable));
        }
        Ok(NetworkModule {
            network: self.clone(),
            state,
        })
    }
}

impl NetworkModule {
    /// The network that these parameters belong to.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The parameters and buffers, in the order of [`Network::state_names`]. They share memory with
    /// the variable store.
    pub fn parameters(&self) -> &[Tensor] {
        &self.state
    }

    /// Runs the network. In training, dropout draws from libtorch's generator, and buffers are
    /// updated.
    ///
    /// # Errors
    /// Same as [`Network::forward`].
    pub fn try_forward(&self, rows: &Tensor, train: bool) -> Result<Tensor> {
        let mut mode = if train {
            Mode::Training(None)
        } else {
            Mode::Evaluation
        };
        self.network.run(&self.state, rows, &mut mode)
    }

    /// Predicts the most probable class of each row.
    ///
    /// # Errors
    /// Same as [`Network::predict`].
    pub fn predict(&self, features: &Tensor) -> Result<Vec<i64>> {
        self.network.predict(&self.state, features)
    }

    /// Predicts the probability of each class, of shape [rows, classes].
    ///
    /// # Errors
    /// Same as [`Network::predict_proba`].
    pub fn predict_proba(&self, features: &Tensor) -> Result<Tensor> {
        self.network.predict_proba(&self.state, features)
    }

    /// Copies the values of other parameters, for example the best ones of a training run or those
    /// of a file (see [`read_safetensors`](super::read_safetensors)).
    ///
    /// # Errors
    /// [`NetworkError::InvalidWeights`] or [`Error::ShapeMismatch`] for the parameters of a
    /// different network.
    pub fn load(&mut self, parameters: &[Tensor]) -> Result<()> {
        self.network.check_parameters(parameters)?;
        let _no_grad = tch::no_grad_guard();
        for (own, other) in self.state.iter_mut().zip(parameters) {
            own.f_copy_(other)?;
        }
        Ok(())
    }
}

impl ModuleT for NetworkModule {
    /// Calls [`NetworkModule::try_forward`]. tch's trait leaves no room for an error, so this
    /// panics, as tch's own modules do, if libtorch or the network refuses the input.
    fn forward_t(&self, rows: &Tensor, train: bool) -> Tensor {
        match self.try_forward(rows, train) {
            Ok(output) => output,
            Err(error) => panic!("{error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{CnnConfig, Layer};
    use tch::nn::{Adam, OptimizerConfig, VarStore};
    use tch::{Device, Kind};

    fn cnn() -> Network {
        CnnConfig::default().network().unwrap()
    }

    #[test]
    fn the_variable_store_has_the_names_and_values_of_the_network() {
        let variables = VarStore::new(Device::Cpu);
        let module = cnn().build(&variables.root(), 4).unwrap();
        let stored = variables.variables();
        let names = cnn().parameter_names();
        assert_eq!(stored.len(), names.len());
        for (name, expected) in names.iter().zip(cnn().initialize(4)) {
            assert_eq!(stored[name], expected, "{name}");
            assert!(stored[name].requires_grad());
        }
        assert_eq!(module.parameters().len(), names.len());
    }

    #[test]
    fn an_optimizer_of_tch_trains_it() {
        let variables = VarStore::new(Device::Cpu);
        let layers = vec![Layer::linear(4, 16), Layer::ReLU, Layer::linear(16, 2)];
        let module = Network::new(&[4], layers)
            .unwrap()
            .build(&variables.root(), 1)
            .unwrap();
        let mut optimizer = Adam::default().build(&variables, 0.01).unwrap();
        let rows = Tensor::randn([200, 4], (Kind::Float, Device::Cpu));
        let labels = rows.select(1, 0).gt(0.0).to_kind(Kind::Int64);
        for _ in 0..100 {
            let loss = module
                .forward_t(&rows, true)
                .cross_entropy_for_logits(&labels);
            optimizer.backward_step(&loss);
        }
        let predictions = module.predict(&rows).unwrap();
        let labels = Vec::<i64>::try_from(labels).unwrap();
        let right = predictions
            .iter()
            .zip(&labels)
            .filter(|(a, b)| a == b)
            .count();
        assert!(right > 185, "{right} of 200");
    }

    #[test]
    fn dropout_is_active_only_in_training() {
        let variables = VarStore::new(Device::Cpu);
        let network = Network::new(&[1000], vec![Layer::dropout(0.5)]).unwrap();
        let module = network.build(&variables.root(), 1).unwrap();
        let ones = Tensor::ones([1, 1000], (Kind::Float, Device::Cpu));
        assert_eq!(module.forward_t(&ones, false), ones);
        assert_ne!(module.forward_t(&ones, true), module.forward_t(&ones, true));
    }

    #[test]
    fn a_name_that_is_taken_is_refused_and_another_path_is_fine() {
        let variables = VarStore::new(Device::Cpu);
        cnn().build(&variables.root(), 1).unwrap();
        match cnn().build(&variables.root(), 1) {
            Err(Error::Network(NetworkError::InvalidWeights { parameter, .. })) => {
                assert_eq!(parameter, "0.weight")
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(variables.len(), 14);
        cnn().build(&variables.root().sub("second"), 1).unwrap();
        assert!(variables.variables().contains_key("second.0.weight"));
    }

    #[test]
    fn loaded_parameters_are_those_the_optimizer_sees() {
        let variables = VarStore::new(Device::Cpu);
        let mut module = cnn().build(&variables.root(), 1).unwrap();
        let others = cnn().initialize(2);
        module.load(&others).unwrap();
        assert_eq!(variables.variables()["0.weight"], others[0]);
        assert!(module.parameters()[0].requires_grad());
        assert!(module.load(&others[1..]).is_err());
    }

    #[test]
    fn an_input_of_the_wrong_shape_is_an_error() {
        let variables = VarStore::new(Device::Cpu);
        let module = cnn().build(&variables.root(), 1).unwrap();
        let rows = Tensor::zeros([2, 5], (Kind::Float, Device::Cpu));
        let error = module.try_forward(&rows, true).unwrap_err();
        assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
    }

    #[test]
    fn layers_within_layers_keep_their_names() {
        let layers = vec![
            Layer::residual(vec![Layer::linear(3, 3), Layer::ReLU]),
            Layer::linear(3, 2),
        ];
        let network = Network::new(&[3], layers).unwrap();
        let variables = VarStore::new(Device::Cpu);
        let module = network.build(&variables.root(), 1).unwrap();
        assert_eq!(module.parameters(), network.initialize(1));
        let mut names: Vec<String> = variables.variables().into_keys().collect();
        names.sort();
        assert_eq!(
            names,
            ["0.layers.0.bias", "0.layers.0.weight", "1.bias", "1.weight"]
        );
    }
}
