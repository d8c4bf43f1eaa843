//! The program that every rank runs. An engine gives each rank its shard and its collective.

pub(crate) mod parts;
mod spec;

use std::sync::{Mutex, PoisonError};

use polars::prelude::DataFrame;

use crate::{
    Result,
    collective::{Collective, all_gather_json},
    data::{MemoryBudget, Statistic},
    interrupt,
    lake::{
        Each, ReadProgress,
        reading::{OnProgress, ignore_progress},
        stack,
    },
    memory,
    shard::Shard,
    stages::{ColumnReading, Deal, FitContext, Labels, Stage, StageModel, Streaming, Table},
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
    let (is_first, progress) = (collective.rank() == 0, context.progress);
    let on_progress = move |reading: ReadProgress| match is_first {
        true => progress.report(&ProgressEvent::Reading(reading)),
        false => ignore_progress(reading),
    };
    // What no stage learns from need not be computed.
    let last = spec.stages.iter().rposition(Stage::learns);
    let early = fit_early(shard, collective, spec, context)?;
    let early = &early[..];
    let budget = memory_budget(spec, collective)?;
    let mut tables = Tables::read(shard, spec, early, &budget, &on_progress)?;
    let mut labels = Labels::default();
    let mut models = Vec::with_capacity(spec.stages.len());
    let (mut context, mut shield) = (context, None);
    for (index, stage) in spec.stages.iter().enumerate() {
        let dealt = stage.deals_parts().then(|| {
            let models = models.clone();
            dealt_rows(shard, spec, early, models, &budget, on_progress)
        });
        let own = FitContext {
            validation: tables.validation.as_ref(),
            labels: Some(&labels),
            deal: dealt.as_ref().map(|dealt| dealt as Deal<'_>),
            ..context
        };
        let (model, applied) = match &early[index] {
            Some(model) => (model.clone(), true),
            None => (stage.fit_shard(&tables.rows, collective, own)?, false),
        };
        if model.is_interrupted() {
            shield = Some(interrupt::shield());
            // A later fit must not resume from what was trained on the column of a half-trained
            // model.
            context.run_folder = None;
        }
        if Some(index) < last && !applied {
            tables.apply(&model, &spec.columns_read_from(index + 1))?;
        }
        labels.add(&model);
        models.push(model);
    }
    drop(shield);
    Ok(models)
}

/// Fits the stages that learn nothing from the rows and can be applied while they are read; `None`
/// for the others.
fn fit_early(
    shard: &Shard,
    collective: &dyn Collective,
    spec: &FitSpec,
    context: FitContext<'_>,
) -> Result<Vec<Option<StageModel>>> {
    let nothing = Table::new(shard, DataFrame::empty(), 0);
    let stages = spec.stages.iter().zip(spec.early_stages());
    let fitted = stages.map(|(stage, early)| match early {
        true => stage.fit_shard(&nothing, collective, context).map(Some),
        false => Ok(None),
    });
    fitted.collect()
}

/// One rank's rows, and those that it validates with.
struct Tables {
    rows: Table,
    validation: Option<Table>,
}

impl Tables {
    fn read(
        shard: &Shard,
        spec: &FitSpec,
        early: &[Option<StageModel>],
        budget: &MemoryBudget,
        on_progress: OnProgress<'_>,
    ) -> Result<Tables> {
        let rows = read(shard, spec, early, budget, on_progress)?;
        let validation = shard.validation();
        let validation =
            validation.map(|shard| read(&shard, spec, early, budget, &ignore_progress));
        Ok(Tables {
            rows,
            validation: validation.transpose()?,
        })
    }

    /// Adds the columns of a model, and drops what is not among `needed`.
    fn apply(&mut self, model: &StageModel, needed: &[&str]) -> Result<()> {
        let tables = [Some(&mut self.rows), self.validation.as_mut()];
        tables.into_iter().flatten().try_for_each(|table| {
            model.apply(table)?;
            table.retain(needed);
            Ok(())
        })
    }
}

/// Reads rows piece by piece, and applies the `early` stages to each piece: so the rows are in
/// memory once, in the form that the other stages need.
fn read(
    shard: &Shard,
    spec: &FitSpec,
    early: &[Option<StageModel>],
    budget: &MemoryBudget,
    on_progress: OnProgress<'_>,
) -> Result<Table> {
    let columns = spec.input_cols();
    let late = spec.stages.iter().zip(early);
    let late = late.filter(|(_, early)| early.is_none());
    let late: Vec<&Stage> = late.map(|(stage, _)| stage).collect();
    let needed: Vec<&str> = late.iter().flat_map(|stage| stage.input_cols()).collect();
    let prepare = |piece: &mut Table| {
        let mut models = early.iter().flatten();
        models.try_for_each(|model| model.apply(piece))?;
        piece.retain(&needed);
        Ok(())
    };
    let blocks = match spec.streams_blocks() {
        true => shard.blocks()?,
        false => None,
    };
    let columns = Some(columns.as_slice());
    let Some(blocks) = blocks else {
        return Table::read(shard, columns, budget, on_progress, prepare);
    };
    let statistics = late.iter().filter_map(|stage| stage.statistic());
    let streaming = Streaming {
        kept: &spec.label_cols(),
        statistics: &statistics.collect::<Vec<(&str, Statistic)>>(),
        reading: &|column| reading_of(column, spec, early),
    };
    Table::read_blocks(shard, blocks, columns, on_progress, prepare, &streaming)
        .map(|table| table.with_budget(budget))
}

/// Reads the rows that the rank gets in a round of a seed, as they come to the stage after
/// `models`. Gives `None` if its parts of the table cannot be dealt anew.
fn dealt_rows(
    shard: &Shard,
    spec: &FitSpec,
    early: &[Option<StageModel>],
    models: Vec<StageModel>,
    budget: &MemoryBudget,
    on_progress: impl Fn(ReadProgress) + Sync,
) -> impl Fn(u64, usize) -> Result<Option<Table>> + Sync {
    // A stage's model may hold tensors, which only one thread may use at a time.
    let models = Mutex::new((early.to_vec(), models));
    move |seed, round| {
        let Some(shard) = shard.dealt_anew(seed, round) else {
            return Ok(None);
        };
        let models = models.lock().unwrap_or_else(PoisonError::into_inner);
        let (early, models) = &*models;
        // What the rows of the round before have taken is free by now.
        let budget = MemoryBudget::of(budget.left());
        let mut table = read(&shard, spec, early, &budget, &on_progress)?;
        for (index, model) in models.iter().enumerate() {
            if early[index].is_none() {
                model.apply(&mut table)?;
                table.retain(&spec.columns_read_from(index + 1));
            }
        }
        Ok(Some(table))
    }
}

/// What has to be read and applied for a vector column, which is read again and again: nothing that
/// only other columns need.
fn reading_of(column: &str, spec: &FitSpec, early: &[Option<StageModel>]) -> ColumnReading {
    let (mut columns, mut models) = (vec![column.to_owned()], Vec::new());
    for (stage, model) in spec.stages.iter().zip(early).rev() {
        let Some(model) = model else { continue };
        let mut added = stage.output_cols().into_iter();
        if stage.leaves_rows_out() || added.any(|name| columns.iter().any(|read| read == name)) {
            columns.extend(stage.input_cols().into_iter().map(str::to_owned));
            models.push(model.clone());
        }
    }
    models.reverse();
    ColumnReading {
        columns,
        prepare: Box::new(move |piece| models.iter().try_for_each(|model| model.apply(piece))),
    }
}

/// What the vector columns of this rank may take of memory: what the estimators say, or else half
/// of what is left, divided by the ranks on this machine.
fn memory_budget(spec: &FitSpec, collective: &dyn Collective) -> Result<MemoryBudget> {
    let settings = spec.estimators().map(|(_, estimator)| &estimator.settings);
    if let Some(bytes) = settings.filter_map(|settings| settings.memory_budget).min() {
        return Ok(MemoryBudget::of(bytes));
    }
    let own = memory::machine();
    let machines: Vec<String> = all_gather_json(&own, collective)?;
    let ranks = machines.iter().filter(|machine| **machine == own).count();
    Ok(MemoryBudget::of(
        memory::available() / 2 / ranks.max(1) as u64,
    ))
}

/// Runs one rank of a transformation: reads its shard and adds every stage's column. It needs no
/// other rank. `columns` are those to return; see [`PipelineModel::select`].
///
/// [`PipelineModel::select`]: crate::ml::PipelineModel::select
pub fn transform(
    shard: &Shard,
    models: &[StageModel],
    columns: Option<&[String]>,
) -> Result<DataFrame> {
    let mut pieces = Vec::new();
    transform_each(shard, models, columns, &ignore_progress, &mut |piece| {
        pieces.push(piece);
        Ok(())
    })?;
    Ok(stack(pieces, &shard.name())?.unwrap_or_default())
}

/// Like [`transform`], but passes the rows on piece by piece, at least one, and reports the
/// progress of a long read. Not more than a few pieces are in memory.
pub(crate) fn transform_each(
    shard: &Shard,
    models: &[StageModel],
    columns: Option<&[String]>,
    on_progress: OnProgress<'_>,
    each: Each<'_>,
) -> Result<()> {
    let _scope = interrupt::scope();
    for model in models.iter().filter_map(StageModel::torch_model) {
        model.estimator().settings.device.open()?;
    }
    let read = columns.map(|columns| columns_to_read(models, columns));
    let inner: Vec<&str> = models.iter().flat_map(StageModel::input_cols).collect();
    let mut first = 0;
    shard.read_each(read.as_deref(), on_progress, &mut |frame| {
        let rows = frame.height();
        let mut table = Table::new(shard, frame, first);
        first += rows;
        for model in models {
            model.apply(&mut table)?;
        }
        each(match columns {
            Some(columns) => table.select(columns)?,
            None => {
                table.drop_vectors(&inner);
                table.into_frame()?
            }
        })
    })
}

/// The columns that a transformation needs of the rows, for the columns that it returns. Those that
/// a stage adds are among them: nothing is read for them.
fn columns_to_read(models: &[StageModel], returned: &[String]) -> Vec<String> {
    let stages = models.iter().flat_map(StageModel::columns_of_stage);
    stages
        .map(str::to_owned)
        .chain(returned.iter().cloned())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        thread,
        time::Duration,
    };

    use polars::{df, prelude::Column};

    use super::*;
    use crate::{
        Error, Layer, Network,
        collective::thread_group,
        error::TableError,
        interrupt::Interrupt,
        shard::Part,
        stages::{HandleInvalid, MinMaxScaler, TorchEstimator, VectorAssembler},
        train::{Shuffle, Silent},
    };

    /// Rows that come in pieces of so many.
    #[derive(Debug)]
    struct Pieces(DataFrame, usize);

    impl Part for Pieces {
        fn name(&self) -> String {
            "the table".to_owned()
        }

        fn read(
            &self,
            _columns: Option<&[String]>,
            _on_progress: &dyn Fn(ReadProgress),
        ) -> Result<DataFrame> {
            Ok(self.0.clone())
        }

        fn read_each(
            &self,
            _columns: Option<&[String]>,
            _on_progress: &dyn Fn(ReadProgress),
            each: Each<'_>,
        ) -> Result<()> {
            let pieces = self.0.height().div_ceil(self.1).max(1);
            let mut starts = (0..pieces).map(|piece| (piece * self.1) as i64);
            starts.try_for_each(|start| each(self.0.slice(start, self.1)))
        }
    }

    /// 11 rows, of which the third and the last have holes.
    fn rows() -> DataFrame {
        let x = (0..11).map(|row| (row != 2).then_some(f64::from(row)));
        let y = (0..11).map(|row| (row != 10).then_some(f64::from(row * row % 7)));
        let label = (0..11).map(|row| i64::from(row > 5));
        df!(
            "x" => x.collect::<Vec<_>>(),
            "y" => y.collect::<Vec<_>>(),
            "label" => label.collect::<Vec<_>>(),
            "note" => vec!["of no use"; 11],
        )
        .unwrap()
    }

    fn stages(handle_invalid: HandleInvalid, memory_budget: Option<u64>) -> FitSpec {
        let assembler = VectorAssembler::new().input_cols(["x", "y"]);
        let network = Network::new(&[2], vec![Layer::linear(2, 2)]).unwrap();
        let estimator = TorchEstimator::new(network).features_col("scaledFeatures");
        let mut estimator = estimator.iterations(5).mini_batch(4).verbose(0);
        if let Some(bytes) = memory_budget {
            estimator = estimator.memory_budget(bytes);
        }
        FitSpec {
            stages: vec![
                assembler.handle_invalid(handle_invalid).into(),
                MinMaxScaler::new().into(),
                estimator.into(),
            ],
        }
    }

    fn fitted(shard: &Shard, spec: &FitSpec) -> Result<Vec<StageModel>> {
        let rank = thread_group(1).pop().unwrap();
        fit(shard, &rank, spec, FitContext::new(&Silent))
    }

    fn weights(models: &[StageModel]) -> Vec<Vec<f32>> {
        let model = models.iter().find_map(StageModel::torch_model).unwrap();
        let weights = model.weights().iter();
        weights
            .map(|weight| Vec::try_from(weight.flatten(0, -1)).unwrap())
            .collect()
    }

    #[test]
    fn rows_that_come_in_pieces_are_fitted_and_transformed_as_those_that_come_at_once() {
        let spec = stages(HandleInvalid::Skip, None);
        let whole = Shard::new(Pieces(rows(), 11));
        let models = fitted(&whole, &spec).unwrap();
        let expected = transform(&whole, &models, None).unwrap();
        assert_eq!(expected.shape(), (9, 5));
        for rows_of_a_piece in [1, 2, 3, 10] {
            let shard = Shard::new(Pieces(rows(), rows_of_a_piece));
            // In memory, in files, and in memory until there is too much.
            for memory_budget in [None, Some(0), Some(100)] {
                let spec = stages(HandleInvalid::Skip, memory_budget);
                let in_pieces = fitted(&shard, &spec).unwrap();
                assert_eq!(weights(&in_pieces), weights(&models));
            }
            assert_eq!(transform(&shard, &models, None).unwrap(), expected);
        }
    }

    /// Rows in blocks of so many. In a read, Stop is pressed, and it does not end by itself.
    #[derive(Debug)]
    struct StopWhileReading {
        rows: DataFrame,
        rows_of_a_block: usize,
        reads: Arc<AtomicUsize>,
        stop: Interrupt,
    }

    impl Part for StopWhileReading {
        fn name(&self) -> String {
            "the table".to_owned()
        }

        fn read(
            &self,
            _columns: Option<&[String]>,
            _on_progress: &dyn Fn(ReadProgress),
        ) -> Result<DataFrame> {
            if self.reads.fetch_sub(1, Ordering::SeqCst) == 1 {
                // By then training waits for this block.
                thread::sleep(Duration::from_millis(500));
                self.stop.request();
                while !interrupt::requested() {
                    thread::sleep(Duration::from_millis(1));
                }
                return Err(interrupt::interrupted("reading", "the table"));
            }
            Ok(self.rows.clone())
        }

        fn blocks(&self) -> Result<Option<Vec<Shard>>> {
            let starts = (0..self.rows.height()).step_by(self.rows_of_a_block);
            let blocks = starts.map(|start| {
                Shard::new(StopWhileReading {
                    rows: self.rows.slice(start as i64, self.rows_of_a_block),
                    rows_of_a_block: self.rows_of_a_block,
                    reads: self.reads.clone(),
                    stop: self.stop.clone(),
                })
            });
            Ok(Some(blocks.collect()))
        }
    }

    /// Trains on ten blocks, in groups of four, with Stop pressed in a read that comes after so
    /// many.
    fn stopped_after(reads: usize, iterations: usize) -> Result<Vec<StageModel>> {
        let rows = 200_000;
        let x: Vec<f64> = (0..rows).map(|row| f64::from(row % 1009)).collect();
        let label: Vec<i64> = (0..rows).map(|row| i64::from(row % 1009 > 500)).collect();
        let stop = Interrupt::new();
        let shard = Shard::new(StopWhileReading {
            rows: df!("x" => x, "label" => label).unwrap(),
            rows_of_a_block: 20_000,
            reads: Arc::new(AtomicUsize::new(reads + 1)),
            stop: stop.clone(),
        });
        // Its running statistics must not be those of an iteration that has no end.
        let batch_norm = Layer::batch_norm1d(1, Default::default());
        let network = Network::new(&[1], vec![batch_norm, Layer::linear(1, 2)]).unwrap();
        let estimator = TorchEstimator::new(network)
            .shuffle(Shuffle::Blocks)
            .memory_budget(4 * (2 * 85_535 + 20_000))
            .accumulate_grad_batches(2)
            .mini_batch(7_000)
            .iterations(iterations)
            .verbose(0);
        let spec = FitSpec {
            stages: vec![
                VectorAssembler::new().input_cols(["x"]).into(),
                estimator.into(),
            ],
        };
        let rank = thread_group(1).pop().unwrap();
        let mut context = FitContext::new(&Silent);
        context.interrupt = &stop;
        fit(&shard, &rank, &spec, context)
    }

    #[test]
    fn a_stop_while_blocks_are_read_returns_the_model_of_the_last_whole_iteration() {
        let report = |models: &[StageModel]| {
            let model = models.iter().find_map(StageModel::torch_model).unwrap();
            model.report().clone()
        };
        // All blocks were read once, and then those of the first group, which has 80,000 rows. The
        // second mini-batch of the sixth iteration needs another block.
        let stopped = stopped_after(10 + 4, 40).unwrap();
        let undisturbed = stopped_after(usize::MAX / 2, 5).unwrap();
        assert!(report(&stopped).interrupted);
        assert!(!report(&undisturbed).interrupted);
        assert_eq!(report(&stopped).history, report(&undisturbed).history);
        assert_eq!(weights(&stopped), weights(&undisturbed));
        // Before the first iteration there is no model.
        for reads in [4, 10 + 1] {
            let error = stopped_after(reads, 40).unwrap_err();
            assert!(matches!(error, Error::Interrupted { .. }), "{error}");
        }
    }

    #[test]
    fn a_row_of_a_later_piece_is_named_by_its_number_in_the_table() {
        let spec = stages(HandleInvalid::Error, Some(0));
        let without = rows().slice(3, 8);
        for rows_of_a_piece in [2, 3, 8] {
            let shard = Shard::new(Pieces(without.clone(), rows_of_a_piece));
            let error = fitted(&shard, &spec).unwrap_err();
            assert!(
                matches!(&error, Error::Table(TableError::MissingValue { row: 8, column, .. }) if column == "y"),
                "{error}"
            );
        }
        // An error of a stage that comes after the rows have been put together.
        let mut labels = without.head(Some(7));
        let column = Column::new("label".into(), [0_i64, 1, 0, 1, 0, 2, 0]);
        labels.with_column(column).unwrap();
        let error = fitted(&Shard::new(Pieces(labels, 2)), &spec).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Table(TableError::LabelOutOfRange { row: 6, .. })
            ),
            "{error}"
        );
    }
}
