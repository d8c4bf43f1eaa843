//! Our side of each row, as a process: what a user of the crate would write, with a timer around
//! it.

mod csv;
mod csv_mixed;
mod distributed;
mod gloo;
mod networks;
pub(crate) mod parquet;
mod predict;
mod size;
mod training;

use std::io::{BufRead, Write, stdin, stdout};

use mnist_support::{
    CnnConfig, Network,
    lake::{Credentials, Lake},
    ml::{MinMaxScaler, Pipeline, TorchEstimator, VectorAssembler},
};

use crate::{
    Result,
    messages::{Answer, Reply, Request},
    paths,
};

/// Runs one of the programs.
pub(crate) fn run(program: &[&str]) -> Result<()> {
    match program {
        ["training", world_size] => training::run(world_size.parse()?),
        ["gloo"] => gloo::run(),
        ["networks", name] => networks::run(name),
        ["predict"] => predict::run(),
        ["csv", types] => csv::run(types),
        ["csv-mixed", reader] => csv_mixed::run(reader),
        ["parquet"] => parquet::run(),
        ["distributed"] => distributed::run(),
        ["size", work, times] => size::run(work, times.parse()?),
        _ => Err(format!("no program {program:?}").into()),
    }
}

/// Reports that it is ready, and answers each request with the result of `measure` or with its
/// error.
fn serve(measure: impl FnMut(&Request) -> Result<Answer>) -> Result<()> {
    serve_variants(&[], measure)
}

/// The same, for a program that can be asked for variants.
fn serve_variants(
    variants: &[&str],
    mut measure: impl FnMut(&Request) -> Result<Answer>,
) -> Result<()> {
    let say = |reply: &Reply| -> Result<()> {
        let mut output = stdout().lock();
        writeln!(output, "{}", serde_json::to_string(reply)?)?;
        Ok(output.flush()?)
    };
    say(&Reply::Ready {
        variants: variants.iter().map(|name| (*name).to_owned()).collect(),
    })?;
    for line in stdin().lock().lines() {
        say(&match measure(&serde_json::from_str(&line?)?) {
            Ok(answer) => Reply::Measured(answer),
            Err(error) => Reply::Failed {
                error: error.to_string(),
            },
        })?;
    }
    Ok(())
}

fn speed(value: f64) -> Answer {
    Answer {
        value,
        accuracy: None,
    }
}

/// The local lake.
fn lake() -> Result<Lake> {
    Ok(Lake::open(
        &paths::lake().to_string_lossy(),
        &Credentials::local(),
    )?)
}

fn pixels(columns: Vec<String>) -> Vec<String> {
    columns.into_iter().filter(|name| name != "label").collect()
}

/// The originals' network on the scaled pixels, with the settings that all training here shares.
fn estimator(world_size: usize, request: &Request) -> Result<TorchEstimator> {
    Ok(estimator_of(
        CnnConfig::default().network()?,
        world_size,
        request,
    ))
}

/// Another network on them.
fn estimator_of(network: Network, world_size: usize, request: &Request) -> TorchEstimator {
    TorchEstimator::new(network)
        .features_col("scaledFeatures")
        .partitions(world_size)
        .iterations(request.images / request.batch)
        .mini_batch(request.batch / world_size)
        .learning_rate(request.learning_rate)
        .seed(request.seed)
        .verbose(0)
}

fn pipeline(pixels: Vec<String>, estimator: TorchEstimator) -> Pipeline {
    Pipeline::new()
        .stage(
            VectorAssembler::new()
                .input_cols(pixels)
                .output_col("features"),
        )
        .stage(
            MinMaxScaler::new()
                .input_col("features")
                .output_col("scaledFeatures"),
        )
        .stage(estimator)
}
