use mnist_support::prelude::*;

/// Passengers: words, numbers, and holes in both.
pub fn data(lake: &Lake) -> Result<LakeFrame, mnist_support::Error> {
    lake.csv("titanic.csv")
}

/// Missing ages become the median, words become vectors of one 1. Passengers whose port is not
/// known count as of a port of its own.
pub fn pipeline() -> Result<Pipeline, mnist_support::Error> {
    let network = Network::new(
        &[8],
        vec![Layer::linear(8, 8), Layer::ReLU, Layer::linear(8, 1)],
    )?;
    let numbers = StringIndexer::new()
        .input_cols(["sex", "embarked"])
        .output_cols(["sexIndex", "embarkedIndex"])
        .handle_invalid(HandleInvalid::Keep);
    let vectors = OneHotEncoder::new()
        .input_cols(["sexIndex", "embarkedIndex"])
        .output_cols(["sexVector", "embarkedVector"]);
    let ages = Imputer::new()
        .strategy(ImputerStrategy::Median)
        .input_col("age")
        .output_col("knownAge");
    let columns = ["pclass", "knownAge", "fare", "sexVector", "embarkedVector"];
    Ok(Pipeline::new()
        .stage(ages)
        .stage(numbers)
        .stage(vectors)
        .stage(VectorAssembler::new().input_cols(columns))
        .stage(StandardScaler::new().with_mean(true))
        .stage(
            TorchEstimator::new(network)
                .features_col("scaledFeatures")
                .label_col("survived")
                .loss(Loss::bce_with_logits())
                .probability_col("probability")
                .partitions(2)
                .iterations(200)
                .learning_rate(0.01),
        ))
}

pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let lake = Lake::open("src/examples/data", &Credentials::local())?;
    let passengers = data(&lake)?;
    let model = pipeline()?.fit(&passengers)?;

    let predictions = model.transform(&passengers)?;
    let accuracy = MulticlassClassificationEvaluator::new()
        .label_col("survived")
        .metric_name(Metric::Accuracy);
    assert!(accuracy.evaluate(&predictions)? > 0.75);
    Ok(())
}
