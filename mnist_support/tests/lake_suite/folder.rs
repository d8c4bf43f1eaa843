//! What every store must do with folders of part files.

use std::time::{Duration, Instant};

use mnist_support::lake::{ColumnType, CsvOptions, FileFormat, Lake, LakeFrame};
use mnist_support::{Error, error::LakeError, error::TableError};

use super::parquet::parquet_bytes;
use super::{integers, put, sent, u8s};

/// What Spark and Databricks write into a folder beside the rows.
fn put_markers(lake: &Lake, folder: &str) {
    for (name, text) in [
        ("_SUCCESS", ""),
        ("_started_123", ""),
        ("_committed_123", "{\"added\": []}"),
        (".part-00000.csv.crc", "crc"),
        ("part-99999.csv", ""),
    ] {
        put(lake, &format!("{folder}/{name}"), text);
    }
}

/// Checks that the partitions of a table hold these bytes of a column in order.
fn check_partitions(frame: &LakeFrame, column: &str, expected: &[u8]) {
    for n in 1..=expected.len() {
        let parts = frame.partitions(n).unwrap();
        assert_eq!(parts.len(), n);
        let rows = parts
            .iter()
            .map(|part| u8s(&frame.read(&sent(part)).unwrap(), column));
        let rows: Vec<Vec<u8>> = rows.collect();
        assert!(rows.iter().all(|rows| !rows.is_empty()), "{n}: {rows:?}");
        assert_eq!(rows.concat(), expected, "{n}");
    }
}

pub(crate) fn a_folder_of_part_files_is_one_table(lake: &Lake) {
    put_markers(lake, "table");
    put(lake, "table/part-00000.csv", "a,b\n1,10\n2,20\n");
    // Columns in another order, and a part without rows.
    put(lake, "table/part-00001.csv", "b,a\n30,3\n40,4\n50,5\n");
    put(lake, "table/part-00002.csv", "a,b\n");
    put(lake, "table/part-00003.csv", "a,b\n6,60\n");
    for frame in [lake.csv("table").unwrap(), lake.table("table/").unwrap()] {
        assert_eq!(frame.name(), format!("{lake}/table"));
        assert_eq!(frame.columns(), ["a", "b"]);
        let whole = frame.collect().unwrap();
        assert_eq!(u8s(&whole, "a"), [1, 2, 3, 4, 5, 6]);
        assert_eq!(u8s(&whole, "b"), [10, 20, 30, 40, 50, 60]);
        assert_eq!(u8s(&frame.head(3).unwrap(), "b"), [10, 20, 30]);
        assert_eq!(frame.head(0).unwrap().shape(), (0, 2));
        check_partitions(&frame, "a", &[1, 2, 3, 4, 5, 6]);
        let error = frame.partitions(7).unwrap_err();
        assert!(
            error.to_string().contains("more than the 6 rows"),
            "{error}"
        );
    }
}

pub(crate) fn a_wrong_value_in_a_part_file_is_found_by_its_file_and_row(lake: &Lake) {
    put(lake, "table/part-00000.csv", "a\n1\n2\n");
    put(lake, "table/part-00001.csv", "a\n3\n4\nx\n");
    let options = CsvOptions::new().schema([("a", ColumnType::Int64)]);
    let frame = lake.csv_with("table", &options).unwrap();
    let parts = frame.partitions(2).unwrap();
    let error = parts
        .iter()
        .find_map(|part| frame.read(part).err())
        .unwrap();
    let file = format!("{lake}/table/part-00001.csv");
    assert!(
        matches!(&error, Error::Table(TableError::InvalidValue { file: found, row: 3, .. })
            if *found == file),
        "{error}"
    );
    put(lake, "table/part-00001.csv", "b\n3\n");
    // The types are learnt from several files.
    let error = lake.csv("table").unwrap_err();
    assert!(
        matches!(&error, Error::Table(TableError::ColumnNotFound { table, column, .. })
            if *table == file && column == "a"),
        "{error}"
    );
}

