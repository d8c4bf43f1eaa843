//! Types that Parquet has and the stages don't, as types that they have.

use polars::prelude::*;

use super::footer::Footer;
use crate::lake::table::{Scan, types};
use crate::{Result, error::TableError};

/// Converts the columns of a file, and returns them in the order of the scan.
///
/// Decimals become 64-bit floats, 16-bit floats 32-bit ones, and SparkML's vectors lists of
/// numbers.
pub(super) fn frame(
    frame: DataFrame,
    footer: &Footer,
    scan: &Scan,
    file: &str,
) -> Result<DataFrame> {
    let (rows, columns) = (frame.height(), frame.into_columns());
    let of_float16: Vec<&str> = footer.columns_of_float16().collect();
    let columns = columns.into_iter().map(|column| {
        let is_float16 = of_float16.contains(&column.name().as_str());
        converted(column, is_float16, file)
    });
    let columns = columns.collect::<Result<Vec<Column>>>()?;
    let frame = DataFrame::new(rows, columns).map_err(TableError::about(file))?;
    match &scan.columns {
        None => Ok(frame),
        Some(columns) => frame.select(columns).map_err(TableError::about(file)),
    }
}

fn converted(column: Column, is_float16: bool, file: &str) -> Result<Column> {
    let mut series = column.take_materialized_series();
    if is_float16 {
        series = floats(series).map_err(TableError::about(file))?;
    }
    types::plain(series, file).map(IntoColumn::into_column)
}

/// Makes numbers of 16-bit floats, which were read as bytes, also within lists.
fn floats(series: Series) -> PolarsResult<Series> {
    match series.dtype() {
        DataType::Binary => {
            let values = series.binary()?.iter();
            let values: Float32Chunked = values.map(|value| value.and_then(float16)).collect();
            Ok(values.with_name(series.name().clone()).into_series())
        }
        DataType::List(_) => Ok(series.list()?.apply_to_inner(&floats)?.into_series()),
        _ => Ok(series),
    }
}

/// A 16-bit float (IEEE 754 binary16, little endian).
fn float16(bytes: &[u8]) -> Option<f32> {
    let bits = u16::from_le_bytes(bytes.try_into().ok()?);
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    Some(match exponent {
        0 => sign * fraction * 2_f32.powi(-24),
        0x1f if fraction == 0.0 => sign * f32::INFINITY,
        0x1f => f32::NAN,
        _ => sign * (1024.0 + fraction) * 2_f32.powi(exponent - 25),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_of_16_bits_are_decoded() {
        for (bits, value) in [
            (0x3c00_u16, 1.0_f32),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x0001, 5.960_464_5e-8),
            (0x7bff, 65504.0),
            (0x7c00, f32::INFINITY),
            (0x8000, 0.0),
        ] {
            assert_eq!(float16(&bits.to_le_bytes()), Some(value), "{bits:#x}");
        }
        assert!(float16(&0x7e00_u16.to_le_bytes()).unwrap().is_nan());
        assert_eq!(float16(&[1]), None);
    }
}
