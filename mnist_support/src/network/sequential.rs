//! The network: an input shape and a sequence of layers.

use serde::{Deserialize, Serialize};

use super::layers::Layer;
use super::shape::elements;
use super::state::{Role, StateTensor};
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
///     Layer::conv2d(1, 8, 3, Conv2dConfig { padding: 1, ..Default::default() }),
///     Layer::ReLU,
///     Layer::max_pool2d(2),
///     Layer::Flatten,
///     Layer::linear(8 * 14 * 14, 10),
/// ])?;
/// assert_eq!(network.output_shape(), [10]);
/// assert_eq!(network.parameter_names(), ["0.weight", "0.bias", "4.weight", "4.bias"]);
/// # Ok::<(), mnist_support::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "NetworkData", into = "NetworkData")]
pub struct Network {
    input_shape: Vec<i64>,
    layers: Vec<Layer>,
    /// The output shape of each layer. Derived, so not serialised.
    shapes: Vec<Vec<i64>>,
}

/// The JSON form of a network.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkData {
    input_shape: Vec<i64>,
    layers: Vec<Layer>,
}

impl From<Network> for NetworkData {
    fn from(network: Network) -> Self {
        Self {
            input_shape: network.input_shape,
            layers: network.layers,
        }
    }
}

impl TryFrom<NetworkData> for Network {
    type Error = Error;

    fn try_from(data: NetworkData) -> Result<Self> {
        Self::new(&data.input_shape, data.layers)
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
        let first = layers.first().map_or("none", Layer::kind);
        let invalid = |layer: usize, kind: &'static str, shape: &[i64], reason: String| {
            Error::Network(NetworkError::InvalidLayer {
                layer,
                kind,
                input_shape: shape.to_vec(),
                reason,
            })
        };
        if layers.is_empty() {
            let reason = "the list of layers is empty".to_owned();
            return Err(invalid(0, first, input_shape, reason));
        }
        if input_shape.is_empty() || input_shape.iter().any(|&size| size < 1) {
            let reason = "the input shape needs sizes of at least 1".to_owned();
            return Err(invalid(0, first, input_shape, reason));
        }
        elements(input_shape).map_err(|reason| invalid(0, first, input_shape, reason))?;
        let mut shapes: Vec<Vec<i64>> = Vec::with_capacity(layers.len());
        for (index, layer) in layers.iter().enumerate() {
            let input = shapes.last().map_or(input_shape, Vec::as_slice);
            let output = layer
                .output_shape(input)
                .map_err(|reason| invalid(index, layer.kind(), input, reason))?;
            shapes.push(output);
        }
        Ok(Self {
            input_shape: input_shape.to_vec(),
            layers,
            shapes,
        })
    }

    /// The shape of one row of the input.
    pub fn input_shape(&self) -> &[i64] {
        &self.input_shape
    }

    /// The number of values in one row of the input: 784 for 28 x 28 pixels.
    pub fn input_width(&self) -> i64 {
        self.input_shape.iter().product()
    }

    /// The shape of one row of the output: `[classes]` for a classifier.
    pub fn output_shape(&self) -> Vec<i64> {
        self.shapes.last().unwrap_or(&self.input_shape).clone()
    }

    /// The layers, in order.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The output shape of each layer, for one row.
    pub fn shapes(&self) -> &[Vec<i64>] {
        &self.shapes
    }

    /// The names of the parameters, as in PyTorch's `nn.Sequential`: `"0.weight"`, `"0.bias"`, ...
    /// The index counts every layer, including those without parameters.
    pub fn parameter_names(&self) -> Vec<String> {
        self.state()
            .filter(|(_, tensor)| tensor.role == Role::Parameter)
            .map(|(name, _)| name)
            .collect()
    }

    /// The shapes of the parameters, in the order of [`Network::parameter_names`].
    pub fn parameter_shapes(&self) -> Vec<Vec<i64>> {
        self.layers
            .iter()
            .flat_map(Layer::parameter_shapes)
            .collect()
    }

    /// The names of all tensors, parameters and buffers, in the order of PyTorch's `state_dict`.
    ///
    /// For a network without buffers, these are the [`Network::parameter_names`].
    pub fn state_names(&self) -> Vec<String> {
        self.state().map(|(name, _)| name).collect()
    }

    /// All tensors with their names, in the order of PyTorch's `state_dict`.
    pub(super) fn state(&self) -> impl Iterator<Item = (String, StateTensor)> {
        self.layers.iter().enumerate().flat_map(|(index, layer)| {
            let tensors = layer.state().into_iter();
            tensors.map(move |tensor| (format!("{index}.{}", tensor.name), tensor))
        })
    }

    /// The role of each tensor, in the order of [`Network::state_names`].
    pub(crate) fn roles(&self) -> Vec<Role> {
        self.state().map(|(_, tensor)| tensor.role).collect()
    }

    /// The total number of parameters.
    pub fn num_parameters(&self) -> i64 {
        self.parameter_shapes()
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
            padding: 1,
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
                    stride: 2,
                    padding: 2,
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
            padding: 1,
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
        let conv = |in_channels, out_channels, kernel_size, stride, padding| Layer::Conv2d {
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
        };
        let pool = |kernel_size, stride| Layer::MaxPool2d {
            kernel_size,
            stride,
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
