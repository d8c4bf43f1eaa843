//! Fits and predictions on a GPU if there is one, and the errors if there is none.

mod common;

use common::{digits, estimator, lake, pipeline, pixel_columns};
use mnist_support::{
    CnnConfig, Error,
    data::{Features, labels_from_frame},
    error::TrainingError,
    lake::{Credentials, Lake},
    ml::{PipelineModel, TorchEstimator},
    shard::Data,
    traditional::{DataLoader, EarlyStopping, TensorDataset},
};
use polars::prelude::{DataFrame, ParquetWriter};
use tch::{
    Kind, Tensor,
    nn::{self, ModuleT, OptimizerConfig},
};

/// The name of a GPU that this machine does not have.
fn missing_gpu() -> String {
    format!("cuda:{}", tch::Cuda::device_count().max(0))
}

fn gpu_is_there() -> bool {
    let there = tch::Cuda::device_count() > 0;
    if !there {
        eprintln!("left out: there is no GPU");
    }
    there
}

fn fit(data: impl Into<Data>, estimator: TorchEstimator) -> mnist_support::Result<PipelineModel> {
    pipeline(pixel_columns(&digits(1)), estimator).fit(data)
}

fn is_unavailable(error: &Error, name: &str) -> bool {
    matches!(error, Error::Training(TrainingError::DeviceUnavailable { device, .. }) if device == name)
}

#[test]
fn a_missing_gpu_is_said_before_rows_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("digits.parquet");
    let file = std::fs::File::create(&path).unwrap();
    ParquetWriter::new(file).finish(&mut digits(400)).unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap();
    let frame = lake.parquet("digits.parquet").unwrap();
    let model = fit(&frame, estimator()).unwrap();
    std::fs::remove_file(&path).unwrap();

    let name = missing_gpu();
    let error = fit(&frame, estimator().device(name.as_str())).unwrap_err();
    assert!(is_unavailable(&error, &name), "{error}");
    assert!(error.to_string().contains("GPU"), "{error}");
    let error = model.device(name.as_str()).transform(&frame).unwrap_err();
    assert!(is_unavailable(&error, &name), "{error}");
}

#[test]
fn an_unknown_device_is_an_error_of_the_fit() {
    let error = fit(digits(100), estimator().device("gpu")).unwrap_err();
    assert!(is_unavailable(&error, "gpu"), "{error}");
    assert!(error.to_string().contains("cuda:1"), "{error}");
}

#[test]
fn a_model_that_was_trained_on_a_gpu_predicts_where_there_is_none() {
    let frame = digits(400);
    let model = fit(&frame, estimator()).unwrap();
    let here = model.transform(&frame).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap();
    model.device(missing_gpu()).save(&folder).unwrap();

    let loaded = PipelineModel::load(&folder).unwrap();
    let error = loaded.transform(&frame).unwrap_err();
    assert!(error.to_string().contains("device(\"cpu\")"), "{error}");
    assert_eq!(loaded.device("cpu").transform(&frame).unwrap(), here);
}

/// The fraction of rows for which two frames have the same prediction.
fn agreement(one: &DataFrame, other: &DataFrame) -> f64 {
    let digits = |frame: &DataFrame| -> Vec<i64> {
        let column = frame.column("prediction").unwrap().i64().unwrap().clone();
        column.into_no_null_iter().collect()
    };
    let (one, other) = (digits(one), digits(other));
    let same = one.iter().zip(&other).filter(|(one, other)| one == other);
    same.count() as f64 / one.len() as f64
}

#[test]
fn two_ranks_on_a_gpu_learn_and_predict_what_two_on_the_processor_do() {
    if !gpu_is_there() {
        return;
    }
    let train = lake().parquet("train.parquet").unwrap();
    let settings = || {
        estimator()
            .iterations(150)
            .mini_batch(300)
            .learning_rate(0.003)
            .validation_fraction(0.2)
            .validation_every(50)
    };
    let gpu = fit(&train, settings().device("cuda")).unwrap();
    let processor = fit(&train, settings()).unwrap();
    // The same rows, weights and masks, except for rounding, which accumulates from step to step.
    let (ours, theirs) = (gpu.report().unwrap(), processor.report().unwrap());
    for (one, other) in ours.history.iter().zip(&theirs.history).take(5) {
        let (one, other) = (one.training_loss, other.training_loss);
        assert!((one - other).abs() < 0.01, "{one} and {other}");
    }
    let (one, other) = (ours.best_validation_loss, theirs.best_validation_loss);
    assert!((one.unwrap() - other.unwrap()).abs() < 0.05);

    let test = lake().parquet("test.parquet").unwrap();
    let there = gpu.transform(&test).unwrap();
    let here = gpu.clone().device("cpu").transform(&test).unwrap();
    assert!(agreement(&there, &here) > 0.999);
}

#[test]
fn the_classic_loop_trains_on_a_gpu() {
    if !gpu_is_there() {
        return;
    }
    let device = tch::Device::Cuda(0);
    let frame = digits(2000);
    let pixels = pixel_columns(&frame);
    let images = Features::from_frame(&frame, &pixels, "test.parquet").unwrap();
    let labels = labels_from_frame(&frame, "label", 10, "test.parquet").unwrap();
    let features = images.to_tensor().unwrap().to_kind(Kind::Float) / 255.0;
    let set = TensorDataset::from_tensors(features, Tensor::from_slice(&labels.to_vec())).unwrap();
    let on_gpu = set.to_device(device).unwrap();
    let mut variables = nn::VarStore::new(device);
    let network = CnnConfig::default().network().unwrap();
    let model = network.build(&variables.root(), 42).unwrap();
    let mut optimizer = nn::Adam::default().build(&variables, 0.003).unwrap();
    let loader = DataLoader::new(&on_gpu, 100).unwrap().shuffle(42);
    let file = tempfile::tempdir().unwrap();
    let path = file.path().join("best.safetensors");
    let mut early_stopping = EarlyStopping::new(20, path.to_str().unwrap()).unwrap();
    for _ in 0..10 {
        let mut sum = 0.0;
        for batch in &loader {
            let (images, labels) = batch.unwrap();
            let loss = model
                .forward_t(&images, true)
                .cross_entropy_for_logits(&labels);
            optimizer.backward_step(&loss);
            sum += loss.double_value(&[]);
        }
        early_stopping.step(sum, &variables).unwrap();
    }
    early_stopping.restore(&mut variables).unwrap();
    let read = model.predict(set.features()).unwrap();
    let right = read
        .iter()
        .zip(Vec::<i64>::try_from(set.labels()).unwrap())
        .filter(|(read, label)| **read == *label)
        .count();
    assert!(right > 1600, "{right} of 2000");
}
