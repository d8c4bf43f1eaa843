//! What every store must do with Parquet files.

use bytes::Bytes;
use mnist_support::lake::Lake;
use mnist_support::ml::{Transform, VectorAssembler};
use mnist_support::{Error, error::TableError};
use polars::prelude::{Column, DataFrame, Float64Chunked, IntoColumn, ParquetWriter, UInt8Chunked};

use super::{floats, put, sent, u8s};

/// Returns a Parquet file of `rows` rows in row groups of 10 (or slightly more): a byte, and a
/// float of twice the row's index.
pub(crate) fn parquet_bytes(rows: usize, missing: Option<usize>) -> Bytes {
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

pub(crate) fn a_parquet_file_is_read_whole_and_by_its_head(lake: &Lake) {
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

pub(crate) fn the_partitions_of_a_parquet_file_hold_every_row_once_in_order(lake: &Lake) {
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

pub(crate) fn a_parquet_file_that_is_damaged_is_refused(lake: &Lake) {
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
            matches!(&error, Error::Table(TableError::Failed { table, .. }) if *table == format!("{lake}/damaged.parquet")),
            "{what}: {error}"
        );
    }
    put(lake, "damaged.parquet", "");
    assert!(matches!(
        lake.parquet("damaged.parquet"),
        Err(Error::Table(TableError::EmptyFile { .. }))
    ));
    // Whichever byte of the pages is altered, the program goes on.
    for at in (4..whole.len() / 2).step_by(97) {
        let mut altered = whole.to_vec();
        altered[at] ^= 0xff;
        put(lake, "altered.parquet", altered);
        let _ = lake
            .parquet("altered.parquet")
            .and_then(|frame| frame.collect());
    }
}

pub(crate) fn a_missing_value_of_a_parquet_file_is_named_where_it_is_used(lake: &Lake) {
    put(lake, "missing.parquet", parquet_bytes(95, Some(42)));
    let frame = lake.parquet("missing.parquet").unwrap();
    assert_eq!(
        frame
            .collect()
            .unwrap()
            .column("byte")
            .unwrap()
            .null_count(),
        1
    );
    let assembled = |columns: &[&str]| {
        let assembler = VectorAssembler::new().input_cols(columns.iter().copied());
        assembler.transform(&frame)
    };
    assert_eq!(assembled(&["double"]).unwrap().height(), 95);
    // It is in the second of two partitions.
    let error = assembled(&["double", "byte"]).unwrap_err();
    assert!(
        matches!(&error, Error::Table(TableError::MissingValue { file, row: 43, column })
            if column == "byte" && *file == format!("{lake}/missing.parquet")),
        "{error}"
    );
    // A filter leaves out rows above it, and the number is still that in the file.
    let filtered = frame.filter("double > 50").unwrap();
    let assembler = VectorAssembler::new().input_cols(["byte"]);
    let error = assembler.transform(&filtered).unwrap_err();
    assert!(
        matches!(
            &error,
            Error::Table(TableError::MissingValue { row: 43, .. })
        ),
        "{error}"
    );
}

pub(crate) fn row_groups_without_a_wanted_row_are_not_read(lake: &Lake) {
    let mut bytes = parquet_bytes(95, None).to_vec();
    // A row group in the middle.
    let damaged = bytes.len() / 4;
    bytes[damaged..damaged + 60].fill(0xff);
    put(lake, "damaged.parquet", bytes);
    let frame = lake.parquet("damaged.parquet").unwrap();
    assert!(frame.collect().is_err());
    for (filter, rows) in [
        ("byte < 10", 0..10),
        ("byte >= 80 AND double < 170", 80..85),
        ("double = 4", 2..3),
        ("byte > 200", 0..0),
        ("byte IS NULL", 0..0),
    ] {
        let some = frame.filter(filter).unwrap();
        let found = u8s(&some.collect().unwrap(), "byte");
        assert!(found.into_iter().eq(rows.clone()), "{filter}");
        let parts = some.partitions(2).unwrap();
        let found = parts
            .iter()
            .flat_map(|part| u8s(&some.read(part).unwrap(), "byte"));
        assert!(found.eq(rows), "{filter}");
    }
}
