//! From a CSV file in the lake to scaled features as f32, in seconds.

use std::time::Instant;

use mnist_support::{
    data::{Features, labels_from_frame},
    lake::NumberType,
    traditional::MinMaxScaler,
};

use super::{lake, pixels, serve, speed};
use crate::Result;

/// Reads the columns with the types that are given, or with inferred ones.
pub(super) fn run(types: &str) -> Result<()> {
    let lake = lake()?;
    let read = || -> Result<_> {
        let start = Instant::now();
        let mut train = lake.csv("train.csv")?;
        if types == "told" {
            train = train.with_dtype(NumberType::UInt8)?;
        }
        let frame = train.collect()?;
        let labels = labels_from_frame(&frame, "label", 10, "train.csv")?;
        let features = Features::from_frame(&frame, &pixels(train.columns()), "train.csv")?;
        let scaled = MinMaxScaler::new().fit_transform(&features)?;
        let seconds = start.elapsed().as_secs_f64();
        assert_eq!((scaled.dim(), labels.len()), ((60_000, 784), 60_000));
        Ok(seconds)
    };
    read()?;
    serve(|_| Ok(speed(read()?)))
}
