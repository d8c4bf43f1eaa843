//! The program that every rank runs. An engine gives each rank its shard and its collective.

pub(crate) mod parts;
mod spec;

use polars::prelude::DataFrame;

use crate::{
    Result,
    collective::Collective,
    interrupt,
    lake::{
        Each, ReadProgress,
        reading::{OnProgress, ignore_progress},
        stack,
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
    // What no stage learns from need not be computed.
    let last = spec.stages.iter().rposition(Stage::learns);
    let mut labels = Labels::default();
    let mut models = Vec::with_capacity(spec.stages.len());
    // Stages that learn nothing come into their own while the rows are read, piece by piece: the
    // rows are then in memory once, in the form that the other stages need.
    let early = spec.stages.iter().position(Stage::learns).unwrap_or(0);
    let nothing = Table::new(shard, DataFrame::empty(), 0);
    for stage in &spec.stages[..early] {
        let own = FitContext {
            labels: Some(&labels),
            ..context
        };
        let model = stage.fit_shard(&nothing, collective, own)?;
        labels.add(&model);
        models.push(model);
    }
    let columns = spec.input_cols();
    let read = |shard: &Shard, on_progress: OnProgress<'_>| {
        Table::read(shard, Some(&columns), on_progress, |piece| {
            models.iter().try_for_each(|model| model.apply(piece))?;
            piece.retain(&spec.columns_read_from(early));
            Ok(())
        })
    };
    let mut table = read(shard, &on_progress)?;
    let validation = shard.validation();
    let mut validation = validation
        .map(|shard| read(&shard, &ignore_progress))
        .transpose()?;
    let (mut context, mut shield) = (context, None);
    for (index, stage) in spec.stages.iter().enumerate().skip(early) {
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
            for table in [Some(&mut table), validation.as_mut()].into_iter().flatten() {
                model.apply(table)?;
                table.retain(&spec.columns_read_from(index + 1));
            }
        }
        labels.add(&model);
        models.push(model);
    }
    drop(shield);
    Ok(models)
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

/// Like [`transform`], but passes the rows on piece by piece, at least one, and reports the progress
/// of a long read. Not more than a few pieces are in memory.
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
    use polars::{df, prelude::Column};

    use super::*;
    use crate::{
        Error, Layer, Network,
        collective::thread_group,
        error::TableError,
        shard::Part,
        stages::{HandleInvalid, MinMaxScaler, TorchEstimator, VectorAssembler},
        train::Silent,
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

    fn stages(handle_invalid: HandleInvalid) -> FitSpec {
        let assembler = VectorAssembler::new().input_cols(["x", "y"]);
        let network = Network::new(&[2], vec![Layer::linear(2, 2)]).unwrap();
        let estimator = TorchEstimator::new(network).features_col("scaledFeatures");
        let estimator = estimator.iterations(5).mini_batch(4).verbose(0);
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
        let spec = stages(HandleInvalid::Skip);
        let whole = Shard::new(Pieces(rows(), 11));
        let models = fitted(&whole, &spec).unwrap();
        let expected = transform(&whole, &models, None).unwrap();
        assert_eq!(expected.shape(), (9, 5));
        for rows_of_a_piece in [1, 2, 3, 10] {
            let shard = Shard::new(Pieces(rows(), rows_of_a_piece));
            let in_pieces = fitted(&shard, &spec).unwrap();
            assert_eq!(weights(&in_pieces), weights(&models));
            assert_eq!(transform(&shard, &models, None).unwrap(), expected);
        }
    }

    #[test]
    fn a_row_of_a_later_piece_is_named_by_its_number_in_the_table() {
        let spec = stages(HandleInvalid::Error);
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
            matches!(error, Error::Table(TableError::LabelOutOfRange { row: 6, .. })),
            "{error}"
        );
    }
}
