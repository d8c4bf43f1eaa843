//! Spark's column types.

use std::sync::Arc;

use arrow_schema::{DataType as ArrowType, Field, TimeUnit};
use polars::prelude::DataType;
use serde_json::{Value, json};

/// The type of a column, for Spark's SQL and for the JSON of its `StructType`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SparkType {
    /// A type that both spell alike, such as `long`.
    Atomic(&'static str),
    Decimal {
        precision: u8,
        scale: i8,
    },
    Array(Box<SparkType>),
    Struct(Vec<(String, SparkType)>),
}

impl SparkType {
    pub(crate) const fn named(name: &'static str) -> Self {
        SparkType::Atomic(name)
    }

    /// The smallest type that holds all values of a type of polars'; `None` if there is none.
    pub(crate) fn of(dtype: &DataType) -> Option<Self> {
        Some(match dtype {
            DataType::Boolean => Self::named("boolean"),
            DataType::Int8 => Self::named("byte"),
            DataType::Int16 | DataType::UInt8 => Self::named("short"),
            DataType::Int32 | DataType::UInt16 => Self::named("integer"),
            DataType::Int64 | DataType::UInt32 => Self::named("long"),
            DataType::UInt64 => SparkType::Decimal {
                precision: 20,
                scale: 0,
            },
            DataType::Float32 => Self::named("float"),
            DataType::Float64 => Self::named("double"),
            DataType::String => Self::named("string"),
            DataType::Binary => Self::named("binary"),
            DataType::Date => Self::named("date"),
            DataType::Datetime(..) => Self::named("timestamp"),
            DataType::Decimal(precision, scale) => SparkType::Decimal {
                precision: u8::try_from(*precision).ok()?,
                scale: i8::try_from(*scale).ok()?,
            },
            DataType::Null => Self::named("void"),
            DataType::List(element) => SparkType::Array(Box::new(Self::of(element)?)),
            DataType::Struct(fields) => {
                let fields = fields.iter();
                let fields =
                    fields.map(|field| Some((field.name().to_string(), Self::of(field.dtype())?)));
                SparkType::Struct(fields.collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }

    /// The type in SQL.
    pub(super) fn sql(&self) -> String {
        match self {
            SparkType::Atomic(name) => name.to_string(),
            SparkType::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
            SparkType::Array(element) => format!("array<{}>", element.sql()),
            SparkType::Struct(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, dtype)| format!("{}: {}", quoted(name), dtype.sql()));
                format!("struct<{}>", fields.collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// The type in which Spark takes the column from Python, in which everything may be null.
    pub(super) fn arrow(&self) -> ArrowType {
        match self {
            SparkType::Atomic(name) => match *name {
                "boolean" => ArrowType::Boolean,
                "byte" => ArrowType::Int8,
                "short" => ArrowType::Int16,
                "integer" => ArrowType::Int32,
                "long" => ArrowType::Int64,
                "float" => ArrowType::Float32,
                "double" => ArrowType::Float64,
                "string" => ArrowType::Utf8,
                "binary" => ArrowType::Binary,
                "date" => ArrowType::Date32,
                "timestamp" => ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                "timestamp_ntz" => ArrowType::Timestamp(TimeUnit::Microsecond, None),
                _ => ArrowType::Null,
            },
            SparkType::Decimal { precision, scale } => ArrowType::Decimal128(*precision, *scale),
            SparkType::Array(element) => {
                ArrowType::List(Arc::new(Field::new("element", element.arrow(), true)))
            }
            SparkType::Struct(fields) => {
                let fields = fields.iter();
                let fields = fields.map(|(name, dtype)| Field::new(name, dtype.arrow(), true));
                ArrowType::Struct(fields.collect())
            }
        }
    }

    /// The type in the JSON of a `StructType`, in which everything may be null.
    pub(super) fn json(&self) -> Value {
        match self {
            SparkType::Atomic(_) | SparkType::Decimal { .. } => json!(self.sql()),
            SparkType::Array(element) => {
                json!({"type": "array", "elementType": element.json(), "containsNull": true})
            }
            SparkType::Struct(fields) => {
                let fields = fields.iter().map(|(name, dtype)| {
                    json!({"name": name, "type": dtype.json(), "nullable": true, "metadata": {}})
                });
                json!({"type": "struct", "fields": fields.collect::<Vec<_>>()})
            }
        }
    }
}

/// Returns a column's name as SQL takes it, whatever characters it has.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use polars::prelude::{Field, TimeUnit};

    use super::*;

    #[test]
    fn a_type_is_spelt_as_sql_and_as_json_take_it() {
        let image = DataType::Struct(vec![
            Field::new("bytes".into(), DataType::Binary),
            Field::new(
                "a `path`".into(),
                DataType::List(Box::new(DataType::String)),
            ),
        ]);
        let image = SparkType::of(&image).unwrap();
        assert_eq!(
            image.sql(),
            "struct<`bytes`: binary, `a ``path```: array<string>>"
        );
        assert_eq!(
            image.json()["fields"][1]["type"],
            json!({"type": "array", "elementType": "string", "containsNull": true})
        );
    }

    #[test]
    fn numbers_without_a_sign_get_a_type_that_holds_them_all() {
        let names = [DataType::UInt8, DataType::UInt32, DataType::UInt64]
            .map(|dtype| SparkType::of(&dtype).unwrap().sql());
        assert_eq!(names, ["short", "long", "decimal(20,0)"]);
    }

    #[test]
    fn every_type_has_one_in_which_spark_takes_it() {
        let names = [
            "boolean",
            "byte",
            "short",
            "integer",
            "long",
            "float",
            "double",
            "string",
            "binary",
            "date",
            "timestamp",
            "timestamp_ntz",
        ];
        for name in names {
            assert_ne!(SparkType::named(name).arrow(), ArrowType::Null, "{name}");
        }
    }

    #[test]
    fn what_spark_has_no_type_for_is_none() {
        assert_eq!(SparkType::of(&DataType::Time), None);
        let spans = DataType::List(Box::new(DataType::Duration(TimeUnit::Milliseconds)));
        assert_eq!(SparkType::of(&spans), None);
    }
}
