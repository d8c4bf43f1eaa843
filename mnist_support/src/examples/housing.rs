use mnist_support::prelude::*;

/// Districts of houses: a Delta table with a partition for each proximity to the ocean, from which
/// rows have been deleted.
pub fn data(lake: &Lake) -> Result<LakeFrame, mnist_support::Error> {
    lake.delta("housing")
}

/// The words of the proximity become vectors of one 1. The network learns the median value, which
/// the table has in units of 100,000 dollars: targets near 1 train best.
pub fn pipeline() -> Result<Pipeline, mnist_support::Error> {
    let network = Network::new(
        &[5],
        vec![Layer::linear(5, 16), Layer::ReLU, Layer::linear(16, 1)],
    )?;
    let numbers = StringIndexer::new()
        .input_cols(["ocean_proximity"])
        .output_cols(["proximityIndex"]);
    let vectors = OneHotEncoder::new()
        .input_cols(["proximityIndex"])
        .output_cols(["proximityVector"]);
    let columns = [
        "housing_median_age",
        "average_rooms",
        "median_income",
        "proximityVector",
    ];
    Ok(Pipeline::new()
        .stage(numbers)
        .stage(vectors)
        .stage(VectorAssembler::new().input_cols(columns))
        .stage(StandardScaler::new().with_mean(true))
        .stage(
            TorchEstimator::new(network)
                .features_col("scaledFeatures")
                .label_col("median_house_value")
                .loss(Loss::mse())
                .partitions(2)
                .iterations(400)
                .learning_rate(0.05),
        ))
}

pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let lake = Lake::open("src/examples/data", &Credentials::local())?;
    let houses = data(&lake)?;
    let model = pipeline()?.fit(&houses)?;

    let predictions = model.transform(&houses)?;
    let r2 = RegressionEvaluator::new()
        .label_col("median_house_value")
        .metric_name(RegressionMetric::R2);
    assert!(r2.evaluate(&predictions)? > 0.8);
    Ok(())
}
