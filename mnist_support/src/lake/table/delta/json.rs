//! Actions in JSON, one in a line.

use std::collections::BTreeMap;
use std::sync::Arc;

use delta_kernel::KernelResult;
use delta_kernel::schema::StructType;
use serde_json::Value;

use super::actions::{self, Actions, Values};
use super::log::failed;
use crate::error::TableError;

/// Parses the actions of a file of the log, with those of their fields that a schema has.
pub(super) fn parse(text: &[u8], schema: &StructType, url: &str) -> KernelResult<Actions> {
    let leaves = actions::leaves(schema, &[])?;
    let mut columns: Vec<Values> = leaves.iter().map(|leaf| Values::new(leaf.kind)).collect();
    let mut rows = 0;
    for (line, text) in text.split(|byte| *byte == b'\n').enumerate() {
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let damaged = |reason: &str| {
            failed(TableError::failed(
                url,
                format!(
                    "line {} of this file of the log is damaged: {reason}; restore the file, or \
                     open an earlier version of the table with delta_version()",
                    line + 1
                ),
            ))
        };
        let action: Value =
            serde_json::from_slice(text).map_err(|error| damaged(&error.to_string()))?;
        if !action.is_object() {
            return Err(damaged("it is no JSON object"));
        }
        for (leaf, values) in leaves.iter().zip(&mut columns) {
            if leaf.is_url {
                push(values, Some(&Value::from(url)));
                continue;
            }
            let mut at = Some(&action);
            for name in &leaf.path {
                at = at.and_then(|value| value.get(name));
            }
            push(values, at)
                .ok_or_else(|| damaged(&format!("{} has another type", leaf.path.join("."))))?;
        }
        rows += 1;
    }
    let columns = leaves.into_iter().map(|leaf| leaf.path).zip(columns);
    let columns: BTreeMap<_, _> = columns
        .map(|(path, values)| (path, Arc::new(values)))
        .collect();
    Ok(Actions::new(rows, columns))
}

/// Adds a value to a column; `None` if it is of another type.
fn push(values: &mut Values, value: Option<&Value>) -> Option<()> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        values.push_null();
        return Some(());
    };
    match values {
        Values::Booleans(values) => values.push(Some(value.as_bool()?)),
        Values::Integers(values) => values.push(Some(value.as_i64()?)),
        Values::Texts(values) => values.0.push(Some(value.as_str()?.to_owned())),
        Values::Lists(lists) => lists.push(value.as_array()?.iter().map(text)),
        Values::Maps(maps) => {
            let entries = value.as_object()?.iter();
            maps.push(entries.map(|(key, value)| (key.clone(), text(value))));
        }
    }
    Some(())
}

/// A value of a list or a map. Some writers leave numbers and booleans there as they are.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Some(value.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use delta_kernel::engine_data::GetData;
    use delta_kernel::schema::{DataType, MapType, StructField};

    use super::*;

    fn schema() -> StructType {
        let texts = MapType::new(DataType::STRING, DataType::STRING, true);
        let add = StructType::try_new([
            StructField::nullable("path", DataType::STRING),
            StructField::nullable("size", DataType::LONG),
            StructField::nullable("partitionValues", texts),
        ]);
        StructType::try_new([StructField::nullable("add", add.unwrap())]).unwrap()
    }

    #[test]
    fn actions_are_read_by_their_leaves() {
        let text = br#"{"add":{"path":"a","size":7,"partitionValues":{"x":"1","y":null}}}

{"remove":{"path":"b"}}"#;
        let actions = parse(text, &schema(), "log").unwrap();
        assert_eq!(actions.rows(), 2);
        let column = |name: &str| {
            let path = ["add".to_owned(), name.to_owned()];
            let values = actions.below(&path).next().unwrap().1;
            Arc::clone(values)
        };
        assert_eq!(column("path").get_str(0, "path").unwrap(), Some("a"));
        assert_eq!(column("size").get_long(0, "size").unwrap(), Some(7));
        assert_eq!(column("size").get_long(1, "size").unwrap(), None);
        assert!(column("size").get_str(0, "size").is_err());
        let map = column("partitionValues");
        let map = map.get_map(0, "partitionValues").unwrap().unwrap();
        assert_eq!((map.get("x"), map.get("y")), (Some("1"), None));
    }

    #[test]
    fn a_damaged_line_is_named() {
        for (text, reason) in [
            ("{}\n{\"add\":{\"pa", "line 2"),
            ("[1]", "no JSON object"),
            (r#"{"add":{"size":"seven"}}"#, "add.size has another type"),
        ] {
            let error = parse(text.as_bytes(), &schema(), "lake/7.json")
                .err()
                .unwrap();
            let error = error.to_string();
            assert!(
                error.contains(reason) && error.contains("lake/7.json"),
                "{error}"
            );
        }
    }
}
