//! Targets of every kind, row weights, and where training starts and ends.

use tch::Kind;

use super::*;
use crate::{
    error::NetworkError,
    network::write_safetensors,
    train::{
        CrossEntropy, InitialWeights, Loss, Nll, Optimizer, Targets,
        loss::{KlDiv, PoissonNll},
    },
};

const FEATURES: i64 = 4;
const OUTPUTS: i64 = 3;

/// Numbers that look random in `[-1, 1)`, the same each time.
fn noise(rows: i64, width: i64, seed: i64) -> Tensor {
    let values = (0..rows * width).map(|index| {
        let hash = (index + 1000 * seed + 17) * 7_919 % 10_007 * 613 % 10_007;
        hash as f32 / 5_003.5 - 1.0
    });
    Tensor::from_slice(&values.collect::<Vec<f32>>()).view([rows, width])
}

fn data(rows: i64, rank: usize, targets: impl Into<Targets>) -> TrainingData {
    TrainingData::new(noise(rows, FEATURES, rank as i64), targets.into(), None).unwrap()
}

/// A loss, targets for it by the number of rows and a seed, and whether it needs log-probabilities.
type Problem = (Loss, fn(i64, i64) -> Targets, bool);

fn problems() -> Vec<Problem> {
    fn numbers(rows: i64, seed: i64) -> Targets {
        noise(rows, OUTPUTS, 50 + seed).into()
    }
    fn classes(rows: i64, seed: i64) -> Targets {
        let classes: Vec<i64> = (0..rows).map(|row| (row * row + seed) % OUTPUTS).collect();
        Tensor::from_slice(&classes).into()
    }
    fn some_classes(rows: i64, seed: i64) -> Targets {
        let classes: Vec<i64> = (0..rows).map(|row| (row + seed) % 4 - 1).collect();
        Tensor::from_slice(&classes).into()
    }
    fn labels(rows: i64, seed: i64) -> Targets {
        noise(rows, OUTPUTS, 50 + seed)
            .gt(0.0)
            .to_kind(Kind::Float)
            .into()
    }
    fn distributions(rows: i64, seed: i64) -> Targets {
        noise(rows, OUTPUTS, 50 + seed)
            .softmax(1, Kind::Float)
            .into()
    }
    fn counts(rows: i64, seed: i64) -> Targets {
        (noise(rows, OUTPUTS, 50 + seed) * 3.0).abs().floor().into()
    }
    vec![
        (Loss::cross_entropy(), classes, false),
        (
            Loss::CrossEntropy(CrossEntropy {
                weight: Some(vec![1.0, 2.0, 0.5]),
                ignore_index: Some(-1),
                label_smoothing: 0.1,
            }),
            some_classes,
            false,
        ),
        (
            Loss::Nll(Nll {
                weight: None,
                ignore_index: Some(-1),
            }),
            some_classes,
            true,
        ),
        (Loss::mse(), numbers, false),
        (Loss::l1(), numbers, false),
        (Loss::smooth_l1(), numbers, false),
        (Loss::huber(), numbers, false),
        (Loss::bce_with_logits(), labels, false),
        (Loss::KlDiv(KlDiv::default()), distributions, true),
        (
            Loss::PoissonNll(PoissonNll {
                full: true,
                ..PoissonNll::default()
            }),
            counts,
            false,
        ),
    ]
}

fn network(ends_in_log_probabilities: bool) -> Network {
    let mut layers = vec![
        Layer::linear(FEATURES, 6),
        Layer::Tanh,
        Layer::linear(6, OUTPUTS),
    ];
    if ends_in_log_probabilities {
        layers.push(Layer::LogSoftmax);
    }
    Network::new(&[FEATURES], layers).unwrap()
}

fn all(trained: Vec<Result<Trained>>) -> Vec<Trained> {
    trained.into_iter().map(|rank| rank.unwrap()).collect()
}

fn assert_all_close(found: &[Tensor], expected: &[Tensor]) {
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            found.allclose(expected, 1e-5, 1e-6, false),
            "{found} {expected}"
        );
    }
}

