//! The CNN of the original notebooks, configured by a few lists.

use serde::{Deserialize, Serialize};

use super::data::Network;
use super::layers::{Conv2dConfig, Layer};
use crate::{Error, Result, error::NetworkError};

/// The configuration of a convolutional classifier.
///
/// For each entry of `kernels`, the network has a Conv2d (stride 1, padding 1), a ReLU and a
/// MaxPool2d. Then come a Flatten and the Linear layers, with a ReLU and a Dropout between each two
/// and nothing after the last, so the output is logits. The input width of the first Linear layer
/// is computed.
///
/// ```
/// use mnist_support::network::CnnConfig;
///
/// let network = CnnConfig { dropout: 0.25, ..CnnConfig::default() }.network()?;
/// assert_eq!(network.num_parameters(), 40_994);
/// # Ok::<(), mnist_support::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CnnConfig {
    /// The height of the images in pixels: 28.
    pub input_height: i64,
    /// The width of the images in pixels: 28.
    pub input_width: i64,
    /// The channels of the images, then the output channels of each convolution: 1, 4, 16, 32, 64.
    pub conv_channels: Vec<i64>,
    /// The kernel size of each convolution: 3, 3, 3, 3.
    pub kernels: Vec<i64>,
    /// The kernel size and stride of the pooling after each convolution: 2, 2, 2, 2.
    pub max_pools: Vec<i64>,
    /// The output features of each Linear layer, the number of classes last: 128, 64, 10.
    pub linear_channels: Vec<i64>,
    /// The probability of the Dropout layers: 0.1.
    pub dropout: f64,
}

impl Default for CnnConfig {
    /// The settings of the original notebooks: 40,994 parameters.
    fn default() -> Self {
        Self {
            input_height: 28,
            input_width: 28,
            conv_channels: vec![1, 4, 16, 32, 64],
            kernels: vec![3, 3, 3, 3],
            max_pools: vec![2, 2, 2, 2],
            linear_channels: vec![128, 64, 10],
            dropout: 0.1,
        }
    }
}

impl CnnConfig {
    /// Builds the network.
    ///
    /// # Errors
    /// - [`NetworkError::InvalidCnn`], which names the field, if lists differ in length or a value
    ///   is invalid.
    /// - [`NetworkError::InvalidLayer`], which names the layer and the shape, if nothing is left of
    ///   the image.
    pub fn network(&self) -> Result<Network> {
        self.check()?;
        let channels = self.conv_channels.windows(2);
        let mut layers = Vec::new();
        for ((pair, &kernel), &pool) in channels.zip(&self.kernels).zip(&self.max_pools) {
            let config = Conv2dConfig {
                padding: 1.into(),
                ..Default::default()
            };
            layers.push(Layer::conv2d(pair[0], pair[1], kernel, config));
            layers.push(Layer::ReLU);
            layers.push(Layer::max_pool2d(pool));
        }
        layers.push(Layer::Flatten);

        let input_shape = [self.conv_channels[0], self.input_height, self.input_width];
        let convolutions = Network::new(&input_shape, layers.clone())?;
        let mut width = convolutions.output_shape()[0];
        for (index, &outputs) in self.linear_channels.iter().enumerate() {
            if index > 0 {
                layers.push(Layer::ReLU);
                layers.push(Layer::dropout(self.dropout));
            }
            layers.push(Layer::linear(width, outputs));
            width = outputs;
        }
        Network::new(&input_shape, layers)
    }

