//! Running a network on a batch of rows.

use tch::{Kind, TchError, Tensor};

use super::data::{Body, Network};
use super::execution::{Op, ops, to_channels_last};
use super::fused;
use super::layers::{DropoutMasks, Layer, Mode};
use super::sequential::Sequential;
use super::state::StateTensor;
use crate::{Error, Result, error::NetworkError};

impl Network {
    /// Runs the network on a batch of rows. Returns a tensor of shape [rows, *output shape].
    ///
    /// `parameters` are the network's tensors in the order of [`Network::state_names`]. In
    /// training, buffers among them are updated in place, as in PyTorch.
    ///
    /// `input` holds floats, either flat ([rows, features]) or in the network's input shape ([rows,
    /// channels, height, width]). `dropout` is `None` in evaluation, and the masks of the iteration
    /// in training. If a parameter requires gradients, autograd records the graph, unless the
    /// caller is inside [`tch::no_grad`].
    ///
    /// # Errors
    /// - [`Error::ShapeMismatch`] for an input of the wrong shape or the wrong number of
    ///   parameters.
    /// - [`NetworkError::InvalidWeights`] for a parameter of the wrong shape.
    /// - [`NetworkError::InvalidLayer`] or [`NetworkError::InvalidProgram`] if libtorch refuses an
    ///   operation, for example because the input's type or device differs from the parameters'.
    /// - [`NetworkError::InvalidInput`] for a fraction where an exported program takes whole
    ///   numbers.
    pub fn forward(
        &self,
        parameters: &[Tensor],
        input: &Tensor,
        dropout: Option<&mut DropoutMasks>,
    ) -> Result<Tensor> {
        let mut mode = match dropout {
            None => Mode::Evaluation,
            masks => Mode::Training(masks),
        };
        self.run(parameters, input, &mut mode)
    }

    pub(super) fn run(
        &self,
        parameters: &[Tensor],
        input: &Tensor,
        mode: &mut Mode<'_>,
    ) -> Result<Tensor> {
        self.check_parameters(parameters)?;
        let rows = self.rows(input)?;
        match &self.body {
            Body::Layers(layers) => layers.forward(parameters, rows, mode),
            Body::Program(program) => program.forward(parameters, &rows, mode),
        }
    }

    /// Reshapes the input to [rows, *input shape].
    fn rows(&self, input: &Tensor) -> Result<Tensor> {
        let found = if input.defined() {
            input.size()
        } else {
            Vec::new()
        };
        if let Some((&rows, row)) = found.split_first() {
            if row == self.input_shape() {
                return Ok(input.shallow_clone());
            }
            if row == [self.input_width()] {
                let shape: Vec<i64> = [rows].iter().chain(self.input_shape()).copied().collect();
                return Ok(input.f_reshape(shape.as_slice())?);
            }
        }
        let shape: Vec<String> = self.input_shape().iter().map(i64::to_string).collect();
        let expected = format!(
            "[rows, {}] or [rows, {}]",
            self.input_width(),
            shape.join(", ")
        );
        Err(Error::ShapeMismatch {
            what: "the network's input".to_owned(),
            found,
            expected,
        })
    }

    /// Checks the number and shapes of the parameters.
    pub(super) fn check_parameters(&self, parameters: &[Tensor]) -> Result<()> {
        let state = self.state();
        if parameters.len() != state.len() {
            return Err(Error::ShapeMismatch {
                what: "the list of parameters".to_owned(),
                found: vec![parameters.len() as i64],
                expected: format!("{} tensors, one for each parameter name", state.len()),
            });
        }
        for (parameter, (name, StateTensor { shape, .. })) in parameters.iter().zip(state) {
            if !parameter.defined() || parameter.size() != shape {
                let found = if parameter.defined() {
                    parameter.size()
                } else {
                    Vec::new()
                };
                return Err(Error::Network(NetworkError::InvalidWeights {
                    parameter: name,
                    reason: format!("its shape is {found:?}, where the network needs {shape:?}")
                        .into(),
                }));
            }
        }
        Ok(())
    }
}

impl Sequential {
    /// Runs the layers on rows of the input shape. `state` holds the tensors that
    /// [`Sequential::state`] lists.
    pub(super) fn forward(
        &self,
        state: &[Tensor],
        values: Tensor,
        mode: &mut Mode<'_>,
    ) -> Result<Tensor> {
        run(self.layers(), state, values, mode)
    }
}

