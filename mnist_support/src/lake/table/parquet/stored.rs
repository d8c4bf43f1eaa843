//! Columns by other names than a file has for them.

use std::ops::Range;

use polars_parquet_format::SchemaElement;

use super::footer::Footer;

/// A column, and how a file stores it.
pub(in crate::lake::table) struct StoredColumn {
    pub(in crate::lake::table) name: String,
    /// Its name in the file.
    pub(in crate::lake::table) stored: String,
    /// Its number in the file, which counts more than its name.
    pub(in crate::lake::table) id: Option<i32>,
    pub(in crate::lake::table) inner: Inner,
}

/// What is stored in a column.
pub(in crate::lake::table) enum Inner {
    Nothing,
    /// The fields of a struct.
    Fields(Vec<StoredColumn>),
    /// The elements of a list, or the keys and the values of a map.
    Items(Vec<Inner>),
}

impl StoredColumn {
    fn is(&self, element: &SchemaElement) -> bool {
        match (self.id, element.field_id) {
            (Some(id), Some(found)) => id == found,
            // A file without numbers is read by names.
            _ => element.name == self.stored,
        }
    }
}

impl Footer {
    /// Gives the columns of the file, and the fields in them, their names. A column that is none of
    /// these is hidden: its name may be the one that another has now.
    pub(super) fn rename(&mut self, stored: &[StoredColumn]) {
        let schema = &mut self.metadata.schema;
        self.columns.retain_mut(|column| {
            let element = &schema[column.elements.start];
            let Some(stored) = stored.iter().find(|stored| stored.is(element)) else {
                return false;
            };
            column.name.clone_from(&stored.name);
            schema[column.elements.start].name.clone_from(&stored.name);
            rename(schema, column.elements.clone(), &stored.inner);
            true
        });
    }
}

/// Renames what is in an element, the first of a range that ends with the last one in it.
fn rename(schema: &mut [SchemaElement], elements: Range<usize>, inner: &Inner) {
    let children = children(schema, &elements);
    match inner {
        Inner::Nothing => {}
        Inner::Fields(fields) => {
            for child in children {
                let place = child.start;
                match fields.iter().find(|field| field.is(&schema[place])) {
                    Some(field) => {
                        schema[place].name.clone_from(&field.name);
                        rename(schema, child, &field.inner);
                    }
                    // No field has such a name.
                    None => schema[place].name.push('\0'),
                }
            }
        }
        Inner::Items(items) => {
            // A list or a map has a repeated group, which has the items.
            let [group] = children.as_slice() else {
                return;
            };
            for (child, item) in self::children(schema, group).into_iter().zip(items) {
                rename(schema, child, item);
            }
        }
    }
}

/// The elements of each child of the first of some elements.
fn children(schema: &[SchemaElement], elements: &Range<usize>) -> Vec<Range<usize>> {
    let mut children = Vec::new();
    let mut start = elements.start + 1;
    while start < elements.end {
        let (mut end, mut open) = (start, 1);
        while open > 0 && end < elements.end {
            open += schema[end].num_children.unwrap_or(0).max(0) - 1;
            end += 1;
        }
        children.push(start..end);
        start = end;
    }
    children
}
