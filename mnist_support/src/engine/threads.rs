//! Runs ranks as threads of this process.

use std::{any::Any, thread};

use polars::prelude::DataFrame;

use super::{Engine, with_restarts};
use crate::{
    Error, Result,
    collective::thread_group,
    error::{CollectiveError, JobError},
    interrupt,
    lake::{
        Lake,
        reading::{OnProgress, ignore_progress, print_if_watched},
        stack,
    },
    program::{
        self, FitSpec,
        parts::{PartWriter, check_empty, or_remove_parts},
    },
    shard::{Data, Shard},
    stages::{FitContext, StageModel},
    threads::run_all,
};

/// Runs each rank on its own thread, with a single libtorch thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Threads;

impl Engine for Threads {
    fn default_parallelism(&self) -> usize {
        thread::available_parallelism().map_or(1, usize::from)
    }

    fn fit(
        &self,
        data: &Data,
        world_size: usize,
        spec: &FitSpec,
        context: FitContext<'_>,
    ) -> Result<Vec<StageModel>> {
        let shards = spec.shards(data, world_size)?;
        let fitted = with_restarts(spec, context, || {
            run(thread_group(world_size)
                .into_iter()
                .zip(&shards)
                .map(|(collective, shard)| {
                    // The collective moves in, so that it is dropped when the rank ends, however it
                    // ends.
                    move || program::fit(shard, &{ collective }, spec, context)
                }))
        })?;
        Ok(fitted
            .into_iter()
            .next()
            .expect("there is at least one rank"))
    }

    fn transform(
        &self,
        data: &Data,
        models: &[StageModel],
        columns: Option<&[String]>,
    ) -> Result<DataFrame> {
        let parts = self.for_each_shard(data, models, |_, shard, models, on_progress| {
            let mut pieces = Vec::new();
            program::transform_each(shard, models, columns, on_progress, &mut |piece| {
                pieces.push(piece);
                Ok(())
            })?;
            Ok(pieces)
        })?;
        let whole = stack(parts.into_iter().flatten(), &data.name())?;
        Ok(whole.unwrap_or_default())
    }

    fn transform_to(
        &self,
        data: &Data,
        models: &[StageModel],
        columns: Option<&[String]>,
        folder: &Lake,
    ) -> Result<()> {
        check_empty(folder)?;
        let written = self.for_each_shard(data, models, |rank, shard, models, on_progress| {
            let mut part = PartWriter::to_folder(rank, folder);
            program::transform_each(shard, models, columns, on_progress, &mut |piece| {
                part.write(piece)
            })?;
            part.finish()
        });
        or_remove_parts(written.map(drop), folder)
    }
}