pub(crate) fn folders_name_partition_columns(lake: &Lake) {
    put(
        lake,
        "sales/year=2025/city=Z%C3%BCrich/p.csv",
        "price\n1\n2\n",
    );
    put(lake, "sales/year=2026/city=Bern/p.csv", "price\n3\n");
    let frame = lake.csv("sales").unwrap();
    assert_eq!(frame.columns(), ["price", "year", "city"]);
    let whole = frame.collect().unwrap();
    assert_eq!(integers(&whole, "year"), [2025, 2025, 2026]);
    let cities = whole.column("city").unwrap().str().unwrap();
    assert_eq!(cities.get(0), Some("Zürich"));
    check_partitions(&frame, "price", &[1, 2, 3]);
    let years = frame.select(["year"]).unwrap();
    assert_eq!(
        integers(&years.collect().unwrap(), "year"),
        [2025, 2025, 2026]
    );
    put(lake, "sales/month=1/p.csv", "price\n3\n");
    let error = lake.csv("sales").unwrap_err();
    assert!(error.to_string().contains("month"), "{error}");
}

pub(crate) fn patterns_and_lists_of_files_are_tables(lake: &Lake) {
    for (name, value) in [("a-1", 1), ("a-2", 2), ("b-1", 3)] {
        put(lake, &format!("in/{name}.csv"), format!("v\n{value}\n"));
    }
    let values = |frame: LakeFrame| u8s(&frame.collect().unwrap(), "v");
    assert_eq!(values(lake.csv("in/a-*.csv").unwrap()), [1, 2]);
    assert_eq!(values(lake.table("*/?-1.csv").unwrap()), [1, 3]);
    assert_eq!(
        values(lake.csv(["in/b-1.csv", "in/a-1.csv"]).unwrap()),
        [3, 1]
    );
    for nothing in ["in/c-*.csv", "out", "in/*"] {
        let error = match lake.csv(nothing) {
            Err(error) => error,
            Ok(_) if nothing == "in/*" => continue,
            Ok(frame) => panic!("{frame:?}"),
        };
        assert!(
            matches!(error, Error::Lake(LakeError::NotFound { .. })),
            "{error}"
        );
    }
    put(lake, "in/c.parquet", parquet_bytes(3, None));
    let error = lake.table("in").unwrap_err();
    assert!(error.to_string().contains("several formats"), "{error}");
    put(lake, "delta/_delta_log/00000000000000000000.json", "{}");
    put(lake, "delta/part-0.parquet", parquet_bytes(3, None));
    let error = lake.parquet("delta").unwrap_err();
    assert!(error.to_string().contains("Delta table"), "{error}");
    let error = lake.table("delta").unwrap_err();
    assert!(error.to_string().contains("metadata"), "{error}");
}

pub(crate) fn files_that_a_filter_on_their_folders_excludes_are_not_read(lake: &Lake) {
    put(lake, "t/year=2025/a.parquet", parquet_bytes(3, None));
    put(lake, "t/year=2026/a.parquet", "no Parquet");
    let frame = lake.parquet("t").unwrap();
    assert!(frame.collect().is_err());
    for condition in ["year < 2026", "year = 2025 AND byte >= 0"] {
        let some = frame.filter(condition).unwrap();
        assert_eq!(some.collect().unwrap().height(), 3, "{condition}");
    }
    let none = frame.filter("year > 2026").unwrap().collect().unwrap();
    assert_eq!((none.height(), none.width()), (0, frame.columns().len()));
}

pub(crate) fn a_folder_of_parquet_files_is_cut_within_large_ones(lake: &Lake) {
    put_markers(lake, "table");
    put(lake, "table/part-00000.parquet", parquet_bytes(200, None));
    put(lake, "table/part-00001.parquet", parquet_bytes(10, None));
    let frame = lake.parquet("table").unwrap();
    let expected: Vec<u8> = (0..200).chain(0..10).collect();
    for n in [1, 2, 3, 7] {
        let parts = frame.partitions(n).unwrap();
        let rows = parts
            .iter()
            .map(|part| u8s(&frame.read(&sent(part)).unwrap(), "byte"));
        let rows: Vec<Vec<u8>> = rows.collect();
        let (least, most) = (210 / n * 2 / 3, 210 / n * 3 / 2);
        let even = |rows: &Vec<u8>| (least..=most).contains(&rows.len());
        assert!(
            rows.iter().all(even),
            "{n}: {:?}",
            rows.iter().map(Vec::len)
        );
        assert_eq!(rows.concat(), expected);
    }
    // Another process opens the very same files, although another has come since.
    let source = serde_json::to_string(frame.source()).unwrap();
    put(lake, "table/part-00002.parquet", parquet_bytes(10, None));
    let source = serde_json::from_str(&source).unwrap();
    let local = mnist_support::lake::Credentials::local();
    if lake.url().starts_with("file://") {
        let there = LakeFrame::open(&source, &local).unwrap();
        assert_eq!(there.collect().unwrap().height(), 210);
    }
    assert_eq!(frame.source().format, FileFormat::Parquet);
}

