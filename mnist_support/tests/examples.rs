//! The programs of the documentation, on Spark. Doc tests run them in process.

#[path = "common/spark.rs"]
mod cluster;
mod common;

#[path = "../src/examples/breast_cancer.rs"]
#[allow(dead_code, unreachable_pub)] // `main` runs as a doc test
mod breast_cancer;
#[path = "../src/examples/digits.rs"]
#[allow(dead_code, unreachable_pub)]
mod digits;
#[path = "../src/examples/fashion.rs"]
#[allow(dead_code, unreachable_pub)]
mod fashion;
#[path = "../src/examples/iris.rs"]
#[allow(dead_code, unreachable_pub)]
mod iris;
#[path = "../src/examples/mnist.rs"]
#[allow(dead_code, unreachable_pub)]
mod mnist;
#[path = "../src/examples/titanic.rs"]
#[allow(dead_code, unreachable_pub)]
mod titanic;

use std::sync::MutexGuard;

use cluster::Cluster;
use common::bits;
use mnist_support::{
    Result,
    engine::{Engine, Spark, Threads},
    lake::{Credentials, Lake, LakeFrame},
    ml::{ImageDecoder, Pipeline},
    shard::Data,
    train::Silent,
};
use polars::prelude::DataFrame;

fn started() -> Option<MutexGuard<'static, Option<Cluster>>> {
    cluster::shared("spark-examples", &[])
}

fn spark(cluster: &MutexGuard<'static, Option<Cluster>>) -> Spark {
    Spark::connect(&cluster.as_ref().unwrap().url).unwrap()
}

fn examples() -> Result<Vec<(&'static str, LakeFrame, Pipeline)>> {
    let lake = Lake::open("src/examples/data", &Credentials::local())?;
    let numbers = mnist::data(&lake)?;
    let of_numbers = mnist::pipeline(&numbers)?;
    Ok(vec![
        ("iris", iris::data(&lake)?, iris::pipeline()?),
        ("titanic", titanic::data(&lake)?, titanic::pipeline()?),
        (
            "breast_cancer",
            breast_cancer::data(&lake)?,
            breast_cancer::pipeline()?,
        ),
        ("fashion", fashion::data(&lake)?, fashion::pipeline()?),
        ("digits", digits::data(&lake)?, digits::pipeline()?),
        ("mnist", numbers, of_numbers),
    ])
}

#[test]
fn every_example_trains_on_spark_to_the_bits_of_threads_and_predicts_the_same() {
    let Some(cluster) = started() else { return };
    let engine = spark(&cluster);
    for (name, table, pipeline) in examples().unwrap() {
        let there = pipeline.fit_with(&table, &engine, &Silent);
        let there = there.unwrap_or_else(|error| panic!("{name}: {error}"));
        let here = pipeline.fit_with(&table, &Threads, &Silent).unwrap();
        let history = |model: &mnist_support::ml::PipelineModel| {
            let report = model.report().unwrap();
            report.history.clone()
        };
        assert_eq!(history(&there), history(&here), "{name}");
        assert_eq!(bits(&there), bits(&here), "{name}");
        let data = Data::from(&table);
        let there = engine.transform(&data, there.stages(), None).unwrap();
        let here = Threads.transform(&data, here.stages(), None).unwrap();
        assert!(there.equals_missing(&here), "{name}: {there} {here}");
    }
}

#[test]
fn an_image_that_a_rank_on_spark_cannot_decode_is_named_by_its_file() {
    let Some(cluster) = started() else { return };
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap();
    let examples = Lake::open("src/examples/data/digits", &Credentials::local()).unwrap();
    for name in ["0/0.png", "1/1.png", "2/2.png"] {
        lake.put(name, examples.get(name).unwrap()).unwrap();
    }
    let half = examples.get("3/3.png").unwrap().slice(..50);
    lake.put("3/3.png", half).unwrap();
    let decoder = ImageDecoder::new().channels(1).into();
    let table = Data::from(lake.images("").unwrap());
    let error = spark(&cluster)
        .transform(&table, &[decoder], None)
        .unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("/3/3.png, row 1, column \"image\": the PNG is damaged"),
        "{error}"
    );
}

/// The features of rows, in the order of the paths' ends.
fn features_by_name(frame: &DataFrame, path: &str) -> Vec<(String, Vec<u8>)> {
    let paths = frame.column(path).unwrap().str().unwrap();
    let features = frame.column("features").unwrap().list().unwrap();
    let mut rows: Vec<(String, Vec<u8>)> = (0..frame.height())
        .map(|row| {
            let name = paths.get(row).unwrap().rsplit('/').next().unwrap();
            let values = features.get_as_series(row).unwrap();
            let values = values.u8().unwrap().into_no_null_iter().collect();
            (name.to_owned(), values)
        })
        .collect();
    rows.sort();
    rows
}

#[test]
fn images_that_spark_has_read_or_decoded_have_the_values_of_ours() {
    let Some(cluster) = started() else { return };
    let engine = spark(&cluster);
    let lake = Lake::open("src/examples/data", &Credentials::local()).unwrap();
    let ours = Data::from(lake.images("digits/3").unwrap());
    let decoder = ImageDecoder::new().channels(1);
    let ours = Threads
        .transform(&ours, &[decoder.clone().into()], None)
        .unwrap();
    let ours = features_by_name(&ours, "path");
    assert_eq!(ours.len(), 15);
    let folder = lake.folder("digits/3");
    for (query, column) in [
        (
            "SELECT image.origin AS path, image FROM image.`FOLDER`",
            "image",
        ),
        ("SELECT path, content FROM binaryFile.`FOLDER`", "content"),
    ] {
        let query = query.replace("FOLDER", folder.url());
        let frame = engine.session().sql(&query);
        let decoder = decoder.clone().input_col(column).into();
        let theirs = engine
            .transform(&Data::from(frame), &[decoder], None)
            .unwrap();
        assert_eq!(features_by_name(&theirs, "path"), ours, "{query}");
    }
}
