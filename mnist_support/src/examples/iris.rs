use mnist_support::prelude::*;

/// 150 flowers: four lengths in centimetres, and the species as a word.
pub fn data(lake: &Lake) -> Result<LakeFrame, mnist_support::Error> {
    lake.csv("iris.csv")
}

/// The words become classes, and what is predicted becomes words again.
pub fn pipeline() -> Result<Pipeline, mnist_support::Error> {
    let lengths = ["sepal_length", "sepal_width", "petal_length", "petal_width"];
    let network = Network::new(
        &[4],
        vec![Layer::linear(4, 16), Layer::ReLU, Layer::linear(16, 3)],
    )?;
    Ok(Pipeline::new()
        .stage(
            StringIndexer::new()
                .input_col("species")
                .output_col("label"),
        )
        .stage(VectorAssembler::new().input_cols(lengths))
        .stage(StandardScaler::new().with_mean(true))
        .stage(
            TorchEstimator::new(network)
                .features_col("scaledFeatures")
                .partitions(2)
                .iterations(200)
                .learning_rate(0.02),
        )
        .stage(
            IndexToString::new()
                .input_col("prediction")
                .output_col("predicted"),
        ))
}

pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let lake = Lake::open("src/examples/data", &Credentials::local())?;
    let flowers = data(&lake)?;
    let model = pipeline()?.fit(&flowers)?;

    let predictions = model.transform(&flowers)?;
    let accuracy = MulticlassClassificationEvaluator::new().metric_name(Metric::Accuracy);
    assert!(accuracy.evaluate(&predictions)? > 0.95);

    // A flower that somebody has just measured.
    let flower = df!(
        "sepal_length" => [5.0], "sepal_width" => [3.4], "petal_length" => [1.5], "petal_width" => [0.2],
    )?;
    let species = model.transform(&flower)?;
    assert_eq!(species.column("predicted")?.str()?.get(0), Some("setosa"));
    Ok(())
}
