//! Arrow record batches as DataFrames.

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrowPrimitiveType, RecordBatch, RunArray, StructArray};
use arrow_buffer::{ArrowNativeType, NullBuffer};
use arrow_schema::{DataType as ArrowType, IntervalUnit, TimeUnit as ArrowUnit};
use polars::datatypes as to;
use polars::prelude::{
    BinaryChunked, BooleanChunked, ChunkApply, ChunkFullNull, ChunkedArray, Column, CompatLevel,
    DataFrame, DataType, Float32Chunked, Float64Chunked, IdxCa, IdxSize, Int32Chunked,
    Int64Chunked, IntoSeries, LargeListArray, PlSmallStr, PolarsNumericType, PolarsResult, Series,
    StringChunked, StructChunked, TimeUnit,
};
use polars_arrow::bitmap::Bitmap;
use polars_arrow::offset::OffsetsBuffer;

use super::types;
use crate::{Error, Result, error::TableError};

/// Concatenates record batches. `table` names them in errors.
///
/// The columns get the types that they have in a Parquet file of the same table.
pub(crate) fn frame_from_batches(batches: &[RecordBatch], table: &str) -> Result<DataFrame> {
    let mut whole: Option<DataFrame> = None;
    for batch in batches {
        let part = frame(batch, table)?;
        match &mut whole {
            None => whole = Some(part),
            Some(whole) => {
                whole
                    .vstack_mut_owned(part)
                    .map_err(TableError::about(table))?;
            }
        }
    }
    Ok(whole.unwrap_or_default())
}

/// Converts a record batch.
fn frame(batch: &RecordBatch, table: &str) -> Result<DataFrame> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    let columns = columns.map(|(field, array)| {
        let source = Source {
            table,
            column: field.name(),
        };
        let series = source.series(array)?.with_name(field.name().into());
        types::plain(series, table).map(Column::from)
    });
    let columns = columns.collect::<Result<Vec<Column>>>()?;
    DataFrame::new(batch.num_rows(), columns).map_err(TableError::about(table))
}

/// The column that is being converted, for errors.
struct Source<'a> {
    table: &'a str,
    column: &'a str,
}

