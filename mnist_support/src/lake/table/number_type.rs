//! The types of a CSV's numbers.

use polars::prelude::DataType;
use serde::{Deserialize, Serialize};

/// A number's type in a CSV, from the narrowest to the widest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NumberType {
    /// Whole numbers from 0 to 255, a byte each.
    UInt8,
    /// Whole numbers.
    Int64,
    /// Numbers of about 7 digits.
    Float32,
    /// Numbers of about 16 digits.
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
