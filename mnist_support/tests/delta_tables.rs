//! Delta tables hold what deltalake and Spark read in them: see `fixtures/make_delta_tables.py` and
//! `fixtures/make_delta_golden.py`, which say where the tables come from.

#[path = "common/values.rs"]
mod values;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use mnist_support::{
    Error, Layer, Network,
    engine::{Engine, Threads},
    error::{LakeError, TableError},
    evaluate::RegressionEvaluator,
    lake::{Credentials, FileSource, Lake, LakeFrame, Partition},
    ml::{Pipeline, StandardScaler, TorchEstimator, VectorAssembler},
    shard::Data,
    train::{LearningRateSchedule, Loss, Optimizer, Silent},
};
use polars::prelude::DataFrame;
use serde_json::Value;
use tempfile::TempDir;
use values::{jsons, same};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/delta")
}

fn lake(folder: &Path) -> Lake {
    Lake::open(folder.to_str().unwrap(), &Credentials::local()).unwrap()
}

/// Unpacks an archive of the fixtures.
fn unpacked(archive: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let packed = fs::read(fixtures().join(archive)).unwrap();
    let packed = zstd::decode_all(packed.as_slice()).unwrap();
    let mut tar = Command::new("tar")
        .args(["-x", "-C"])
        .arg(folder.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    tar.stdin.take().unwrap().write_all(&packed).unwrap();
    assert!(tar.wait().unwrap().success());
    folder
}

/// A copy of the table of houses that a test may damage.
fn copied_houses() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(fixtures().join("houses"))
        .arg(folder.path())
        .status();
    assert!(copied.unwrap().success());
    folder
}

/// The rows of a frame, as lists of the values of some columns, sorted.
fn rows(frame: &DataFrame, columns: &[String]) -> Vec<Value> {
    let columns = columns
        .iter()
        .map(|name| jsons(frame.column(name).unwrap().as_materialized_series()));
    let columns: Vec<Vec<Value>> = columns.collect();
    let mut rows: Vec<Value> = (0..frame.height())
        .map(|row| columns.iter().map(|column| column[row].clone()).collect())
        .collect();
    sort(&mut rows);
    rows
}

fn sort(rows: &mut [Value]) {
    rows.sort_by_key(ToString::to_string);
}

fn check_rows(found: &[Value], expected: &[Value], about: &str) {
    assert_eq!(found.len(), expected.len(), "{about}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(same(found, expected), "{about}: {found}, not {expected}");
    }
}

/// What another process makes of a table.
fn sent(table: &LakeFrame) -> LakeFrame {
    let source = serde_json::to_string(table.source()).unwrap();
    let source: FileSource = serde_json::from_str(&source).unwrap();
    assert_eq!(&source, table.source());
    LakeFrame::open(&source, &Credentials::local()).unwrap()
}

/// Checks the rows of a table, whole, in another process, and in parts.
fn check_table(table: &LakeFrame, columns: &[String], expected: &[Value], about: &str) {
    let whole = table
        .collect()
        .unwrap_or_else(|error| panic!("{about}: {error}"));
    check_rows(&rows(&whole, columns), expected, about);
    let other = sent(table);
    assert_eq!(other.collect().unwrap(), whole, "{about}");
    let transformed = Threads.transform(&Data::from(table), &[], None).unwrap();
    assert_eq!(transformed, whole, "{about}");
    for n in [1, 2, 3, expected.len()] {
        if n > expected.len() {
            continue;
        }
        let mut stacked: Option<DataFrame> = None;
        for part in table.partitions(n).unwrap() {
            let part: Partition =
                serde_json::from_str(&serde_json::to_string(&part).unwrap()).unwrap();
            let frame = other.read(&part).unwrap();
            assert!(frame.height() > 0, "{about} in {n} parts");
            assert_eq!(frame.dtypes(), whole.dtypes());
            match &mut stacked {
                None => stacked = Some(frame),
                Some(stacked) => {
                    stacked.vstack_mut(&frame).unwrap();
                }
            }
        }
        assert_eq!(stacked.unwrap(), whole, "{about} in {n} parts");
    }
    let error = table.partitions(expected.len() + 1).unwrap_err();
    assert!(error.to_string().contains("more than the"), "{error}");
    let half = expected.len() / 2;
    assert_eq!(table.head(half).unwrap(), whole.head(Some(half)), "{about}");
    let limited = table.limit(half.max(1)).unwrap();
    let frames: Vec<DataFrame> = limited
        .partitions(1)
        .unwrap()
        .iter()
        .map(|part| limited.read(part).unwrap())
        .collect();
    assert_eq!(frames[0], whole.head(Some(half.max(1))), "{about}");
    for name in table.columns() {
        let one = table.select([&name]).unwrap().collect().unwrap();
        assert_eq!(one, whole.select([name.as_str()]).unwrap(), "{about}");
    }
}

