//! The training loop on a toy data set: three ranks on threads, with uneven shards.

use std::thread;

use tch::{Device, Tensor};

use super::*;
use crate::{
    Layer,
    collective::thread_group,
    lake::{Credentials, Lake},
    network::{BatchNorm2dConfig, Conv2dConfig},
};

mod metrics;
mod resume;
mod targets;

/// The number of rows of each rank.
const SHARDS: [i64; 3] = [21, 8, 34];

/// Images of 4 by 4 pixels with noise, labelled 1 if the right half is brighter.
fn toy(rank: usize) -> TrainingData {
    let rows = SHARDS[rank];
    let labels: Vec<i64> = (0..rows).map(|row| (row + rank as i64) % 2).collect();
    let pixels = (0..16 * rows).map(|index| {
        let (row, column) = (index / 16, index % 4);
        let bright = i64::from(column >= 2) == labels[row as usize];
        let noise = ((index * 7919 + 31 * rank as i64) % 101) as f32 / 101.0;
        noise + if bright { 1.5 } else { 0.0 }
    });
    let pixels = Tensor::from_slice(&pixels.collect::<Vec<f32>>()).view([rows, 16]);
    TrainingData::new(pixels, Tensor::from_slice(&labels), None).unwrap()
}

/// The first layer's running statistics are those of the pixels. The second's move with the
/// weights.
fn normalised() -> Network {
    let padded = Conv2dConfig {
        padding: 1.into(),
        ..Default::default()
    };
    let layers = vec![
        Layer::batch_norm2d(1, BatchNorm2dConfig::default()),
        Layer::conv2d(1, 4, 3, padded),
        Layer::batch_norm2d(4, BatchNorm2dConfig::default()),
        Layer::gelu(),
        Layer::max_pool2d(2),
        Layer::Flatten,
        Layer::linear(16, 2),
        Layer::dropout(0.1),
    ];
    Network::new(&[1, 4, 4], layers).unwrap()
}

fn settings(iterations: usize) -> TrainingSettings {
    TrainingSettings {
        iterations: Some(iterations),
        learning_rate: 0.02,
        ..TrainingSettings::default()
    }
}

/// Requests a stop once an iteration has ended.
struct StopAfter {
    iteration: usize,
    interrupt: Interrupt,
}

impl Progress for StopAfter {
    fn report(&self, event: &ProgressEvent) {
        if matches!(event, ProgressEvent::Iteration { losses, .. } if losses.iteration == self.iteration)
        {
            self.interrupt.request();
        }
    }
}

/// Trains three ranks on [`toy`]; rank 0 asks for a stop after the iteration `stop`.
fn fit(
    network: &Network,
    settings: &TrainingSettings,
    checkpoints: Option<&Checkpoints>,
    stop: usize,
) -> Vec<Trained> {
    fit_on(&toy, network, settings, checkpoints, stop)
        .into_iter()
        .map(|trained| trained.unwrap())
        .collect()
}