impl Threads {
    /// Transforms each shard on its own thread: `transform` is given the rank, the shard, the
    /// models and what the progress of reading goes to.
    fn for_each_shard<T: Send>(
        &self,
        data: &Data,
        models: &[StageModel],
        transform: impl Fn(usize, &Shard, &[StageModel], OnProgress<'_>) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let transform = &transform;
        run(data
            .shards_at_most(self.default_parallelism())?
            .into_iter()
            .enumerate()
            .map(|(rank, shard)| {
                let models = models.to_vec();
                move || match rank {
                    0 => transform(rank, &shard, &models, &print_if_watched),
                    _ => transform(rank, &shard, &models, &ignore_progress),
                }
            }))
    }
}

/// Runs each program on its own thread. Returns the results in order, or the error that caused the
/// others.
fn run<T: Send, P: FnOnce() -> Result<T> + Send>(
    programs: impl Iterator<Item = P>,
) -> Result<Vec<T>> {
    let programs: Vec<P> = programs.collect();
    let world_size = programs.len();
    let interrupt = &interrupt::current();
    let results = run_all(programs.into_iter().map(|program| {
        move || {
            let _scope = interrupt.scope();
            tch::set_num_threads(1);
            program()
        }
    }));
    let (mut values, mut causes, mut consequences) =
        (Vec::with_capacity(world_size), Vec::new(), Vec::new());
    for (rank, result) in results.into_iter().enumerate() {
        match result.unwrap_or_else(|panic| Err(panicked(rank, world_size, &*panic))) {
            Ok(value) => values.push(value),
            Err(error @ Error::Collective(CollectiveError::ExchangeAborted { .. })) => {
                consequences.push(error)
            }
            Err(error) => causes.push(error),
        }
    }
    match causes.into_iter().chain(consequences).next() {
        None => Ok(values),
        Some(error) => Err(error),
    }
}

fn panicked(rank: usize, world_size: usize, panic: &(dyn Any + Send)) -> Error {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it panicked without a message");
    Error::Job(JobError::RankFailed {
        rank,
        world_size,
        reason: message.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;
    use crate::{
        Layer, Network,
        collective::Collective,
        error::TrainingError,
        lake::Credentials,
        stages::{TorchEstimator, VectorAssembler},
        train::Silent,
    };

    #[test]
    fn results_come_back_in_the_order_of_the_ranks() {
        let programs = (0..4).map(|rank| {
            move || {
                thread::sleep(std::time::Duration::from_millis(10 * (4 - rank)));
                Ok(rank)
            }
        });
        assert_eq!(run(programs).unwrap(), [0, 1, 2, 3]);
    }

    #[test]
    fn a_rank_that_panics_ends_the_others_and_is_named() {
        let programs = thread_group(3).into_iter().map(|collective| {
            move || {
                let collective = collective;
                assert!(collective.rank() != 1, "out of memory, say");
                collective.barrier()
            }
        });
        match run(programs).unwrap_err() {
            Error::Job(JobError::RankFailed {
                rank: 1,
                world_size: 3,
                reason,
            }) => assert_eq!(reason, "out of memory, say"),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_error_that_caused_the_others_is_the_one_returned() {
        let programs = thread_group(2).into_iter().map(|collective| {
            move || {
                let collective = collective;
                if collective.rank() == 1 {
                    return Err(Error::Training(TrainingError::Diverged {
                        iteration: 3,
                        loss: f64::NAN,
                    }));
                }
                collective.barrier()
            }
        });
        assert!(matches!(
            run(programs),
            Err(Error::Training(TrainingError::Diverged {
                iteration: 3,
                ..
            }))
        ));
    }

    #[test]
    fn a_transformation_that_fails_in_one_rank_leaves_no_files_of_the_others() {
        let rows = |holes: bool| {
            let x = (0..1000).map(|row| (!holes || row != 990).then_some(f64::from(row)));
            let label = (0..1000).map(|row| i64::from(row > 500));
            let (x, label) = (x.collect::<Vec<_>>(), label.collect::<Vec<_>>());
            Data::from(df!("x" => x, "label" => label).unwrap())
        };
        let network = Network::new(&[1], vec![Layer::linear(1, 2)]).unwrap();
        let spec = FitSpec {
            stages: vec![
                VectorAssembler::new().input_cols(["x"]).into(),
                TorchEstimator::new(network).verbose(0).into(),
            ],
        };
        let models = Threads.fit(&rows(false), 1, &spec, FitContext::new(&Silent));
        let models = models.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let folder = Lake::open(&folder.path().to_string_lossy(), &Credentials::local()).unwrap();
        let error = Threads.transform_to(&rows(true), &models, None, &folder);
        assert!(error.unwrap_err().to_string().contains("991"));
        assert!(folder.list().unwrap().is_empty());
        Threads
            .transform_to(&rows(false), &models, None, &folder)
            .unwrap();
        assert!(!folder.list().unwrap().is_empty());
    }

    #[test]
    fn every_rank_computes_with_one_thread() {
        let programs = (0..2).map(|_| || Ok(tch::get_num_threads()));
        assert_eq!(run(programs).unwrap(), [1, 1]);
    }
}
