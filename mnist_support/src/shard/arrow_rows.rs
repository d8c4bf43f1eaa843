//! Arrow record batches as DataFrames.

use std::{
    fmt,
    io::{BufRead, BufReader, Read},
    sync::{Mutex, PoisonError},
};

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use polars::prelude::DataFrame;

use super::{Part, Shard, all_rows};
use crate::{
    Result,
    error::TableError,
    interrupt,
    lake::{self, ReadProgress},
};

/// About as many bytes of batches are handled at a time.
const PIECE: usize = 32 << 20;

/// Rows that arrive as an Arrow IPC stream. They are read once, piece by piece, and nothing is kept
/// of them here.
struct StreamRows {
    name: String,
    input: Mutex<Option<Box<dyn BufRead + Send>>>,
}

impl fmt::Debug for StreamRows {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "StreamRows({})", self.name)
    }
}

impl Shard {
    /// Creates a shard of the rows of an Arrow IPC stream, which can be read once. `None` for an
    /// empty stream, which does not even tell its columns. Errors call the table `name`.
    pub(crate) fn stream(
        name: impl Into<String>,
        input: impl Read + Send + 'static,
    ) -> Result<Option<Shard>> {
        let name = name.into();
        let mut input = BufReader::with_capacity(1 << 20, input);
        let start = input.fill_buf().map_err(TableError::about(&name))?;
        if start.is_empty() {
            return Ok(None);
        }
        let input = Mutex::new(Some(Box::new(input) as Box<dyn BufRead + Send>));
        Ok(Some(Shard::new(StreamRows { name, input })))
    }
}

impl Part for StreamRows {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn read(
        &self,
        columns: Option<&[String]>,
        on_progress: &dyn Fn(ReadProgress),
    ) -> Result<DataFrame> {
        all_rows(self, columns, on_progress)
    }

    fn read_each(
        &self,
        _columns: Option<&[String]>,
        _on_progress: &dyn Fn(ReadProgress),
        each: &mut dyn FnMut(DataFrame) -> Result<()>,
    ) -> Result<()> {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        let input = input
            .take()
            .ok_or("its rows arrive once, and have been read");
        let reader = StreamReader::try_new(input.map_err(TableError::about(&self.name))?, None)
            .map_err(TableError::about(&self.name))?;
        let schema = reader.schema();
        let (mut batches, mut bytes, mut pieces) = (Vec::new(), 0, 0);
        for batch in reader {
            interrupt::check("reading", &self.name)?;
            let batch = batch.map_err(TableError::about(&self.name))?;
            bytes += batch.get_array_memory_size();
            batches.push(batch);
            if bytes >= PIECE {
                each(frame_from_batches(&batches, &self.name)?)?;
                (bytes, pieces) = (0, pieces + 1);
                batches.clear();
            }
        }
        if batches.is_empty() && pieces == 0 {
            batches.push(RecordBatch::new_empty(schema));
        }
        match batches.is_empty() {
            true => Ok(()),
            false => each(frame_from_batches(&batches, &self.name)?),
        }
    }
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
    use std::{
        io::Cursor,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

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

    fn stream(bytes: Vec<u8>) -> Shard {
        Shard::stream("rows", Cursor::new(bytes)).unwrap().unwrap()
    }

    fn read(batches: &[&RecordBatch]) -> DataFrame {
        stream(encoded(batches)).read().unwrap()
    }

    fn encoded(batches: &[&RecordBatch]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = StreamWriter::try_new(&mut bytes, &batches[0].schema()).unwrap();
        for batch in batches {
            writer.write(batch).unwrap();
        }
        writer.finish().unwrap();
        bytes
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
    fn a_long_stream_is_read_in_pieces_as_it_arrives() {
        /// Counts what has been read.
        struct Counted(Cursor<Vec<u8>>, Arc<AtomicUsize>);
        impl Read for Counted {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let read = self.0.read(buffer)?;
                self.1.fetch_add(read, Ordering::Relaxed);
                Ok(read)
            }
        }
        let numbers = |from: i32| {
            let numbers: Int32Array = (from..from + (1 << 20)).collect();
            batch(vec![("n", Arc::new(numbers))])
        };
        let batches: Vec<RecordBatch> = (0..20).map(|batch| numbers(batch << 20)).collect();
        let bytes = encoded(&batches.iter().collect::<Vec<_>>());
        let (whole, read) = (bytes.len(), Arc::new(AtomicUsize::new(0)));
        let input = Counted(Cursor::new(bytes), read.clone());
        let shard = Shard::stream("rows", input).unwrap().unwrap();
        let (mut rows, mut so_far) = (0, Vec::new());
        shard
            .read_each(None, &|_| {}, &mut |piece| {
                let first = piece.column("n").unwrap().i32().unwrap().get(0);
                assert_eq!(first, Some(rows as i32));
                rows += piece.height();
                so_far.push(read.load(Ordering::Relaxed));
                Ok(())
            })
            .unwrap();
        assert_eq!(rows, 20 << 20);
        assert!(so_far.len() >= 3 && so_far[0] < whole / 2, "{so_far:?}");
        let error = shard.read().unwrap_err();
        assert!(error.to_string().contains("arrive once"), "{error}");
    }

    #[test]
    fn an_empty_input_is_no_shard_and_one_without_rows_has_its_columns() {
        assert!(Shard::stream("rows", &b""[..]).unwrap().is_none());
        let none = batch(vec![("n", Arc::new(Int32Array::from(Vec::<i32>::new())))]);
        assert_eq!(read(&[&none]).shape(), (0, 1));
        assert_eq!(stream(encoded(&[&none])).read().unwrap().shape(), (0, 1));
        let error = stream(b"\xff\xff\xff\xff\x10".to_vec()).read();
        let error = error.unwrap_err();
        assert!(
            matches!(error, Error::Table(TableError::Failed { .. })),
            "{error}"
        );
    }
}