    fn check(&self) -> Result<()> {
        let invalid =
            |field, reason| Err(Error::Network(NetworkError::InvalidCnn { field, reason }));
        let sizes = [
            ("input_height", std::slice::from_ref(&self.input_height)),
            ("input_width", std::slice::from_ref(&self.input_width)),
            ("conv_channels", &self.conv_channels),
            ("kernels", &self.kernels),
            ("max_pools", &self.max_pools),
            ("linear_channels", &self.linear_channels),
        ];
        for (field, values) in sizes {
            if let Some(value) = values.iter().find(|&&value| value < 1) {
                return invalid(
                    field,
                    format!("{value} is not a size, it must be at least 1"),
                );
            }
        }
        if self.conv_channels.is_empty() {
            return invalid(
                "conv_channels",
                "the list needs at least the image's channels".to_owned(),
            );
        }
        let convolutions = self.conv_channels.len() - 1;
        for (field, values) in [("kernels", &self.kernels), ("max_pools", &self.max_pools)] {
            if values.len() != convolutions {
                let reason = format!(
                    "{} values, where conv_channels {:?} makes {convolutions} convolutions: give {convolutions}",
                    values.len(),
                    self.conv_channels,
                );
                return invalid(field, reason);
            }
        }
        if self.linear_channels.is_empty() {
            return invalid(
                "linear_channels",
                "the list needs at least the number of classes".to_owned(),
            );
        }
        if !(0.0..1.0).contains(&self.dropout) {
            let reason = format!("{} is not a probability from 0 to below 1", self.dropout);
            return invalid("dropout", reason);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_field(config: &CnnConfig) -> (&'static str, String) {
        match config.network() {
            Err(Error::Network(NetworkError::InvalidCnn { field, reason })) => (field, reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_original_settings_make_40_994_parameters_with_the_names_of_nn_sequential() {
        let network = CnnConfig::default().network().unwrap();
        assert_eq!(network.num_parameters(), 40_994);
        assert_eq!(network.input_shape(), [1, 28, 28]);
        assert_eq!(network.output_shape(), [10]);
        let layers = [0, 3, 6, 9, 13, 16, 19];
        let names = layers.map(|layer| [format!("{layer}.weight"), format!("{layer}.bias")]);
        assert_eq!(network.parameter_names(), names.concat());
        assert_eq!(network.parameter_shapes()[8], [128, 64]);
        let kinds: Vec<_> = network.layers()[12..].iter().map(Layer::kind).collect();
        let linears = "Flatten Linear ReLU Dropout Linear ReLU Dropout Linear";
        assert_eq!(kinds.join(" "), linears);
    }

    #[test]
    fn without_convolutions_it_is_a_plain_perceptron() {
        let config = CnnConfig {
            conv_channels: vec![1],
            kernels: vec![],
            max_pools: vec![],
            linear_channels: vec![10],
            ..CnnConfig::default()
        };
        let network = config.network().unwrap();
        assert_eq!(network.layers(), [Layer::Flatten, Layer::linear(784, 10)]);
    }

    #[test]
    fn lists_that_disagree_in_length_name_the_field() {
        let config = CnnConfig {
            kernels: vec![3, 3, 3],
            ..CnnConfig::default()
        };
        let (field, reason) = refused_field(&config);
        assert_eq!(field, "kernels");
        assert!(
            reason.starts_with("3 values") && reason.ends_with("give 4"),
            "{reason}"
        );
        let config = CnnConfig {
            max_pools: vec![2; 5],
            ..CnnConfig::default()
        };
        assert_eq!(refused_field(&config).0, "max_pools");
        let config = CnnConfig {
            conv_channels: vec![],
            ..CnnConfig::default()
        };
        assert_eq!(refused_field(&config).0, "conv_channels");
        let config = CnnConfig {
            linear_channels: vec![],
            ..CnnConfig::default()
        };
        assert_eq!(refused_field(&config).0, "linear_channels");
    }

    #[test]
    fn invalid_values_name_the_field() {
        let default = CnnConfig::default;
        let cases = [
            (
                CnnConfig {
                    input_height: 0,
                    ..default()
                },
                "input_height",
            ),
            (
                CnnConfig {
                    input_width: -28,
                    ..default()
                },
                "input_width",
            ),
            (
                CnnConfig {
                    conv_channels: vec![1, 4, 0, 32, 64],
                    ..default()
                },
                "conv_channels",
            ),
            (
                CnnConfig {
                    kernels: vec![3, 3, 3, -3],
                    ..default()
                },
                "kernels",
            ),
            (
                CnnConfig {
                    max_pools: vec![0, 2, 2, 2],
                    ..default()
                },
                "max_pools",
            ),
            (
                CnnConfig {
                    linear_channels: vec![128, 0],
                    ..default()
                },
                "linear_channels",
            ),
            (
                CnnConfig {
                    dropout: 1.0,
                    ..default()
                },
                "dropout",
            ),
            (
                CnnConfig {
                    dropout: f64::NAN,
                    ..default()
                },
                "dropout",
            ),
        ];
        for (config, expected) in cases {
            assert_eq!(refused_field(&config).0, expected);
        }
    }

    #[test]
    fn pooling_to_nothing_names_the_layer_and_the_shape() {
        let config = CnnConfig {
            max_pools: vec![2, 2, 4, 4],
            ..CnnConfig::default()
        };
        let message = config.network().unwrap_err().to_string();
        assert_eq!(
            message,
            "layer 11 (MaxPool2d) on an input of shape [64, 1, 1]: pooling by 4 leaves nothing of height 1"
        );
    }

    #[test]
    fn it_survives_json_and_an_unknown_field_is_refused() {
        let json = serde_json::to_string(&CnnConfig::default()).unwrap();
        assert_eq!(
            serde_json::from_str::<CnnConfig>(&json).unwrap(),
            CnnConfig::default()
        );
        let altered = json.replace("kernels", "kernel");
        assert!(serde_json::from_str::<CnnConfig>(&altered).is_err());
    }
}
