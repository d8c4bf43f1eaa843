//! Types that files have and the stages don't, as types that they have.

use polars::prelude::*;

use crate::{Result, error::TableError};

/// Converts a column: decimals to 64-bit floats, SparkML's vectors to lists of numbers, also within
/// lists and structs.
pub(super) fn plain(series: Series, table: &str) -> Result<Series> {
    converted(series).map_err(TableError::about(table))
}

fn converted(series: Series) -> PolarsResult<Series> {
    match series.dtype() {
        DataType::Decimal(..) => decimals(&series),
        DataType::Struct(fields) if is_vector(fields) => vectors(&series),
        dtype if is_plain(dtype) => Ok(series),
        DataType::List(_) => Ok(series.list()?.apply_to_inner(&converted)?.into_series()),
        DataType::Struct(_) => {
            let fields = |field: &Series| converted(field.clone());
            Ok(series.struct_()?.try_apply_fields(fields)?.into_series())
        }
        _ => Ok(series),
    }
}

/// Whether there is nothing to convert in a type.
fn is_plain(dtype: &DataType) -> bool {
    match dtype {
        DataType::Decimal(..) => false,
        DataType::List(inner) => is_plain(inner),
        DataType::Struct(fields) => {
            !is_vector(fields) && fields.iter().all(|field| is_plain(field.dtype()))
        }
        _ => true,
    }
}

fn decimals(series: &Series) -> PolarsResult<Series> {
    let decimals = series.decimal()?;
    let scale = decimals.scale() as i32;
    let values = decimals.physical().iter();
    let values = values.map(|value| value.map(|value| decimal(value, scale)));
    let values: Float64Chunked = values.collect();
    Ok(values.with_name(series.name().clone()).into_series())
}

/// The float that is nearest to a decimal, `value` / 10^`scale`.
pub(super) fn decimal(value: i128, scale: i32) -> f64 {
    // Both are exact as floats, so their quotient is rounded once.
    if value.unsigned_abs() <= 1 << 53 && (0..=22).contains(&scale) {
        value as f64 / 10_f64.powi(scale)
    } else {
        large_decimal(value, scale)
    }
}

/// Like [`decimal`], for integers of any width.
pub(super) fn large_decimal(value: impl std::fmt::Display, scale: i32) -> f64 {
    let digits = format!("{value}e{}", -scale);
    digits.parse().unwrap_or(f64::NAN)
}

/// Whether a struct is SparkML's `VectorUDT`.
pub(super) fn is_vector(fields: &[Field]) -> bool {
    let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    names == ["type", "size", "indices", "values"]
}

/// Returns SparkML's vectors, dense (`type` is 1) and sparse (0), as lists of their values.
fn vectors(series: &Series) -> PolarsResult<Series> {
    let fields = series.struct_()?.fields_as_series();
    let as_lists = |index: usize, inner: DataType| {
        let lists = fields[index].cast(&DataType::List(Box::new(inner)));
        lists.and_then(|lists| Ok(lists.list()?.clone()))
    };
    let integers = |index: usize| {
        let numbers = fields[index].cast(&DataType::Int64);
        numbers.and_then(|numbers| Ok(numbers.i64()?.clone()))
    };
    let (kinds, sizes) = (integers(0)?, integers(1)?);
    let indices = as_lists(2, DataType::Int64)?;
    let values = as_lists(3, DataType::Float64)?;
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
            let reason = format!(
                "column {:?}: row {} is no vector of SparkML",
                series.name(),
                row + 1
            );
            return Err(PolarsError::ComputeError(reason.into()));
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
    fn decimals_become_the_nearest_floats() {
        assert_eq!(decimal(125, 2), 1.25);
        assert_eq!(decimal(-1, 1), -0.1);
        assert_eq!(decimal(12, -3), 12000.0);
        assert_eq!(decimal(i128::MAX, 38), 1.701_411_834_604_692_3);
        // Rounding to a float before the division would be off by one.
        for value in [90_071_992_547_409_931_i128, 123_456_789_012_345_678_901] {
            let text = format!("{value}e-5");
            assert_eq!(decimal(value, 5), text.parse::<f64>().unwrap());
        }
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
