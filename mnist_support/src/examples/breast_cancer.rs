use mnist_support::lake::CsvOptions;
use mnist_support::prelude::*;

const MEASURES: [&str; 9] = [
    "clump_thickness",
    "cell_size",
    "cell_shape",
    "marginal_adhesion",
    "epithelial_cell_size",
    "bare_nuclei",
    "bland_chromatin",
    "normal_nucleoli",
    "mitoses",
];

/// Samples of tissue: nine grades from 1 to 10, and the class, 2 for benign and 4 for malignant. A
/// grade that is not known is a `?`.
pub fn data(lake: &Lake) -> Result<LakeFrame, mnist_support::Error> {
    let options = CsvOptions::new().null_values(["?"]);
    lake.csv_with("breast_cancer.csv", &options)
}

/// Samples with holes are left out. The classes 2 and 4 become 0 and 1.
pub fn pipeline() -> Result<Pipeline, mnist_support::Error> {
    let network = Network::new(&[9], vec![Layer::linear(9, 1)])?;
    Ok(Pipeline::new()
        .stage(
            StringIndexer::new()
                .string_order_type(StringOrderType::AlphabetAsc)
                .input_col("class")
                .output_col("label"),
        )
        .stage(
            VectorAssembler::new()
                .input_cols(MEASURES)
                .handle_invalid(HandleInvalid::Skip),
        )
        .stage(MinMaxScaler::new())
        .stage(
            TorchEstimator::new(network)
                .features_col("scaledFeatures")
                .loss(Loss::bce_with_logits())
                .probability_col("probability")
                .partitions(2)
                .iterations(200)
                .learning_rate(0.1),
        )
        .stage(
            IndexToString::new()
                .input_col("prediction")
                .output_col("predicted"),
        ))
}

pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let lake = Lake::open("src/examples/data", &Credentials::local())?;
    let samples = data(&lake)?;
    let model = pipeline()?.fit(&samples)?;

    let predictions = model.transform(&samples)?;
    let known = samples.filter("bare_nuclei IS NOT NULL")?.collect()?;
    assert_eq!(predictions.height(), known.height());
    let curve = BinaryClassificationEvaluator::new().raw_prediction_col("probability");
    assert!(curve.evaluate(&predictions)? > 0.98);
    Ok(())
}
