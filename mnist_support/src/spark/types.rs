//! Spark's column types.

use std::borrow::Cow;

use polars::prelude::DataType;
use serde_json::{Value, json};

/// The type of a column, for Spark's SQL and for the JSON of its `StructType`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SparkType {
    /// A type that both spell alike, such as `long`.
    Atomic(Cow<'static, str>),
    Array(Box<SparkType>),
    Struct(Vec<(String, SparkType)>),
}

impl SparkType {
    pub(crate) const fn named(name: &'static str) -> Self {
        SparkType::Atomic(Cow::Borrowed(name))
    }

    /// The smallest type that holds all values of a type of polars'; `None` if there is none.
    pub(crate) fn of(dtype: &DataType) -> Option<Self> {
        Some(match dtype {
            DataType::Boolean => Self::named("boolean"),
            DataType::Int8 => Self::named("byte"),
            DataType::Int16 | DataType::UInt8 => Self::named("short"),
            DataType::Int32 | DataType::UInt16 => Self::named("integer"),
            DataType::Int64 | DataType::UInt32 => Self::named("long"),
            DataType::UInt64 => Self::named("decimal(20,0)"),
            DataType::Float32 => Self::named("float"),
            DataType::Float64 => Self::named("double"),
            DataType::String => Self::named("string"),
            DataType::Binary => Self::named("binary"),
            DataType::Date => Self::named("date"),
            DataType::Datetime(..) => Self::named("timestamp"),
            DataType::Decimal(precision, scale) => {
                SparkType::Atomic(format!("decimal({precision},{scale})").into())
            }
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
            SparkType::Array(element) => format!("array<{}>", element.sql()),
            SparkType::Struct(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, dtype)| format!("{}: {}", quoted(name), dtype.sql()));
                format!("struct<{}>", fields.collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// The type in the JSON of a `StructType`, in which everything may be null.
    pub(super) fn json(&self) -> Value {
        match self {
            SparkType::Atomic(name) => json!(name),
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
    fn what_spark_has_no_type_for_is_none() {
        assert_eq!(SparkType::of(&DataType::Time), None);
        let spans = DataType::List(Box::new(DataType::Duration(TimeUnit::Milliseconds)));
        assert_eq!(SparkType::of(&spans), None);
    }
}