/// Runs layers, one after the other. `state` holds their tensors.
pub(super) fn run(
    layers: &[Layer],
    state: &[Tensor],
    mut values: Tensor,
    mode: &mut Mode<'_>,
) -> Result<Tensor> {
    let mut remaining = state;
    let mut channels_last = false;
    // Counters are integers, and no block has any.
    let mut floats = state.iter().filter(|tensor| tensor.kind() != Kind::Int64);
    let fuses = fused::supports(&values) && floats.all(fused::supports);
    for op in ops(layers, fuses) {
        let (Op::Layer(index) | Op::Block(index, _)) = op;
        let layer = &layers[index];
        let (own, others) = remaining.split_at(layer.state().len());
        remaining = others;
        let input_shape = values.size();
        let failed = |reason| {
            Error::Network(NetworkError::InvalidLayer {
                layer: index,
                kind: layer.kind(),
                input_shape,
                reason,
            })
        };
        values = match op {
            Op::Block(_, block) => {
                channels_last = true;
                block.apply(&values, &own[0], &own[1]).map_err(failed)?
            }
            Op::Layer(_) => {
                if matches!(layer, Layer::Conv2d { .. }) && !channels_last {
                    values = to_channels_last(&values)?;
                    channels_last = true;
                }
                layer
                    .forward(own, &values, mode)
                    .map_err(|error| failed(first_line(&error)))?
            }
        };
    }
    Ok(values)
}

/// libtorch appends a C++ stack trace to its messages.
fn first_line(error: &TchError) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::CnnConfig;
    use tch::Device;

    fn cnn() -> Network {
        CnnConfig::default().network().unwrap()
    }

    fn random(shape: &[i64]) -> Tensor {
        Tensor::randn(shape, (Kind::Float, Device::Cpu))
    }

    fn trainable(network: &Network) -> Vec<Tensor> {
        network
            .initialize(5)
            .into_iter()
            .map(|tensor| tensor.set_requires_grad(true))
            .collect()
    }

    #[test]
    fn a_flat_input_and_an_image_give_the_same() {
        let (network, images) = (cnn(), random(&[6, 1, 28, 28]));
        let parameters = network.initialize(1);
        let from_images = network.forward(&parameters, &images, None).unwrap();
        let from_rows = network
            .forward(&parameters, &images.view([6, 784]), None)
            .unwrap();
        assert_eq!(from_images.size(), [6, 10]);
        assert_eq!(from_images, from_rows);
    }

    #[test]
    fn the_input_of_the_caller_is_not_changed() {
        let network = Network::new(&[2, 2, 2], vec![Layer::Flatten, Layer::ReLU]).unwrap();
        let input = random(&[5, 2, 2, 2]);
        let before = input.copy();
        let output = network.forward(&[], &input, None).unwrap();
        assert_eq!(output, before.relu().flatten(1, -1));
        assert_eq!(input, before);
    }

    #[test]
    fn no_graph_is_built_under_no_grad_and_one_is_built_without() {
        let network = cnn();
        let parameters = trainable(&network);
        let input = random(&[2, 784]);
        let forward = || network.forward(&parameters, &input, None).unwrap();
        assert!(!tch::no_grad(forward).requires_grad());
        assert!(forward().requires_grad());
    }

    #[test]
    fn an_input_of_the_wrong_shape_is_refused() {
        let network = cnn();
        for shape in [
            vec![784],
            vec![3, 783],
            vec![3, 28, 28],
            vec![3, 1, 28, 27],
            vec![],
        ] {
            let input = Tensor::zeros(&shape, (Kind::Float, Device::Cpu));
            match network.forward(&network.initialize(1), &input, None) {
                Err(Error::ShapeMismatch {
                    found, expected, ..
                }) => {
                    assert_eq!(found, shape);
                    assert_eq!(expected, "[rows, 784] or [rows, 1, 28, 28]");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn no_rows_give_no_rows() {
        let network = cnn();
        let output = network
            .forward(&network.initialize(1), &random(&[0, 784]), None)
            .unwrap();
        assert_eq!(output.size(), [0, 10]);
    }

    #[test]
    fn the_wrong_number_or_shape_of_parameters_is_refused() {
        let network = cnn();
        let mut parameters = network.initialize(1);
        parameters[3] = Tensor::zeros([1], (Kind::Float, Device::Cpu));
        match network.forward(&parameters, &random(&[1, 784]), None) {
            Err(Error::Network(NetworkError::InvalidWeights { parameter, reason })) => {
                assert_eq!(parameter, "3.bias");
                assert_eq!(
                    reason.to_string(),
                    "its shape is [1], where the network needs [16]"
                );
            }
            other => panic!("{other:?}"),
        }
        parameters.pop();
        let error = network
            .forward(&parameters, &random(&[1, 784]), None)
            .unwrap_err();
        assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
    }

    #[test]
    fn an_error_of_libtorch_names_the_layer() {
        let network = cnn();
        let bytes = Tensor::zeros([2, 784], (Kind::Uint8, Device::Cpu));
        match network.forward(&network.initialize(1), &bytes, None) {
            Err(Error::Network(NetworkError::InvalidLayer {
                layer: 0,
                kind: "Conv2d",
                input_shape,
                reason,
            })) => {
                assert_eq!(input_shape, [2, 1, 28, 28]);
                assert!(!reason.is_empty() && !reason.contains('\n'), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
}
