//! One suite for every store: what holds for a folder on this machine holds for a container.
//!
//! Each function gets an empty folder of a lake.

use bytes::Bytes;
use mnist_support::Error;
use mnist_support::lake::{Lake, LakeFrame, NumberType, Partition};
use polars::prelude::{
    Column, DataFrame, DataType, Float64Chunked, IntoColumn, ParquetWriter, UInt8Chunked,
};

/// Makes a test of each function of the suite, with `$open` opening an empty folder named after it.
macro_rules! suite {
    ($open:path: $($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            let guarded = $open(stringify!($name));
            lake_suite::$name(&guarded.lake);
        })*
    };
}

/// Makes a test of every function of the suite.
macro_rules! whole_suite {
    ($open:path) => {
        suite!($open:
            files_are_put_listed_read_replaced_and_removed,
            a_file_that_is_not_there_is_named,
            a_large_file_is_uploaded_whole,
            a_csv_is_read_whole_and_by_its_head,
            the_partitions_of_a_csv_hold_every_row_once_in_order,
            a_large_csv_is_cut_at_line_ends,
            a_column_is_widened_where_a_later_row_needs_it,
            a_wrong_row_of_a_later_partition_has_its_number_in_the_file,
            a_csv_that_is_empty_says_what_is_missing,
            a_parquet_file_is_read_whole_and_by_its_head,
            the_partitions_of_a_parquet_file_hold_every_row_once_in_order,
            a_parquet_file_that_is_damaged_is_refused,
            a_missing_value_of_a_parquet_file_is_named,
            too_many_partitions_or_none_are_refused,
            a_partition_of_a_file_that_changed_is_refused,
        );
    };
}

fn put(lake: &Lake, name: &str, text: impl Into<Bytes>) {
    lake.put(name, text.into()).unwrap();
}

pub fn files_are_put_listed_read_replaced_and_removed(lake: &Lake) {
    put(lake, "b.txt", "one");
    put(lake, "a/inner/c.txt", "two");
    assert_eq!(lake.list().unwrap(), ["a/inner/c.txt", "b.txt"]);
    assert_eq!(lake.folder("a").list().unwrap(), ["inner/c.txt"]);
    assert_eq!(lake.folder("a/inner").get("c.txt").unwrap(), "two");
    assert_eq!(lake.folder("nothing").list().unwrap(), Vec::<String>::new());
    put(lake, "b.txt", "three");
    assert_eq!(lake.get("b.txt").unwrap(), "three");
    assert!(lake.exists("b.txt").unwrap());
    lake.delete("b.txt").unwrap();
    assert!(!lake.exists("b.txt").unwrap());
    assert_eq!(lake.list().unwrap(), ["a/inner/c.txt"]);
    put(lake, "a name with 100% of it #1.txt", "four");
    assert_eq!(lake.get("a name with 100% of it #1.txt").unwrap(), "four");
    assert!(
        lake.list()
            .unwrap()
            .contains(&"a name with 100% of it #1.txt".to_string())
    );
}

pub fn a_file_that_is_not_there_is_named(lake: &Lake) {
    for error in [
        lake.get("nothing.csv").unwrap_err(),
        lake.csv("nothing.csv").unwrap_err(),
        lake.parquet("nothing.csv").unwrap_err(),
    ] {
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
        assert!(
            error.to_string().contains(&format!("{lake}/nothing.csv")),
            "{error}"
        );
    }
    for name in ["../x", "a/../../x", "a//b"] {
        assert!(
            matches!(lake.get(name), Err(Error::InvalidUrl { .. })),
            "{name}"
        );
    }
}

pub fn a_large_file_is_uploaded_whole(lake: &Lake) {
    let bytes: Vec<u8> = (0..20_000_000_u32)
        .map(|index| (index % 251) as u8)
        .collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    assert_eq!(
        lake.upload("large.bin", file.path()).unwrap(),
        bytes.len() as u64
    );
    assert!(lake.get("large.bin").unwrap() == bytes);
    let error = lake
        .upload("absent.bin", std::path::Path::new("/no/such/file"))
        .unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert!(!lake.exists("absent.bin").unwrap());
}

