//! The cells of `notebooks/distributed.ipynb` as a program, up to the accuracy with the original's
//! settings.

use std::time::Instant;

use mnist_support::prelude::*;

use super::{lake, pixels, serve};
use crate::{Result, messages::Answer};

pub(super) fn run() -> Result<()> {
    serve(|_| {
        let start = Instant::now();
        let accuracy = accuracy()?;
        Ok(Answer {
            value: start.elapsed().as_secs_f64(),
            accuracy: Some(accuracy),
        })
    })
}

fn accuracy() -> Result<f64> {
    let lake = lake()?;
    let (train, test) = (lake.csv("train.csv")?, lake.csv("test.csv")?);
    let assembler = VectorAssembler::new()
        .input_cols(pixels(train.columns()))
        .output_col("features");
    let scaler = MinMaxScaler::new()
        .input_col("features")
        .output_col("scaledFeatures");
    let estimator = TorchEstimator::new(CnnConfig::default().network()?)
        .features_col("scaledFeatures")
        .label_col("label")
        .prediction_col("prediction")
        .partitions(2)
        .iterations(150)
        .mini_batch(300)
        .validation_fraction(0.3)
        .early_stop_patience(20)
        .optimizer(Optimizer::adam())
        .learning_rate(0.001)
        .loss(Loss::default())
        .seed(42)
        .verbose(0);
    let pipeline = Pipeline::new()
        .stage(assembler)
        .stage(scaler)
        .stage(estimator);
    let predictions = pipeline.fit(&train)?.transform(&test)?;
    let accuracy = MulticlassClassificationEvaluator::new().metric_name(Metric::Accuracy);
    Ok(accuracy.evaluate(&predictions)?)
}
