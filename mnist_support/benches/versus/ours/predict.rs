//! Classes of the test images: images a second.

use std::{thread, time::Instant};

use mnist_support::{
    CnnConfig, Network,
    data::Features,
    tch::{self, Kind, Tensor},
};

use super::{lake, pixels, serve, speed};
use crate::Result;

pub fn run() -> Result<()> {
    let test = lake()?.parquet("test.parquet")?;
    let features = Features::from_frame(&test.collect()?, &pixels(test.columns()), "test.parquet")?;
    let images = features.to_tensor()?.to_kind(Kind::Float) / 255.0;
    let network = CnnConfig::default().network()?;
    let weights = network.initialize(1);
    let rows = images.size()[0] as usize;
    for _ in 0..3 {
        classes(&network, &weights, &images)?;
    }
    serve(|request| {
        let passes = request.images / rows;
        let start = Instant::now();
        for _ in 0..passes {
            let classes = classes(&network, &weights, &images)?;
            assert_eq!(classes.len(), rows);
        }
        Ok(speed(
            (passes * rows) as f64 / start.elapsed().as_secs_f64(),
        ))
    })
}

/// As `PipelineModel::transform` does it in one process: each core has its part of the rows.
fn classes(network: &Network, weights: &[Tensor], images: &Tensor) -> Result<Vec<i64>> {
    let cores = thread::available_parallelism()?.get() as i64;
    let parts: Vec<(Vec<Tensor>, Tensor)> = images
        .chunk(cores, 0)
        .into_iter()
        .map(|part| (weights.iter().map(Tensor::shallow_clone).collect(), part))
        .collect();
    let classes: Vec<mnist_support::Result<Vec<i64>>> = thread::scope(|scope| {
        let threads: Vec<_> = parts
            .into_iter()
            .map(|(weights, part)| {
                scope.spawn(move || {
                    tch::set_num_threads(1);
                    network.predict(&weights, &part, 250)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a prediction does not panic"))
            .collect()
    });
    Ok(classes.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
}