pub fn a_csv_is_read_whole_and_by_its_head(lake: &Lake) {
    put(
        lake,
        "small.csv",
        "pixel1,size,label\r\n0,0.5,7\r\n255,300,1\r\n9,-1,2\r\n",
    );
    let frame = lake.csv("small.csv").unwrap();
    assert_eq!(frame.name(), format!("{lake}/small.csv"));
    assert_eq!(frame.columns(), ["pixel1", "size", "label"]);
    let whole = frame.collect().unwrap();
    assert_eq!(u8s(&whole, "pixel1"), [0, 255, 9]);
    assert_eq!(floats(&whole, "size"), [0.5, 300.0, -1.0]);
    assert_eq!(u8s(&whole, "label"), [7, 1, 2]);
    assert_eq!(u8s(&frame.head(2).unwrap(), "label"), [7, 1]);
    assert_eq!(frame.head(0).unwrap().height(), 0);
    assert_eq!(frame.head(99).unwrap().height(), 3);
    let floats = frame
        .with_dtype(NumberType::Float32)
        .unwrap()
        .collect()
        .unwrap();
    assert!(
        floats
            .columns()
            .iter()
            .all(|column| column.dtype() == &DataType::Float32)
    );
}

pub fn the_partitions_of_a_csv_hold_every_row_once_in_order(lake: &Lake) {
    // Lines of very different lengths, a quoted field, no line end at the end.
    let numbers = ["1", "22", "\"200\"", "4", "000000000000000005", "6", "7"];
    for end in ["", "\n", "\r\n\r\n\n"] {
        put(
            lake,
            "odd.csv",
            format!("n,label\n{},9{end}", numbers.join(",9\n")),
        );
        let frame = lake.csv("odd.csv").unwrap();
        for n in 1..=7 {
            let parts = frame.partitions(n).unwrap();
            assert_eq!(parts.len(), n);
            let rows: Vec<Vec<u8>> = parts
                .iter()
                .map(|part| u8s(&frame.read(&sent(part)).unwrap(), "n"))
                .collect();
            assert!(rows.iter().all(|rows| !rows.is_empty()));
            assert_eq!(rows.concat(), [1, 22, 200, 4, 5, 6, 7]);
        }
    }
}

/// About 3 MB of rows `index, index % 256`.
fn large_csv(rows: usize) -> String {
    let mut text = String::from("index,byte,filler\n");
    for index in 0..rows {
        text.push_str(&format!("{index},{},0.{index:020}\n", index % 256));
    }
    text
}

pub fn a_large_csv_is_cut_at_line_ends(lake: &Lake) {
    let rows = 90_000;
    put(lake, "large.csv", large_csv(rows));
    let frame = lake.csv("large.csv").unwrap();
    let whole = frame.collect().unwrap();
    assert_eq!(whole.column("index").unwrap().dtype(), &DataType::Int64);
    assert_eq!(whole.column("byte").unwrap().dtype(), &DataType::UInt8);
    for n in [1, 2, 7] {
        let parts = frame.partitions(n).unwrap();
        let frames: Vec<DataFrame> = parts
            .iter()
            .map(|part| frame.read(&sent(part)).unwrap())
            .collect();
        let even = rows / n;
        assert!(
            frames
                .iter()
                .all(|part| part.height().abs_diff(even) < even / 10 + 1)
        );
        let indexes: Vec<i64> = frames
            .iter()
            .flat_map(|part| integers(part, "index"))
            .collect();
        assert!(indexes.iter().copied().eq(0..rows as i64));
    }
    assert_eq!(frame.head(20_000).unwrap().height(), 20_000);
}

pub fn a_column_is_widened_where_a_later_row_needs_it(lake: &Lake) {
    // Row 60,000 is in none of the samples.
    let mut lines: Vec<String> = large_csv(90_000).lines().map(String::from).collect();
    lines[60_000] = "59999,-7,0.5".into();
    put(lake, "wide.csv", lines.join("\n"));
    let frame = lake.csv("wide.csv").unwrap();
    let whole = frame.collect().unwrap();
    assert_eq!(integers(&whole, "byte")[59_999], -7);
    let parts = frame.partitions(2).unwrap();
    let [first, second] = [0, 1].map(|index| frame.read(&parts[index]).unwrap());
    assert_eq!(first.column("byte").unwrap().dtype(), &DataType::UInt8);
    assert_eq!(second.column("byte").unwrap().dtype(), &DataType::Int64);
    assert_eq!(integers(&second, "byte")[59_999 - first.height()], -7);
}

