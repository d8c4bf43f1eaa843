use mnist_support::network::Conv2dConfig;
use mnist_support::prelude::*;

/// PNG files in folders that are named after what is on them: `digits/0/0.png` and so on.
pub fn data(lake: &Lake) -> Result<LakeFrame, mnist_support::Error> {
    lake.images("digits/*/*.png")
}

/// The folders' names are numbers from 0, and so the labels are as they are. Words would go
/// through a `StringIndexer`.
pub fn pipeline() -> Result<Pipeline, mnist_support::Error> {
    let network = Network::new(
        &[1, 8, 8],
        vec![
            Layer::conv2d(1, 16, 3, Conv2dConfig::default()),
            Layer::ReLU,
            Layer::Flatten,
            Layer::linear(16 * 6 * 6, 10),
        ],
    )?;
    Ok(Pipeline::new()
        .stage(ImageDecoder::new().channels(1))
        .stage(MinMaxScaler::new())
        .stage(
            TorchEstimator::new(network)
                .features_col("scaledFeatures")
                .partitions(2)
                .iterations(80)
                .learning_rate(0.005),
        ))
}

pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let lake = Lake::open("src/examples/data", &Credentials::local())?;
    let digits = data(&lake)?;
    assert_eq!(digits.columns(), ["path", "image", "label"]);
    let model = pipeline()?.fit(&digits)?;

    let predictions = model.transform(&digits)?;
    let accuracy = MulticlassClassificationEvaluator::new().metric_name(Metric::Accuracy);
    assert!(accuracy.evaluate(&predictions)? > 0.95);
    assert_eq!(predictions.column("path")?.str()?.get(0), Some("0/0.png"));
    Ok(())
}
