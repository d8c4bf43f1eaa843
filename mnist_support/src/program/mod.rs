//! The program that every rank runs. An engine gives each rank its shard and its collective.

pub(crate) mod parts;
mod spec;

use polars::prelude::DataFrame;

use crate::{
    Result,
    collective::Collective,
    interrupt,
    lake::{
        ReadProgress,
        reading::{OnProgress, ignore_progress},
    },
    shard::Shard,
    stages::{FitContext, Labels, Stage, StageModel, Table},
    train::ProgressEvent,
};
pub use spec::{FitSpec, RunSettings};

/// Runs one rank of a fit: reads its shard, fits every stage together with the other ranks, and
/// returns the fitted stages, which are the same in all ranks.
///
/// Nothing here knows whether the other ranks are threads or processes.
///
/// A [stop](crate::interrupt) while a network trains ends that training. Each stage after it does
/// the minimum that gives a model. A stop before then is an error.
pub fn fit(
    shard: &Shard,
    collective: &dyn Collective,
    spec: &FitSpec,
    context: FitContext<'_>,
) -> Result<Vec<StageModel>> {
    let _scope = context.interrupt.scope();
    // A missing GPU should be reported before the rows are read, not after.
    for (_, estimator) in spec.estimators() {
        estimator.settings.device.open()?;
    }
    let on_progress = |reading: ReadProgress| {
        if collective.rank() == 0 {
            context.progress.report(&ProgressEvent::Reading(reading));
        } else {
            ignore_progress(reading);
        }
    };
    let columns = spec.input_cols();
    let mut table = Table::read(shard, Some(&columns), &on_progress)?;
    let validation = shard.validation();
    let validation = validation.map(|shard| Table::read(&shard, Some(&columns), &ignore_progress));
    let mut validation = validation.transpose()?;
    // What no stage learns from need not be computed.
    let last = spec.stages.iter().rposition(Stage::learns);
    let mut labels = Labels::default();
    let mut models = Vec::with_capacity(spec.stages.len());
    let (mut context, mut shield) = (context, None);
    for (index, stage) in spec.stages.iter().enumerate() {
        let own = FitContext {
            validation: validation.as_ref(),
            labels: Some(&labels),
            ..context
        };
        let model = stage.fit_shard(&table, collective, own)?;
        if model.is_interrupted() {
            shield = Some(interrupt::shield());
            // A later fit must not resume from what was trained on the column of a half-trained
            // model.
            context.run_folder = None;
        }
        if Some(index) < last {
            model.apply(&mut table)?;
            if let Some(validation) = &mut validation {
                model.apply(validation)?;
            }
        }
        labels.add(&model);
        models.push(model);
    }
    drop(shield);
    Ok(models)
}

/// Runs one rank of a transformation: reads its shard and adds every stage's column. It needs no
/// other rank.
pub fn transform(shard: &Shard, models: &[StageModel]) -> Result<DataFrame> {
    transform_with_progress(shard, models, &ignore_progress)
}

/// Like [`transform`], but reports the progress of a long read.
pub(crate) fn transform_with_progress(
    shard: &Shard,
    models: &[StageModel],
    on_progress: OnProgress<'_>,
) -> Result<DataFrame> {
    let _scope = interrupt::scope();
    for model in models.iter().filter_map(StageModel::torch_model) {
        model.estimator().settings.device.open()?;
    }
    let mut table = Table::read(shard, None, on_progress)?;
    for model in models {
        model.apply(&mut table)?;
    }
    table.into_frame()
}
