//! What every store must do with CSV files.

use mnist_support::lake::{Lake, NumberType};
use mnist_support::{Error, error::TableError};
use polars::prelude::{DataFrame, DataType};

use super::{floats, integers, put, sent, u8s};

pub(crate) fn a_csv_is_read_whole_and_by_its_head(lake: &Lake) {
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

pub(crate) fn the_partitions_of_a_csv_hold_every_row_once_in_order(lake: &Lake) {
    // Lines of very different lengths, a quoted field, no newline at the end.
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

/// Returns about 3 MB of rows `index, index % 256`.
fn large_csv(rows: usize) -> String {
    let mut text = String::from("index,byte,filler\n");
    for index in 0..rows {
        text.push_str(&format!("{index},{},0.{index:020}\n", index % 256));
    }
    text
}

pub(crate) fn a_large_csv_is_cut_at_line_ends(lake: &Lake) {
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

pub(crate) fn a_column_is_widened_where_a_later_row_needs_it(lake: &Lake) {
    // Row 60,000 is not in any of the samples.
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

pub(crate) fn a_wrong_row_of_a_later_partition_has_its_number_in_the_file(lake: &Lake) {
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
        matches!(&error, Error::Table(TableError::RaggedRow { file, row: 60_000, expected: 3, found: 2 }) if *file == url),
        "{error}"
    );
    let error = read_last("1,2,3,4");
    assert!(
        matches!(
            error,
            Error::Table(TableError::RaggedRow {
                row: 60_000,
                found: 4,
                ..
            })
        ),
        "{error}"
    );
    let error = read_last("");
    assert!(
        matches!(
            error,
            Error::Table(TableError::RaggedRow {
                row: 60_000,
                found: 0,
                ..
            })
        ),
        "{error}"
    );
    let error = read_last("1,,3");
    assert!(
        matches!(&error, Error::Table(TableError::MissingValue { file, row: 60_000, column }) if *file == url && column == "byte"),
        "{error}"
    );
    let error = read_last("1,2,three");
    assert!(
        matches!(&error, Error::Table(TableError::InvalidValue { file, row: 60_000, column, value, .. })
            if *file == url && column == "filler" && value == "three"),
        "{error}"
    );
    let error = read_last("1,2,\"3");
    assert!(
        error.to_string().contains("row 60000") && error.to_string().contains(&url),
        "{error}"
    );
}

pub(crate) fn a_csv_that_is_empty_says_what_is_missing(lake: &Lake) {
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
            matches!(&error, Error::Table(TableError::EmptyFile { file, .. }) if *file == format!("{lake}/empty.csv"))
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
        matches!(error, Error::Table(TableError::InvalidValue { row: 2, .. })),
        "{error}"
    );
}