#[test]
fn a_table_holds_what_deltalake_reads_in_it() {
    let expected: BTreeMap<String, Value> =
        serde_json::from_str(&fs::read_to_string(fixtures().join("expected.json")).unwrap())
            .unwrap();
    assert_eq!(expected.len(), 8);
    let unpacked = unpacked("tables.tar.zst");
    for (about, expected) in &expected {
        let (name, version) = match about.split_once('@') {
            None => (about.as_str(), None),
            Some((name, version)) => (name, Some(version.parse().unwrap())),
        };
        let folder = match name {
            "houses" => lake(&fixtures()),
            _ => lake(unpacked.path()),
        };
        let table = match version {
            None => folder.delta(name).unwrap(),
            Some(version) => folder.delta_version(name, version).unwrap(),
        };
        if let Some(version) = version {
            assert_eq!(table.source().delta.as_ref().unwrap().version(), version);
        }
        let columns: Vec<String> = serde_json::from_value(expected["columns"].clone()).unwrap();
        assert_eq!(table.columns(), columns, "{about}");
        let mut rows = expected["rows"].as_array().unwrap().clone();
        sort(&mut rows);
        check_table(&table, &columns, &rows, about);
    }
}

#[test]
fn a_table_holds_what_spark_reads_in_it() {
    let unpacked = unpacked("golden.tar.zst");
    let lake = lake(unpacked.path());
    for (name, count) in [
        ("data-reader-partition-values", 3),
        // Mapped by names, with deletion vectors.
        ("dv-with-columnmapping", 35),
        ("multi-part-checkpoint", 31),
        ("table-with-columnmapping-mode-id", 6),
        ("v2-checkpoint-json", 10),
        ("v2-checkpoint-parquet", 10),
    ] {
        let expected = lake.parquet(format!("{name}/expected")).unwrap();
        // `table` notices the log.
        let table = lake.table(format!("{name}/delta")).unwrap();
        let columns = expected.columns();
        let mut expected = rows(&expected.collect().unwrap(), &columns);
        // The timestamp in the path is 11:11:11 without a time zone. Spark took its session's,
        // America/Los_Angeles; here it is UTC.
        if let Some(at) = columns.iter().position(|name| name == "as_timestamp") {
            for row in &mut expected {
                if let Some(nanoseconds) = row[at].as_i64() {
                    row[at] = Value::from(nanoseconds - 7 * 3600 * 1_000_000_000);
                }
            }
            sort(&mut expected);
        }
        println!("{name}: {} rows of {columns:?}", expected.len());
        assert_eq!(expected.len(), count, "{name}");
        check_table(&table, &columns, &expected, name);
    }
}

#[test]
fn files_that_partition_values_exclude_are_not_read() {
    let folder = copied_houses();
    let houses = lake(folder.path()).delta("houses").unwrap();
    let north = houses.filter("district = 'north' AND area >= 50").unwrap();
    let expected = north.collect().unwrap();
    assert!((1..32).contains(&expected.height()));
    // A filter may be on a column that is not selected, and on one that old files lack.
    let areas = north.select(["area"]).unwrap().collect().unwrap();
    assert_eq!(areas, expected.select(["area"]).unwrap());
    let garden = houses.filter("garden IS NULL").unwrap();
    assert_eq!(garden.collect().unwrap().height(), 57);

    fs::remove_dir_all(folder.path().join("houses/district=south")).unwrap();
    assert_eq!(north.collect().unwrap(), expected);
    assert_eq!(sent(&north).collect().unwrap(), expected);
    let error = lake(folder.path())
        .delta("houses")
        .and_then(|houses| houses.collect())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("district=south") && error.contains("VACUUM"),
        "{error}"
    );
}

#[test]
fn a_version_that_does_not_exist_is_refused_with_those_that_do() {
    let unpacked = unpacked("tables.tar.zst");
    let tables = lake(unpacked.path());
    let refused = |lake: &Lake, name: &str, version: u64| {
        let error = lake.delta_version(name, version).unwrap_err();
        assert!(
            matches!(&error, Error::InvalidSetting { setting: "version", value, .. }
                if *value == version.to_string()),
            "{error}"
        );
        error.to_string()
    };
    assert!(refused(&lake(&fixtures()), "houses", 3).contains("versions 0 to 2"));
    for version in [0, 1, 4] {
        assert!(refused(&tables, "checkpointed", version).contains("versions 2 to 3"));
    }
}

