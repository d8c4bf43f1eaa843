//! Where the copies of a program run, and what joins them.
//!
//! An engine knows nothing of what is fitted: it deals out shards, starts [`ml::fit`](crate::ml::fit) once
//! for each, and hands back what rank 0 found.

mod threads;

use polars::prelude::DataFrame;

use crate::{
    Result,
    ml::{FitSpec, StageModel},
    shard::Data,
    train::Progress,
};
pub use threads::Threads;

/// A place to run copies of a program.
pub trait Engine {
    /// How many copies a fit has when nobody says.
    fn default_copies(&self) -> usize;

    /// Runs a fit in `copies` copies, each on its part of `data`, and returns the fitted stages.
    ///
    /// # Errors
    /// The error of the copy that failed first, not those of the copies that failed because of it.
    fn fit(
        &self,
        data: &Data,
        copies: usize,
        spec: &FitSpec,
        progress: &dyn Progress,
    ) -> Result<Vec<StageModel>>;

    /// Adds the columns of `models` to `data`; the order of the rows stays.
    fn transform(&self, data: &Data, models: &[StageModel]) -> Result<DataFrame>;
}

/// The engine that the environment asks for: at present always the threads of this process.
pub fn from_environment() -> Result<Box<dyn Engine>> {
    Ok(Box::new(Threads))
}
