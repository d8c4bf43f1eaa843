//! The values of frames as JSON, as `fixtures/table_values.py` writes them.

use polars::prelude::{AnyValue, Series, TimeUnit};
use serde_json::{Value, json};

/// A value as `fixtures/table_values.py` writes it.
fn json(value: &AnyValue) -> Value {
    let in_ns = |value: i64, unit: &TimeUnit| match unit {
        TimeUnit::Milliseconds => value * 1_000_000,
        TimeUnit::Microseconds => value * 1000,
        TimeUnit::Nanoseconds => value,
    };
    let float = |value: f64| match value {
        value if value.is_finite() => json!(value),
        value if value.is_nan() => json!("nan"),
        value => json!(if value > 0.0 { "inf" } else { "-inf" }),
    };
    match value {
        AnyValue::Null => Value::Null,
        AnyValue::Boolean(value) => json!(value),
        AnyValue::Date(days) => json!(days),
        AnyValue::Datetime(value, unit, _) => json!(in_ns(*value, unit)),
        AnyValue::Time(value) => json!(value),
        AnyValue::Binary(bytes) => {
            let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
            json!(digits.collect::<String>())
        }
        AnyValue::List(series) => Value::Array(jsons(series)),
        AnyValue::Struct(..) => {
            let fields = value._iter_struct_av().map(|value| json(&value));
            Value::Array(fields.collect())
        }
        AnyValue::Float32(value) => float(f64::from(*value)),
        AnyValue::Float64(value) => float(*value),
        AnyValue::UInt64(value) => json!(value),
        value => match (value.get_str(), value.extract::<i64>()) {
            (Some(text), _) => json!(text),
            (None, Some(number)) => json!(number),
            _ => panic!("{value:?}"),
        },
    }
}

pub(crate) fn jsons(series: &Series) -> Vec<Value> {
    series.iter().map(|value| json(&value)).collect()
}

/// Whether two values are the same. JSON may write 2.0 as 2.
pub(crate) fn same(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len()
                && found
                    .iter()
                    .zip(expected)
                    .all(|(found, expected)| same(found, expected))
        }
        (Value::Number(number), _) if number.is_f64() => number.as_f64() == expected.as_f64(),
        _ => found == expected,
    }
}
