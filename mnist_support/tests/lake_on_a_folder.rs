//! Runs the lake's suite on local folders, and tests what only they have.

#[macro_use]
mod lake_suite;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use mnist_support::lake::{Credentials, Lake, LakeFrame};
use mnist_support::secrets::SecretScope;
use mnist_support::{
    Error,
    error::{LakeError, SecretError},
};
use polars::prelude::{AnyValue, DataFrame, Series, TimeUnit};
use serde_json::{Value, json};

struct Folder {
    lake: Lake,
    folder: tempfile::TempDir,
}

fn empty_folder(_name: &str) -> Folder {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap();
    Folder { lake, folder }
}

whole_suite!(empty_folder);

#[test]
fn a_missing_folder_cannot_be_listed_but_can_be_written_to() {
    let Folder { folder, .. } = empty_folder("");
    let url = format!("file://{}/new", folder.path().display());
    let lake = Lake::open(&url, &Credentials::local()).unwrap();
    assert!(matches!(
        lake.list(),
        Err(Error::Lake(LakeError::NotFound { .. }))
    ));
    lake.put("inner/file.txt", "text".into()).unwrap();
    assert_eq!(lake.list().unwrap(), ["inner/file.txt"]);
    assert_eq!(lake.to_string(), url);
}

#[test]
fn a_put_leaves_no_other_file_behind() {
    let Folder { lake, folder } = empty_folder("");
    for text in ["one", "two"] {
        lake.put("file.txt", text.into()).unwrap();
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_put_that_cannot_be_finished_leaves_the_old_file() {
    let Folder { lake, folder } = empty_folder("");
    lake.put("file.txt", "old".into()).unwrap();
    // A folder is in the place where the file should go.
    fs::create_dir(folder.path().join("taken")).unwrap();
    fs::write(folder.path().join("taken/inner"), "x").unwrap();
    assert!(lake.put("taken", "new".into()).is_err());
    assert_eq!(lake.get("file.txt").unwrap(), "old");
    assert_eq!(lake.list().unwrap(), ["file.txt", "taken/inner"]);
}

#[test]
fn another_process_opens_a_table_by_its_source() {
    let Folder { lake, .. } = empty_folder("");
    let lake = lake.folder("a folder");
    lake.put("100% #1.csv", "a,b\n1,2\n3,4\n".into()).unwrap();
    let frame = lake.csv("100% #1.csv").unwrap();
    let sent = serde_json::to_string(frame.source()).unwrap();
    let there =
        LakeFrame::open(&serde_json::from_str(&sent).unwrap(), &Credentials::local()).unwrap();
    assert_eq!(there.name(), frame.name());
    assert_eq!(there.collect().unwrap(), frame.collect().unwrap());
}

/// A value as the fixtures' script writes it.
fn json(value: &AnyValue) -> Value {
    let in_ns = |value: i64, unit: &TimeUnit| match unit {
        TimeUnit::Milliseconds => value * 1_000_000,
        TimeUnit::Microseconds => value * 1000,
        TimeUnit::Nanoseconds => value,
    };
    let listed = |series: &Series| series.iter().map(|value| json(&value)).collect();
    match value {
        AnyValue::Null => Value::Null,
        AnyValue::Boolean(value) => json!(value),
        AnyValue::Date(days) => json!(days),
        AnyValue::Datetime(value, unit, _) => json!(in_ns(*value, unit)),
        AnyValue::Time(value) => json!(value),
        AnyValue::Binary(bytes) => {
            let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
            json!(digits.collect::<String>())
        }
        AnyValue::List(series) => Value::Array(listed(series)),
        AnyValue::Struct(..) => {
            let fields = value._iter_struct_av().map(|value| json(&value));
            Value::Array(fields.collect())
        }
        AnyValue::Float32(value) => json!(f64::from(*value)),
        AnyValue::Float64(value) => json!(value),
        AnyValue::UInt64(value) => json!(value),
        value => match (value.get_str(), value.extract::<i64>()) {
            (Some(text), _) => json!(text),
            (None, Some(number)) => json!(number),
            _ => panic!("{value:?}"),
        },
    }
}

/// Checks a table against the values that pyarrow has written.
fn check_types(frame: &LakeFrame) {
    let expected = include_str!("fixtures/tables/types.json");
    let expected: BTreeMap<String, Vec<Value>> = serde_json::from_str(expected).unwrap();
    let parts = frame.partitions(2).unwrap();
    let halves = parts.iter().map(|part| frame.read(part).unwrap());
    let halves: Vec<DataFrame> = halves.collect();
    for whole in [
        frame.collect().unwrap(),
        halves[0].vstack(&halves[1]).unwrap(),
    ] {
        for name in frame.columns() {
            let column = whole.column(&name).unwrap().as_materialized_series();
            let values: Vec<Value> = column.iter().map(|value| json(&value)).collect();
            // JSON knows no 32-bit floats.
            let same =
                |(found, expected): (&Value, &Value)| match (found.as_f64(), expected.as_f64()) {
                    (Some(found), Some(expected)) => found as f32 == expected as f32,
                    _ => found == expected,
                };
            let right = &expected[&name];
            assert!(
                values.iter().zip(right).all(same),
                "{name}: {values:?}, not {right:?}"
            );
            assert_eq!(values.len(), right.len());
        }
    }
    for name in frame.columns() {
        let one = frame.select([&name]).unwrap().collect().unwrap();
        assert_eq!(one.get_column_names(), [&name]);
    }
}

#[test]
fn parquet_files_of_every_type_hold_what_pyarrow_has_written() {
    let Folder { lake, .. } = empty_folder("");
    let types = include_bytes!("fixtures/tables/types.parquet").as_slice();
    lake.put("types.parquet", types.into()).unwrap();
    let frame = lake.parquet("types.parquet").unwrap();
    assert_eq!(frame.columns().len(), 34);
    check_types(&frame);
    let int96 = include_bytes!("fixtures/tables/int96.parquet").as_slice();
    lake.put("int96.parquet", int96.into()).unwrap();
    check_types(&lake.table("int96.parquet").unwrap());
}

#[test]
fn a_malformed_url_is_refused() {
    for url in [
        "",
        "s3://",
        "ftp://bucket",
        "abfss://torchtut",
        "az://",
        "file://host/x",
    ] {
        let error = Lake::open(url, &Credentials::local()).unwrap_err();
        assert!(
            matches!(error, Error::Lake(LakeError::InvalidUrl { .. })),
            "{url}: {error}"
        );
    }
}

#[test]
fn a_scope_that_names_an_account_connects_to_it_and_says_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("connect-test.json");
    fs::write(&file, r#"{"account": "mylake"}"#).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let scope = SecretScope::open_in("connect-test", folder.path()).unwrap();
    let error = Lake::connect("torchtut", &scope).unwrap_err();
    assert!(
        matches!(error, Error::Lake(LakeError::AccessDenied { .. })),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("abfss://torchtut@mylake.dfs.core.windows.net"),
        "{error}"
    );

    fs::write(&file, r#"{"lake-name": "mylake", "access-key": "a2V5"}"#).unwrap();
    let scope = SecretScope::open_in("connect-test", folder.path()).unwrap();
    let lake = Lake::connect("torchtut", &scope).unwrap();
    assert_eq!(
        lake.to_string(),
        "abfss://torchtut@mylake.dfs.core.windows.net"
    );
}

#[test]
fn a_scope_with_a_key_and_no_account_does_not_fall_back_to_the_local_lake() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("connect-key.json");
    fs::write(&file, r#"{"access-key": "a2V5"}"#).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let scope = SecretScope::open_in("connect-key", folder.path()).unwrap();
    let error = Lake::connect("torchtut", &scope).unwrap_err();
    assert!(
        matches!(&error, Error::Secret(SecretError::NotFound { key, .. }) if key == "account"),
        "{error}"
    );
}

#[test]
fn without_an_account_an_unknown_container_of_the_local_lake_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let scope = SecretScope::open_in("connect-nowhere", folder.path()).unwrap();
    let error = Lake::connect("no-such-container", &scope).unwrap_err();
    assert!(
        matches!(error, Error::Lake(LakeError::NotFound { .. })),
        "{error}"
    );
    assert!(error.to_string().contains("make data"), "{error}");
}
