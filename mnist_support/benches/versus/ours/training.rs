//! Training in this process, in rows per second, or the seconds of a whole training.

use mnist_support::{
    engine::Threads,
    ml::PipelineModel,
    polars::prelude::DataFrame,
    prelude::{LearningRateSchedule, Metric, MulticlassClassificationEvaluator},
    train::Silent,
};

use super::{estimator, lake, pipeline, pixels, serve, speed};
use crate::{
    Result,
    messages::{Answer, Measure, Request},
};

/// Trains in `world_size` ranks.
pub(super) fn run(world_size: usize) -> Result<()> {
    let lake = lake()?;
    let train = lake.parquet("train.parquet")?.collect()?;
    let test = lake.parquet("test.parquet")?.collect()?;
    fit(&train, world_size, &Request::images(6000))?;
    serve(|request| match request.measure {
        Measure::Speed => {
            let model = fit(&train, world_size, request)?;
            Ok(speed(model.report()?.rows_per_second()))
        }
        Measure::OneCycle => one_cycle(&train, &test, world_size, request),
    })
}

fn fit(train: &DataFrame, world_size: usize, request: &Request) -> Result<PipelineModel> {
    let pipeline = pipeline(names(train), estimator(world_size, request)?);
    Ok(pipeline.fit_with(train, &Threads, &Silent)?)
}

/// Measures the seconds of a training of one cycle, and its final accuracy on the test images.
fn one_cycle(
    train: &DataFrame,
    test: &DataFrame,
    world_size: usize,
    request: &Request,
) -> Result<Answer> {
    let estimator = estimator(world_size, request)?
        .learning_rate_schedule(LearningRateSchedule::OneCycle { warm_up: 0.2 });
    let model = pipeline(names(train), estimator).fit_with(train, &Threads, &Silent)?;
    let accuracy = MulticlassClassificationEvaluator::new().metric_name(Metric::Accuracy);
    Ok(Answer {
        value: model.report()?.seconds,
        accuracy: Some(accuracy.evaluate(&model.transform(test)?)?),
    })
}

pub(super) fn names(frame: &DataFrame) -> Vec<String> {
    let names = frame.get_column_names_owned();
    pixels(names.into_iter().map(|name| name.to_string()).collect())
}