pub fn a_wrong_row_of_a_later_partition_has_its_number_in_the_file(lake: &Lake) {
    let read_last = |line: &str| {
        let mut lines: Vec<String> = large_csv(90_000).lines().map(String::from).collect();
        lines[60_000] = line.into();
        put(lake, "wrong.csv", lines.join("\n"));
        let frame = lake.csv("wrong.csv").unwrap();
        let parts = frame.partitions(4).unwrap();
        assert!(frame.read(&parts[0]).is_ok());
        assert!(frame.collect().is_err());
        frame.read(&parts[2]).unwrap_err()
    };
    let url = format!("{lake}/wrong.csv");
    let error = read_last("1,2");
    assert!(
        matches!(&error, Error::RaggedRow { file, row: 60_000, expected: 3, found: 2 } if *file == url),
        "{error}"
    );
    let error = read_last("1,2,3,4");
    assert!(
        matches!(
            error,
            Error::RaggedRow {
                row: 60_000,
                found: 4,
                ..
            }
        ),
        "{error}"
    );
    let error = read_last("");
    assert!(
        matches!(
            error,
            Error::RaggedRow {
                row: 60_000,
                found: 0,
                ..
            }
        ),
        "{error}"
    );
    let error = read_last("1,,3");
    assert!(
        matches!(&error, Error::MissingValue { file, row: 60_000, column } if *file == url && column == "byte"),
        "{error}"
    );
    let error = read_last("1,2,three");
    assert!(
        matches!(&error, Error::InvalidValue { file, row: 60_000, column, value, .. }
            if *file == url && column == "filler" && value == "three"),
        "{error}"
    );
    let error = read_last("1,2,\"3");
    assert!(
        error.to_string().contains("row 60000") && error.to_string().contains(&url),
        "{error}"
    );
}

pub fn a_csv_that_is_empty_says_what_is_missing(lake: &Lake) {
    for (text, said) in [
        ("", "first line"),
        ("\n\n", "first line"),
        ("a,b\n", "no row"),
        ("a,b\n\r\n", "no row"),
        ("a,b", "no row"),
    ] {
        put(lake, "empty.csv", text);
        let error = lake.csv("empty.csv").unwrap_err();
        assert!(
            matches!(&error, Error::EmptyFile { file, .. } if *file == format!("{lake}/empty.csv"))
        );
        assert!(error.to_string().contains(said), "{text:?}: {error}");
    }
    put(lake, "bare.csv", "0,1,2\n3,4,5\n");
    assert!(
        lake.csv("bare.csv")
            .unwrap_err()
            .to_string()
            .contains("header")
    );
    put(lake, "wrong.csv", "a,b\n1,2\nx,4\n");
    let error = lake.csv("wrong.csv").unwrap().collect().unwrap_err();
    assert!(
        matches!(error, Error::InvalidValue { row: 2, .. }),
        "{error}"
    );
}

/// A Parquet file with `rows` rows in row groups of 10 (or a little more): a byte, and a float of twice the row's index.
fn parquet_bytes(rows: usize, missing: Option<usize>) -> Bytes {
    let bytes: UInt8Chunked = (0..rows)
        .map(|index| (missing != Some(index)).then_some(index as u8))
        .collect();
    let floats: Float64Chunked = (0..rows).map(|index| Some(2.0 * index as f64)).collect();
    let columns: Vec<Column> = vec![
        bytes.with_name("byte".into()).into_column(),
        floats.with_name("double".into()).into_column(),
    ];
    let mut frame = DataFrame::new(rows, columns).unwrap();
    let mut file = Vec::new();
    ParquetWriter::new(&mut file)
        .with_row_group_size(Some(10))
        .finish(&mut frame)
        .unwrap();
    file.into()
}

pub fn a_parquet_file_is_read_whole_and_by_its_head(lake: &Lake) {
    put(lake, "table.parquet", parquet_bytes(95, None));
    let frame = lake.parquet("table.parquet").unwrap();
    assert_eq!(frame.columns(), ["byte", "double"]);
    let whole = frame.collect().unwrap();
    assert!(u8s(&whole, "byte").into_iter().eq(0..95));
    assert_eq!(floats(&whole, "double")[94], 188.0);
    assert_eq!(u8s(&frame.head(13).unwrap(), "byte").len(), 13);
    assert_eq!(frame.head(0).unwrap().shape(), (0, 2));
    assert_eq!(frame.head(1000).unwrap().height(), 95);
}

pub fn the_partitions_of_a_parquet_file_hold_every_row_once_in_order(lake: &Lake) {
    put(lake, "table.parquet", parquet_bytes(90, None));
    let frame = lake.parquet("table.parquet").unwrap();
    for n in [1, 2, 3, 8, 9, 10, 40, 90] {
        let parts = frame.partitions(n).unwrap();
        assert_eq!(parts.len(), n);
        let rows: Vec<Vec<u8>> = parts
            .iter()
            .map(|part| u8s(&frame.read(&sent(part)).unwrap(), "byte"))
            .collect();
        assert!(rows.iter().all(|rows| !rows.is_empty()));
        assert!(rows.concat().into_iter().eq(0..90), "{n}");
        if n <= 9 {
            assert!(
                rows[..n - 1].iter().all(|rows| rows.len() % 10 == 0),
                "cut within a row group"
            );
        }
    }
}

