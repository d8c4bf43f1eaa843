//! Where the ranks of a program run, and what joins them.
//!
//! An engine knows nothing of what is fitted: it deals out shards, starts [`program::fit`](crate::program::fit)
//! once for each, and hands back what rank 0 found. A [`Session`] holds one for as long as it lives.

mod session;
mod spark;
mod threads;

use std::{any::Any, fmt};

use polars::prelude::DataFrame;

use crate::{
    Error, Result,
    error::JobError,
    lake::Lake,
    program::FitSpec,
    shard::Data,
    stages::{FitContext, StageModel},
    train::ProgressEvent,
};
pub use session::Session;
pub use spark::Spark;
pub use threads::Threads;

/// A place to run ranks of a program.
pub trait Engine: Any + fmt::Debug + Send + Sync {
    /// How many ranks a fit has when nobody says.
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

    /// Adds the columns of `models` to `data`; the order of the rows stays.
    fn transform(&self, data: &Data, models: &[StageModel]) -> Result<DataFrame>;

    /// As [`transform`](Self::transform), but each rank writes its rows to `folder`, which all ranks reach,
    /// as the Parquet file `part-00000.parquet` and so on. The rows don't pass through this process.
    ///
    /// # Errors
    /// [`LakeError::Storage`](crate::error::LakeError::Storage) where the folder is not empty.
    fn transform_to(&self, data: &Data, models: &[StageModel], folder: &Lake) -> Result<()>;
}

/// The engine that the environment asks for: [`Spark`] at the server that `SPARK_REMOTE` names
/// (`sc://host:port`), else the [`Threads`] of this process. [`Session::get_or_create`] asks once for a
/// process, and keeps it.
///
/// # Errors
/// Those of [`Spark::connect`].
pub fn from_environment() -> Result<Box<dyn Engine>> {
    match std::env::var("SPARK_REMOTE") {
        Ok(url) if !url.is_empty() => Ok(Box::new(Spark::connect(&url)?)),
        _ => Ok(Box::new(Threads)),
    }
}

/// Runs `attempt` again, at most as often as `max_restarts` says, while a rank fails of something that may
/// not happen again: a panic or the end of its process, not a wrong setting or wrong data.
fn with_restarts<T>(
    spec: &FitSpec,
    context: FitContext<'_>,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<T> {
    let most = spec.run_settings()?.max_restarts;
    let mut restarts = 0;
    loop {
        match attempt() {
            Err(error @ Error::Job(JobError::RankFailed { .. })) if restarts < most => {
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
