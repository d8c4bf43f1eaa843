//! The twelve cases of SparkTorch's own tests (sparktorch 0.2.0, `tests/test_sparktorch.py`), under
//! their names, in this crate's words: what each is about, on the same kind of data.

use std::path::Path;

use mnist_support::{
    Layer, Network,
    ml::{Label, PipelineModel, TorchEstimator, TorchModel, Transform},
    train::Loss,
};
use polars::prelude::*;

use super::targets::{assembled, points};

/// What must be true of a fitted model and of the rows that it has transformed.
pub(crate) type Check = fn(&PipelineModel, &DataFrame);

/// The name of each case, its estimator, and what must come out.
pub(crate) fn cases() -> Vec<(&'static str, TorchEstimator, Check)> {
    vec![
        (
            "test_early_stopping_async",
            regression(sequential(20))
                .iterations(25)
                .early_stop_patience(2),
            is_a_number,
        ),
        (
            "test_model_parameters",
            regression(sequential(40)),
            has_its_parameters,
        ),
        (
            "test_inference",
            regression(sequential(20)).iterations(10),
            infers_the_same,
        ),
        ("test_lazy", regression(from_json()), is_a_number),
        (
            "test_simple_sequential",
            regression(sequential(20)),
            is_a_number,
        ),
        (
            "test_simple_torch_module",
            regression(module()),
            is_a_number,
        ),
        (
            "test_barrier",
            regression(module()).partitions(2),
            is_a_number,
        ),
        (
            "test_autoencoder",
            estimator(autoencoder())
                .loss(Loss::mse())
                .label_col(Label::Features),
            is_ten_numbers,
        ),
        (
            "test_classification",
            estimator(classifier()).loss(Loss::nll()),
            is_a_class,
        ),
        (
            "test_mini_batch",
            regression(module()).iterations(10).mini_batch(5),
            is_a_number,
        ),
        (
            "test_cpu_device",
            regression(module())
                .iterations(10)
                .mini_batch(5)
                .device("cpu"),
            is_a_number,
        ),
        (
            "test_validation_pct",
            regression(module())
                .iterations(10)
                .validation_fraction(0.25),
            has_validated,
        ),
    ]
}

fn estimator(network: Network) -> TorchEstimator {
    TorchEstimator::new(network)
        .prediction_col("predictions")
        .learning_rate(0.001)
        .iterations(5)
        .partitions(2)
        .verbose(0)
}

fn regression(network: Network) -> TorchEstimator {
    estimator(network).loss(Loss::mse())
}

fn network(layers: Vec<Layer>) -> Network {
    Network::new(&[10], layers).unwrap()
}

/// SparkTorch's module with an argument of its constructor: here it is an argument of a function.
fn sequential(hidden: i64) -> Network {
    network(vec![
        Layer::linear(10, hidden),
        Layer::ReLU,
        Layer::linear(hidden, 1),
    ])
}

/// SparkTorch sends a class and its arguments; here a network is text.
fn from_json() -> Network {
    let json = r#"{"input_shape": [10], "layers": [
        {"type": "Linear", "in_features": 10, "out_features": 20},
        {"type": "ReLU"},
        {"type": "Linear", "in_features": 20, "out_features": 1}]}"#;
    serde_json::from_str(json).unwrap()
}

/// A module that PyTorch exported.
fn module() -> Network {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pt2");
    Network::from_pt2(std::fs::read(folder.join("regression.pt2")).unwrap()).unwrap()
}

fn autoencoder() -> Network {
    let linear = Layer::linear;
    network(vec![
        linear(10, 5),
        Layer::ReLU,
        linear(5, 2),
        Layer::ReLU,
        linear(2, 5),
        Layer::ReLU,
        linear(5, 10),
    ])
}

fn classifier() -> Network {
    network(vec![
        Layer::linear(10, 20),
        Layer::ReLU,
        Layer::linear(20, 2),
        Layer::LogSoftmax,
    ])
}

fn is_a_number(_: &PipelineModel, frame: &DataFrame) {
    let predictions = frame.column("predictions").unwrap().f64().unwrap();
    assert!(predictions.iter().all(|value| value.unwrap().is_finite()));
}

fn is_ten_numbers(_: &PipelineModel, frame: &DataFrame) {
    let predictions = frame.column("predictions").unwrap().list().unwrap().clone();
    assert!(
        predictions
            .series_iter()
            .all(|row| row.unwrap().len() == 10)
    );
}

fn is_a_class(_: &PipelineModel, frame: &DataFrame) {
    let predictions = frame.column("predictions").unwrap().i64().unwrap();
    assert!(predictions.iter().all(|class| matches!(class, Some(0 | 1))));
}

fn has_its_parameters(model: &PipelineModel, _: &DataFrame) {
    let network = model.torch_model().unwrap().network();
    assert_eq!(
        network.parameter_shapes(),
        [vec![40, 10], vec![40], vec![1, 40], vec![1]]
    );
}

/// The network and its weights, taken out of the pipeline, predict the same without a fit.
fn infers_the_same(model: &PipelineModel, frame: &DataFrame) {
    let trained = model.torch_model().unwrap();
    let weights = trained
        .weights()
        .iter()
        .map(|tensor| tensor.shallow_clone());
    let alone = TorchModel::new(trained.network().clone(), weights.collect())
        .unwrap()
        .loss(Loss::mse())
        .prediction_col("predictions");
    let assembler = assembled().stages()[0].clone();
    let assembled = mnist_support::ml::Pipeline::new().stage(assembler);
    let rows = assembled
        .fit_with(
            points(),
            &mnist_support::engine::Threads,
            &mnist_support::train::Silent,
        )
        .unwrap()
        .transform(points())
        .unwrap();
    let again = alone.transform(rows).unwrap();
    assert_eq!(
        again.column("predictions").unwrap(),
        frame.column("predictions").unwrap()
    );
}

fn has_validated(model: &PipelineModel, frame: &DataFrame) {
    let report = model.report().unwrap();
    assert_eq!((report.training_rows, report.validation_rows), (300, 100));
    is_a_number(model, frame);
}