impl Source<'_> {
    fn refused(&self, found: &ArrowType) -> Error {
        Error::Table(TableError::ColumnType {
            table: self.table.to_owned(),
            column: self.column.to_owned(),
            found: found.to_string(),
            expected: "a type that Parquet has, too,".to_owned(),
        })
    }

    fn about<T>(&self, converted: PolarsResult<T>) -> Result<T> {
        converted.map_err(TableError::about(self.table))
    }

    /// Converts an array.
    fn series(&self, array: &dyn Array) -> Result<Series> {
        use ArrowType as A;
        Ok(match array.data_type() {
            A::Null => Series::full_null(PlSmallStr::EMPTY, array.len(), &DataType::Null),
            A::Boolean => array
                .as_boolean()
                .iter()
                .collect::<BooleanChunked>()
                .into_series(),
            A::Int8 => primitive::<Int8Type, to::Int8Type>(array).into_series(),
            A::Int16 => primitive::<Int16Type, to::Int16Type>(array).into_series(),
            A::Int32 => primitive::<Int32Type, to::Int32Type>(array).into_series(),
            A::Int64 => primitive::<Int64Type, to::Int64Type>(array).into_series(),
            A::UInt8 => primitive::<UInt8Type, to::UInt8Type>(array).into_series(),
            A::UInt16 => primitive::<UInt16Type, to::UInt16Type>(array).into_series(),
            A::UInt32 => primitive::<UInt32Type, to::UInt32Type>(array).into_series(),
            A::UInt64 => primitive::<UInt64Type, to::UInt64Type>(array).into_series(),
            A::Float16 => {
                let values = array.as_primitive::<Float16Type>().iter();
                let values = values.map(|value| value.map(f32::from));
                values.collect::<Float32Chunked>().into_series()
            }
            A::Float32 => primitive::<Float32Type, to::Float32Type>(array).into_series(),
            A::Float64 => primitive::<Float64Type, to::Float64Type>(array).into_series(),
            A::Interval(IntervalUnit::YearMonth) => {
                primitive::<IntervalYearMonthType, to::Int32Type>(array).into_series()
            }
            A::Decimal32(..) | A::Decimal64(..) | A::Decimal128(..) | A::Decimal256(..) => {
                decimals(array).into_series()
            }
            A::Date32
            | A::Date64
            | A::Timestamp(..)
            | A::Time32(_)
            | A::Time64(_)
            | A::Duration(_) => times(array).ok_or_else(|| self.refused(array.data_type()))?,
            A::Utf8 => texts(array.as_string::<i32>().iter()),
            A::LargeUtf8 => texts(array.as_string::<i64>().iter()),
            A::Utf8View => texts(array.as_string_view().iter()),
            A::Binary => binaries(array.as_binary::<i32>().iter()),
            A::LargeBinary => binaries(array.as_binary::<i64>().iter()),
            A::BinaryView => binaries(array.as_binary_view().iter()),
            A::FixedSizeBinary(_) => binaries(array.as_fixed_size_binary().iter()),
            _ => self.nested(array)?,
        })
    }

    /// Converts an array that has others in it.
    fn nested(&self, array: &dyn Array) -> Result<Series> {
        use ArrowType as A;
        match array.data_type() {
            A::List(_) => {
                let lists = array.as_list::<i32>();
                self.lists(lists.values(), lists.value_offsets(), lists.nulls())
            }
            A::LargeList(_) => {
                let lists = array.as_list::<i64>();
                self.lists(lists.values(), lists.value_offsets(), lists.nulls())
            }
            A::Map(..) => {
                let maps = array.as_map();
                self.lists(maps.entries(), maps.value_offsets(), maps.nulls())
            }
            A::FixedSizeList(_, size) => {
                let lists = array.as_fixed_size_list();
                let offsets: Vec<i64> = (0..=lists.len() as i64)
                    .map(|row| row * i64::from(*size))
                    .collect();
                self.lists(lists.values(), &offsets, lists.nulls())
            }
            A::ListView(_) => {
                let lists = array.as_list_view::<i32>();
                let (starts, lengths) = (lists.value_offsets(), lists.value_sizes());
                self.list_views(lists.values(), starts, lengths, lists.nulls())
            }
            A::LargeListView(_) => {
                let lists = array.as_list_view::<i64>();
                let (starts, lengths) = (lists.value_offsets(), lists.value_sizes());
                self.list_views(lists.values(), starts, lengths, lists.nulls())
            }
            A::Struct(_) => self.structs(array.as_struct()),
            A::Dictionary(..) => {
                let dictionary = array.as_any_dictionary();
                let keys = self.series(dictionary.keys())?.cast(&to::IDX_DTYPE);
                let keys = self.about(keys)?;
                let values = self.series(dictionary.values())?;
                self.about(keys.idx().and_then(|keys| values.take(keys)))
            }
            A::RunEndEncoded(ends, _) => match ends.data_type() {
                A::Int16 => self.runs(array.as_run::<Int16Type>()),
                A::Int32 => self.runs(array.as_run::<Int32Type>()),
                A::Int64 => self.runs(array.as_run::<Int64Type>()),
                other => Err(self.refused(other)),
            },
            other => Err(self.refused(other)),
        }
    }

    fn structs(&self, structs: &StructArray) -> Result<Series> {
        let columns = structs.fields().iter().zip(structs.columns());
        let columns = columns
            .map(|(field, column)| Ok(self.series(column)?.with_name(field.name().into())))
            .collect::<Result<Vec<Series>>>()?;
        let whole = StructChunked::from_series(PlSmallStr::EMPTY, structs.len(), columns.iter());
        let validity = validity(structs.nulls());
        let whole = self.about(whole)?.with_outer_validity(validity);
        Ok(whole.into_series())
    }

    fn lists<O: ArrowNativeType + Into<i64>>(
        &self,
        values: &dyn Array,
        offsets: &[O],
        nulls: Option<&NullBuffer>,
    ) -> Result<Series> {
        let offsets: Vec<i64> = offsets.iter().map(|&offset| offset.into()).collect();
        self.about(lists(self.series(values)?, offsets, nulls))
    }

    fn list_views<O: ArrowNativeType>(
        &self,
        values: &dyn Array,
        starts: &[O],
        lengths: &[O],
        nulls: Option<&NullBuffer>,
    ) -> Result<Series> {
        let mut rows: Vec<IdxSize> = Vec::with_capacity(values.len());
        let mut offsets = vec![0];
        for (start, length) in starts.iter().zip(lengths) {
            let start = start.as_usize();
            rows.extend((start..start + length.as_usize()).map(|row| row as IdxSize));
            offsets.push(rows.len() as i64);
        }
        let values = self.series(values)?;
        let values = values.take(&IdxCa::from_vec(PlSmallStr::EMPTY, rows));
        self.about(values.and_then(|values| lists(values, offsets, nulls)))
    }

    fn runs<R: RunEndIndexType>(&self, runs: &RunArray<R>) -> Result<Series> {
        let rows = (0..runs.len()).map(|row| runs.get_physical_index(row) as IdxSize);
        let rows = IdxCa::from_vec(PlSmallStr::EMPTY, rows.collect());
        self.about(self.series(runs.values())?.take(&rows))
    }
}

fn primitive<A, P>(array: &dyn Array) -> ChunkedArray<P>
where
    A: ArrowPrimitiveType,
    P: PolarsNumericType<Native = A::Native>,
{
    let array = array.as_primitive::<A>();
    if array.null_count() == 0 {
        ChunkedArray::from_vec(PlSmallStr::EMPTY, array.values().to_vec())
    } else {
        array.iter().collect()
    }
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> Series {
    values.collect::<StringChunked>().into_series()
}

fn binaries<'a>(values: impl Iterator<Item = Option<&'a [u8]>>) -> Series {
    values.collect::<BinaryChunked>().into_series()
}

