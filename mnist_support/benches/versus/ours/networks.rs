//! Training of other networks than the originals', in rows per second.

use mnist_support::{
    Network, engine::Threads, ml::PipelineModel, polars::prelude::DataFrame, train::Silent,
};

#[path = "../../../tests/common/networks.rs"]
mod layers;

use super::{estimator_of, lake, pipeline, serve, speed, training::names};
use crate::{Result, messages::Request};

/// Trains the network of this name, or that of an exported file, in two ranks.
pub(super) fn run(name: &str) -> Result<()> {
    let network = match name.ends_with(".pt2") {
        true => Network::from_pt2(std::fs::read(name)?)?,
        false => layers::network(name).ok_or_else(|| format!("no network {name:?}"))?,
    };
    let train = lake()?.parquet("train.parquet")?.collect()?;
    fit(&network, &train, &Request::images(6000))?;
    serve(|request| {
        let model = fit(&network, &train, request)?;
        Ok(speed(model.report()?.rows_per_second()))
    })
}

fn fit(network: &Network, train: &DataFrame, request: &Request) -> Result<PipelineModel> {
    let pipeline = pipeline(names(train), estimator_of(network.clone(), 2, request));
    Ok(pipeline.fit_with(train, &Threads, &Silent)?)
}
