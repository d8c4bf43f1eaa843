//! Engines: where the ranks of a program run, and how they communicate.
//!
//! An engine knows nothing about what is fitted. It deals out shards, starts
//! [`ml::fit`](crate::ml::fit) once for each, and returns rank 0's result. A [`Session`] owns an
//! engine for as long as it lives.

#[cfg(test)]
mod dealt_tests;
mod session;
mod spark;
mod threads;

use std::{any::Any, fmt};

use polars::prelude::DataFrame;

use crate::{
    Error, Result,
    error::{JobError, SparkError},
    lake::Lake,
    program::FitSpec,
    shard::Data,
    stages::{FitContext, StageModel},
    train::ProgressEvent,
};
pub use session::Session;
pub use spark::Spark;
pub use threads::Threads;

/// Runs the ranks of a program.
pub trait Engine: Any + fmt::Debug + Send + Sync {
    /// The number of ranks of a fit that does not specify it.
    fn default_parallelism(&self) -> usize;

    /// Runs a fit in `world_size` ranks, each on its part of `data`, and returns the fitted stages.
    ///
    /// # Errors
    /// The error of the rank that failed first, not those of the ranks that failed because of it.
    fn fit(
        &self,
        data: &Data,
        world_size: usize,
        spec: &FitSpec,
        context: FitContext<'_>,
    ) -> Result<Vec<StageModel>>;

    /// Adds the columns of `models` to `data`. The order of the rows is preserved. `columns` are
    /// those to return; see [`PipelineModel::select`](crate::ml::PipelineModel::select).
    fn transform(
        &self,
        data: &Data,
        models: &[StageModel],
        columns: Option<&[String]>,
    ) -> Result<DataFrame>;

    /// Like [`transform`](Self::transform), but each rank writes its rows to `folder`, which all
    /// ranks can reach, as Parquet files: `part-00000-c00000.parquet` is the first of rank 0. The
    /// rows do not pass through this process.
    ///
    /// # Errors
    /// [`LakeError::Storage`](crate::error::LakeError::Storage) if the folder is not empty.
    fn transform_to(
        &self,
        data: &Data,
        models: &[StageModel],
        columns: Option<&[String]>,
        folder: &Lake,
    ) -> Result<()>;
}

/// Returns the engine that the environment selects: [`Spark`] on the server that `SPARK_REMOTE`
/// names (`sc://host:port`), or else the [`Threads`] of this process. [`Session::get_or_create`]
/// calls it once per process and keeps the engine.
///
/// # Errors
/// Those of [`Spark::connect`].
pub fn from_environment() -> Result<Box<dyn Engine>> {
    match std::env::var("SPARK_REMOTE") {
        Ok(url) if !url.is_empty() => Ok(Box::new(Spark::connect(&url)?)),
        _ => Ok(Box::new(Threads)),
    }
}

/// Retries `attempt` up to `max_restarts` times, as long as a rank fails in a way that may not
/// happen again: a panic, the end of its process or of its executor, not a wrong setting or wrong
/// data.
fn with_restarts<T>(
    spec: &FitSpec,
    context: FitContext<'_>,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<T> {
    let most = spec.run_settings()?.max_restarts;
    let mut restarts = 0;
    loop {
        match attempt() {
            Err(
                error @ (Error::Job(JobError::RankFailed { .. })
                | Error::Spark(SparkError::ExecutorLost { .. })),
            ) if restarts < most => {
                restarts += 1;
                context.progress.report(&ProgressEvent::Restarted {
                    restarts,
                    reason: error.to_string(),
                });
            }
            result => return result,
        }
    }
}
