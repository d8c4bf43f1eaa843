//! The program that runs in many copies. An engine gives each copy its shard and its end of the group.

use polars::prelude::DataFrame;
use serde::{Deserialize, Serialize};

use super::{Stage, StageModel, table::Table};
use crate::{Result, collective::Collective, shard::Shard, train::Progress};

/// What a fit is to do: data, so that it can travel to another process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FitSpec {
    /// The stages, in order.
    pub stages: Vec<Stage>,
}

/// One copy of a fit: reads its shard, fits every stage together with the other copies, and returns the
/// fitted stages, which are the same in all copies.
///
/// Nothing here knows whether the other copies are threads or processes.
pub fn fit(
    shard: &Shard,
    collective: &dyn Collective,
    spec: &FitSpec,
    progress: &dyn Progress,
) -> Result<Vec<StageModel>> {
    let mut table = Table::read(shard)?;
    let mut models = Vec::with_capacity(spec.stages.len());
    for (index, stage) in spec.stages.iter().enumerate() {
        let model = stage.fit_shard(&table, collective, progress)?;
        if index + 1 < spec.stages.len() {
            model.apply(&mut table)?;
        }
        models.push(model);
    }
    Ok(models)
}

/// One copy of a transformation: reads its shard and adds every stage's column. Needs no other copy.
pub fn transform(shard: &Shard, models: &[StageModel]) -> Result<DataFrame> {
    let mut table = Table::read(shard)?;
    for model in models {
        model.apply(&mut table)?;
    }
    table.into_frame()
}
