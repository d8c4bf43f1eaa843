//! Arrow record batches as DataFrames.

use std::io::{BufRead, BufReader, Read};

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use polars::prelude::DataFrame;

use crate::{Result, error::TableError, lake};

/// Reads an Arrow IPC stream. An empty input gives no rows and no columns.
pub(crate) fn read_frame(input: impl Read, name: &str) -> Result<DataFrame> {
    let mut input = BufReader::with_capacity(1 << 20, input);
    if input
        .fill_buf()
        .map_err(TableError::about(name))?
        .is_empty()
    {
        return Ok(DataFrame::empty());
    }
    let batches = StreamReader::try_new(input, None)
        .and_then(|reader| reader.collect::<Result<Vec<_>, _>>())
        .map_err(TableError::about(name))?;
    frame_from_batches(&batches, name)
}

/// Concatenates record batches. `name` is what errors call their table.
///
/// Every column gets the type that it has in a Parquet file: numbers, booleans, text, dates, times,
/// lists and structs stay what they are, timestamps are in UTC, decimals become `Float64`, and
/// SparkML's vectors, dense and sparse, lists of numbers. A null is an error only where a stage
/// uses it.
///
/// # Errors
/// - [`TableError::ColumnType`] for a column of a type that Parquet does not have, such as a union.
/// - [`TableError::Failed`] for batches with different columns.
pub fn frame_from_batches(batches: &[RecordBatch], name: &str) -> Result<DataFrame> {
    lake::frame_from_batches(batches, name)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array,
        Int8Array, Int16Array, Int32Array, ListArray, RecordBatch, StringArray, StructArray,
        TimestampMicrosecondArray, UInt8Array,
        types::{Float64Type, Int32Type},
    };
    use arrow_ipc::writer::StreamWriter;
    use arrow_schema::{DataType, Field};
    use polars::prelude::{AnyValue, TimeUnit};

    use super::*;
    use crate::Error;

    fn batch(columns: Vec<(&str, Arc<dyn Array>)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn read(batches: &[&RecordBatch]) -> DataFrame {
        let mut bytes = Vec::new();
        let mut writer = StreamWriter::try_new(&mut bytes, &batches[0].schema()).unwrap();
        for batch in batches {
            writer.write(batch).unwrap();
        }
        writer.finish().unwrap();
        read_frame(&bytes[..], "rows").unwrap()
    }

    #[test]
    fn a_stream_of_numbers_becomes_a_frame_with_nulls_kept() {
        let batch = batch(vec![
            ("byte", Arc::new(UInt8Array::from(vec![1, 255]))),
            ("short", Arc::new(Int16Array::from(vec![-3, 7]))),
            ("int", Arc::new(Int32Array::from(vec![Some(5), None]))),
            ("double", Arc::new(Float64Array::from(vec![0.5, -1.5]))),
            ("flag", Arc::new(BooleanArray::from(vec![true, false]))),
        ]);
        let frame = read(&[&batch, &batch]);
        assert_eq!(frame.shape(), (4, 5));
        let types: Vec<String> = frame.dtypes().iter().map(ToString::to_string).collect();
        assert_eq!(types, ["u8", "i16", "i32", "f64", "bool"]);
        assert_eq!(frame.column("int").unwrap().null_count(), 2);
        let shorts = frame.column("short").unwrap().i16().unwrap();
        assert_eq!(shorts.get(2), Some(-3));
    }

    #[test]
    fn text_dates_decimals_and_dictionaries_stay_what_they_are() {
        let decimals = Decimal128Array::from(vec![Some(125), None]);
        let times = TimestampMicrosecondArray::from(vec![Some(-1), None]).with_timezone("UTC");
        let words: DictionaryArray<Int32Type> = [None, Some("b")].into_iter().collect();
        let batch = batch(vec![
            (
                "text",
                Arc::new(StringArray::from(vec![Some("größe"), None])),
            ),
            (
                "date",
                Arc::new(Date32Array::from(vec![Some(20_455), None])),
            ),
            ("time", Arc::new(times)),
            (
                "price",
                Arc::new(decimals.with_precision_and_scale(9, 2).unwrap()),
            ),
            ("word", Arc::new(words)),
        ]);
        let frame = read(&[&batch]);
        assert_eq!(
            frame.get(0).unwrap(),
            [
                AnyValue::String("größe"),
                AnyValue::Date(20_455),
                AnyValue::Datetime(-1, TimeUnit::Microseconds, None),
                AnyValue::Float64(1.25),
                AnyValue::Null,
            ]
        );
        assert_eq!(
            frame.column("word").unwrap().get(1).unwrap(),
            AnyValue::String("b")
        );
        for column in &frame.columns()[..4] {
            assert_eq!(column.null_count(), 1, "{}", column.name());
        }
    }

    /// SparkML's vectors (1, 2, 3), dense, and (0, 5, 0), sparse, and a row without a vector.
    fn vectors() -> StructArray {
        let lists = |rows: Vec<Option<Vec<f64>>>| -> ListArray {
            ListArray::from_iter_primitive::<Float64Type, _, _>(
                rows.into_iter()
                    .map(|row| row.map(|row| row.into_iter().map(Some).collect::<Vec<_>>())),
            )
        };
        let indices =
            ListArray::from_iter_primitive::<Int32Type, _, _>([None, Some(vec![Some(1)]), None]);
        let values = lists(vec![Some(vec![1.0, 2.0, 3.0]), Some(vec![5.0]), None]);
        let columns: Vec<(Arc<Field>, ArrayRef)> = vec![
            (
                Arc::new(Field::new("type", DataType::Int8, true)),
                Arc::new(Int8Array::from(vec![Some(1), Some(0), None])),
            ),
            (
                Arc::new(Field::new("size", DataType::Int32, true)),
                Arc::new(Int32Array::from(vec![None, Some(3), None])),
            ),
            (
                Arc::new(Field::new("indices", indices.data_type().clone(), true)),
                Arc::new(indices),
            ),
            (
                Arc::new(Field::new("values", values.data_type().clone(), true)),
                Arc::new(values),
            ),
        ];
        StructArray::from(columns)
    }

    #[test]
    fn vectors_of_sparkml_become_lists_of_numbers() {
        let batch = batch(vec![("features", Arc::new(vectors()))]);
        let frame = read(&[&batch, &batch]);
        let features = frame.column("features").unwrap();
        assert_eq!(features.dtype().to_string(), "list[f64]");
        let rows: Vec<Option<Vec<f64>>> = features
            .list()
            .unwrap()
            .series_iter()
            .map(|row| Some(row?.f64().unwrap().into_no_null_iter().collect()))
            .collect();
        let one = [Some(vec![1.0, 2.0, 3.0]), Some(vec![0.0, 5.0, 0.0]), None];
        assert_eq!(rows, [one.clone(), one].concat());
    }

    #[test]
    fn slices_of_nested_columns_keep_their_rows() {
        let vectors = batch(vec![("features", Arc::new(vectors()))]);
        let whole = read(&[&vectors]);
        for (start, length) in [(0, 1), (1, 1), (1, 2), (2, 1)] {
            let slice = frame_from_batches(&[vectors.slice(start, length)], "rows").unwrap();
            let expected = whole.slice(start as i64, length);
            assert!(slice.equals_missing(&expected), "{start}: {slice}");
        }
    }

    #[test]
    fn an_empty_input_has_no_rows_and_a_truncated_one_is_an_error() {
        assert_eq!(read_frame(&b""[..], "rows").unwrap().shape(), (0, 0));
        let error = read_frame(&b"\xff\xff\xff\xff\x10"[..], "rows").unwrap_err();
        assert!(
            matches!(error, Error::Table(TableError::Failed { .. })),
            "{error}"
        );
    }
}
