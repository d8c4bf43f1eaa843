//! Problems with targets of every kind, on one table.
#![allow(dead_code)] // each test file uses its own part

use std::path::Path;

use mnist_support::{
    Layer, Network,
    evaluate::{BinaryMetric, Metric, RegressionMetric, ValidationMetric},
    ml::{Label, Pipeline, TorchEstimator, VectorAssembler},
    network::{BatchNorm1dConfig, Conv1dConfig, RecurrentConfig},
    train::{CrossEntropy, Loss},
};
use polars::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A standard normal deviate.
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// SparkTorch's test data: 200 points around 0 labelled 1, and 200 around 2 labelled 0, in 10
/// dimensions, mixed; with more columns that depend on them.
pub(crate) fn points() -> DataFrame {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let labels: Vec<f64> = (0..400).map(|row| f64::from(row % 2 == 0)).collect();
    let points: Vec<[f64; 10]> = labels
        .iter()
        .map(|label| [(); 10].map(|()| normal(&mut rng) + 2.0 * (1.0 - label)))
        .collect();
    let column = |name: &str, of: &dyn Fn(&[f64; 10]) -> f64| {
        let values: Vec<f64> = points.iter().map(of).collect();
        Column::new(name.into(), values)
    };
    let mut columns: Vec<Column> = (0..10)
        .map(|index| column(&format!("x{index}"), &|point| point[index]))
        .collect();
    columns.push(Column::new("label".into(), &labels));
    let others: Vec<f64> = labels.iter().map(|label| 1.0 - label).collect();
    columns.push(Column::new("other".into(), others));
    columns.push(column("sum", &|point| point.iter().sum()));
    columns.push(column("product", &|point| point[0] * point[1]));
    columns.push(column("count", &|point| (point[2].abs() * 2.0).floor()));
    columns.push(column("weight", &|point| point[3].abs()));
    let above: Vec<Series> = points
        .iter()
        .map(|point| [0, 1, 2].map(|index| i32::from(point[index] > 1.0)))
        .map(|labels| Series::new("".into(), labels))
        .collect();
    columns.push(Column::new("above".into(), above));
    let held_out: Vec<bool> = (0..400).map(|row| row % 5 == 0).collect();
    columns.push(Column::new("is_validation".into(), held_out));
    DataFrame::new(400, columns).unwrap()
}

pub(crate) fn perceptron(outputs: i64) -> Network {
    let layers = vec![
        Layer::linear(10, 20),
        Layer::ReLU,
        Layer::linear(20, outputs),
    ];
    Network::new(&[10], layers).unwrap()
}

/// An estimator with settings for a short fit.
pub(crate) fn short(network: Network) -> TorchEstimator {
    TorchEstimator::new(network)
        .iterations(20)
        .learning_rate(0.01)
        .partitions(2)
        .verbose(0)
}

pub(crate) fn assembled() -> Pipeline {
    let columns: Vec<String> = (0..10).map(|index| format!("x{index}")).collect();
    let assembler = VectorAssembler::new().input_cols(columns);
    Pipeline::new().stage(assembler.output_col("features"))
}

/// An estimator for each kind of target, and what it is.
pub(crate) fn problems() -> Vec<(&'static str, TorchEstimator)> {
    let autoencoder = Network::new(
        &[10],
        vec![
            Layer::linear(10, 5),
            Layer::ReLU,
            Layer::linear(5, 2),
            Layer::ReLU,
            Layer::linear(2, 5),
            Layer::ReLU,
            Layer::linear(5, 10),
        ],
    );
    vec![
        (
            "a number",
            short(perceptron(1)).loss(Loss::mse()).weight_col("weight"),
        ),
        (
            "two columns",
            short(perceptron(2))
                .loss(Loss::huber())
                .label_col(["sum", "product"])
                .metrics([RegressionMetric::Rmse, RegressionMetric::R2])
                .validation_fraction(0.2),
        ),
        (
            "a list column of labels",
            short(perceptron(3))
                .loss(Loss::bce_with_logits())
                .label_col("above")
                .probability_col("probability")
                .metrics([ValidationMetric::from(Metric::LogLoss)])
                .monitor(BinaryMetric::AreaUnderROC)
                .validation_indicator_col("is_validation"),
        ),
        (
            "one of two classes from one output",
            short(perceptron(1))
                .loss(Loss::bce_with_logits())
                .probability_col("probability")
                .raw_prediction_col("rawPrediction"),
        ),
        (
            "a class",
            short(perceptron(2))
                .loss(Loss::CrossEntropy(CrossEntropy {
                    weight: Some(vec![1.0, 2.0]),
                    ..CrossEntropy::default()
                }))
                .mini_batch(30)
                .accumulate_grad_batches(2)
                .probability_col("probability"),
        ),
        (
            "a count",
            short(perceptron(1))
                .loss(Loss::poisson_nll())
                .label_col("count"),
        ),
        (
            "the features",
            short(autoencoder.unwrap())
                .loss(Loss::mse())
                .label_col(Label::Features),
        ),
        (
            "a class, from log-probabilities",
            short(log_probabilities()).loss(Loss::nll()).mini_batch(30),
        ),
        (
            "a number, whatever its outliers",
            short(perceptron(1)).loss(Loss::l1()).label_col("sum"),
        ),
        (
            "a number, with few outliers",
            short(perceptron(1))
                .loss(Loss::smooth_l1())
                .label_col("sum"),
        ),
        (
            "a distribution",
            short(log_probabilities())
                .loss(Loss::kl_div())
                .label_col(["label", "other"]),
        ),
        (
            "a class, by layers of many kinds",
            short(many_kinds()).mini_batch(30).learning_rate(0.02),
        ),
        (
            "a class, by a module that PyTorch exported",
            short(exported())
                .mini_batch(30)
                .learning_rate(0.02)
                .probability_col("probability"),
        ),
    ]
}

/// A network with running statistics, a shortcut, steps and dropout.
fn many_kinds() -> Network {
    let config = Conv1dConfig {
        padding: 1.into(),
        ..Default::default()
    };
    let block = vec![Layer::conv1d(4, 4, 3, config), Layer::group_norm(2, 4)];
    let layers = vec![
        Layer::unflatten([2, 5]),
        Layer::conv1d(2, 4, 3, config),
        Layer::batch_norm1d(4, BatchNorm1dConfig::default()),
        Layer::SiLU,
        Layer::residual(block),
        Layer::gru(5, 6, RecurrentConfig::default()),
        Layer::dropout(0.1),
        Layer::linear(6, 2),
    ];
    Network::new(&[10], layers).unwrap()
}

fn log_probabilities() -> Network {
    let layers = perceptron(2).layers().to_vec();
    Network::new(&[10], [layers, vec![Layer::LogSoftmax]].concat()).unwrap()
}

/// A module with batch normalisation, dropout and a GRU.
fn exported() -> Network {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pt2");
    Network::from_pt2(std::fs::read(folder.join("points.pt2")).unwrap()).unwrap()
}
