//! The networks of `benches/peers/networks.py`, as layers.

use mnist_support::{
    Layer, Network,
    network::{BatchNorm2dConfig, Conv2dConfig, RecurrentConfig},
};

fn conv(inputs: i64, outputs: i64, kernel: i64, config: Conv2dConfig) -> Layer {
    Layer::conv2d(inputs, outputs, kernel, config)
}

/// A convolution of 3 by 3 without a bias, and its normalisation.
fn normalized(inputs: i64, outputs: i64, stride: i64) -> [Layer; 2] {
    let config = Conv2dConfig {
        stride: stride.into(),
        padding: 1.into(),
        bias: false,
        ..Default::default()
    };
    [
        conv(inputs, outputs, 3, config),
        Layer::batch_norm2d(outputs, BatchNorm2dConfig::default()),
    ]
}

fn block(inputs: i64, outputs: i64, stride: i64) -> Layer {
    let [first, norm] = normalized(inputs, outputs, stride);
    let [second, last] = normalized(outputs, outputs, 1);
    let layers = vec![first, norm, Layer::ReLU, second, last];
    if inputs == outputs {
        return Layer::residual(layers);
    }
    let config = Conv2dConfig {
        stride: stride.into(),
        bias: false,
        ..Default::default()
    };
    let norm = Layer::batch_norm2d(outputs, BatchNorm2dConfig::default());
    Layer::residual_with_shortcut(layers, vec![conv(inputs, outputs, 1, config), norm])
}

/// The network of this name.
pub(crate) fn network(name: &str) -> Option<Network> {
    let plain = Conv2dConfig::default();
    let padded = |padding: i64| Conv2dConfig {
        padding: padding.into(),
        ..plain
    };
    let linear = Layer::linear;
    let image: &[i64] = &[1, 28, 28];
    let (shape, layers) = match name {
        "mlp" => (
            &[784][..],
            vec![
                linear(784, 256),
                Layer::ReLU,
                linear(256, 128),
                Layer::ReLU,
                linear(128, 10),
            ],
        ),
        "lenet5" => (
            image,
            vec![
                conv(1, 6, 5, padded(2)),
                Layer::Tanh,
                Layer::avg_pool2d(2),
                conv(6, 16, 5, plain),
                Layer::Tanh,
                Layer::avg_pool2d(2),
                Layer::Flatten,
                linear(400, 120),
                Layer::Tanh,
                linear(120, 84),
                Layer::Tanh,
                linear(84, 10),
            ],
        ),
        "example" => (
            image,
            vec![
                conv(1, 32, 3, plain),
                Layer::ReLU,
                conv(32, 64, 3, plain),
                Layer::ReLU,
                Layer::max_pool2d(2),
                Layer::dropout(0.25),
                Layer::Flatten,
                linear(9216, 128),
                Layer::ReLU,
                Layer::dropout(0.5),
                linear(128, 10),
            ],
        ),
        "residual" => {
            let [stem, norm] = normalized(1, 16, 1);
            let blocks = [block(16, 16, 1), Layer::ReLU, block(16, 32, 2), Layer::ReLU];
            let head = [
                Layer::adaptive_avg_pool2d([1, 1]),
                Layer::Flatten,
                linear(32, 10),
            ];
            let start = [stem, norm, Layer::ReLU, Layer::max_pool2d(2)];
            (image, start.into_iter().chain(blocks).chain(head).collect())
        }
        "lstm" => (
            &[28, 28][..],
            vec![
                Layer::lstm(28, 64, RecurrentConfig::default()),
                linear(64, 10),
            ],
        ),
        _ => return None,
    };
    Some(Network::new(shape, layers).unwrap())
}