fn checkpoints(folder: &tempfile::TempDir) -> Checkpoints {
    let folder = Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap();
    Checkpoints::new(folder, 1000).unwrap()
}

#[test]
fn every_loss_learns_with_the_same_bits_in_three_ranks_and_after_a_restart() {
    for (loss, targets, log_probabilities) in problems() {
        let settings = TrainingSettings {
            loss: loss.clone(),
            validation_fraction: 0.25,
            validation_every: 4,
            mini_batch: Some(5),
            accumulate_grad_batches: 2,
            learning_rate: 0.05,
            ..settings(24)
        };
        let shard = |rank: usize| {
            let rows = SHARDS[rank];
            let weights = noise(rows, 1, 90 + rank as i64).view([-1]) + 1.5;
            data(rows, rank, targets(rows, rank as i64))
                .weights(weights)
                .unwrap()
        };
        let network = network(log_probabilities);
        let ranks = all(fit_on(&shard, &network, &settings, None, NEVER));
        let history = &ranks[0].report.history;
        for rank in &ranks {
            assert_eq!(rank.weights, ranks[0].weights, "{loss:?}");
            assert_eq!(rank.report.history, *history, "{loss:?}");
        }
        let mean = |points: &[LossPoint]| {
            points.iter().map(|point| point.training_loss).sum::<f64>() / points.len() as f64
        };
        assert!(
            mean(&history[18..]) < mean(&history[..6]),
            "{loss:?} {history:?}"
        );

        let folder = tempfile::tempdir().unwrap();
        let checkpoints = checkpoints(&folder);
        let stopped = all(fit_on(&shard, &network, &settings, Some(&checkpoints), 7));
        assert!(stopped[0].report.interrupted, "{loss:?}");
        let resumed = all(fit_on(
            &shard,
            &network,
            &settings,
            Some(&checkpoints),
            NEVER,
        ));
        assert_eq!(resumed[1].weights, ranks[1].weights, "{loss:?}");
        assert_eq!(resumed[1].report.history, *history, "{loss:?}");
    }
}

#[test]
fn an_autoencoder_is_trained_to_give_its_features() {
    let settings = TrainingSettings {
        loss: Loss::mse(),
        ..settings(6)
    };
    let layers = vec![Layer::linear(FEATURES, 2), Layer::linear(2, FEATURES)];
    let network = Network::new(&[FEATURES], layers).unwrap();
    let own = |rank: usize| data(9, rank, Targets::Features);
    let given = |rank: usize| data(9, rank, noise(9, FEATURES, rank as i64));
    let own = all(fit_on(&own, &network, &settings, None, NEVER));
    let given = all(fit_on(&given, &network, &settings, None, NEVER));
    assert_eq!(own[0].weights, given[0].weights);
}

/// Trains on the rows of every rank at once, with row weights.
fn fit_weighted(
    weights: &(dyn Fn(i64) -> Vec<f32> + Sync),
    rows: &(dyn Fn(i64) -> Vec<i64> + Sync),
) -> Trained {
    let settings = TrainingSettings {
        loss: Loss::mse(),
        validation_every: 1,
        ..settings(8)
    };
    let shard = |rank: usize| {
        let rows = Tensor::from_slice(&rows(SHARDS[rank]));
        let features = noise(SHARDS[rank], FEATURES, rank as i64).index_select(0, &rows);
        let targets = noise(SHARDS[rank], OUTPUTS, 5).index_select(0, &rows);
        TrainingData::new(features, Targets::Given(targets), None)
            .unwrap()
            .weights(Tensor::from_slice(&weights(rows.size()[0])))
            .unwrap()
    };
    all(fit_on(&shard, &network(false), &settings, None, NEVER)).swap_remove(0)
}