#[test]
fn a_table_stays_at_the_version_that_was_opened() {
    let folder = copied_houses();
    let log = folder.path().join("houses/_delta_log");
    let last = log.join("00000000000000000002.json");
    let delete = fs::read(&last).unwrap();
    fs::remove_file(&last).unwrap();
    let houses = lake(folder.path()).delta("houses").unwrap();
    fs::write(&last, delete).unwrap();
    assert_eq!(sent(&houses).collect().unwrap().height(), 96);
    let latest = lake(folder.path()).delta("houses").unwrap();
    assert_eq!(latest.collect().unwrap().height(), 91);
}

#[test]
fn what_is_no_delta_table_or_a_damaged_one_is_named() {
    let folder = copied_houses();
    let lake = lake(folder.path());
    let error = lake.delta("nothing").unwrap_err();
    assert!(
        matches!(&error, Error::Lake(LakeError::NotFound { url, .. })
            if url.ends_with("nothing/_delta_log")),
        "{error}"
    );
    // As a folder of Parquet files, it would have rows that were deleted.
    let error = lake.parquet("houses").unwrap_err().to_string();
    assert!(error.contains("delta()"), "{error}");

    let log = folder.path().join("houses/_delta_log");
    let second = log.join("00000000000000000001.json");
    let text = fs::read_to_string(&second).unwrap();
    fs::write(&second, &text[..text.len() - 40]).unwrap();
    let error = lake.delta("houses").unwrap_err().to_string();
    assert!(
        error.contains("00000000000000000001.json") && error.contains("line"),
        "{error}"
    );
    assert_eq!(
        lake.delta_version("houses", 0)
            .unwrap()
            .collect()
            .unwrap()
            .height(),
        60
    );
    fs::remove_file(&second).unwrap();
    let error = lake.delta("houses").unwrap_err();
    assert!(
        matches!(&error, Error::Table(TableError::Failed { table, .. })
            if table.ends_with("houses")),
        "{error}"
    );
}

#[test]
fn a_feature_that_cannot_be_read_is_named() {
    let folder = copied_houses();
    let protocol = r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7,
        "readerFeatures":["flyingColumns"],"writerFeatures":["flyingColumns"]}}"#;
    let commit = folder
        .path()
        .join("houses/_delta_log/00000000000000000003.json");
    fs::write(commit, protocol.replace('\n', "")).unwrap();
    let lake = lake(folder.path());
    let error = lake.delta("houses").unwrap_err().to_string();
    assert!(
        error.contains("flyingColumns") && error.contains("Spark"),
        "{error}"
    );
    assert_eq!(lake.delta_version("houses", 2).unwrap().columns().len(), 5);
}

#[test]
fn a_missing_value_is_found_by_its_file_and_its_row_there() {
    let unpacked = unpacked("tables.tar.zst");
    let table = lake(unpacked.path()).delta("deleted").unwrap();
    let error = regression(&["number"], "number")
        .fit_with(table, &Threads, &Silent)
        .unwrap_err();
    // The second row that is left is the fifth of its file.
    assert!(
        matches!(&error, Error::Table(TableError::MissingValue { file, row: 5, .. })
            if file.ends_with(".parquet")),
        "{error}"
    );
}

/// Learns a number from others.
fn regression(features: &[&str], label: &str) -> Pipeline {
    let width = features.len() as i64;
    let network = Network::new(&[width], vec![Layer::linear(width, 1)]).unwrap();
    Pipeline::new()
        .stage(
            VectorAssembler::new()
                .input_cols(features.iter().copied())
                .output_col("raw"),
        )
        .stage(
            StandardScaler::new()
                .input_col("raw")
                .output_col("features")
                .with_mean(true),
        )
        .stage(
            TorchEstimator::new(network)
                .loss(Loss::mse())
                .optimizer(Optimizer::adam())
                .learning_rate(2.0)
                .learning_rate_schedule(LearningRateSchedule::CosineAnnealing)
                .label_col([label])
                .mini_batch(16)
                .iterations(600)
                .partitions(3)
                .verbose(0),
        )
}

#[test]
fn a_fit_learns_the_price_of_houses_from_a_delta_table() {
    let north = lake(&fixtures())
        .delta("houses")
        .unwrap()
        .filter("district = 'north'")
        .unwrap();
    let model = regression(&["rooms", "area"], "price")
        .fit_with(north.clone(), &Threads, &Silent)
        .unwrap();
    let predicted = model.transform(north).unwrap();
    let rmse = RegressionEvaluator::new()
        .label_col("price")
        .evaluate(&predicted)
        .unwrap();
    // The prices are linear: see `fixtures/make_delta_tables.py`.
    println!("rmse {rmse}");
    assert!(rmse < 1.0, "{rmse}");
}
