//! The network: a sequence of layers with an input shape.

use serde::{Deserialize, Serialize, Serializer, ser};
use tch::Tensor;

use super::exported::{Program, ProgramData};
use super::layers::Layer;
use super::sequential::Sequential;
use super::state::{Role, StateTensor};
use super::weights::read_safetensors;
use crate::{Error, Result, error::NetworkError};

/// A feed-forward network as data: a sequence of layers, like PyTorch's `nn.Sequential`.
///
/// The layers of a `Network` always fit together: [`Network::new`] infers every shape, and so does
/// deserialisation. A network holds no weights. They are a separate `Vec<Tensor>`.
///
/// ```
/// use mnist_support::network::{Conv2dConfig, Layer, Network};
///
/// let network = Network::new(&[1, 28, 28], vec![
///     Layer::conv2d(1, 8, 3, Conv2dConfig { padding: 1.into(), ..Default::default() }),
///     Layer::ReLU,
///     Layer::max_pool2d(2),
///     Layer::Flatten,
///     Layer::linear(8 * 14 * 14, 10),
/// ])?;
/// assert_eq!(network.output_shape(), [10]);
/// assert_eq!(network.parameter_names(), ["0.weight", "0.bias", "4.weight", "4.bias"]);
/// # Ok::<(), mnist_support::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "NetworkData")]
pub struct Network {
    pub(super) body: Body,
}

/// What a network consists of.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    /// Layers, one after the other.
    Layers(Sequential),
    /// A program that was exported from PyTorch.
    Program(Program),
}

/// The JSON form of a network: an input shape and layers, or an exported program.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkData {
    #[serde(skip_serializing_if = "Option::is_none")]
    input_shape: Option<Vec<i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Vec<Layer>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exported_program: Option<ProgramData>,
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let data = match &self.body {
            Body::Layers(layers) => NetworkData {
                input_shape: Some(layers.input_shape().to_vec()),
                layers: Some(layers.layers().to_vec()),
                exported_program: None,
            },
            Body::Program(program) => NetworkData {
                exported_program: Some(program.to_data().map_err(ser::Error::custom)?),
                ..Default::default()
            },
        };
        data.serialize(serializer)
    }
}

impl TryFrom<NetworkData> for Network {
    type Error = String;

    fn try_from(data: NetworkData) -> std::result::Result<Self, String> {
        let network = match (data.input_shape, data.layers, data.exported_program) {
            (Some(input_shape), Some(layers), None) => Network::new(&input_shape, layers),
            (None, None, Some(program)) => Program::from_data(&program).map(|program| Network {
                body: Body::Program(program),
            }),
            _ => {
                return Err("a network has input_shape and layers, or exported_program".to_owned());
            }
        };
        network.map_err(|error| error.to_string())
    }
}

impl Network {
    /// Creates a network, checking that the layers fit each other and the input.
    ///
    /// `input_shape` is the shape of one row: `[channels, height, width]` for images, `[features]`
    /// for tables.
    ///
    /// # Errors
    /// [`NetworkError::InvalidLayer`] with the index of the layer (from 0, as in `nn.Sequential`),
    /// its kind, the shape of its input and the reason.
    pub fn new(input_shape: &[i64], layers: Vec<Layer>) -> Result<Self> {
        Ok(Self {
            body: Body::Layers(Sequential::new(input_shape, layers)?),
        })
    }

    /// Reads a network that was exported from PyTorch: a `.pt2` file.
    ///
    /// Any module goes in whose `forward` takes one tensor, rows of features, and returns one
    /// tensor with as many rows. It keeps its own weights to start from. Export it in training
    /// mode, with a batch of any size:
    ///
    /// ```python
    /// batch = torch.export.Dim("batch")
    /// program = torch.export.export(module.train(), (x,), dynamic_shapes=({0: batch},))
    /// torch.export.save(program, "module.pt2")
    /// ```
    ///
    /// `x` is an example of the input, of at least two rows, in `float32`, or in `int64` for
    /// indices. Features reach the network in that type.
    ///
    /// ```no_run
    /// use mnist_support::{Network, ml::TorchEstimator};
    ///
    /// let network = Network::from_pt2(std::fs::read("module.pt2")?)?;
    /// println!("{network}");
    /// let estimator = TorchEstimator::new(network).iterations(500);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// The file holds a graph of PyTorch's ATen operators, which libtorch runs and differentiates.
    /// No Python is needed, and nothing in the file is executed as code. In training, operators
    /// with a `training` flag, such as dropout and batch normalisation, are in training, and in
    /// evaluation they are not. Random numbers depend on the seed, the iteration and the rank
    /// alone. Buffers that training changes, such as running statistics, are averaged over the
    /// ranks. Parameters that share their memory stay one, under the first of their names.
    ///
    /// # Errors
    /// [`NetworkError::InvalidProgram`] names the part of the file and the reason: a file that was
    /// cut off or altered, or has another version; several inputs or outputs; a fixed batch size;
    /// parameters in another type than `float32`; control flow, custom operators and others that
    /// can't run here, with the line of the user's Python.
    pub fn from_pt2(file: impl AsRef<[u8]>) -> Result<Self> {
        Ok(Self {
            body: Body::Program(Program::from_pt2(file.as_ref())?),
        })
    }

