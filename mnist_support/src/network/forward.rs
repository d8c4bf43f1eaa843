//! Running a network on rows of data.

use tch::{Device, TchError, Tensor};

use super::dropout::DropoutMasks;
use super::layer::Layer;
use super::sequential::Network;
use crate::{Error, Result};

/// Where dropout masks come from.
pub(super) enum Dropout<'a> {
    /// Evaluation: dropout does nothing.
    Off,
    /// Masks that can be drawn again.
    Masks(&'a mut DropoutMasks),
    /// libtorch's own generator, one for the process.
    Libtorch,
}

impl Network {
    /// What the network makes of some rows: a tensor of shape [rows, *output shape].
    ///
    /// `input` holds floats, flat ([rows, features]) or in the network's input shape ([rows, channels,
    /// height, width]). `dropout` is `None` in evaluation, the step's masks in training. A graph for the
    /// gradients is built if a parameter requires gradients, unless the caller is inside [`tch::no_grad`].
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] for an input of another shape or another number of parameters,
    /// [`Error::InvalidWeights`] for a parameter of another shape, [`Error::InvalidLayer`] where libtorch
    /// refuses a layer's operation (for instance another type or device than the parameters').
    pub fn forward(
        &self,
        parameters: &[Tensor],
        input: &Tensor,
        dropout: Option<&mut DropoutMasks>,
    ) -> Result<Tensor> {
        self.run(
            parameters,
            input,
            dropout.map_or(Dropout::Off, Dropout::Masks),
        )
    }

    pub(super) fn run(
        &self,
        parameters: &[Tensor],
        input: &Tensor,
        mut dropout: Dropout<'_>,
    ) -> Result<Tensor> {
        self.check_parameters(parameters)?;
        let mut values = self.rows(input)?;
        let mut remaining = parameters;
        let mut channels_last = false;
        for index in execution_order(self.layers()) {
            let layer = &self.layers()[index];
            if let (Layer::Dropout { p }, Dropout::Masks(masks)) = (layer, &mut dropout) {
                if *p > 0.0 {
                    values = values.f_mul(&masks.mask(&values, *p)?)?;
                }
                continue;
            }
            if matches!(layer, Layer::Conv2d { .. }) && !channels_last {
                values = to_channels_last(&values)?;
                channels_last = true;
            }
            let (own, others) = remaining.split_at(layer.parameter_shapes().len());
            remaining = others;
            values = apply(layer, own, &values, &dropout).map_err(|error| Error::InvalidLayer {
                layer: index,
                kind: layer.kind(),
                input_shape: values.size(),
                reason: first_line(&error),
            })?;
        }
        Ok(values)
    }

    /// The input in the shape [rows, *input shape].
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
            what: "the network's input".to_string(),
            found,
            expected,
        })
    }

    /// Checks number and shapes of the parameters.
    pub(super) fn check_parameters(&self, parameters: &[Tensor]) -> Result<()> {
        let shapes = self.parameter_shapes();
        if parameters.len() != shapes.len() {
            return Err(Error::ShapeMismatch {
                what: "the list of parameters".to_string(),
                found: vec![parameters.len() as i64],
                expected: format!("{} tensors, one for each parameter name", shapes.len()),
            });
        }
        for (index, (parameter, shape)) in parameters.iter().zip(&shapes).enumerate() {
            if !parameter.defined() || parameter.size() != *shape {
                let found = if parameter.defined() {
                    parameter.size()
                } else {
                    Vec::new()
                };
                return Err(Error::InvalidWeights {
                    parameter: self.parameter_names().swap_remove(index),
                    reason: format!("its shape is {found:?}, where the network needs {shape:?}"),
                });
            }
        }
        Ok(())
    }
}

/// The order in which the layers run. max(ReLU(x)) = ReLU(max(x)), bit for bit, gradients included, so
/// where a MaxPool2d follows a ReLU the pooling goes first and the ReLU has a quarter of the values.
fn execution_order(layers: &[Layer]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..layers.len()).collect();
    for index in 1..layers.len() {
        if matches!(
            (&layers[index - 1], &layers[index]),
            (Layer::ReLU, Layer::MaxPool2d { .. })
        ) {
            order.swap(index - 1, index);
        }
    }
    order
}

