//! Parquet and Arrow IPC files hold what pyarrow has written, and none of them ends the program.

#[path = "common/spark.rs"]
mod spark;
#[path = "common/values.rs"]
mod values;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use mnist_support::{
    Result,
    lake::{Credentials, Lake, LakeFrame},
};
use polars::prelude::DataFrame;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use values::{jsons, same};

/// The values of each column, as `fixtures/table_values.py` writes them.
type Values = BTreeMap<String, Vec<Value>>;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn lake(folder: &Path) -> Lake {
    Lake::open(folder.to_str().unwrap(), &Credentials::local()).unwrap()
}

fn values_of(file: &Path) -> Values {
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// Checks the columns of a frame, the `start`-th row of whose table is its first.
fn check(frame: &DataFrame, start: usize, expected: &Values, about: &str) {
    for column in frame.columns() {
        let found = jsons(column.as_materialized_series());
        let expected = &expected[column.name().as_str()][start..][..found.len()];
        for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!(
                same(found, expected),
                "{about}, row {row} of column {} ({}): {found}, not {expected}",
                column.name(),
                column.dtype()
            );
        }
    }
}

/// Checks a table, whole and in parts.
fn check_table(table: &LakeFrame, parts: usize, expected: &Values) {
    let about = table.name();
    let whole = table
        .collect()
        .unwrap_or_else(|error| panic!("{about}: {error}"));
    check(&whole, 0, expected, about);
    let mut start = 0;
    for part in table.partitions(parts).unwrap() {
        let frame = table.read(&part).unwrap();
        assert!(frame.height() > 0);
        assert_eq!(frame.dtypes(), whole.dtypes());
        check(&frame, start, expected, about);
        start += frame.height();
    }
    assert_eq!(start, whole.height());
    assert_eq!(start, expected.values().next().unwrap().len());
}

#[test]
fn files_of_every_type_hold_what_pyarrow_has_written() {
    let folder = fixtures().join("tables");
    let (lake, expected) = (lake(&folder), values_of(&folder.join("types.json")));
    for (file, columns) in [
        ("types.parquet", 34),
        ("int96.parquet", 2),
        ("types.feather", 34),
        ("more_types.arrow", 17),
        ("types.arrows", 51),
    ] {
        let table = lake.table(file).unwrap();
        assert_eq!(table.columns().len(), columns, "{file}");
        for parts in 1..=4 {
            check_table(&table, parts, &expected);
        }
        check(&table.head(2).unwrap(), 0, &expected, file);
        for name in table.columns() {
            let one = table.select([&name]).unwrap().collect().unwrap();
            assert_eq!(one.get_column_names(), [&name]);
            check(&one, 0, &expected, file);
        }
    }
}

#[test]
fn a_column_has_one_type_in_every_format() {
    let lake = lake(&fixtures().join("tables"));
    let types = |file: &str| -> BTreeMap<String, String> {
        let frame = lake.table(file).unwrap().head(1).unwrap();
        let types = frame.columns().iter();
        types
            .map(|column| (column.name().to_string(), column.dtype().to_string()))
            .collect()
    };
    assert_eq!(types("types.feather"), types("types.parquet"));
    let stream = types("types.arrows");
    for (name, dtype) in types("types.parquet") {
        assert_eq!(stream[&name], dtype, "{name}");
    }
}

/// A Python that has pyarrow, which Spark's tests install.
fn python() -> Option<PathBuf> {
    let python = spark::python();
    let found = Command::new(&python)
        .args(["-c", "import pyarrow"])
        .output();
    if found.is_ok_and(|found| found.status.success()) {
        return Some(python);
    }
    spark::say("LEFT OUT: random tables by pyarrow, which make test installs for Spark");
    None
}

#[test]
fn random_tables_hold_what_pyarrow_has_written() {
    const TABLES: usize = 300;
    let Some(python) = python() else { return };
    let seed: u64 = std::env::var("MNIST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    println!("MNIST_SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let written = Command::new(python)
        .arg(fixtures().join("random_tables.py"))
        .arg(folder.path())
        .args([seed.to_string(), TABLES.to_string()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&written.stderr);
    assert!(written.status.success(), "{said}");
    let lake = lake(folder.path());
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for table in 0..TABLES {
        let expected = values_of(&folder.path().join(format!("{table}.json")));
        let rows = expected.values().next().unwrap().len();
        for kind in ["parquet", "arrow", "arrows"] {
            let table = lake.table(format!("{table}.{kind}").as_str()).unwrap();
            check_table(&table, random.random_range(1..=rows.min(9)), &expected);
        }
    }
}

/// Reads a file in all ways. Errors are fine, panics and endless loops are not.
fn use_up(lake: &Lake, file: &str) -> Result<()> {
    let table = lake.table(file)?;
    let whole = table.collect()?;
    for part in table.partitions(whole.height().clamp(1, 3))? {
        table.read(&part)?;
    }
    table.select([&table.columns()[0]])?.head(1).map(|_| ())
}

#[test]
fn damaged_files_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake(folder.path());
    let mut random = ChaCha8Rng::seed_from_u64(13);
    let mut refused = 0;
    for (name, rounds) in [
        ("types.parquet", 150),
        ("int96.parquet", 300),
        ("types.feather", 150),
        ("more_types.arrow", 150),
        ("types.arrows", 150),
    ] {
        let whole = fs::read(fixtures().join("tables").join(name)).unwrap();
        for _ in 0..rounds {
            let mut bytes = whole.clone();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..bytes.len());
                match random.random_range(0..5) {
                    0 => bytes[at] ^= 1 << random.random_range(0..8),
                    1 => bytes[at] = random.random(),
                    2 => bytes[at..].iter_mut().take(8).for_each(|byte| *byte = 0xff),
                    3 => bytes[at..].iter_mut().take(16).for_each(|byte| *byte = 0),
                    _ => drop(bytes.drain(at..(at + random.random_range(1..64)).min(bytes.len()))),
                }
                if bytes.is_empty() {
                    bytes.push(0);
                }
            }
            fs::write(folder.path().join(name), bytes).unwrap();
            if let Err(error) = use_up(&lake, name) {
                refused += 1;
                let said = error.to_string();
                assert!(said.contains(name), "{said}");
                assert!(!said.contains("panicked"), "{said}");
            }
        }
    }
    assert!(refused > 300, "{refused}");
}

/// The shortest of five times.
fn shortest(work: impl Fn()) -> Duration {
    let times = (0..5).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed()
    });
    times.min().unwrap()
}

#[test]
#[ignore = "measures the time that columns of MNIST take, which needs `make data` and a quiet machine"]
fn ten_of_784_columns_cost_a_twentieth() {
    let lake = lake(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/lake/torchtut"));
    let table = lake.parquet("train.parquet").unwrap();
    let ten = table.select((100..800).step_by(70).map(|pixel| format!("pixel{pixel}")));
    let ten = ten.unwrap();
    assert_eq!(ten.columns().len(), 10);
    let all = shortest(|| assert_eq!(table.collect().unwrap().height(), 60_000));
    let some = shortest(|| assert_eq!(ten.collect().unwrap().height(), 60_000));
    println!("all columns: {all:?}, ten: {some:?}");
    assert!(some * 20 <= all, "{some:?} of {all:?}");
}
