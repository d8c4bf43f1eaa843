//! Altered saved models are errors or models.

use std::{fs, path::PathBuf};

use polars::prelude::{DataFrame, df};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{Pipeline, PipelineModel};
use crate::{
    Error, Layer, Network,
    error::JobError,
    fuzz::Fuzz,
    lake::{Credentials, Lake},
    stages::{
        Bucketizer, Imputer, IndexToString, MaxAbsScaler, MinMaxScaler, Normalizer, OneHotEncoder,
        QuantileDiscretizer, RobustScaler, StandardScaler, StringIndexer, TorchEstimator,
        VectorAssembler,
    },
};

/// A saved model of all stages, its folder, and rows that it transforms.
struct Saved {
    folder: TempDir,
    lake: Lake,
    manifest: Value,
    rows: DataFrame,
}

impl Saved {
    fn new() -> Saved {
        let rows = df!(
            "a" => [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            "b" => [Some(1.5), None, Some(0.5), Some(2.5), Some(3.5), Some(0.0)],
            "word" => ["x", "y", "x", "z", "y", "x"],
            "label" => ["no", "yes", "no", "yes", "no", "yes"],
        )
        .unwrap();
        let scaled = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        let [one, two, three, four, five] = [
            scaled("features", "s1"),
            scaled("s1", "s2"),
            scaled("s2", "s3"),
            scaled("s3", "s4"),
            scaled("s4", "s5"),
        ];
        let network = Network::new(&[5], vec![Layer::linear(5, 4), Layer::linear(4, 2)]);
        let estimator = TorchEstimator::new(network.unwrap())
            .features_col("s5")
            .label_col("index")
            .partitions(1)
            .iterations(2)
            .mini_batch(3)
            .verbose(0);
        let model = Pipeline::new()
            .stage(
                StringIndexer::new()
                    .input_cols(["word", "label"])
                    .output_cols(["w", "index"]),
            )
            .stage(OneHotEncoder::new().input_col("w").output_col("hot"))
            .stage(Imputer::new().input_col("b").output_col("filled"))
            .stage(
                Bucketizer::new()
                    .splits([0.0, 2.0, 9.0])
                    .input_col("a")
                    .output_col("bucket"),
            )
            .stage(
                QuantileDiscretizer::new()
                    .num_buckets(2)
                    .input_col("a")
                    .output_col("half"),
            )
            .stage(
                VectorAssembler::new()
                    .input_cols(["filled", "bucket", "half", "hot"])
                    .output_col("features"),
            )
            .stage(MinMaxScaler::new().input_col(one.0).output_col(one.1))
            .stage(StandardScaler::new().input_col(two.0).output_col(two.1))
            .stage(MaxAbsScaler::new().input_col(three.0).output_col(three.1))
            .stage(RobustScaler::new().input_col(four.0).output_col(four.1))
            .stage(Normalizer::new().input_col(five.0).output_col(five.1))
            .stage(estimator)
            .stage(IndexToString::new().labels(["no", "yes"]))
            .fit(&rows)
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&folder.path().to_string_lossy(), &Credentials::local()).unwrap();
        model.save(&lake).unwrap();
        let manifest = fs::read(folder.path().join("model.json")).unwrap();
        let manifest = serde_json::from_slice(&manifest).unwrap();
        Saved {
            folder,
            lake,
            manifest,
            rows,
        }
    }

    fn path(&self, index: usize) -> PathBuf {
        let name = self.manifest["files"][index]["name"].as_str().unwrap();
        self.folder.path().join(name)
    }

    fn fuzz(&self) -> Fuzz {
        Fuzz {
            name: "model",
            files: vec![fs::read(self.path(0)).unwrap()],
            parts: &[
                b"null",
                b"[]",
                b"{}",
                b"[",
                b"]",
                b"{",
                b"}",
                b",",
                b"\"",
                b"-",
                b"1e400",
                b"NaN",
                b"[1,2,3]",
                b"9223372036854775807",
                b"\\u0000",
                b"true",
                b"\"features\"",
            ],
        }
    }

    /// Loads the model with other bytes for its pipeline, as if they had been saved, or for its
    /// list of files.
    fn parse(&self, bytes: &[u8], _: &mut ChaCha8Rng) -> bool {
        let mut manifest = self.manifest.clone();
        manifest["files"][0]["bytes"] = json!(bytes.len());
        manifest["files"][0]["sha256"] = json!(format!("{:x}", Sha256::digest(bytes)));
        fs::write(self.path(0), bytes).unwrap();
        fs::write(self.folder.path().join("model.json"), manifest.to_string()).unwrap();
        match PipelineModel::load(&self.lake) {
            Err(_) => false,
            Ok(model) => {
                let transformed = model.transform(&self.rows);
                // A rank that panics.
                assert!(!matches!(
                    transformed,
                    Err(Error::Job(JobError::RankFailed { .. }))
                ));
                true
            }
        }
    }
}

#[test]
fn altered_models_are_errors_or_models() {
    let saved = Saved::new();
    let read = saved
        .fuzz()
        .a_few(|bytes, random| saved.parse(bytes, random));
    assert!(read > 2, "{read}");
}

/// Numbers of one kind without their counterparts are refused when the model is loaded.
#[test]
fn a_model_with_less_of_one_thing_than_of_another_is_refused() {
    let saved = Saved::new();
    let whole: Value = serde_json::from_slice(&fs::read(saved.path(0)).unwrap()).unwrap();
    let stages = whole.as_array().unwrap().len();
    let mut refused = Vec::new();
    for stage in 0..stages {
        for name in [
            "labels",
            "category_sizes",
            "surrogates",
            "maximum",
            "minimum",
            "std",
            "mean",
            "range",
            "median",
        ] {
            let mut altered = whole.clone();
            let Some(numbers) = find(&mut altered[stage], name) else {
                continue;
            };
            if numbers.pop().is_some_and(|last| last.is_string()) {
                // The words of an IndexToString are as many as there are.
                continue;
            }
            let bytes = altered.to_string().into_bytes();
            let mut random = ChaCha8Rng::seed_from_u64(0);
            assert!(!saved.parse(&bytes, &mut random), "{name} of stage {stage}");
            let error = PipelineModel::load(&saved.lake).unwrap_err().to_string();
            assert!(error.contains("one for each"), "{error}");
            refused.push(name);
        }
    }
    refused.sort_unstable();
    assert_eq!(
        refused,
        [
            "category_sizes",
            "labels",
            "maximum",
            "mean",
            "median",
            "minimum",
            "range",
            "std",
            "surrogates"
        ]
    );
}

/// The list of this name, at any depth.
fn find<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut Vec<Value>> {
    let fields = value.as_object_mut()?;
    if fields.get(name).is_some_and(Value::is_array) {
        return fields.get_mut(name)?.as_array_mut();
    }
    fields.values_mut().find_map(|value| find(value, name))
}

#[test]
#[ignore = "takes as long as MNIST_FUZZ_SECONDS says"]
fn for_a_while() {
    let saved = Saved::new();
    saved
        .fuzz()
        .for_a_while(|bytes, random| saved.parse(bytes, random));
}
