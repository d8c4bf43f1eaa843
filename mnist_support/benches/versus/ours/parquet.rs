//! From a Parquet file in the lake to a matrix of its pixels, in seconds.

use std::time::Instant;

use mnist_support::data::{Features, labels_from_frame};

use super::{lake, pixels, serve, speed};
use crate::Result;

pub(super) fn run() -> Result<()> {
    let lake = lake()?;
    let read = || -> Result<_> {
        let start = Instant::now();
        let train = lake.parquet("train.parquet")?;
        let frame = train.collect()?;
        let labels = labels_from_frame(&frame, "label", 10, "train.parquet")?;
        let features = Features::from_frame(&frame, &pixels(train.columns()), "train.parquet")?;
        let seconds = start.elapsed().as_secs_f64();
        let size = (features.rows(), features.width(), labels.len());
        assert_eq!(size, (60_000, 784, 60_000));
        Ok(seconds)
    };
    read()?;
    serve(|_| Ok(speed(read()?)))
}