#[test]
fn a_row_counts_as_much_as_it_weighs() {
    let once = |rows: i64| (0..rows).collect::<Vec<i64>>();
    let alike = fit_weighted(&|rows| vec![1.0; rows as usize], &once);
    let thrice = fit_weighted(&|rows| vec![3.0; rows as usize], &once);
    assert_all_close(&thrice.weights, &alike.weights);

    // The first row weighs 2, and the second nothing.
    let weighted = |rows: i64| {
        let mut weights = vec![1.0; rows as usize];
        (weights[0], weights[1]) = (2.0, 0.0);
        weights
    };
    let found = fit_weighted(&weighted, &once);
    let repeated = |rows: i64| [0, 0].into_iter().chain(2..rows).collect();
    let expected = fit_weighted(&|rows| vec![1.0; rows as usize], &repeated);
    assert_all_close(&found.weights, &expected.weights);
    let losses = |trained: &Trained| -> Vec<f64> {
        let history = trained.report.history.iter();
        history.map(|point| point.training_loss).collect()
    };
    for (found, expected) in losses(&found).iter().zip(losses(&expected)) {
        assert!((found - expected).abs() < 1e-6);
    }
    assert!(!found.weights[0].allclose(&alike.weights[0], 1e-5, 1e-6, false));
}

#[test]
fn two_mini_batches_added_up_are_one_of_twice_the_rows() {
    let shard = |rank: usize| data(16, rank, noise(16, OUTPUTS, 5 + rank as i64));
    let fit = |mini_batch: usize, accumulate_grad_batches: usize| {
        let settings = TrainingSettings {
            loss: Loss::mse(),
            mini_batch: Some(mini_batch),
            accumulate_grad_batches,
            ..settings(10)
        };
        all(fit_on(&shard, &network(false), &settings, None, NEVER)).swap_remove(0)
    };
    let (added, whole) = (fit(4, 2), fit(8, 1));
    assert_eq!(added.report.global_batch, whole.report.global_batch);
    assert_all_close(&added.weights, &whole.weights);
}

#[test]
fn epochs_pass_through_all_rows_so_many_times() {
    let shard = |rank: usize| data(20, rank, noise(20, OUTPUTS, 5));
    let settings = TrainingSettings {
        loss: Loss::mse(),
        iterations: None,
        epochs: Some(3),
        mini_batch: Some(5),
        ..settings(0)
    };
    let trained = all(fit_on(&shard, &network(false), &settings, None, NEVER));
    assert_eq!(trained[0].report.iterations(), 12);
    assert_eq!(trained[0].report.max_iterations, 12);
}

#[test]
fn frozen_parameters_stay_as_they_are_and_the_others_move() {
    let network = normalised();
    let settings = TrainingSettings {
        freeze: vec!["1.*".to_owned(), "*.bias".to_owned()],
        // Decays what has no gradient, too, unless it is left out.
        optimizer: Optimizer::adam_w(0.1),
        ..settings(4)
    };
    let start = fit(
        &network,
        &TrainingSettings {
            iterations: Some(0),
            ..settings.clone()
        },
        None,
        NEVER,
    );
    let end = fit(&network, &settings, None, NEVER);
    for ((name, start), end) in network
        .state_names()
        .iter()
        .zip(&start[0].weights)
        .zip(&end[0].weights)
    {
        let frozen = name.starts_with("1.") || name.ends_with(".bias");
        assert_eq!(start == end, frozen, "{name}");
    }
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = checkpoints(&folder);
    fit(&network, &settings, Some(&checkpoints), 2);
    let resumed = fit(&network, &settings, Some(&checkpoints), NEVER);
    assert_eq!(resumed[0].weights, end[0].weights);
}

#[test]
fn a_fit_starts_from_the_weights_that_it_is_given() {
    let network = normalised();
    let first = fit(&network, &settings(20), None, NEVER).swap_remove(0);
    let file = write_safetensors(&network, &first.weights).unwrap();
    let on = |iterations| TrainingSettings {
        initial_weights: Some(InitialWeights::from(file.clone())),
        ..settings(iterations)
    };
    let none = fit(&network, &on(0), None, NEVER);
    assert_eq!(none[0].weights, first.weights);
    let second = fit(&network, &on(20), None, NEVER).swap_remove(0);
    let (first, second) = (&first.report.history, &second.report.history);
    assert!(second[0].training_loss < 0.7 * first[0].training_loss);
    assert!(second[19].training_loss < first[19].training_loss);
    // As data, the settings can go to another process.
    let json = serde_json::to_string(&on(3)).unwrap();
    assert_eq!(
        serde_json::from_str::<TrainingSettings>(&json).unwrap(),
        on(3)
    );
}