    /// Writes a network that was read by [`Network::from_pt2`], with these parameters and buffers,
    /// to a `.pt2` file that `torch.export.load` opens.
    ///
    /// With `train`, like a module's `train()`, the file holds the network in training mode, and
    /// can be trained further. Without, it is in evaluation mode: its outputs in Python are those
    /// of
    /// [`Network::forward`] without dropout.
    ///
    /// # Errors
    /// [`NetworkError::InvalidProgram`] for a network of layers, which has no exported program;
    /// [`NetworkError::InvalidWeights`] and [`Error::ShapeMismatch`] for other parameters.
    pub fn to_pt2(&self, parameters: &[Tensor], train: bool) -> Result<Vec<u8>> {
        self.check_parameters(parameters)?;
        match &self.body {
            Body::Program(program) => program.to_pt2(parameters, train),
            Body::Layers(_) => Err(Error::Network(NetworkError::InvalidProgram {
                part: "the network".to_owned(),
                reason: "it is a list of layers: write_safetensors writes its weights".into(),
            })),
        }
    }

    /// The shape of one row of the input.
    pub fn input_shape(&self) -> &[i64] {
        match &self.body {
            Body::Layers(layers) => layers.input_shape(),
            Body::Program(program) => program.input_shape(),
        }
    }

    /// The number of values in one row of the input: 784 for 28 x 28 pixels.
    pub fn input_width(&self) -> i64 {
        self.input_shape().iter().product()
    }

    /// The shape of one row of the output: `[classes]` for a classifier.
    pub fn output_shape(&self) -> Vec<i64> {
        match &self.body {
            Body::Layers(layers) => layers.output_shape().to_vec(),
            Body::Program(program) => program.output_shape().to_vec(),
        }
    }

    /// The layers, in order. An exported program has none.
    pub fn layers(&self) -> &[Layer] {
        match &self.body {
            Body::Layers(layers) => layers.layers(),
            Body::Program(_) => &[],
        }
    }

    /// The output shape of each layer, for one row. An exported program has none.
    pub fn shapes(&self) -> &[Vec<i64>] {
        match &self.body {
            Body::Layers(layers) => layers.shapes(),
            Body::Program(_) => &[],
        }
    }

    /// The names of the parameters: those of an exported program, or as in PyTorch's
    /// `nn.Sequential`: `"0.weight"`, `"0.bias"`, ... There the index counts every layer, including
    /// those without parameters.
    pub fn parameter_names(&self) -> Vec<String> {
        self.parameters().map(|(name, _)| name).collect()
    }

    /// The shapes of the parameters, in the order of [`Network::parameter_names`].
    pub fn parameter_shapes(&self) -> Vec<Vec<i64>> {
        self.parameters().map(|(_, tensor)| tensor.shape).collect()
    }

    /// The names of all tensors, parameters and buffers, in the order of PyTorch's `state_dict`.
    ///
    /// For a network without buffers, these are the [`Network::parameter_names`].
    pub fn state_names(&self) -> Vec<String> {
        self.state().into_iter().map(|(name, _)| name).collect()
    }

    /// All tensors with their names, in the order of PyTorch's `state_dict`.
    pub(super) fn state(&self) -> Vec<(String, StateTensor)> {
        match &self.body {
            Body::Layers(layers) => layers.state(),
            Body::Program(program) => program.state().to_vec(),
        }
    }

    /// The tensors from which a fit starts that is given no others.
    ///
    /// # Errors
    /// [`NetworkError::NoWeights`] for an exported program from a saved model.
    pub(crate) fn initial_state(&self, seed: u64) -> Result<Vec<Tensor>> {
        match &self.body {
            Body::Layers(_) => Ok(self.initialize(seed)),
            Body::Program(program) => match program.weights() {
                Some(weights) => read_safetensors(self, weights),
                None => Err(Error::Network(NetworkError::NoWeights)),
            },
        }
    }

    /// The network with other weights to start from, a safetensors file, or without any. Layers
    /// have none of their own.
    pub(crate) fn with_weights(&self, weights: Option<Vec<u8>>) -> Self {
        let body = match &self.body {
            Body::Layers(_) => self.body.clone(),
            Body::Program(program) => Body::Program(program.with_weights(weights)),
        };
        Self { body }
    }