/// The same images with the channels of a pixel side by side in memory. On a CPU libtorch's convolutions
/// and poolings are faster so, and they keep the order; shapes and names don't change.
fn to_channels_last(images: &Tensor) -> Result<Tensor> {
    let size = images.size();
    let &[rows, channels, height, width] = size.as_slice() else {
        return Ok(images.shallow_clone());
    };
    if images.device() != Device::Cpu {
        return Ok(images.shallow_clone());
    }
    let pixels_last = if channels == 1 {
        // Nothing moves, but the strides must say so: libtorch looks at them.
        images.f_reshape([rows, height, width, 1])?
    } else {
        images.f_permute([0, 2, 3, 1])?.f_contiguous()?
    };
    Ok(pixels_last.f_permute([0, 3, 1, 2])?)
}

fn apply(
    layer: &Layer,
    parameters: &[Tensor],
    values: &Tensor,
    dropout: &Dropout<'_>,
) -> Result<Tensor, TchError> {
    let (weight, bias) = (parameters.first(), parameters.get(1));
    match *layer {
        Layer::Conv2d {
            stride, padding, ..
        } => {
            let weight = weight.ok_or_else(no_weight)?;
            values.f_conv2d(weight, bias, [stride; 2], [padding; 2], [1, 1], 1)
        }
        Layer::Linear { .. } => values.f_linear(weight.ok_or_else(no_weight)?, bias),
        Layer::ReLU => values.f_relu(),
        Layer::Tanh => values.f_tanh(),
        Layer::Sigmoid => values.f_sigmoid(),
        Layer::MaxPool2d {
            kernel_size,
            stride,
        } => values.f_max_pool2d([kernel_size; 2], [stride; 2], [0, 0], [1, 1], false),
        Layer::AvgPool2d {
            kernel_size,
            stride,
        } => values.f_avg_pool2d(
            [kernel_size; 2],
            [stride; 2],
            [0, 0],
            false,
            true,
            None::<i64>,
        ),
        Layer::Flatten => values.f_flatten(1, -1),
        Layer::Dropout { p } => values.f_dropout(p, matches!(dropout, Dropout::Libtorch)),
        Layer::LogSoftmax => values.f_log_softmax(1, None),
        Layer::Softmax => values.f_softmax(1, None),
    }
}

/// Never seen: the number of parameters is checked before.
fn no_weight() -> TchError {
    TchError::Shape("the layer's weight is missing".to_string())
}