pub(crate) fn a_thousand_part_files_are_opened_in_seconds(lake: &Lake) {
    let part = parquet_bytes(20, None);
    for index in 0..1000 {
        put(
            lake,
            &format!("table/part-{index:05}.parquet"),
            part.clone(),
        );
    }
    let start = Instant::now();
    let frame = lake.table("table").unwrap();
    let parts = frame.partitions(2).unwrap();
    let took = start.elapsed();
    println!(
        "1,000 files opened and divided in {:.2} s at {lake}",
        took.as_secs_f64()
    );
    assert!(took < Duration::from_secs(3), "{took:?}");
    let rows = parts.iter().map(|part| frame.read(part).unwrap().height());
    assert_eq!(rows.collect::<Vec<_>>(), [10_000, 10_000]);
    println!("and read after {:.2} s", start.elapsed().as_secs_f64());
}

pub(crate) fn columns_and_rows_are_chosen(lake: &Lake) {
    for (name, first) in [("a", 0), ("b", 10)] {
        let rows = (first..first + 10).map(|row| format!("{row},{},{}\n", 2 * row, row % 3));
        put(
            lake,
            &format!("table/{name}.csv"),
            format!("n,twice,rest\n{}", rows.collect::<String>()),
        );
    }
    let frame = lake.csv("table").unwrap();
    let chosen = frame
        .rename([("twice", "double")])
        .unwrap()
        .drop(["rest"])
        .unwrap()
        .filter("double >= 10 AND n <> 12")
        .unwrap();
    assert_eq!(chosen.columns(), ["n", "double"]);
    let expected: Vec<u8> = (5..20).filter(|n| *n != 12).collect();
    let whole = chosen.collect().unwrap();
    assert_eq!(whole.get_column_names(), ["n", "double"]);
    assert_eq!(u8s(&whole, "n"), expected);
    assert_eq!(u8s(&chosen.head(8).unwrap(), "n"), expected[..8]);
    let parts = chosen.partitions(3).unwrap();
    let rows = parts
        .iter()
        .map(|part| u8s(&chosen.read(part).unwrap(), "n"));
    assert_eq!(rows.collect::<Vec<_>>().concat(), expected);
    // A condition on a column that is not selected.
    let few = frame.filter("rest = 0").unwrap().select(["n"]).unwrap();
    assert_eq!(u8s(&few.collect().unwrap(), "n"), [0, 3, 6, 9, 12, 15, 18]);

    for n in [1, 3, 12] {
        let first = frame.limit(12).unwrap();
        assert_eq!(first.collect().unwrap().height(), 12);
        let parts = first.partitions(n).unwrap();
        let rows = parts
            .iter()
            .map(|part| u8s(&first.read(part).unwrap(), "n"));
        assert_eq!(
            rows.collect::<Vec<_>>().concat(),
            (0..12).collect::<Vec<u8>>()
        );
    }
    // The condition is one on the first rows, and no more of them fulfil it.
    let some = frame.limit(12).unwrap().filter("rest = 0").unwrap();
    assert_eq!(u8s(&some.collect().unwrap(), "n"), [0, 3, 6, 9]);
    assert_eq!(u8s(&some.head(5).unwrap(), "n"), [0, 3, 6, 9]);
    assert_eq!(u8s(&some.head(2).unwrap(), "n"), [0, 3]);
    for (error, said) in [
        (frame.select(["n", "m"]).unwrap_err(), "no column \"m\""),
        (frame.select(["n", "n"]).unwrap_err(), "twice"),
        (
            frame.drop(["n", "twice", "rest"]).unwrap_err(),
            "leaves no column",
        ),
        (frame.rename([("n", "rest")]).unwrap_err(), "two columns"),
        (frame.filter("m = 1").unwrap_err(), "no column \"m\""),
        (frame.filter("n = ").unwrap_err(), "comparison"),
        (chosen.limit(3).unwrap_err(), "after the filter"),
    ] {
        assert!(error.to_string().contains(said), "{error}");
    }
}
