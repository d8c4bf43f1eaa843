//! The column types of a CSV file.

use polars::prelude::{DataType, TimeUnit};
use serde::{Deserialize, Serialize};

use super::number_type::NumberType;

/// The type of a CSV column.
///
/// [`UInt8`](Self::UInt8), [`Int64`](Self::Int64) and [`Float64`](Self::Float64) hold more and more
/// numbers, a [`Datetime`](Self::Datetime) holds a date too, and [`String`](Self::String) holds
/// everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ColumnType {
    /// Nothing but nulls so far. They are read as `Float64`, as pandas does.
    Null,
    /// `true` and `false`, in any case.
    Boolean,
    /// Integers from 0 to 255, one byte each.
    UInt8,
    /// 64-bit integers.
    Int64,
    /// 32-bit floats, with about 7 digits. Never inferred.
    Float32,
    /// 64-bit floats, with about 16 digits.
    Float64,
    /// Days: `2026-01-31`.
    Date,
    /// Microseconds since 1970, without a time zone: `2026-01-31 12:30:00.5`. A time with an offset
    /// or a `Z` is converted to UTC; digits beyond microseconds are dropped.
    Datetime,
    /// Text, as it stands in the file.
    String,
}

impl ColumnType {
    /// The narrowest type that holds what both hold.
    pub(super) fn join(self, other: ColumnType) -> ColumnType {
        use ColumnType::{Date, Datetime, Null, String};
        if self == other || other == Null {
            return self;
        }
        if self == Null {
            return other;
        }
        match (self.number(), other.number()) {
            (Some(left), Some(right)) => left.max(right).into(),
            _ => match (self, other) {
                (Date, Datetime) | (Datetime, Date) => Datetime,
                _ => String,
            },
        }
    }

    /// Whether a column of this type holds a value that needs type `value`.
    pub(super) fn holds(self, value: ColumnType) -> bool {
        // Float32 is the caller's choice, who accepts its rounding.
        let rounded = self == ColumnType::Float32 && value.number().is_some();
        rounded || self.join(value) == self
    }

    /// The type of number, if it is one.
    pub(super) fn number(self) -> Option<NumberType> {
        match self {
            ColumnType::UInt8 => Some(NumberType::UInt8),
            ColumnType::Int64 => Some(NumberType::Int64),
            ColumnType::Float32 => Some(NumberType::Float32),
            ColumnType::Float64 => Some(NumberType::Float64),
            _ => None,
        }
    }

    /// What a value of this type is, for errors.
    pub(super) fn description(self) -> &'static str {
        match self {
            ColumnType::Null => "missing",
            ColumnType::Boolean => "true or false",
            ColumnType::UInt8 => "a whole number from 0 to 255",
            ColumnType::Int64 => "a whole number",
            ColumnType::Float32 | ColumnType::Float64 => "a number",
            ColumnType::Date => "a date such as 2026-01-31",
            ColumnType::Datetime => "a time such as 2026-01-31 12:30:00",
            ColumnType::String => "text in UTF-8",
        }
    }
}

impl From<NumberType> for ColumnType {
    fn from(number: NumberType) -> ColumnType {
        match number {
            NumberType::UInt8 => ColumnType::UInt8,
            NumberType::Int64 => ColumnType::Int64,
            NumberType::Float32 => ColumnType::Float32,
            NumberType::Float64 => ColumnType::Float64,
        }
    }
}

impl From<ColumnType> for DataType {
    fn from(column: ColumnType) -> DataType {
        match column {
            ColumnType::Boolean => DataType::Boolean,
            ColumnType::UInt8 => DataType::UInt8,
            ColumnType::Int64 => DataType::Int64,
            ColumnType::Float32 => DataType::Float32,
            ColumnType::Null | ColumnType::Float64 => DataType::Float64,
            ColumnType::Date => DataType::Date,
            ColumnType::Datetime => DataType::Datetime(TimeUnit::Microseconds, None),
            ColumnType::String => DataType::String,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [ColumnType; 8] = [
        ColumnType::Null,
        ColumnType::Boolean,
        ColumnType::UInt8,
        ColumnType::Int64,
        ColumnType::Float64,
        ColumnType::Date,
        ColumnType::Datetime,
        ColumnType::String,
    ];

    #[test]
    fn the_type_of_values_does_not_depend_on_their_order() {
        for a in ALL {
            for b in ALL {
                let both = a.join(b);
                assert_eq!(both, b.join(a));
                assert!(both.holds(a) && both.holds(b), "{a:?} {b:?}");
                for c in ALL {
                    assert_eq!(both.join(c), a.join(b.join(c)), "{a:?} {b:?} {c:?}");
                }
            }
        }
    }

    #[test]
    fn a_column_is_no_wider_than_its_values_need() {
        use ColumnType::{Boolean, Date, Datetime, Float32, Float64, Int64, String, UInt8};
        assert_eq!(UInt8.join(Int64), Int64);
        assert_eq!(Int64.join(Float64), Float64);
        assert_eq!(Date.join(Datetime), Datetime);
        assert_eq!(Boolean.join(UInt8), String);
        assert_eq!(Date.join(Int64), String);
        assert!(Float32.holds(Float64) && !Float32.holds(String) && !UInt8.holds(Int64));
    }
}
