//! The columns of a CSV file.

use std::sync::Arc;

use polars::prelude::{DataFrame, DataType, Field, Schema, SchemaRef};

use super::dialect::Dialect;
use super::records::Syntax;
use crate::lake::table::{ColumnType, NumberType};

/// The names and types of the columns of a CSV file, and how they are written.
#[derive(Clone)]
pub(super) struct Columns {
    names: Vec<String>,
    types: Vec<ColumnType>,
    /// Whether the type was given, and a value that is none of it is an error.
    fixed: Vec<bool>,
    dialect: Dialect,
}

impl Columns {
    pub(super) fn new(names: Vec<String>, dialect: Dialect) -> Columns {
        Columns {
            types: vec![ColumnType::Null; names.len()],
            fixed: vec![false; names.len()],
            names,
            dialect,
        }
    }

    /// The same columns with other types, where they are not given.
    pub(super) fn with_types(&self, types: &[ColumnType]) -> Columns {
        let mut columns = self.clone();
        for (index, dtype) in types.iter().enumerate() {
            if !columns.fixed[index] {
                columns.types[index] = *dtype;
            }
        }
        columns
    }

    /// The same columns, one of them of a given type.
    pub(super) fn with_given(&self, column: usize, dtype: ColumnType) -> Columns {
        let mut columns = self.clone();
        columns.types[column] = dtype;
        columns.fixed[column] = true;
        columns
    }

    /// The same columns, all of one given type.
    pub(super) fn fixed(&self, dtype: NumberType) -> Columns {
        Columns {
            types: vec![dtype.into(); self.names.len()],
            fixed: vec![true; self.names.len()],
            ..self.clone()
        }
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn types(&self) -> &[ColumnType] {
        &self.types
    }

    pub(super) fn is_fixed(&self, column: usize) -> bool {
        self.fixed[column]
    }

    pub(super) fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether all columns are numbers, with commas between them and nothing else that a parser for
    /// such files alone would not know.
    pub(super) fn are_plain_numbers(&self) -> bool {
        let Dialect {
            syntax,
            values,
            trailing_sep,
        } = &self.dialect;
        let plain = Syntax {
            quote: syntax.quote,
            ..Syntax::default()
        };
        *syntax == plain
            && !trailing_sep
            && values.decimal == b'.'
            && values.thousands.is_none()
            && self.types.iter().all(|dtype| dtype.number().is_some())
    }

    /// Whether fields may have line breaks in them: a text may, a number doesn't.
    pub(super) fn have_text(&self) -> bool {
        self.types.contains(&ColumnType::String)
    }

    pub(super) fn schema(&self) -> SchemaRef {
        let fields = self.names.iter().zip(&self.types);
        Arc::new(Schema::from_iter(fields.map(|(name, dtype)| {
            Field::new(name.as_str().into(), DataType::from(*dtype))
        })))
    }

    /// A frame of these columns without rows.
    pub(super) fn empty_frame(&self) -> DataFrame {
        DataFrame::empty_with_schema(&self.schema())
    }
}
