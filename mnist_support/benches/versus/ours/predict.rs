//! Predicting the classes of the test images, in images per second.

use std::time::Instant;

use mnist_support::{CnnConfig, data::Features, tch::Kind};

use super::{lake, pixels, serve, speed};
use crate::Result;

pub(super) fn run() -> Result<()> {
    let test = lake()?.parquet("test.parquet")?;
    let features = Features::from_frame(&test.collect()?, &pixels(test.columns()), "test.parquet")?;
    let images = features.to_tensor()?.to_kind(Kind::Float) / 255.0;
    let network = CnnConfig::default().network()?;
    let weights = network.initialize(1);
    let rows = images.size()[0] as usize;
    for _ in 0..3 {
        network.predict(&weights, &images)?;
    }
    serve(|request| {
        let passes = request.images / rows;
        let start = Instant::now();
        for _ in 0..passes {
            let classes = network.predict(&weights, &images)?;
            assert_eq!(classes.len(), rows);
        }
        Ok(speed(
            (passes * rows) as f64 / start.elapsed().as_secs_f64(),
        ))
    })
}
