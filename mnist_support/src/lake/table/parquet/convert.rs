//! Types that Parquet has and the stages don't, as types that they have.

use polars::prelude::*;

use super::footer::Footer;
use crate::lake::table::Scan;
use crate::{Result, error::TableError};

/// Converts the columns of a file, and returns them in the order of the scan.
///
/// Decimals become 64-bit floats, 16-bit floats 32-bit ones, and SparkML's vectors lists of numbers.
pub(super) fn frame(
    frame: DataFrame,
    footer: &Footer,
    scan: &Scan,
    file: &str,
) -> Result<DataFrame> {
    let (rows, columns) = (frame.height(), frame.into_columns());
    let columns = columns.into_iter().map(|column| {
        let is_float16 = footer.is_float16(column.name());
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
    let about = || TableError::about(file);
    match column.dtype() {
        DataType::Decimal(..) => column.cast(&DataType::Float64).map_err(about()),
        DataType::Binary if is_float16 => {
            let name = column.name().clone();
            let bytes = column.as_materialized_series().binary().map_err(about())?;
            let values: Float32Chunked =
                bytes.iter().map(|value| value.and_then(float16)).collect();
            Ok(values.with_name(name).into_column())
        }
        DataType::Struct(fields) if is_vector(fields) => {
            let series = column.as_materialized_series();
            vectors(series, file).map(IntoColumn::into_column)
        }
        _ => Ok(column),
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

/// Whether a struct is SparkML's `VectorUDT`.
fn is_vector(fields: &[Field]) -> bool {
    let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    names == ["type", "size", "indices", "values"]
}

/// Returns SparkML's vectors, dense (`type` is 1) and sparse (0), as lists of their values.
fn vectors(series: &Series, file: &str) -> Result<Series> {
    let about = || TableError::about(file);
    let fields = series.struct_().map_err(about())?.fields_as_series();
    let as_lists = |index: usize, inner: DataType| {
        let lists = fields[index].cast(&DataType::List(Box::new(inner)));
        lists.and_then(|lists| Ok(lists.list()?.clone()))
    };
    let integers = |index: usize| {
        let numbers = fields[index].cast(&DataType::Int64);
        numbers.and_then(|numbers| Ok(numbers.i64()?.clone()))
    };
    let (kinds, sizes) = (integers(0).map_err(about())?, integers(1).map_err(about())?);
    let indices = as_lists(2, DataType::Int64).map_err(about())?;
    let values = as_lists(3, DataType::Float64).map_err(about())?;
    let name = series.name().clone();
    let mut lists =
        ListPrimitiveChunkedBuilder::<Float64Type>::new(name, series.len(), 0, DataType::Float64);
    for row in 0..series.len() {
        let Some(kind) = kinds.get(row) else {
            lists.append_null();
            continue;
        };
        let own = values.get_as_series(row);
        let own = own
            .as_ref()
            .and_then(|own| own.f64().ok()?.cont_slice().ok());
        let at = indices.get_as_series(row);
        let at = at.as_ref().and_then(|at| at.i64().ok()?.cont_slice().ok());
        let vector = match (kind, own) {
            (1, Some(values)) => Some(values.to_vec()),
            (0, Some(values)) => sparse(sizes.get(row), at.unwrap_or(&[]), values),
            _ => None,
        };
        let Some(vector) = vector else {
            return Err(TableError::failed(
                file,
                format!(
                    "column {:?}: row {} is no vector of SparkML",
                    series.name(),
                    row + 1
                ),
            ));
        };
        lists.append_slice(&vector);
    }
    Ok(lists.finish().into_series())
}

/// The values of a sparse vector, most of which are 0.
fn sparse(size: Option<i64>, indices: &[i64], values: &[f64]) -> Option<Vec<f64>> {
    // A file can claim any size. Larger vectors than this fit into no fit's memory.
    const LARGEST: usize = 1 << 26;
    let size = usize::try_from(size?)
        .ok()
        .filter(|size| *size <= LARGEST)?;
    let mut vector = vec![0.0; size];
    if indices.len() != values.len() {
        return None;
    }
    for (&index, &value) in indices.iter().zip(values) {
        *vector.get_mut(usize::try_from(index).ok()?)? = value;
    }
    Some(vector)
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

    #[test]
    fn a_sparse_vector_has_its_size() {
        assert_eq!(sparse(Some(3), &[2], &[5.0]), Some(vec![0.0, 0.0, 5.0]));
        for (size, indices) in [
            (Some(3), &[3][..]),
            (Some(-1), &[0]),
            (None, &[0]),
            (Some(3), &[]),
        ] {
            assert_eq!(sparse(size, indices, &[5.0]), None);
        }
        assert_eq!(sparse(Some(1 << 40), &[], &[]), None);
    }
}
