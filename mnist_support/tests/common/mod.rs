//! Shared by several test files: the real digits.
#![allow(dead_code)] // each test file uses its own part

use std::fs;
use std::path::PathBuf;

use mnist_support::{
    CnnConfig,
    lake::{Credentials, Lake},
    ml::{MinMaxScaler, Pipeline, PipelineModel, TorchEstimator, VectorAssembler},
};
use polars::prelude::DataFrame;

/// The local lake that `make data` lays out.
pub(crate) fn lake() -> Lake {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../data/lake/torchtut");
    assert!(
        folder.join("test.parquet").exists(),
        "the digits are missing: run `make data`"
    );
    // These tests' expectations of a fit hold for MNIST.
    let record = fs::read_to_string(folder.with_extension("json")).unwrap_or_default();
    assert!(
        !record.contains("\"folder\""),
        "data/lake holds files of your own, these tests are about MNIST: run `make data MNIST_DIR=`"
    );
    Lake::open(folder.to_str().unwrap(), &Credentials::local()).unwrap()
}

/// The first `rows` of the 10,000 test digits, 785 columns.
pub(crate) fn digits(rows: usize) -> DataFrame {
    lake().parquet("test.parquet").unwrap().head(rows).unwrap()
}

pub(crate) fn pixel_columns(frame: &DataFrame) -> Vec<String> {
    let names = frame
        .get_column_names_owned()
        .into_iter()
        .map(|name| name.to_string());
    names.filter(|name| name != "label").collect()
}

/// The originals' CNN with settings for a short fit.
pub(crate) fn estimator() -> TorchEstimator {
    TorchEstimator::new(CnnConfig::default().network().unwrap())
        .features_col("scaledFeatures")
        .iterations(20)
        .mini_batch(50)
        .partitions(2)
        .verbose(0)
}

/// A pipeline of assembler, scaler and `estimator`.
pub(crate) fn pipeline(pixels: Vec<String>, estimator: TorchEstimator) -> Pipeline {
    Pipeline::new()
        .stage(
            VectorAssembler::new()
                .input_cols(pixels)
                .output_col("features"),
        )
        .stage(
            MinMaxScaler::new()
                .input_col("features")
                .output_col("scaledFeatures"),
        )
        .stage(estimator)
}

/// The bits of a fitted network's weights.
pub(crate) fn bits(model: &PipelineModel) -> Vec<u32> {
    let weights = model.torch_model().unwrap().weights().iter();
    weights
        .flat_map(|weight| Vec::<f32>::try_from(weight.reshape([-1])).unwrap())
        .map(f32::to_bits)
        .collect()
}
