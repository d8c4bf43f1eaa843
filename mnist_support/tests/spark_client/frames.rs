//! The rows of queries as DataFrames.

use mnist_support::{
    lake::{Credentials, Lake},
    worker::frame_from_batches,
};
use polars::prelude::{Column, DataFrame, DataType, TimeUnit};

use crate::Bench;

const QUERY: &str = "
    SELECT id,
        CAST(id AS TINYINT) AS byte, CAST(id AS SMALLINT) AS short, CAST(id AS INT) AS int,
        CAST(id AS FLOAT) AS float, id / 3 AS double, id = 1 AS flag,
        CAST(id / 3 AS DECIMAL(12, 4)) AS decimal, CAST(id AS DECIMAL(38, 10)) AS large_decimal,
        CONCAT('größe ', id) AS text, CAST('ab' AS BINARY) AS binary,
        DATE_ADD(DATE '1969-12-31', CAST(id AS INT)) AS date,
        TIMESTAMP '2026-01-02 03:04:05.678901 UTC' AS time,
        TIMESTAMP_NTZ '2026-01-02 03:04:05.678901' AS local_time,
        ARRAY(id, NULL) AS list, ARRAY(ARRAY('x'), ARRAY()) AS lists,
        NAMED_STRUCT('a', id, 'b', DATE '2026-01-02') AS struct, MAP('k', id) AS map,
        CASE WHEN id <> 1 THEN id END AS hole, CASE WHEN id <> 1 THEN ARRAY(id) END AS no_list,
        CASE WHEN id <> 1 THEN CONCAT('', id) END AS no_text
    FROM RANGE(0, 3, 1, 1)";

/// A frame with all timestamps in microseconds: Spark writes them to Parquet in nanoseconds.
fn in_microseconds(frame: DataFrame) -> DataFrame {
    let height = frame.height();
    let columns = frame.into_columns().into_iter().map(|column| {
        if matches!(column.dtype(), DataType::Datetime(..)) {
            let micros = DataType::Datetime(TimeUnit::Microseconds, None);
            column.cast(&micros).unwrap()
        } else {
            column
        }
    });
    DataFrame::new(height, columns.collect::<Vec<Column>>()).unwrap()
}

#[test]
fn the_columns_of_a_query_are_those_of_the_same_table_in_parquet() {
    let Some(bench) = Bench::new() else { return };
    let folder = bench.folder.path().join("table");
    let write = format!(
        "INSERT OVERWRITE DIRECTORY '{}' USING parquet {QUERY}",
        folder.display()
    );
    bench.spark.sql(&write).collect().unwrap();
    let lake = Lake::open(folder.to_str().unwrap(), &Credentials::local()).unwrap();
    let written = lake.parquet("").unwrap().collect().unwrap();
    let batches = bench.spark.sql(QUERY).collect().unwrap();
    let read = frame_from_batches(&batches, "the query").unwrap();
    assert_eq!(read.height(), 3);
    let (read, written) = (in_microseconds(read), in_microseconds(written));
    for (read, written) in read.columns().iter().zip(written.columns()) {
        assert_eq!(read.dtype(), written.dtype(), "{}", read.name());
        let (read, written) = (
            read.as_materialized_series(),
            written.as_materialized_series(),
        );
        assert!(read.equals_missing(written), "{read} {written}");
    }
    assert_eq!(read.column("no_text").unwrap().null_count(), 1);
}
