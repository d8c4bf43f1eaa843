//! MNIST's training images many times over: a fit and transformations, in images per second from
//! the lake to the result.

use std::{fs, time::Instant};

use mnist_support::{
    CnnConfig,
    lake::{Credentials, Lake, LakeFrame},
    train::Shuffle,
};

use super::{estimator_of, pipeline, pixels, serve, speed};
use crate::{
    Result,
    messages::{Answer, Request},
    paths,
};

/// The budget of a rank of two.
const BUDGET: u64 = 256 << 20;

/// A fit of one pass through the images, or a transformation with a model of such a fit.
pub(super) fn run(work: &str, times: usize) -> Result<()> {
    let table = table(times)?;
    serve(|request| match work {
        "fit" => fit(&table, request, None, Shuffle::Rows),
        "fit-budget" => fit(&table, request, Some(BUDGET), Shuffle::Rows),
        "fit-blocks" => fit(&table, request, Some(BUDGET), Shuffle::Blocks),
        "transform" | "transform-to" => transform(&table, request, work == "transform-to"),
        _ => Err(format!("no work {work:?}").into()),
    })
}

fn fit(
    table: &LakeFrame,
    request: &Request,
    budget: Option<u64>,
    shuffle: Shuffle,
) -> Result<Answer> {
    let network = CnnConfig::default().network()?;
    let mut estimator = estimator_of(network, 2, request).shuffle(shuffle);
    if let Some(bytes) = budget {
        estimator = estimator.memory_budget(bytes);
    }
    let start = Instant::now();
    pipeline(pixels(table.columns()), estimator).fit(table)?;
    Ok(speed(request.images as f64 / start.elapsed().as_secs_f64()))
}

fn transform(table: &LakeFrame, request: &Request, to_folder: bool) -> Result<Answer> {
    let estimator = estimator_of(CnnConfig::default().network()?, 2, request).iterations(1);
    let few = table.limit(6000)?;
    let model = pipeline(pixels(table.columns()), estimator).fit(&few)?;
    let folder = paths::size().join("predictions");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let start = Instant::now();
    if to_folder {
        let folder = Lake::open(&folder.to_string_lossy(), &Credentials::local())?;
        model.transform_to(table, &folder)?;
    } else {
        let predictions = model.select(["label", "prediction"]).transform(table)?;
        assert_eq!(predictions.shape(), (request.images, 2));
    }
    Ok(speed(request.images as f64 / start.elapsed().as_secs_f64()))
}

/// The training images so many times: part files that are links to one file.
fn table(times: usize) -> Result<LakeFrame> {
    let folder = paths::size().join(format!("x{times}"));
    fs::create_dir_all(&folder)?;
    let file = fs::canonicalize(paths::lake().join("train.parquet"))?;
    for part in 0..times {
        let part = folder.join(format!("part-{part:05}.parquet"));
        if !part.exists() {
            fs::hard_link(&file, part)?;
        }
    }
    let lake = Lake::open(&paths::size().to_string_lossy(), &Credentials::local())?;
    Ok(lake.parquet(format!("x{times}"))?)
}
