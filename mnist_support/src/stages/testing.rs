//! What the tests of stages have in common.

use std::{fmt::Debug, thread};

use polars::prelude::*;

use super::{Estimator, FitContext, Stage, StageModel, Table};
use crate::{
    Result, collective::thread_group, data::MemoryBudget, lake::reading::ignore_progress,
    shard::Shard, train::Silent,
};

/// The rows of one rank.
pub(super) fn table(frame: &DataFrame, first_row: usize) -> Table {
    let shard = Shard::rows("rows.csv", frame.clone(), first_row as u64);
    Table::read(
        &shard,
        None,
        &MemoryBudget::unlimited(),
        &ignore_progress,
        |_| Ok(()),
    )
    .unwrap()
}

/// Fits a stage to the rows of a frame, with these numbers of rows in the ranks.
pub(super) fn fit_ranks<E: Estimator + Sync>(
    stage: &E,
    frame: &DataFrame,
    ranks: &[usize],
) -> Vec<Result<E::Model>>
where
    E::Model: Send,
{
    let mut start = 0;
    let shards = ranks.iter().map(|rows| {
        start += rows;
        (start - rows, frame.slice((start - rows) as i64, *rows))
    });
    let shards: Vec<(usize, DataFrame)> = shards.collect();
    assert_eq!(start, frame.height());
    thread::scope(|scope| {
        let ranks = shards.iter().zip(thread_group(ranks.len()));
        let running: Vec<_> = ranks
            .map(|((start, rows), collective)| {
                scope.spawn(move || {
                    let stage: Stage = stage.clone().into();
                    stage.validate()?;
                    let rows = table(rows, *start);
                    let model = stage.fit_shard(&rows, &collective, FitContext::new(&Silent))?;
                    Ok(E::model(model).unwrap())
                })
            })
            .collect();
        running
            .into_iter()
            .map(|rank| rank.join().unwrap())
            .collect()
    })
}

/// Fits a stage in one rank, and checks that three with uneven shards, one of them empty, learn the
/// same.
pub(super) fn fit<E: Estimator + Sync>(stage: &E, frame: &DataFrame) -> E::Model
where
    E::Model: Send + PartialEq + Debug,
{
    let rows = frame.height();
    let alone = fit_ranks(stage, frame, &[rows]).remove(0).unwrap();
    for ranks in [
        [1, 0, rows - 1],
        [0, rows, 0],
        [rows / 2, rows - rows / 2, 0],
    ] {
        for model in fit_ranks(stage, frame, &ranks) {
            assert_eq!(model.unwrap(), alone, "in ranks of {ranks:?} rows");
        }
    }
    alone
}

/// Applies a fitted stage.
pub(super) fn transform(model: impl Into<StageModel>, frame: &DataFrame) -> Result<DataFrame> {
    let mut table = table(frame, 0);
    model.into().apply(&mut table)?;
    table.into_frame()
}

/// A list column.
pub(super) fn lists(rows: &[&[f64]]) -> Series {
    let lists = rows.iter().map(|row| Some(Series::new("".into(), *row)));
    let lists: ListChunked = lists.collect();
    lists.into_series().with_name("features".into())
}

/// The rows of a list column as numbers.
pub(super) fn rows(frame: &DataFrame, column: &str) -> Vec<Vec<f64>> {
    let lists = frame.column(column).unwrap().list().unwrap().clone();
    let row = |row| {
        let list = lists.get_as_series(row).unwrap();
        let list = list.cast(&DataType::Float64).unwrap();
        list.f64().unwrap().into_no_null_iter().collect()
    };
    (0..lists.len()).map(row).collect()
}
