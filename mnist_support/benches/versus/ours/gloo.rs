//! Training in processes that `torchrun` starts, as in the README: rows per second of the fit
//! itself.

use std::{env, fs, process::Command};

use mnist_support::{
    lake::{Credentials, Lake},
    ml::PipelineModel,
    worker::Job,
};

use super::{estimator, lake, pipeline, pixels, serve, speed};
use crate::{Result, paths};

const WORLD_SIZE: usize = 2;

pub(super) fn run() -> Result<()> {
    let train = lake()?.parquet("train.parquet")?;
    let folder = paths::logs().join("gloo");
    fs::create_dir_all(&folder)?;
    let (job, model) = (folder.join("job.json"), folder.join("model"));
    // The workers find their libraries where cargo has this process find them. torchrun has its
    // own.
    let libraries = env::var("LD_LIBRARY_PATH").unwrap_or_default();
    serve(|request| {
        let pipeline = pipeline(pixels(train.columns()), estimator(WORLD_SIZE, request)?);
        Job::fit(&pipeline, &train).write(&job)?;
        let status = Command::new(paths::peers_program("torchrun"))
            .args(paths::TORCHRUN)
            .args(["--no-python", "env"])
            .arg(format!("LD_LIBRARY_PATH={libraries}"))
            .arg(env!("CARGO_BIN_EXE_mnist-worker"))
            .arg("--job")
            .arg(&job)
            .arg("--save")
            .arg(&model)
            .env_remove("LD_LIBRARY_PATH")
            .stdout(std::io::stderr())
            .status()?;
        if !status.success() {
            return Err(format!("torchrun ended with {status}").into());
        }
        let saved = Lake::open(&model.to_string_lossy(), &Credentials::local())?;
        Ok(speed(
            PipelineModel::load(&saved)?.report()?.rows_per_second(),
        ))
    })
}
