//! Delta's types and values as the types and values of frames.

use delta_kernel::expressions::Scalar;
use delta_kernel::schema::{DataType as DeltaType, PrimitiveType};
use polars::prelude::*;

use crate::lake::table::types;
use crate::{Error, Result, error::TableError};

/// The type that a column has in a frame, as if it were read from a Parquet file.
pub(super) fn frame_type(dtype: &DeltaType, table: &str, column: &str) -> Result<DataType> {
    let refused = || {
        Error::Table(TableError::ColumnType {
            table: table.to_owned(),
            column: column.to_owned(),
            found: dtype.to_string(),
            expected: "a number, boolean, text, binary, date or timestamp, or a list, map or \
                       struct of these,"
                .to_owned(),
        })
    };
    let inner = |dtype| frame_type(dtype, table, column);
    Ok(match dtype {
        DeltaType::Primitive(primitive) => primitive_type(primitive).ok_or_else(refused)?,
        DeltaType::Array(array) => DataType::List(Box::new(inner(array.element_type())?)),
        DeltaType::Map(map) => {
            let key = Field::new("key".into(), inner(map.key_type())?);
            let value = Field::new("value".into(), inner(map.value_type())?);
            DataType::List(Box::new(DataType::Struct(vec![key, value])))
        }
        DeltaType::Struct(fields) => {
            let fields = fields.fields().map(|field| {
                let dtype = inner(field.data_type())?;
                Ok(Field::new(field.name().as_str().into(), dtype))
            });
            let fields = fields.collect::<Result<Vec<Field>>>()?;
            if types::is_vector(&fields) {
                DataType::List(Box::new(DataType::Float64))
            } else {
                DataType::Struct(fields)
            }
        }
        DeltaType::UserDefined(defined) => inner(defined.sql_type())?,
        DeltaType::Variant(_) => return Err(refused()),
    })
}

fn primitive_type(dtype: &PrimitiveType) -> Option<DataType> {
    use PrimitiveType as P;
    Some(match dtype {
        P::String => DataType::String,
        P::Long => DataType::Int64,
        P::Integer => DataType::Int32,
        P::Short => DataType::Int16,
        P::Byte => DataType::Int8,
        P::Float => DataType::Float32,
        // As in Parquet files.
        P::Double | P::Decimal(_) => DataType::Float64,
        P::Boolean => DataType::Boolean,
        P::Binary => DataType::Binary,
        P::Date => DataType::Date,
        P::Timestamp | P::TimestampNtz => DataType::Datetime(TimeUnit::Microseconds, None),
        P::Void => DataType::Null,
        P::IntervalYearMonth | P::IntervalDayTime => return None,
    })
}

/// The values of a partition column, which the log has as texts, one for each file.
pub(super) fn partition_column<'a>(
    name: &str,
    dtype: &DeltaType,
    values: impl Iterator<Item = Option<&'a str>>,
    table: &str,
) -> Result<Series> {
    let DeltaType::Primitive(primitive) = dtype else {
        return Err(TableError::failed(
            table,
            format!("the partition column {name:?} is of type {dtype}, which none can be"),
        ));
    };
    let frame_type = frame_type(dtype, table, name)?;
    let values = values.map(|value| {
        // As Spark does, which writes an empty text as null.
        let scalar = value.map(|value| primitive.parse_scalar(value));
        let scalar = scalar.transpose().map_err(|error| {
            TableError::failed(
                table,
                format!("the log has a value of partition column {name:?} that is none: {error}"),
            )
        })?;
        Ok(scalar.map_or(AnyValue::Null, any_value))
    });
    let values = values.collect::<Result<Vec<AnyValue<'static>>>>()?;
    Series::from_any_values_and_dtype(name.into(), &values, &frame_type, true)
        .map_err(TableError::about(table))
}

fn any_value(scalar: Scalar) -> AnyValue<'static> {
    match scalar {
        Scalar::Byte(value) => AnyValue::Int8(value),
        Scalar::Short(value) => AnyValue::Int16(value),
        Scalar::Integer(value) => AnyValue::Int32(value),
        Scalar::Long(value) => AnyValue::Int64(value),
        Scalar::Float(value) => AnyValue::Float32(value),
        Scalar::Double(value) => AnyValue::Float64(value),
        Scalar::String(value) => AnyValue::StringOwned(value.into()),
        Scalar::Boolean(value) => AnyValue::Boolean(value),
        Scalar::Timestamp(value) | Scalar::TimestampNtz(value) => {
            AnyValue::Datetime(value, TimeUnit::Microseconds, None)
        }
        Scalar::Date(value) => AnyValue::Date(value),
        Scalar::Binary(value) => AnyValue::BinaryOwned(value),
        Scalar::Decimal(value) => {
            AnyValue::Float64(types::decimal(value.bits(), value.scale().into()))
        }
        // No partition column is of these types.
        Scalar::Null(_)
        | Scalar::IntervalYearMonth(_)
        | Scalar::IntervalDayTime(_)
        | Scalar::Struct(_)
        | Scalar::Array(_)
        | Scalar::Map(_) => AnyValue::Null,
    }
}
