//! CSV files in random dialects, written by pandas, hold the values that pandas reads, in however
//! many partitions. Damaged files are errors or other values, never a panic.

#[path = "common/kernel.rs"]
#[allow(dead_code)]
mod kernel;
#[path = "common/spark.rs"]
mod spark;

use std::path::Path;
use std::process::Command;

use mnist_support::lake::{Credentials, CsvOptions, Encoding, Lake, LakeFrame};
use polars::prelude::{AnyValue, Column, DataFrame, DataType};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// How many files are written.
const CASES: usize = 2000;
/// Names another seed than the time, to repeat a failure.
const SEED_VARIABLE: &str = "CSV_SEED";

fn options(value: &Value) -> CsvOptions {
    let byte = |name: &str| value[name].as_str().map(|text| text.as_bytes()[0]);
    let mut options = CsvOptions::new();
    type Setter = fn(CsvOptions, u8) -> CsvOptions;
    let setters: [(&str, Setter); 5] = [
        ("sep", CsvOptions::sep),
        ("quote", CsvOptions::quote),
        ("escape", CsvOptions::escape),
        ("decimal", CsvOptions::decimal),
        ("thousands", CsvOptions::thousands),
    ];
    for (name, set) in setters {
        if let Some(byte) = byte(name) {
            options = set(options, byte);
        }
    }
    if let Some(header) = value["header"].as_bool() {
        options = options.header(header);
    }
    if let Some(skip) = value["skip_initial_space"].as_bool() {
        options = options.skip_initial_space(skip);
    }
    if value["encoding"] == "Latin1" {
        options = options.encoding(Encoding::Latin1);
    }
    options.skip_rows(value["skip_rows"].as_u64().unwrap_or(0) as usize)
}

/// Whether a value is the one that pandas read. Numbers are equal, not only close.
fn is_same(ours: &AnyValue<'_>, pandas: &Value) -> bool {
    match (ours, pandas) {
        (AnyValue::Null, Value::Null) => true,
        (AnyValue::Boolean(ours), Value::Bool(pandas)) => ours == pandas,
        (AnyValue::Int64(ours), Value::Number(pandas)) if pandas.is_i64() => {
            Some(*ours) == pandas.as_i64()
        }
        (AnyValue::Date(days), Value::Number(micros)) => {
            Some(i64::from(*days) * 86_400_000_000) == micros.as_i64()
        }
        (AnyValue::Datetime(ours, ..), Value::Number(micros)) => Some(*ours) == micros.as_i64(),
        (AnyValue::String(ours), Value::String(pandas)) => ours == pandas,
        (AnyValue::StringOwned(ours), Value::String(pandas)) => ours.as_str() == pandas,
        (ours, Value::Number(pandas)) => match (ours.extract::<f64>(), pandas.as_f64()) {
            // Where it removes marks of thousands, pandas rounds the last digit otherwise.
            (Some(ours), Some(pandas)) => {
                (ours - pandas).abs() <= 4.0 * f64::EPSILON * pandas.abs()
            }
            _ => false,
        },
        (ours, Value::String(pandas)) => {
            let infinite = ours.extract::<f64>().filter(|ours| ours.is_infinite());
            infinite.is_some_and(|ours| ours.to_string() == *pandas)
        }
        _ => false,
    }
}

fn check(frame: &DataFrame, case: &Value) -> Result<(), String> {
    let columns = case["columns"].as_array().unwrap();
    let names: Vec<&str> = columns
        .iter()
        .map(|column| column["name"].as_str().unwrap())
        .collect();
    if frame.get_column_names() != names {
        return Err(format!(
            "the columns are {:?}, not {names:?}",
            frame.get_column_names()
        ));
    }
    for (ours, column) in frame.columns().iter().zip(columns) {
        let pandas = column["values"].as_array().unwrap();
        if ours.len() != pandas.len() {
            return Err(format!("{} rows, not {}", ours.len(), pandas.len()));
        }
        for (row, pandas) in pandas.iter().enumerate() {
            let ours_here = ours.get(row).unwrap();
            if !is_same(&ours_here, pandas) {
                let dtype = ours.dtype();
                return Err(format!(
                    "row {}, column {:?}: {ours_here:?} of {dtype}, not {pandas}",
                    row + 1,
                    column["name"]
                ));
            }
        }
    }
    Ok(())
}

/// Reads a table in `n` partitions, which have the same types.
fn in_parts(frame: &LakeFrame, n: usize) -> Result<DataFrame, String> {
    let said = |error: &dyn std::fmt::Display| format!("in {n} parts: {error}");
    let parts = frame.partitions(n).map_err(|error| said(&error))?;
    let mut parts = parts.iter().map(|part| frame.read(part));
    let mut whole = parts.next().unwrap().map_err(|error| said(&error))?;
    for part in parts {
        let part = part.map_err(|error| said(&error))?;
        whole.vstack_mut(&part).map_err(|error| said(&error))?;
    }
    Ok(whole)
}