    /// Whether the network has weights of its own.
    pub(crate) fn has_weights(&self) -> bool {
        matches!(&self.body, Body::Program(program) if program.weights().is_some())
    }

    /// The largest batch, of at most `batch` rows, that the network takes.
    pub(crate) fn max_rows_of(&self, batch: usize) -> usize {
        let most = match &self.body {
            Body::Layers(_) => None,
            Body::Program(program) => program.max_rows(),
        };
        let most = most.and_then(|most| usize::try_from(most).ok());
        most.map_or(batch, |most| most.clamp(1, batch))
    }

    /// The last layer, or the one that does what an exported program does last, if there is one.
    pub(crate) fn output_layer(&self) -> Option<&Layer> {
        match &self.body {
            Body::Layers(layers) => layers.layers().last(),
            Body::Program(program) => program.activation(),
        }
    }

    /// What the user should know about the network before it is trained.
    pub(crate) fn warnings(&self) -> &[String] {
        match &self.body {
            Body::Layers(_) => &[],
            Body::Program(program) => program.warnings(),
        }
    }

    fn parameters(&self) -> impl Iterator<Item = (String, StateTensor)> {
        let state = self.state().into_iter();
        state.filter(|(_, tensor)| tensor.role == Role::Parameter)
    }

    /// The role of each tensor, in the order of [`Network::state_names`].
    pub(crate) fn roles(&self) -> Vec<Role> {
        let state = self.state().into_iter();
        state.map(|(_, tensor)| tensor.role).collect()
    }

