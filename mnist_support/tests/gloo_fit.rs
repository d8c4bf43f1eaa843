//! A fit on Gloo has the same bits as a fit on threads.

mod common;

use std::net::TcpListener;

use common::{digits, estimator, pipeline, pixel_columns};
use mnist_support::{
    collective::{Collective, GlooCollective, GlooConfig, thread_group},
    ml::{self, FitContext, FitSpec, StageModel},
    shard::Data,
    tch,
    train::Silent,
};
use tch::Tensor;

const WORLD_SIZE: usize = 3;

/// Returns the losses and weights of every rank, as bits.
fn fit<C: Collective>(starts: Vec<impl FnOnce() -> C + Send>) -> Vec<(Vec<u64>, Vec<u32>)> {
    let frame = digits(601);
    let estimator = estimator()
        .partitions(WORLD_SIZE)
        .validation_fraction(0.2)
        .validation_every(5);
    let spec = FitSpec {
        stages: pipeline(pixel_columns(&frame), estimator).stages().to_vec(),
    };
    let shards = Data::from(&frame).shards(WORLD_SIZE).unwrap();
    std::thread::scope(|scope| {
        let ranks: Vec<_> = starts
            .into_iter()
            .zip(shards)
            .map(|(start, shard)| {
                let spec = &spec;
                scope.spawn(move || {
                    tch::set_num_threads(1);
                    let collective = start();
                    let models =
                        ml::fit(&shard, &collective, spec, FitContext::new(&Silent)).unwrap();
                    let Some(StageModel::Torch(model)) = models.last() else {
                        panic!("the last stage is the network")
                    };
                    let losses = model
                        .report()
                        .history
                        .iter()
                        .map(|point| point.training_loss.to_bits())
                        .collect();
                    let weights = model
                        .weights()
                        .iter()
                        .flat_map(|weight: &Tensor| {
                            Vec::<f32>::try_from(weight.reshape([-1])).unwrap()
                        })
                        .map(f32::to_bits)
                        .collect();
                    (losses, weights)
                })
            })
            .collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

#[test]
fn losses_and_weights_are_those_of_threads() {
    let threads = fit(thread_group(WORLD_SIZE)
        .into_iter()
        .map(|collective| move || collective)
        .collect());
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .port();
    let gloo = fit((0..WORLD_SIZE)
        .map(|rank| {
            let config = GlooConfig::new(rank, WORLD_SIZE, "127.0.0.1", port);
            move || GlooCollective::connect(&config).unwrap()
        })
        .collect());
    assert_eq!(threads[0].0.len(), 20);
    for (collective, expected) in gloo.iter().zip(&threads) {
        assert!(collective == expected);
    }
}