/// Trains three ranks on the data that `shard` gives each of them.
fn fit_on(
    shard: &(dyn Fn(usize) -> TrainingData + Sync),
    network: &Network,
    settings: &TrainingSettings,
    checkpoints: Option<&Checkpoints>,
    stop: usize,
) -> Vec<Result<Trained>> {
    thread::scope(|threads| {
        let ranks: Vec<_> = thread_group(SHARDS.len())
            .into_iter()
            .map(|collective| {
                threads.spawn(move || {
                    tch::set_num_threads(1);
                    let interrupt = Interrupt::new();
                    let progress = StopAfter {
                        iteration: stop,
                        interrupt: interrupt.clone(),
                    };
                    train(
                        network,
                        &shard(collective.rank()),
                        &collective,
                        settings,
                        &progress,
                        checkpoints,
                        &interrupt,
                    )
                })
            })
            .collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

const NEVER: usize = usize::MAX;

/// Returns a tensor of the state by name.
fn tensor<'a>(network: &Network, trained: &'a Trained, name: &str) -> &'a Tensor {
    let names = network.state_names();
    let index = names.iter().position(|own| own == name).unwrap();
    &trained.weights[index]
}

#[test]
fn all_ranks_end_with_the_same_bits_and_have_learnt() {
    let network = normalised();
    let settings = TrainingSettings {
        validation_fraction: 0.25,
        validation_every: 5,
        mini_batch: Some(5),
        ..settings(40)
    };
    let ranks = fit(&network, &settings, None, NEVER);
    for rank in &ranks {
        assert_eq!(rank.weights, ranks[0].weights);
        assert_eq!(rank.report.history, ranks[0].report.history);
    }
    let history = &ranks[0].report.history;
    assert!(
        history[39].training_loss < 0.5 * history[0].training_loss,
        "{history:?}"
    );
    assert!(
        ranks[0].report.best_validation_loss < Some(0.3),
        "{history:?}"
    );
    let again = fit(&network, &settings, None, NEVER);
    assert_eq!(again[0].weights, ranks[0].weights);
}

#[test]
fn running_statistics_are_the_means_of_the_ranks_weighted_by_their_rows() {
    let network = normalised();
    let trained = fit(&network, &settings(2), None, NEVER).swap_remove(1);
    let (mut sum, mut variances) = (0.0, 0.0);
    for (rank, rows) in SHARDS.into_iter().enumerate() {
        let everything: Vec<i64> = (0..rows).collect();
        let pixels = toy(rank).select(&everything).unwrap().features;
        sum += rows as f64 * pixels.mean(tch::Kind::Double).double_value(&[]);
        variances += rows as f64 * pixels.var(true).double_value(&[]);
    }
    let rows = SHARDS.iter().sum::<i64>() as f64;
    // Two steps with all rows, each of which moves the statistics by a tenth.
    let mean = 0.19 * sum / rows;
    let variance = 0.81 + 0.19 * variances / rows;
    let found = |name| tensor(&network, &trained, name).double_value(&[0]);
    assert!((found("0.running_mean") - mean).abs() < 1e-6);
    assert!((found("0.running_var") - variance).abs() < 1e-6);
    let batches = tensor(&network, &trained, "2.num_batches_tracked");
    assert_eq!(batches, &Tensor::from(2_i64));
}

#[test]
fn the_weights_that_are_kept_come_with_the_statistics_of_their_iteration() {
    let network = normalised();
    let settings = TrainingSettings {
        validation_fraction: 0.25,
        validation_every: 1,
        // So large that the first steps are the best.
        learning_rate: 3.0,
        ..settings(12)
    };
    let trained = fit(&network, &settings, None, NEVER).swap_remove(0);
    let best = trained.report.best_iteration;
    assert!(best < 12, "{:?}", trained.report.history);
    let batches = tensor(&network, &trained, "0.num_batches_tracked");
    assert_eq!(batches, &Tensor::from(best as i64));
}

#[test]
fn a_fit_that_resumes_from_a_checkpoint_ends_with_the_bits_of_an_uninterrupted_one() {
    let network = normalised();
    let settings = TrainingSettings {
        validation_fraction: 0.25,
        validation_every: 3,
        mini_batch: Some(5),
        ..settings(12)
    };
    let uninterrupted = fit(&network, &settings, None, NEVER);
    for stop in [1, 3, 7] {
        let folder = tempfile::tempdir().unwrap();
        let folder = Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap();
        let checkpoints = Checkpoints::new(folder, 1000).unwrap();
        let stopped = fit(&network, &settings, Some(&checkpoints), stop);
        assert!(stopped[0].report.iterations() < 12);
        let resumed = fit(&network, &settings, Some(&checkpoints), NEVER);
        for (rank, expected) in resumed.iter().zip(&uninterrupted) {
            assert_eq!(rank.report.history, expected.report.history);
            assert_eq!(rank.weights, expected.weights);
        }
    }
}

#[test]
fn the_same_loop_trains_a_network_without_buffers() {
    let network = Network::new(&[16], vec![Layer::linear(16, 2)]).unwrap();
    let trained = fit(&network, &settings(5), None, NEVER);
    assert_eq!(trained[2].weights, trained[0].weights);
    assert_eq!(trained[0].weights.len(), 2);
    assert!(
        trained[0]
            .weights
            .iter()
            .all(|weight| weight.device() == Device::Cpu)
    );
}

#[test]
fn the_time_left_is_reported_once_there_is_a_rate_and_something_is_left() {
    assert_eq!(seconds_left(1, 1000, 0.1), None);
    assert_eq!(seconds_left(2, 100, 4.0), Some(196.0));
    assert_eq!(seconds_left(20, 150, 0.5), Some(3.25));
    assert_eq!(seconds_left(150, 150, 4.0), None);
}