    /// The total number of parameters.
    pub fn num_parameters(&self) -> i64 {
        let shapes = self.parameter_shapes();
        shapes
            .iter()
            .map(|shape| shape.iter().product::<i64>())
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Conv2dConfig;

    fn conv(in_channels: i64, out_channels: i64) -> Layer {
        let config = Conv2dConfig {
            padding: 1.into(),
            ..Default::default()
        };
        Layer::conv2d(in_channels, out_channels, 3, config)
    }

    /// The index, kind, input shape and reason of the error.
    fn refusal(input_shape: &[i64], layers: Vec<Layer>) -> (usize, &'static str, Vec<i64>, String) {
        match Network::new(input_shape, layers) {
            Err(Error::Network(NetworkError::InvalidLayer {
                layer,
                kind,
                input_shape,
                reason,
            })) => (layer, kind, input_shape, reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn shapes_are_inferred_layer_by_layer() {
        let layers = vec![
            Layer::conv2d(
                2,
                3,
                5,
                Conv2dConfig {
                    stride: 2.into(),
                    padding: 2.into(),
                    ..Default::default()
                },
            ),
            Layer::AvgPool2d {
                kernel_size: 3,
                stride: 2,
            },
            Layer::Flatten,
            Layer::linear(36, 4),
            Layer::LogSoftmax,
        ];
        let network = Network::new(&[2, 17, 15], layers).unwrap();
        let shapes = [vec![3, 9, 8], vec![3, 4, 3], vec![36], vec![4], vec![4]];
        assert_eq!(network.shapes(), shapes);
        assert_eq!(network.output_shape(), [4]);
        assert_eq!(
            network.parameter_shapes(),
            [vec![3, 2, 5, 5], vec![3], vec![4, 36], vec![4]]
        );
        assert_eq!(network.num_parameters(), 150 + 3 + 144 + 4);
    }

    #[test]
    fn pooling_to_nothing_names_the_layer_and_the_shape() {
        let pool = Layer::max_pool2d(2);
        let layers = vec![conv(1, 4), pool.clone(), Layer::ReLU, pool.clone(), pool];
        let (layer, kind, shape, reason) = refusal(&[1, 4, 28], layers);
        assert_eq!((layer, kind, shape), (4, "MaxPool2d", vec![4, 1, 7]));
        assert_eq!(reason, "pooling by 2 leaves nothing of height 1");
    }

    #[test]
    fn a_linear_layer_of_the_wrong_width_is_told_the_right_one() {
        let layers = vec![conv(1, 4), Layer::Flatten, Layer::linear(64, 10)];
        let (layer, kind, shape, reason) = refusal(&[1, 5, 5], layers);
        assert_eq!((layer, kind, shape), (2, "Linear", vec![100]));
        assert_eq!(
            reason,
            "in_features is 64, but the input has 100: set in_features to 100"
        );
    }

    #[test]
    fn a_linear_layer_on_an_image_is_told_to_flatten_first() {
        let (.., reason) = refusal(&[1, 5, 5], vec![conv(1, 4), Layer::linear(100, 10)]);
        assert_eq!(reason, "put a Flatten before it");
        let (.., reason) = refusal(&[1, 5, 5], vec![conv(1, 4), Layer::linear(64, 10)]);
        assert!(
            reason.contains("Flatten") && reason.ends_with("in_features to 100"),
            "{reason}"
        );
    }

    #[test]
    fn a_kernel_larger_than_the_padded_image_is_refused() {
        let config = Conv2dConfig {
            padding: 1.into(),
            ..Default::default()
        };
        let (_, kind, _, reason) = refusal(&[1, 9, 4], vec![Layer::conv2d(1, 1, 7, config)]);
        assert_eq!(kind, "Conv2d");
        assert_eq!(
            reason,
            "a kernel of 7 leaves nothing of width 4 and padding 1"
        );
    }

    #[test]
    fn channels_that_disagree_are_named() {
        let (layer, _, shape, reason) = refusal(&[1, 8, 8], vec![conv(1, 4), conv(3, 4)]);
        assert_eq!((layer, shape), (1, vec![4, 8, 8]));
        assert_eq!(reason, "in_channels is 3, but the input has 4 channels");
    }

    #[test]
    fn a_convolution_on_a_table_row_is_refused() {
        let (.., reason) = refusal(&[784], vec![conv(1, 4)]);
        assert_eq!(
            reason,
            "it needs an image of shape [channels, height, width]"
        );
    }

    #[test]
    fn an_invalid_setting_is_named() {
        let conv = |in_channels, out_channels, kernel_size: i64, stride: i64, padding: i64| {
            Layer::Conv2d {
                in_channels,
                out_channels,
                kernel_size: kernel_size.into(),
                stride: stride.into(),
                padding: padding.into(),
                dilation: 1.into(),
                groups: 1,
                bias: true,
            }
        };
        let pool = |kernel_size, stride| Layer::MaxPool2d {
            kernel_size,
            stride,
            padding: 0,
        };
        let cases = [
            (conv(0, 1, 1, 1, 0), "in_channels is 0,"),
            (conv(1, -4, 1, 1, 0), "out_channels is -4,"),
            (conv(1, 1, 0, 1, 0), "kernel_size is 0,"),
            (conv(1, 1, 1, 0, 0), "stride is 0,"),
            (conv(1, 1, 1, 1, -1), "padding is -1,"),
            (
                conv(1, 1, 1, 1, i64::MAX),
                "padding 9223372036854775807 is too large",
            ),
            (conv(1, i64::MAX, 1, 1, 0), "is too large"),
            (pool(0, 1), "kernel_size is 0,"),
            (pool(1, 0), "stride is 0,"),
            (
                Layer::AvgPool2d {
                    kernel_size: -2,
                    stride: 1,
                },
                "kernel_size is -2,",
            ),
            (Layer::linear(0, 1), "in_features is 0,"),
            (Layer::linear(1, -1), "out_features is -1,"),
            (Layer::linear(8, i64::MAX), "is too large"),
            (Layer::dropout(-0.1), "p is -0.1,"),
            (Layer::dropout(1.0), "p is 1,"),
            (Layer::dropout(f64::NAN), "p is NaN,"),
        ];
        for (layer, expected) in cases {
            let expected_kind = layer.kind();
            let (index, kind, shape, reason) = refusal(&[1, 8, 8], vec![Layer::ReLU, layer]);
            assert_eq!((index, kind, shape), (1, expected_kind, vec![1, 8, 8]));
            assert!(
                reason.contains(expected),
                "{reason:?} does not contain {expected:?}"
            );
        }
    }

    #[test]
    fn an_empty_list_and_an_empty_input_are_refused() {
        let (.., reason) = refusal(&[1, 28, 28], Vec::new());
        assert_eq!(reason, "the list of layers is empty");
        for shape in [vec![], vec![0], vec![1, -28, 28], vec![i64::MAX, 2]] {
            let (layer, kind, found, _) = refusal(&shape, vec![Layer::Flatten]);
            assert_eq!((layer, kind, found), (0, "Flatten", shape));
        }
    }

    #[test]
    fn a_network_survives_json_and_one_that_does_not_fit_is_refused() {
        let network = Network::new(&[4], vec![Layer::linear(4, 2), Layer::Softmax]).unwrap();
        let json = serde_json::to_string(&network).unwrap();
        assert_eq!(
            json,
            r#"{"input_shape":[4],"layers":[{"type":"Linear","in_features":4,"out_features":2},{"type":"Softmax"}]}"#
        );
        assert_eq!(serde_json::from_str::<Network>(&json).unwrap(), network);
        let altered = json.replace("\"in_features\":4", "\"in_features\":5");
        let error = serde_json::from_str::<Network>(&altered)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("layer 0 (Linear)") && error.contains("[4]"),
            "{error}"
        );
        assert!(serde_json::from_str::<Network>(&json[..json.len() - 3]).is_err());
    }
}
