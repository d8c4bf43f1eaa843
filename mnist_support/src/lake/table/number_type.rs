//! The number types of a CSV file.

use polars::prelude::DataType;
use serde::{Deserialize, Serialize};

/// The type of a CSV column, from narrowest to widest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NumberType {
    /// Integers from 0 to 255, one byte each.
    UInt8,
    /// 64-bit integers.
    Int64,
    /// 32-bit floats, with about 7 digits.
    Float32,
    /// 64-bit floats, with about 16 digits.
    Float64,
}

impl From<NumberType> for DataType {
    fn from(number: NumberType) -> DataType {
        match number {
            NumberType::UInt8 => DataType::UInt8,
            NumberType::Int64 => DataType::Int64,
            NumberType::Float32 => DataType::Float32,
            NumberType::Float64 => DataType::Float64,
        }
    }
}
