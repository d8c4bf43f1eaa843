use mnist_support::network::Conv2dConfig;
use mnist_support::prelude::*;

/// Images as Hugging Face keeps them in Parquet files: structs of the bytes of a PNG and its path.
pub fn data(lake: &Lake) -> Result<LakeFrame, mnist_support::Error> {
    lake.parquet("fashion.parquet")
}

/// A network of [1, 28, 28] inputs, which the decoder makes. The images stay bytes until a
/// mini-batch of them is scaled on its way into the network.
pub fn pipeline() -> Result<Pipeline, mnist_support::Error> {
    let network = Network::new(
        &[1, 28, 28],
        vec![
            Layer::conv2d(1, 8, 3, Conv2dConfig::default()),
            Layer::ReLU,
            Layer::max_pool2d(2),
            Layer::Flatten,
            Layer::linear(8 * 13 * 13, 5),
        ],
    )?;
    Ok(Pipeline::new()
        .stage(ImageDecoder::new().channels(1).size(28, 28))
        .stage(MinMaxScaler::new())
        .stage(
            TorchEstimator::new(network)
                .features_col("scaledFeatures")
                .partitions(2)
                .iterations(40)
                .learning_rate(0.005),
        ))
}

pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let lake = Lake::open("src/examples/data", &Credentials::local())?;
    let garments = data(&lake)?;
    let model = pipeline()?.fit(&garments)?;

    let predictions = model.transform(&garments)?;
    let accuracy = MulticlassClassificationEvaluator::new().metric_name(Metric::Accuracy);
    assert!(accuracy.evaluate(&predictions)? > 0.95);
    Ok(())
}
