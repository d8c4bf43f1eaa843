//! Arrow record batches as DataFrames.

use std::io::Read;

use arrow_array::{
    Array, ArrowPrimitiveType, RecordBatch,
    cast::AsArray,
    types::{
        Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
        UInt32Type, UInt64Type,
    },
};
use arrow_ipc::reader::StreamReader;
use arrow_schema::DataType;
use polars::prelude::{Column, DataFrame, NamedFrom, Series};

use crate::{Error, Result, error::TableError};

/// Reads an Arrow IPC stream of numeric columns. An empty input gives no rows and no columns.
pub(crate) fn read_frame(input: impl Read, name: &str) -> Result<DataFrame> {
    let mut input = std::io::BufReader::with_capacity(1 << 20, input);
    let empty = std::io::BufRead::fill_buf(&mut input)
        .map_err(TableError::about(name))?
        .is_empty();
    if empty {
        return Ok(DataFrame::empty());
    }
    let batches = StreamReader::try_new(input, None)
        .and_then(|reader| reader.collect::<Result<Vec<_>, _>>())
        .map_err(TableError::about(name))?;
    frame_from_batches(&batches, name)
}

/// Concatenates record batches of numeric columns.
///
/// # Errors
/// - [`TableError::ColumnType`] for a column that is neither numeric nor boolean. Cast it in the
///   query.
/// - [`TableError::Failed`] for batches with different columns.
pub fn frame_from_batches(batches: &[RecordBatch], name: &str) -> Result<DataFrame> {
    let mut whole: Option<DataFrame> = None;
    for batch in batches {
        let schema = batch.schema();
        let columns = schema
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, column)| series(field.name(), column, name))
            .collect::<Result<Vec<Column>>>()?;
        let part = DataFrame::new(batch.num_rows(), columns).map_err(TableError::about(name))?;
        match &mut whole {
            None => whole = Some(part),
            Some(whole) => {
                whole.vstack_mut(&part).map_err(TableError::about(name))?;
            }
        }
    }
    Ok(whole.unwrap_or_default())
}

fn series(column: &str, array: &dyn Array, table: &str) -> Result<Column> {
    Ok(match array.data_type() {
        DataType::UInt8 => primitive::<UInt8Type>(column, array),
        DataType::UInt16 => cast::<UInt16Type, i64>(column, array),
        DataType::UInt32 => cast::<UInt32Type, i64>(column, array),
        DataType::Int8 => cast::<Int8Type, i64>(column, array),
        DataType::Int16 => cast::<Int16Type, i64>(column, array),
        DataType::Int32 => primitive::<Int32Type>(column, array),
        DataType::Int64 => primitive::<Int64Type>(column, array),
        DataType::UInt64 => primitive::<UInt64Type>(column, array),
        DataType::Float32 => primitive::<Float32Type>(column, array),
        DataType::Float64 => primitive::<Float64Type>(column, array),
        DataType::Boolean => {
            let values: Vec<Option<bool>> = array.as_boolean().iter().collect();
            Series::new(column.into(), values).into()
        }
        other => {
            return Err(Error::Table(TableError::ColumnType {
                table: table.to_owned(),
                column: column.to_owned(),
                found: other.to_string(),
                expected: "a number, for instance by a cast in the query,".to_owned(),
            }));
        }
    })
}

fn primitive<T: ArrowPrimitiveType>(column: &str, array: &dyn Array) -> Column
where
    Series: NamedFrom<Vec<Option<T::Native>>, [Option<T::Native>]>,
{
    let values: Vec<Option<T::Native>> = array.as_primitive::<T>().iter().collect();
    Series::new(column.into(), values).into()
}

/// Converts types that polars is compiled without.
fn cast<T: ArrowPrimitiveType, U: From<T::Native>>(column: &str, array: &dyn Array) -> Column
where
    Series: NamedFrom<Vec<Option<U>>, [Option<U>]>,
{
    let array = array.as_primitive::<T>();
    let values: Vec<Option<U>> = array.iter().map(|value| value.map(U::from)).collect();
    Series::new(column.into(), values).into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        BooleanArray, Float64Array, Int16Array, Int32Array, StringArray, UInt8Array,
    };
    use arrow_ipc::writer::StreamWriter;

    use super::*;

    fn batch(columns: Vec<(&str, Arc<dyn Array>)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
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
        let mut bytes = Vec::new();
        let mut writer = StreamWriter::try_new(&mut bytes, &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        let frame = read_frame(&bytes[..], "rows").unwrap();
        assert_eq!(frame.shape(), (4, 5));
        let types: Vec<String> = frame.dtypes().iter().map(ToString::to_string).collect();
        assert_eq!(types, ["u8", "i64", "i32", "f64", "bool"]);
        assert_eq!(frame.column("int").unwrap().null_count(), 2);
        assert_eq!(
            frame.column("short").unwrap().i64().unwrap().get(2),
            Some(-3)
        );
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

    #[test]
    fn a_text_column_is_named() {
        let batch = batch(vec![("name", Arc::new(StringArray::from(vec!["a"])))]);
        let error = frame_from_batches(&[batch], "the query").unwrap_err();
        assert!(
            matches!(&error, Error::Table(TableError::ColumnType { column, .. }) if column == "name"),
            "{error}"
        );
    }
}