/// libtorch's messages go on with a C++ stack trace.
fn first_line(error: &TchError) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{CnnConfig, Conv2dConfig};
    use tch::Kind;

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
    fn pooling_before_relu_is_bit_identical_to_relu_before_pooling() {
        let layers = vec![
            Layer::ReLU,
            Layer::MaxPool2d {
                kernel_size: 3,
                stride: 2,
            },
        ];
        let network = Network::new(&[4, 15, 13], layers).unwrap();
        assert_eq!(execution_order(network.layers()), [1, 0]);
        let values = random(&[20, 4, 15, 13]);
        let weights = random(&[20, 4, 7, 6]);
        let [ours, theirs] = [0, 1].map(|_| values.copy().set_requires_grad(true));
        let pooled = network.forward(&[], &ours, None).unwrap();
        let expected = theirs
            .relu()
            .max_pool2d([3, 3], [2, 2], [0, 0], [1, 1], false);
        assert_eq!(pooled, expected);
        (pooled * &weights).sum(None).backward();
        (expected * &weights).sum(None).backward();
        assert_eq!(ours.grad(), theirs.grad());
    }

    #[test]
    fn the_order_of_execution_moves_only_a_pooling_after_a_relu() {
        let relu_between = [
            Layer::ReLU,
            Layer::max_pool2d(2),
            Layer::max_pool2d(2),
            Layer::ReLU,
        ];
        assert_eq!(execution_order(&relu_between), [1, 0, 2, 3]);
        let not_relu = [
            Layer::Tanh,
            Layer::max_pool2d(2),
            Layer::ReLU,
            Layer::avg_pool2d(2),
        ];
        assert_eq!(execution_order(&not_relu), [0, 1, 2, 3]);
    }

    #[test]
    fn values_and_gradients_are_those_of_the_plain_operations() {
        let config = Conv2dConfig {
            padding: 1,
            ..Default::default()
        };
        let layers = vec![
            Layer::conv2d(3, 4, 3, config),
            Layer::ReLU,
            Layer::max_pool2d(2),
            Layer::conv2d(4, 5, 3, config),
            Layer::Flatten,
            Layer::linear(5 * 4 * 3, 2),
        ];
        let network = Network::new(&[3, 8, 6], layers).unwrap();
        let input = random(&[7, 3, 8, 6]);
        let (ours, theirs) = (trainable(&network), trainable(&network));
        let output = network.forward(&ours, &input, None).unwrap();
        let conv = |x: &Tensor, i: usize| {
            x.conv2d(&theirs[i], Some(&theirs[i + 1]), [1, 1], [1, 1], [1, 1], 1)
        };
        let hidden = conv(&input, 0)
            .relu()
            .max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
        let expected = conv(&hidden, 2)
            .flatten(1, -1)
            .linear(&theirs[4], Some(&theirs[5]));
        assert!(output.allclose(&expected, 1e-5, 1e-6, false));
        output.square().sum(None).backward();
        expected.square().sum(None).backward();
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!(ours.grad().allclose(&theirs.grad(), 1e-4, 1e-4, false));
        }
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
    fn dropout_scales_what_it_keeps_and_does_nothing_in_evaluation() {
        let network = Network::new(&[50], vec![Layer::dropout(0.5)]).unwrap();
        let ones = Tensor::ones([40, 50], (Kind::Float, Device::Cpu));
        assert_eq!(network.forward(&[], &ones, None).unwrap(), ones);
        let dropped = network
            .forward(&[], &ones, Some(&mut DropoutMasks::new(1, 2, 3)))
            .unwrap();
        let zeros = i64::try_from(dropped.eq(0.0).sum(None)).unwrap();
        let twos = i64::try_from(dropped.eq(2.0).sum(None)).unwrap();
        assert_eq!(zeros + twos, 2000);
        assert!((850..1150).contains(&zeros), "{zeros}");
    }

    #[test]
    fn an_input_of_another_shape_is_refused() {
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
    fn parameters_of_another_number_or_shape_are_refused() {
        let network = cnn();
        let mut parameters = network.initialize(1);
        parameters[3] = Tensor::zeros([1], (Kind::Float, Device::Cpu));
        match network.forward(&parameters, &random(&[1, 784]), None) {
            Err(Error::InvalidWeights { parameter, reason }) => {
                assert_eq!(parameter, "3.bias");
                assert_eq!(reason, "its shape is [1], where the network needs [16]");
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
    fn what_libtorch_refuses_names_the_layer() {
        let network = cnn();
        let bytes = Tensor::zeros([2, 784], (Kind::Uint8, Device::Cpu));
        match network.forward(&network.initialize(1), &bytes, None) {
            Err(Error::InvalidLayer {
                layer: 0,
                kind: "Conv2d",
                input_shape,
                reason,
            }) => {
                assert_eq!(input_shape, [2, 1, 28, 28]);
                assert!(!reason.is_empty() && !reason.contains('\n'), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }

    /// `cargo test -p mnist_support --lib -- --ignored --nocapture throughput`
    #[test]
    #[ignore = "a measurement, not a check"]
    fn throughput_of_forward_and_backward_with_one_thread() {
        tch::set_num_threads(1);
        let network = cnn();
        let parameters = trainable(&network);
        let input = random(&[300, 784]);
        let plain = |input: &Tensor| {
            let mut values = input.view([300, 1, 28, 28]);
            let mut remaining = parameters.as_slice();
            for layer in network.layers() {
                let (own, others) = remaining.split_at(layer.parameter_shapes().len());
                remaining = others;
                values = apply(layer, own, &values, &Dropout::Off).unwrap();
            }
            values
        };
        let ours = |input: &Tensor| network.forward(&parameters, input, None).unwrap();
        let step = |step| {
            let mut masks = DropoutMasks::new(1, step, 0);
            network
                .forward(&parameters, &input, Some(&mut masks))
                .unwrap()
        };
        let best = |name: &str, forward: &dyn Fn() -> Tensor| {
            let seconds = (0..40).map(|_| {
                let start = std::time::Instant::now();
                forward().square().mean(None).backward();
                start.elapsed().as_secs_f64()
            });
            let best = seconds.fold(f64::INFINITY, f64::min);
            println!("{name}: {:.2} ms, {:.0} images/s", best * 1e3, 300.0 / best);
        };
        for _ in 0..2 {
            best("as listed, channels first", &|| plain(&input));
            best("pooling first, channels last", &|| ours(&input));
            best("the same with dropout masks", &|| step(7));
        }
    }
}