#[test]
fn initial_weights_that_do_not_fit_are_named() {
    let small = Network::new(&[FEATURES], vec![Layer::linear(FEATURES, 2)]).unwrap();
    let other = write_safetensors(&small, &small.initialize(1)).unwrap();
    let settings = TrainingSettings {
        initial_weights: Some(InitialWeights::from(other)),
        ..settings(1)
    };
    let shard = |rank: usize| data(9, rank, noise(9, OUTPUTS, 5));
    let error = fit_on(&shard, &network(false), &settings, None, NEVER)
        .swap_remove(0)
        .unwrap_err();
    assert!(
        matches!(error, Error::Network(NetworkError::InvalidWeights { .. })),
        "{error}"
    );
    assert!(error.to_string().contains("0.weight"), "{error}");
}

#[test]
fn without_validation_rows_training_stops_once_the_training_loss_no_longer_falls() {
    let settings = TrainingSettings {
        validation_every: 3,
        early_stop_patience: Some(2),
        // More than it can fall.
        min_delta: 100.0,
        ..settings(50)
    };
    let trained = fit(&normalised(), &settings, None, NEVER).swap_remove(0);
    assert!(trained.report.stopped_early);
    assert_eq!(trained.report.iterations(), 9);
    // The last weights are kept: the training loss is not a reason for others.
    assert_eq!(trained.report.best_iteration, 9);
    let without = TrainingSettings {
        min_delta: 0.0,
        ..settings
    };
    let trained = fit(&normalised(), &without, None, NEVER).swap_remove(0);
    assert!(trained.report.iterations() > 9);
}

#[test]
fn the_rows_that_a_column_marks_are_held_out_even_all_of_a_rank() {
    let settings = TrainingSettings {
        loss: Loss::mse(),
        validation_every: 1,
        mini_batch: Some(4),
        ..settings(3)
    };
    let shard = |held_out: fn(usize, i64) -> bool| {
        move |rank: usize| {
            let rows = SHARDS[rank];
            let indicator = (0..rows).map(|row| held_out(rank, row)).collect();
            data(rows, rank, noise(rows, OUTPUTS, 5))
                .validation_indicator(indicator)
                .unwrap()
        }
    };
    let fit = |held_out| fit_on(&shard(held_out), &network(false), &settings, None, NEVER);
    let report = all(fit(|rank, row| rank == 1 || row == 0))
        .swap_remove(0)
        .report;
    assert_eq!((report.training_rows, report.validation_rows), (53, 10));
    assert!(report.best_validation_loss.is_some());

    for (held_out, expected) in [
        (
            (|_, _| true) as fn(usize, i64) -> bool,
            "holds out all rows",
        ),
        (|_, _| false, "holds out no row"),
    ] {
        let error = fit(held_out).swap_remove(0).unwrap_err().to_string();
        assert!(error.contains("validation_indicator_col"), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn rows_that_weigh_nothing_at_all_are_an_error() {
    let settings = TrainingSettings {
        loss: Loss::mse(),
        ..settings(3)
    };
    let shard = |rank: usize| {
        data(9, rank, noise(9, OUTPUTS, 5))
            .weights(Tensor::zeros([9], (Kind::Float, Device::Cpu)))
            .unwrap()
    };
    let error = fit_on(&shard, &network(false), &settings, None, NEVER)
        .swap_remove(2)
        .unwrap_err()
        .to_string();
    assert!(error.contains("weight_col"), "{error}");
    assert!(error.contains("all 27 training rows"), "{error}");
}