/// Decimals of any width as the nearest floats.
fn decimals(array: &dyn Array) -> Float64Chunked {
    fn floats<T: DecimalType>(
        array: &dyn Array,
        float: impl Fn(T::Native) -> f64,
    ) -> Float64Chunked {
        let values = array.as_primitive::<T>().iter();
        values.map(|value| value.map(&float)).collect()
    }
    match *array.data_type() {
        ArrowType::Decimal32(_, scale) => floats::<Decimal32Type>(array, |value| {
            types::decimal(i128::from(value), scale.into())
        }),
        ArrowType::Decimal64(_, scale) => floats::<Decimal64Type>(array, |value| {
            types::decimal(i128::from(value), scale.into())
        }),
        ArrowType::Decimal256(_, scale) => {
            floats::<Decimal256Type>(array, |value| types::large_decimal(value, scale.into()))
        }
        ArrowType::Decimal128(_, scale) => {
            floats::<Decimal128Type>(array, |value| types::decimal(value, scale.into()))
        }
        _ => Float64Chunked::full_null(PlSmallStr::EMPTY, array.len()),
    }
}

/// Dates, and times as numbers of the unit that polars has for them. Timestamps are in UTC, and
/// durations stay numbers of their own unit.
fn times(array: &dyn Array) -> Option<Series> {
    use ArrowType as A;
    // Years beyond 290 million are not told apart.
    let scaled = |values: Int64Chunked, factor: i64| {
        values.apply_values(|value| value.saturating_mul(factor))
    };
    let datetimes =
        |values: Int64Chunked, unit: TimeUnit| values.into_datetime(unit, None).into_series();
    let seconds = |array| primitive::<Time32SecondType, to::Int32Type>(array);
    let millis = |array| primitive::<Time32MillisecondType, to::Int32Type>(array);
    let wide = |values: Int32Chunked| -> Int64Chunked {
        values.iter().map(|value| value.map(i64::from)).collect()
    };
    Some(match array.data_type() {
        A::Date32 => primitive::<Date32Type, to::Int32Type>(array)
            .into_date()
            .into_series(),
        A::Date64 => {
            let days = |value: i64| value.div_euclid(86_400_000) as i32;
            let days: Int32Chunked = array
                .as_primitive::<Date64Type>()
                .iter()
                .map(|value| value.map(days))
                .collect();
            days.into_date().into_series()
        }
        A::Timestamp(ArrowUnit::Second, _) => {
            let values = primitive::<TimestampSecondType, to::Int64Type>(array);
            datetimes(scaled(values, 1000), TimeUnit::Milliseconds)
        }
        A::Timestamp(ArrowUnit::Millisecond, _) => {
            let values = primitive::<TimestampMillisecondType, to::Int64Type>(array);
            datetimes(values, TimeUnit::Milliseconds)
        }
        A::Timestamp(ArrowUnit::Microsecond, _) => {
            let values = primitive::<TimestampMicrosecondType, to::Int64Type>(array);
            datetimes(values, TimeUnit::Microseconds)
        }
        A::Timestamp(ArrowUnit::Nanosecond, _) => {
            let values = primitive::<TimestampNanosecondType, to::Int64Type>(array);
            datetimes(values, TimeUnit::Nanoseconds)
        }
        A::Time32(ArrowUnit::Second) => scaled(wide(seconds(array)), 1_000_000_000)
            .into_time()
            .into_series(),
        A::Time32(ArrowUnit::Millisecond) => scaled(wide(millis(array)), 1_000_000)
            .into_time()
            .into_series(),
        A::Time64(ArrowUnit::Microsecond) => {
            let values = primitive::<Time64MicrosecondType, to::Int64Type>(array);
            scaled(values, 1000).into_time().into_series()
        }
        A::Time64(ArrowUnit::Nanosecond) => primitive::<Time64NanosecondType, to::Int64Type>(array)
            .into_time()
            .into_series(),
        A::Duration(unit) => durations(array, unit).into_series(),
        _ => return None,
    })
}

fn durations(array: &dyn Array, unit: &ArrowUnit) -> Int64Chunked {
    match unit {
        ArrowUnit::Second => primitive::<DurationSecondType, to::Int64Type>(array),
        ArrowUnit::Millisecond => primitive::<DurationMillisecondType, to::Int64Type>(array),
        ArrowUnit::Microsecond => primitive::<DurationMicrosecondType, to::Int64Type>(array),
        ArrowUnit::Nanosecond => primitive::<DurationNanosecondType, to::Int64Type>(array),
    }
}

/// Lists whose values lie between neighbouring `offsets`.
fn lists(values: Series, offsets: Vec<i64>, nulls: Option<&NullBuffer>) -> PolarsResult<Series> {
    let values = values.rechunk().to_arrow(0, CompatLevel::newest());
    let dtype = LargeListArray::default_datatype(values.dtype().clone());
    let offsets = OffsetsBuffer::try_from(offsets)?;
    let lists = LargeListArray::try_new(dtype, offsets, values, validity(nulls))?;
    Series::try_from((PlSmallStr::EMPTY, lists.boxed()))
}

fn validity(nulls: Option<&NullBuffer>) -> Option<Bitmap> {
    nulls.map(|nulls| nulls.iter().collect())
}
