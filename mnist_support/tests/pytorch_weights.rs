//! Weights written by PyTorch give the same outputs here, and the weights that we write are what
//! PyTorch writes. The fixtures were made by `fixtures/make_pytorch_fixture.py`, which says how to
//! run it.

use std::collections::HashMap;
use std::path::PathBuf;

use mnist_support::network::{
    BatchNorm2dConfig, CnnConfig, Conv2dConfig, DropoutMasks, GeluApproximate, Layer, Network,
    read_safetensors, write_safetensors,
};
use safetensors::SafeTensors;
use tch::{Kind, Tensor};

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn tensor(file: &SafeTensors<'_>, name: &str) -> Tensor {
    let view = file.tensor(name).unwrap();
    let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
    Tensor::from_data_size(view.data(), &shape, Kind::Float)
}

fn other_layers() -> Network {
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
        Layer::Tanh,
        Layer::AvgPool2d {
            kernel_size: 3,
            stride: 2,
        },
        Layer::ReLU,
        Layer::MaxPool2d {
            kernel_size: 2,
            stride: 1,
            padding: 0,
        },
        Layer::Flatten,
        Layer::linear(18, 6),
        Layer::Sigmoid,
        Layer::linear(6, 4),
        Layer::LogSoftmax,
    ];
    Network::new(&[2, 17, 15], layers).unwrap()
}

fn norm() -> Network {
    let config = Conv2dConfig {
        padding: 1.into(),
        ..Default::default()
    };
    let layers = vec![
        Layer::conv2d(1, 3, 3, config),
        Layer::batch_norm2d(3, BatchNorm2dConfig::default()),
        Layer::gelu(),
        Layer::max_pool2d(2),
        Layer::Flatten,
        Layer::linear(12, 4),
        Layer::GELU {
            approximate: GeluApproximate::Tanh,
        },
    ];
    Network::new(&[1, 4, 4], layers).unwrap()
}

fn assert_same_outputs(network: &Network, weights: &str, outputs: &str) {
    let parameters = read_safetensors(network, &fixture(weights)).unwrap();
    let outputs = fixture(outputs);
    let outputs = SafeTensors::deserialize(&outputs).unwrap();
    let found = network
        .forward(&parameters, &tensor(&outputs, "input"), None)
        .unwrap();
    let expected = tensor(&outputs, "output");
    assert_eq!(found.size(), expected.size());
    let difference = f64::try_from((found - expected).abs().max()).unwrap();
    assert!(difference < 1e-4, "{difference}");
}

#[test]
fn the_cnn_with_weights_of_pytorch_gives_the_logits_of_pytorch() {
    let network = CnnConfig::default().network().unwrap();
    assert_same_outputs(
        &network,
        "pytorch_cnn.safetensors",
        "pytorch_cnn_logits.safetensors",
    );
}

#[test]
fn the_other_layers_with_weights_of_pytorch_give_the_outputs_of_pytorch() {
    assert_same_outputs(
        &other_layers(),
        "pytorch_layers.safetensors",
        "pytorch_layers_outputs.safetensors",
    );
}

#[test]
fn a_network_with_running_statistics_of_pytorch_gives_the_outputs_of_pytorch() {
    assert_same_outputs(
        &norm(),
        "pytorch_norm.safetensors",
        "pytorch_norm_outputs.safetensors",
    );
}

#[test]
fn weights_are_written_byte_for_byte_as_pytorch_writes_them() {
    let cnn = CnnConfig::default().network().unwrap();
    for (network, name) in [
        (cnn, "pytorch_cnn.safetensors"),
        (other_layers(), "pytorch_layers.safetensors"),
        (norm(), "pytorch_norm.safetensors"),
    ] {
        let bytes = fixture(name);
        let parameters = read_safetensors(&network, &bytes).unwrap();
        assert!(
            write_safetensors(&network, &parameters).unwrap() == bytes,
            "{name}"
        );
    }
}

#[test]
fn weights_of_another_network_are_refused() {
    let bytes = fixture("pytorch_layers.safetensors");
    let network = CnnConfig::default().network().unwrap();
    let error = read_safetensors(&network, &bytes).unwrap_err().to_string();
    assert!(
        error.contains("\"0.weight\"") && error.contains("[4, 1, 3, 3]"),
        "{error}"
    );
}

#[test]
fn parameters_start_from_the_distribution_of_pytorch() {
    let text = fixture("pytorch_initialization.json");
    let expected: HashMap<String, HashMap<String, f64>> = serde_json::from_slice(&text).unwrap();
    let network = CnnConfig::default().network().unwrap();
    let seeds: Vec<Vec<Tensor>> = (0..200).map(|seed| network.initialize(seed)).collect();
    for (index, name) in network.parameter_names().iter().enumerate() {
        let drawn: Vec<Tensor> = seeds
            .iter()
            .map(|parameters| parameters[index].flatten(0, -1))
            .collect();
        let drawn = Tensor::cat(&drawn, 0).to_kind(Kind::Double);
        let measure = |tensor: Tensor| f64::try_from(tensor).unwrap();
        let largest = measure(drawn.abs().max());
        let deviation = measure(drawn.std(true));
        let mean = measure(drawn.mean(None));
        let pytorch = &expected[name];
        // The bound is PyTorch's largest value plus at most 1%. The smallest parameter has 800
        // values here.
        assert!(
            (largest / pytorch["largest"] - 1.0).abs() < 0.01,
            "{name}: {largest}"
        );
        assert!(
            (deviation / pytorch["standard_deviation"] - 1.0).abs() < 0.08,
            "{name}: {deviation}"
        );
        assert!(mean.abs() < 0.15 * deviation, "{name}: {mean}");
    }
}

/// In this file because no other test of this process draws from libtorch's generator.
#[test]
fn parameters_and_masks_leave_the_generator_of_libtorch_alone() {
    let network = CnnConfig::default().network().unwrap();
    let draw = || Tensor::rand([4], (Kind::Float, tch::Device::Cpu));
    tch::manual_seed(3);
    let expected = draw();
    tch::manual_seed(3);
    let parameters = network.initialize(1);
    let images = Tensor::zeros([2, 784], (Kind::Float, tch::Device::Cpu));
    let mut masks = DropoutMasks::new(1, 2, 3);
    let logits = network
        .forward(&parameters, &images, Some(&mut masks))
        .unwrap();
    assert_eq!(logits.size(), [2, 10]);
    assert_eq!(draw(), expected);
}
