//! The names that columns have in the files of a table.

use delta_kernel::schema::{ColumnMetadataKey, DataType, MetadataValue, StructField};

use crate::lake::table::parquet::{Inner, StoredColumn};

/// How the files of a table store a column.
pub(super) fn column(field: &StructField, stored: &StructField) -> StoredColumn {
    StoredColumn {
        name: field.name().clone(),
        stored: stored.name().clone(),
        id: id(stored),
        inner: inner(field.data_type(), stored.data_type()),
    }
}

/// The number by which a table that maps columns by ids finds a column in its files.
fn id(stored: &StructField) -> Option<i32> {
    match stored.get_config_value(&ColumnMetadataKey::ParquetFieldId)? {
        MetadataValue::Number(id) => i32::try_from(*id).ok(),
        MetadataValue::String(_) | MetadataValue::Boolean(_) | MetadataValue::Other(_) => None,
    }
}

fn inner(dtype: &DataType, stored: &DataType) -> Inner {
    match (dtype, stored) {
        (DataType::Struct(fields), DataType::Struct(stored)) => {
            let fields = fields.fields().zip(stored.fields());
            Inner::Fields(
                fields
                    .map(|(field, stored)| column(field, stored))
                    .collect(),
            )
        }
        (DataType::Array(array), DataType::Array(stored)) => {
            Inner::Items(vec![inner(array.element_type(), stored.element_type())])
        }
        (DataType::Map(map), DataType::Map(stored)) => Inner::Items(vec![
            inner(map.key_type(), stored.key_type()),
            inner(map.value_type(), stored.value_type()),
        ]),
        _ => Inner::Nothing,
    }
}