fn check_case(lake: &Lake, case: &Value, random: &mut impl Rng) -> Result<(), String> {
    let file = case["file"].as_str().unwrap();
    let frame = lake
        .csv_with(file, &options(&case["options"]))
        .map_err(|error| error.to_string())?;
    let whole = frame.collect().map_err(|error| error.to_string())?;
    check(&whole, case)?;
    let n = random.random_range(1..10).min(whole.height());
    let parts = in_parts(&frame, n)?;
    check(&parts, case).map_err(|reason| format!("in {n} parts: {reason}"))?;
    let dtypes = |frame: &DataFrame| -> Vec<DataType> {
        frame.columns().iter().map(Column::dtype).cloned().collect()
    };
    assert_eq!(dtypes(&parts), dtypes(&whole));
    if frame.head(n).map_err(|error| error.to_string())? != whole.head(Some(n)) {
        return Err(format!("the first {n} rows differ"));
    }
    Ok(())
}

/// Writes the cases, or says why they can't be written.
fn write_cases(folder: &Path, seed: u64, count: usize) -> Result<Vec<Value>, String> {
    let python = spark::python();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/make_csv_cases.py");
    let pandas = Command::new(&python).args(["-c", "import pandas"]).output();
    if !pandas.is_ok_and(|output| output.status.success()) {
        return Err(format!("{} has no pandas", python.display()));
    }
    let written = Command::new(&python)
        .arg(script)
        .arg(folder)
        .args([seed.to_string(), count.to_string()])
        .output()
        .unwrap();
    assert!(
        written.status.success(),
        "seed {seed}: {}",
        String::from_utf8_lossy(&written.stderr)
    );
    let text = std::fs::read(folder.join("cases.json")).unwrap();
    Ok(serde_json::from_slice(&text).unwrap())
}

#[test]
fn random_dialects_hold_what_pandas_reads() {
    let folder = tempfile::tempdir().unwrap();
    let seed = std::env::var(SEED_VARIABLE)
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(7);
    println!("{SEED_VARIABLE}={seed}");
    let cases = match write_cases(folder.path(), seed, CASES) {
        Ok(cases) => cases,
        Err(why) => return kernel::leave_out("CSV files against pandas", &why),
    };
    let lake = Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let reason = check_case(&lake, case, &mut random).err()?;
            let text = std::fs::read(folder.path().join(case["file"].as_str().unwrap())).unwrap();
            let text: String = String::from_utf8_lossy(&text).chars().take(300).collect();
            Some(format!(
                "{} {}: {reason}\n{text:?}",
                case["file"], case["options"]
            ))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} with {SEED_VARIABLE}={seed}:\n{}",
        wrong.len(),
        cases.len(),
        wrong
            .iter()
            .take(12)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n\n")
    );
}

/// Files of every dialect, to be damaged.
const FILES: [&[u8]; 7] = [
    b"a,b,c\n1,x,0.5\n2,\"y,\"\"z\"\"\",\n3,\"two\nlines\",1e5\n",
    b"a;b\r\n1.234,5;2026-01-31\r\n-7;2026-01-31 12:00:00Z\r\n",
    b"# note\n,x y,\n0,true,\n1,FALSE,\n",
    b"  1   2\n 10  20\n",
    b"\xff\xfea\0,\0b\0\n\x001\0,\x002\0\n\0",
    b"\x1f\x8b\x08\0\0\0\0\0\0\x03K\xd4I\xe22\xd41\xe2\x02\0",
    b"0,0,0,0,0,0,0,0,1\n255,0,0,0,0,0,0,0,2\n",
];

#[test]
fn damaged_files_are_errors_or_other_values() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let (mut read, mut refused) = (0, 0);
    for _ in 0..5000 {
        let mut bytes = FILES[random.random_range(0..FILES.len())].to_vec();
        for _ in 0..random.random_range(1..6) {
            let odd = b"\"\"',;|\t \n\r\n#-+.eE09\0\xff\xfe\x1f\x8bNAtrue2026-";
            let other = odd[random.random_range(0..odd.len())];
            let at = random.random_range(0..bytes.len().max(1)).min(bytes.len());
            match random.random_range(0..4) {
                0 if at < bytes.len() => bytes[at] = other,
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 => bytes.truncate(at),
                _ => bytes.insert(at, other),
            }
        }
        lake.put("damaged.csv", bytes.clone().into()).unwrap();
        let result = lake.csv("damaged.csv").and_then(|frame| {
            let whole = frame.collect()?;
            let n = random.random_range(1..4).min(whole.height().max(1));
            frame.head(1)?;
            for part in frame.partitions(n)? {
                frame.read(&part)?;
            }
            Ok(whole)
        });
        match result {
            Ok(_) => read += 1,
            Err(error) => {
                assert!(
                    error.to_string().contains("damaged.csv"),
                    "{bytes:?}: {error}"
                );
                refused += 1;
            }
        }
    }
    // Both are tested on many files.
    assert!(read > 500 && refused > 500, "{read} {refused}");
}