pub fn a_parquet_file_that_is_damaged_is_refused(lake: &Lake) {
    let whole = parquet_bytes(95, None);
    for (bytes, what) in [
        (whole.slice(..whole.len() - 1), "cut by a byte"),
        (whole.slice(..whole.len() / 2), "cut in half"),
        (whole.slice(..6), "cut to nothing"),
        (Bytes::from("a,b\n1,2\n"), "a CSV"),
    ] {
        put(lake, "damaged.parquet", bytes);
        let error = lake.parquet("damaged.parquet").unwrap_err();
        assert!(
            matches!(&error, Error::Table { table, .. } if *table == format!("{lake}/damaged.parquet")),
            "{what}: {error}"
        );
    }
    put(lake, "damaged.parquet", "");
    assert!(matches!(
        lake.parquet("damaged.parquet"),
        Err(Error::EmptyFile { .. })
    ));
    // Whatever byte of the pages is altered, the program goes on.
    for at in (4..whole.len() / 2).step_by(97) {
        let mut altered = whole.to_vec();
        altered[at] ^= 0xff;
        put(lake, "altered.parquet", altered);
        let _ = lake
            .parquet("altered.parquet")
            .and_then(|frame| frame.collect());
    }
}

pub fn a_missing_value_of_a_parquet_file_is_named(lake: &Lake) {
    put(lake, "missing.parquet", parquet_bytes(95, Some(42)));
    let frame = lake.parquet("missing.parquet").unwrap();
    let named = |error: Error| {
        assert!(
            matches!(&error, Error::MissingValue { row: 43, column, .. } if column == "byte"),
            "{error}"
        );
    };
    named(frame.collect().unwrap_err());
    let parts = frame.partitions(3).unwrap();
    assert!(frame.read(&parts[0]).is_ok());
    named(frame.read(&parts[1]).unwrap_err());
    let parts = frame.partitions(19).unwrap();
    named(frame.read(&parts[8]).unwrap_err());
}

pub fn too_many_partitions_or_none_are_refused(lake: &Lake) {
    put(lake, "three.csv", "a\n1\n2\n3\n");
    put(lake, "table.parquet", parquet_bytes(3, None));
    for frame in [
        lake.csv("three.csv").unwrap(),
        lake.parquet("table.parquet").unwrap(),
    ] {
        let refused = |frame: &LakeFrame, n: usize, said: &str| {
            let error = frame.partitions(n).unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::InvalidSetting {
                        setting: "partitions",
                        ..
                    }
                ),
                "{error}"
            );
            assert!(error.to_string().contains(said), "{error}");
        };
        refused(&frame, 0, "partitions = 0");
        refused(
            &frame,
            4,
            &format!("partitions = 4 is more than the 3 rows of {}", frame.name()),
        );
    }
}

pub fn a_partition_of_a_file_that_changed_is_refused(lake: &Lake) {
    put(lake, "table.csv", "a\n1\n2\n3\n");
    let before = lake.csv("table.csv").unwrap();
    let parts = before.partitions(3).unwrap();
    put(lake, "table.csv", "a\n11\n22\n33\n");
    let error = before.read(&parts[0]).unwrap_err();
    assert!(error.to_string().contains("replaced"), "{error}");
    let after = lake.csv("table.csv").unwrap();
    let error = after.read(&parts[0]).unwrap_err();
    assert!(error.to_string().contains("another file"), "{error}");
    put(lake, "table.parquet", parquet_bytes(30, None));
    assert!(
        lake.parquet("table.parquet")
            .unwrap()
            .read(&parts[0])
            .is_err()
    );
}

/// A partition as it arrives in another process.
fn sent(part: &Partition) -> Partition {
    serde_json::from_str(&serde_json::to_string(part).unwrap()).unwrap()
}

fn u8s(frame: &DataFrame, column: &str) -> Vec<u8> {
    frame
        .column(column)
        .unwrap()
        .u8()
        .unwrap()
        .into_no_null_iter()
        .collect()
}

fn integers(frame: &DataFrame, column: &str) -> Vec<i64> {
    frame
        .column(column)
        .unwrap()
        .i64()
        .unwrap()
        .into_no_null_iter()
        .collect()
}

fn floats(frame: &DataFrame, column: &str) -> Vec<f64> {
    frame
        .column(column)
        .unwrap()
        .f64()
        .unwrap()
        .into_no_null_iter()
        .collect()
}
