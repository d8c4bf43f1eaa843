use mnist_support::network::Conv2dConfig;
use mnist_support::prelude::*;

/// MNIST as its CSV files come: compressed, without a header, the digit first and then 784 grey
/// values. The columns are named by their numbers.
pub fn data(lake: &Lake) -> Result<LakeFrame, mnist_support::Error> {
    let digits = lake.csv("mnist.csv.gz")?;
    let label = digits.columns()[0].clone();
    digits.rename([(label, "label")])
}

/// All columns but the first are pixels.
pub fn pipeline(digits: &LakeFrame) -> Result<Pipeline, mnist_support::Error> {
    let network = Network::new(
        &[1, 28, 28],
        vec![
            Layer::conv2d(1, 8, 5, Conv2dConfig::default()),
            Layer::ReLU,
            Layer::max_pool2d(2),
            Layer::Flatten,
            Layer::linear(8 * 12 * 12, 10),
        ],
    )?;
    Ok(Pipeline::new()
        .stage(VectorAssembler::new().input_cols(digits.columns().split_off(1)))
        .stage(MinMaxScaler::new())
        .stage(
            TorchEstimator::new(network)
                .features_col("scaledFeatures")
                .partitions(2)
                .iterations(60)
                .learning_rate(0.005),
        ))
}

pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let lake = Lake::open("src/examples/data", &Credentials::local())?;
    let digits = data(&lake)?;
    let model = pipeline(&digits)?.fit(&digits)?;

    let predictions = model.transform(&digits)?;
    let accuracy = MulticlassClassificationEvaluator::new().metric_name(Metric::Accuracy);
    assert!(accuracy.evaluate(&predictions)? > 0.95);
    Ok(())
}
