//! Values as the text that Spark casts them to.

use std::borrow::Cow;

use polars::prelude::*;

use crate::{
    Error, Result,
    data::{TableRows, column},
    error::TableError,
};

/// Returns the values of a column of text, numbers or booleans as text; null for null and NaN.
pub(super) fn strings<'a>(
    frame: &'a DataFrame,
    name: &str,
    rows: TableRows<'_>,
) -> Result<Cow<'a, StringChunked>> {
    let series = column(frame, name, rows)?;
    let about = || TableError::about(rows.table());
    Ok(match series.dtype() {
        DataType::String => Cow::Borrowed(series.str().map_err(about())?),
        DataType::Boolean => {
            let values = series.bool().map_err(about())?.iter();
            let text = |value| if value { "true" } else { "false" };
            Cow::Owned(values.map(|value| value.map(text)).collect())
        }
        DataType::Float32 => {
            let values = series.f32().map_err(about())?.iter();
            let values = values.map(|value| value.filter(|value| !value.is_nan()));
            Cow::Owned(values.map(|value| value.map(float)).collect())
        }
        DataType::Float64 => {
            let values = series.f64().map_err(about())?.iter();
            let values = values.map(|value| value.filter(|value| !value.is_nan()));
            Cow::Owned(values.map(|value| value.map(double)).collect())
        }
        dtype if dtype.is_integer() || dtype.is_categorical() || dtype.is_enum() => {
            let cast = series.cast(&DataType::String).map_err(about())?;
            Cow::Owned(cast.str().map_err(about())?.clone())
        }
        other => {
            return Err(Error::Table(TableError::ColumnType {
                table: rows.table().to_owned(),
                column: name.to_owned(),
                found: other.to_string(),
                expected: "a column of text, numbers or booleans".to_owned(),
            }));
        }
    })
}

/// Java's `Double.toString`, which Spark's casts give.
fn double(value: f64) -> String {
    java(value, format!("{value}"), format!("{value:e}"))
}

/// Java's `Float.toString`.
fn float(value: f32) -> String {
    java(value.into(), format!("{value}"), format!("{value:e}"))
}

/// Both ways of Rust to write a number have the digits that Java's has.
fn java(value: f64, plain: String, scientific: String) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let point = |digits: &str| match digits.contains('.') {
        true => digits.to_owned(),
        false => format!("{digits}.0"),
    };
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        return point(&plain);
    }
    match scientific.split_once('e') {
        Some((digits, exponent)) => format!("{}E{exponent}", point(digits)),
        None => scientific,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_java_writes_them() {
        // By jshell: Double.toString and Float.toString.
        for (value, text) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.001, "0.001"),
            (0.000123, "1.23E-4"),
            (1e7, "1.0E7"),
            (9_999_999.5, "9999999.5"),
            (1.5e300, "1.5E300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(double(value), text);
        }
        assert_eq!(float(0.1), "0.1");
        assert_eq!(float(1e10), "1.0E10");
    }
}
