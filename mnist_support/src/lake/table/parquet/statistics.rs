//! What the statistics of a row group say about conditions.

use std::cmp::Ordering;

use polars_parquet_format::{ConvertedType, LogicalType, SchemaElement, Statistics, Type};

use crate::lake::table::predicate::{Comparison, Constant, Test};

/// The smallest and the largest value of a column chunk.
enum Bounds<'a> {
    Integers(i128, i128),
    Floats(f64, f64),
    Booleans(bool, bool),
    Texts(&'a [u8], &'a [u8]),
}

/// Whether no row of a row group can pass a test of a column that is no nested one, of which it has
/// this many values. `true` is certain, `false` is not.
pub(super) fn exclude(
    test: &Test,
    leaf: &SchemaElement,
    statistics: &Statistics,
    values: i64,
) -> bool {
    let (comparison, constant) = match test {
        Test::IsNull => return statistics.null_count == Some(0),
        Test::IsNotNull => return statistics.null_count == Some(values),
        Test::Compare(comparison, constant) => (*comparison, constant),
    };
    let Some(bounds) = bounds(leaf, statistics) else {
        return false;
    };
    match (bounds, constant) {
        (Bounds::Integers(min, max), Constant::Integer(value)) => {
            outside(comparison, &min, &max, &i128::from(*value), true)
        }
        // As the rows are compared, too.
        (Bounds::Integers(min, max), Constant::Number(value)) => {
            outside(comparison, &(min as f64), &(max as f64), value, false)
        }
        (Bounds::Floats(min, max), Constant::Integer(value)) => {
            outside(comparison, &min, &max, &(*value as f64), false)
        }
        (Bounds::Floats(min, max), Constant::Number(value)) => {
            outside(comparison, &min, &max, value, false)
        }
        (Bounds::Booleans(min, max), Constant::Boolean(value)) => {
            outside(comparison, &min, &max, value, true)
        }
        (Bounds::Texts(min, max), Constant::Text(value)) => {
            outside(comparison, &min, &max, &value.as_bytes(), false)
        }
        _ => false,
    }
}

/// Whether a comparison holds for no value from `min` to `max`. Texts may be cut to shorter bounds,
/// and the bounds of floats leave NaN out, so they say nothing about inequality: they are not
/// `exact`.
fn outside<T: PartialOrd>(
    comparison: Comparison,
    min: &T,
    max: &T,
    value: &T,
    exact: bool,
) -> bool {
    if !matches!(min.partial_cmp(max), Some(Ordering::Less | Ordering::Equal)) {
        // NaN, or a writer that has ordered the values otherwise.
        return false;
    }
    match comparison {
        Comparison::Equal => value < min || value > max,
        Comparison::NotEqual => exact && min == value && max == value,
        Comparison::Less => min >= value,
        Comparison::LessOrEqual => min > value,
        Comparison::Greater => max <= value,
        Comparison::GreaterOrEqual => max < value,
    }
}

/// Whether a column of integers has negative ones; `None` for other columns, and those of a type
/// that integers stand for.
fn is_signed(leaf: &SchemaElement) -> Option<bool> {
    use ConvertedType as C;
    match (&leaf.logical_type, leaf.converted_type) {
        (Some(LogicalType::INTEGER(integer)), _) => Some(integer.is_signed),
        (None, None | Some(C::INT_8 | C::INT_16 | C::INT_32 | C::INT_64)) => Some(true),
        (None, Some(C::UINT_8 | C::UINT_16 | C::UINT_32 | C::UINT_64)) => Some(false),
        _ => None,
    }
}

