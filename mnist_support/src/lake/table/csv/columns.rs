//! The columns of a CSV file.

use std::sync::Arc;

use polars::prelude::{DataType, Field, Schema, SchemaRef};

use crate::lake::table::NumberType;

/// The names and types of the columns of a CSV file.
pub(super) struct Columns {
    names: Vec<String>,
    types: Vec<NumberType>,
    fixed: bool,
}

impl Columns {
    pub(super) fn new(names: Vec<String>) -> Columns {
        let types = vec![NumberType::UInt8; names.len()];
        Columns {
            names,
            types,
            fixed: false,
        }
    }

    /// The same columns with other types, which may be widened.
    pub(super) fn with_types(&self, types: Vec<NumberType>) -> Columns {
        Columns {
            names: self.names.clone(),
            types,
            fixed: false,
        }
    }

    /// The same columns, all of one fixed type, which is not widened.
    pub(super) fn fixed(&self, dtype: NumberType) -> Columns {
        Columns {
            names: self.names.clone(),
            types: vec![dtype; self.names.len()],
            fixed: true,
        }
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn types(&self) -> &[NumberType] {
        &self.types
    }

    pub(super) fn is_fixed(&self) -> bool {
        self.fixed
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn schema(&self, types: &[NumberType]) -> SchemaRef {
        let fields = self.names.iter().zip(types);
        Arc::new(Schema::from_iter(fields.map(|(name, dtype)| {
            Field::new(name.as_str().into(), DataType::from(*dtype))
        })))
    }
}
