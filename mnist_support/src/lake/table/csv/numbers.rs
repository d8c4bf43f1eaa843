//! The narrowest type that holds a number.

use super::lines;
use crate::lake::table::NumberType;

/// The kind of a field.
#[derive(Debug, PartialEq)]
pub(super) enum FieldKind {
    Missing,
    /// A number that this type and all wider ones can hold.
    Number(NumberType),
    /// Anything else, including `nan` and infinities.
    Other,
}

/// Classifies a field. As in polars, spaces before a number are skipped, but not spaces after it.
pub(super) fn kind(field: &[u8]) -> FieldKind {
    let field = field.trim_ascii_start();
    if field.is_empty() {
        return FieldKind::Missing;
    }
    let Ok(text) = std::str::from_utf8(field) else {
        return FieldKind::Other;
    };
    if text.parse::<u8>().is_ok() {
        FieldKind::Number(NumberType::UInt8)
    } else if text.parse::<i64>().is_ok() {
        FieldKind::Number(NumberType::Int64)
    } else if text.parse::<f64>().is_ok_and(f64::is_finite) {
        FieldKind::Number(NumberType::Float64)
    } else {
        FieldKind::Other
    }
}

/// Whether a column of type `column` can hold a number that needs type `number`.
pub(super) fn holds(column: NumberType, number: NumberType) -> bool {
    // Float32 is the caller's choice, who accepts its rounding.
    column >= number || column == NumberType::Float32
}

/// Widens `types` to hold a sample of whole lines. Anything that is not a number is left for the
/// read to report.
pub(super) fn widen(types: &mut [NumberType], sample: &[u8]) {
    for line in lines::split(sample) {
        let fields = lines::fields(line);
        if fields.len() != types.len() {
            continue;
        }
        for (column, field) in types.iter_mut().zip(&fields) {
            if let FieldKind::Number(number) = kind(field)
                && !holds(*column, number)
            {
                *column = number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use NumberType::{Float64, Int64, UInt8};

    #[test]
    fn a_number_needs_the_narrowest_type_that_holds_it() {
        for (field, number) in [
            ("0", UInt8),
            ("255", UInt8),
            (" 7", UInt8),
            ("256", Int64),
            ("-1", Int64),
            ("0.5", Float64),
            ("1e-3", Float64),
            ("9223372036854775808", Float64),
        ] {
            assert_eq!(kind(field.as_bytes()), FieldKind::Number(number), "{field}");
        }
        for field in ["x", "nan", "inf", "1e999", "1 2", "7 ", "0x1F", "1,5"] {
            assert_eq!(kind(field.as_bytes()), FieldKind::Other, "{field}");
        }
        assert_eq!(kind(b"\xff"), FieldKind::Other);
        assert_eq!(kind(b""), FieldKind::Missing);
        assert_eq!(kind(b"  "), FieldKind::Missing);
    }

    #[test]
    fn a_sample_widens_the_columns_that_need_it() {
        let mut types = vec![UInt8; 3];
        widen(&mut types, b"1,2,3\n4,-5,0.5\n7,8\n9,x,1\n");
        assert_eq!(types, [UInt8, Int64, Float64]);
    }
}
