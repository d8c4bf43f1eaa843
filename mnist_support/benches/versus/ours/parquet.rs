//! From a Parquet file in the lake to a matrix of its pixels, in seconds.

use std::time::Instant;

use mnist_support::data::{Features, labels_from_frame};

use super::{lake, pixels, serve_variants, speed};
use crate::Result;

/// What can be read: all columns, or ten of the pixels.
pub(crate) const ALL: &str = "all columns";
pub(crate) const TEN: &str = "ten columns";

pub(super) fn run() -> Result<()> {
    read(ALL)?;
    serve_variants(&[ALL, TEN], |request| Ok(speed(read(&request.variant)?)))
}

fn read(variant: &str) -> Result<f64> {
    let lake = lake()?;
    let start = Instant::now();
    let mut train = lake.parquet("train.parquet")?;
    let mut names = pixels(train.columns());
    if variant == TEN {
        names = names.into_iter().step_by(78).take(10).collect();
        train = train.select(&names)?;
    }
    let frame = train.collect()?;
    if variant != TEN {
        let labels = labels_from_frame(&frame, "label", 10, "train.parquet")?;
        assert_eq!(labels.len(), 60_000);
    }
    let features = Features::from_frame(&frame, &names, "train.parquet")?;
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!((features.rows(), features.width()), (60_000, names.len()));
    Ok(seconds)
}