/// The bounds of a column whose type and order of values are known.
fn bounds<'a>(leaf: &SchemaElement, statistics: &'a Statistics) -> Option<Bounds<'a>> {
    let (min, max) = (
        statistics.min_value.as_ref()?,
        statistics.max_value.as_ref()?,
    );
    let (logical, converted) = (&leaf.logical_type, leaf.converted_type);
    let signed = is_signed(leaf);
    let plain = logical.is_none() && converted.is_none();
    Some(match leaf.type_? {
        Type::INT32 => {
            let integer = |bytes: &[u8]| {
                let bytes = bytes.try_into().ok()?;
                Some(match signed? {
                    true => i128::from(i32::from_le_bytes(bytes)),
                    false => i128::from(u32::from_le_bytes(bytes)),
                })
            };
            Bounds::Integers(integer(min)?, integer(max)?)
        }
        Type::INT64 => {
            let integer = |bytes: &[u8]| {
                let bytes = bytes.try_into().ok()?;
                Some(match signed? {
                    true => i128::from(i64::from_le_bytes(bytes)),
                    false => i128::from(u64::from_le_bytes(bytes)),
                })
            };
            Bounds::Integers(integer(min)?, integer(max)?)
        }
        Type::FLOAT if plain => {
            let float = |bytes: &[u8]| Some(f32::from_le_bytes(bytes.try_into().ok()?));
            Bounds::Floats(float(min)?.into(), float(max)?.into())
        }
        Type::DOUBLE if plain => {
            let float = |bytes: &[u8]| Some(f64::from_le_bytes(bytes.try_into().ok()?));
            Bounds::Floats(float(min)?, float(max)?)
        }
        Type::BOOLEAN => Bounds::Booleans(*min.first()? != 0, *max.first()? != 0),
        Type::BYTE_ARRAY
            if matches!(logical, Some(LogicalType::STRING(_)))
                || converted == Some(ConvertedType::UTF8) =>
        {
            Bounds::Texts(min, max)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_be_is_excluded() {
        use Comparison::*;
        for (comparison, certain, possible) in [
            (Equal, vec![2, 9], vec![3, 5, 8]),
            (NotEqual, vec![], vec![3, 8]),
            (Less, vec![2, 3], vec![4, 9]),
            (LessOrEqual, vec![2], vec![3, 9]),
            (Greater, vec![8, 9], vec![2, 7]),
            (GreaterOrEqual, vec![9], vec![2, 8]),
        ] {
            for value in certain {
                assert!(
                    outside(comparison, &3, &8, &value, true),
                    "{comparison:?} {value}"
                );
            }
            for value in possible {
                assert!(
                    !outside(comparison, &3, &8, &value, true),
                    "{comparison:?} {value}"
                );
            }
        }
        assert!(outside(NotEqual, &3, &3, &3, true));
        // There may be NaN, which the bounds leave out.
        assert!(!outside(NotEqual, &3.0, &3.0, &3.0, false));
        // Bounds of NaN say nothing.
        assert!(!outside(Less, &f64::NAN, &f64::NAN, &0.0, false));
    }

    #[test]
    fn unsigned_integers_and_texts_have_their_own_order() {
        let leaf = |of, converted| SchemaElement {
            type_: Some(of),
            type_length: None,
            repetition_type: None,
            name: "x".to_owned(),
            num_children: None,
            converted_type: converted,
            scale: None,
            precision: None,
            field_id: None,
            logical_type: None,
        };
        let statistics = |min: &[u8], max: &[u8]| Statistics {
            max: None,
            min: None,
            null_count: None,
            distinct_count: None,
            max_value: Some(max.to_vec()),
            min_value: Some(min.to_vec()),
            is_max_value_exact: None,
            is_min_value_exact: None,
        };
        let four = statistics(&1_u32.to_le_bytes(), &u32::MAX.to_le_bytes());
        let unsigned = bounds(&leaf(Type::INT32, Some(ConvertedType::UINT_32)), &four);
        assert!(matches!(unsigned, Some(Bounds::Integers(1, 4_294_967_295))));
        let signed = bounds(&leaf(Type::INT32, None), &four);
        assert!(matches!(signed, Some(Bounds::Integers(1, -1))));
        let texts = statistics(b"a", b"b");
        let utf8 = bounds(&leaf(Type::BYTE_ARRAY, Some(ConvertedType::UTF8)), &texts);
        assert!(matches!(utf8, Some(Bounds::Texts(b"a", b"b"))));
        // The order of decimals, dates and bytes is not that of what they are compared with.
        for unknown in [
            leaf(Type::INT32, Some(ConvertedType::DATE)),
            leaf(Type::INT64, Some(ConvertedType::DECIMAL)),
            leaf(Type::BYTE_ARRAY, None),
        ] {
            assert!(bounds(&unknown, &four).is_none());
        }
    }
}
