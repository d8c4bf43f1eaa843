//! The actions of a log as the kernel reads them: a column for every leaf of their schema.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use delta_kernel::engine_data::{ListItem, MapItem, StringArrayAccessor};
use delta_kernel::expressions::{ArrayData, ColumnName};
use delta_kernel::schema::{DataType, MetadataColumnSpec, PrimitiveType, SchemaRef, StructType};
use delta_kernel::{EngineData, GetData, KernelError, KernelResult, RowVisitor};

/// Rows of actions.
pub(super) struct Actions {
    rows: usize,
    /// The columns, by the path to each.
    columns: BTreeMap<Vec<String>, Arc<Values>>,
}

/// The values of a column.
pub(super) enum Values {
    Booleans(Vec<Option<bool>>),
    Integers(Vec<Option<i64>>),
    Texts(Texts),
    Lists(Lists),
    Maps(Maps),
}

/// Texts, some of which may be missing.
#[derive(Default)]
pub(super) struct Texts(pub(super) Vec<Option<String>>);

/// Lists of texts: where the values of each row are.
#[derive(Default)]
pub(super) struct Lists {
    values: Texts,
    rows: Vec<Option<Range<usize>>>,
}

/// Maps of texts: where the keys and values of each row are.
#[derive(Default)]
pub(super) struct Maps {
    keys: Texts,
    values: Texts,
    rows: Vec<Option<Range<usize>>>,
}

/// The types of values that actions have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    Integer,
    Text,
    List,
    Map,
}

impl Kind {
    fn of(dtype: &DataType) -> Option<Kind> {
        use PrimitiveType as P;
        let is_text = |dtype: &DataType| *dtype == DataType::STRING;
        match dtype {
            DataType::Primitive(P::Boolean) => Some(Kind::Boolean),
            DataType::Primitive(P::Byte | P::Short | P::Integer | P::Long) => Some(Kind::Integer),
            DataType::Primitive(P::String) => Some(Kind::Text),
            DataType::Array(array) => is_text(array.element_type()).then_some(Kind::List),
            DataType::Map(map) => {
                (is_text(map.key_type()) && is_text(map.value_type())).then_some(Kind::Map)
            }
            _ => None,
        }
    }
}

/// The leaves of a schema below `path`, with their kinds.
pub(super) fn leaves(schema: &StructType, path: &[String]) -> KernelResult<Vec<Leaf>> {
    let mut leaves = Vec::new();
    for field in schema.fields() {
        let mut path = path.to_vec();
        path.push(field.name().clone());
        match field.data_type() {
            DataType::Struct(inner) => leaves.extend(self::leaves(inner, &path)?),
            dtype => {
                let kind = Kind::of(dtype).ok_or_else(|| {
                    KernelError::unsupported(format!(
                        "{} of type {dtype} in the log",
                        path.join(".")
                    ))
                })?;
                let is_url = field.get_metadata_column_spec() == Some(MetadataColumnSpec::FilePath);
                leaves.push(Leaf { path, kind, is_url });
            }
        }
    }
    Ok(leaves)
}

/// A leaf of a schema.
pub(super) struct Leaf {
    pub(super) path: Vec<String>,
    pub(super) kind: Kind,
    /// Whether its value is the URL of the file of the log, which is in no action.
    pub(super) is_url: bool,
}

impl Values {
    pub(super) fn new(kind: Kind) -> Values {
        match kind {
            Kind::Boolean => Values::Booleans(Vec::new()),
            Kind::Integer => Values::Integers(Vec::new()),
            Kind::Text => Values::Texts(Texts::default()),
            Kind::List => Values::Lists(Lists::default()),
            Kind::Map => Values::Maps(Maps::default()),
        }
    }

    pub(super) fn nulls(kind: Kind, rows: usize) -> Values {
        let mut values = Values::new(kind);
        (0..rows).for_each(|_| values.push_null());
        values
    }

    pub(super) fn push_null(&mut self) {
        match self {
            Values::Booleans(values) => values.push(None),
            Values::Integers(values) => values.push(None),
            Values::Texts(values) => values.0.push(None),
            Values::Lists(lists) => lists.push_null(),
            Values::Maps(maps) => maps.push_null(),
        }
    }

    /// The values of the rows that are selected; those beyond the end of the selection are.
    fn filtered(&self, selection: &[bool]) -> Values {
        fn kept<T: Clone>(values: &[T], selection: &[bool]) -> Vec<T> {
            let selected = |row: usize| selection.get(row).copied().unwrap_or(true);
            let values = values.iter().enumerate();
            let values = values.filter(|(row, _)| selected(*row));
            values.map(|(_, value)| value.clone()).collect()
        }
        match self {
            Values::Booleans(values) => Values::Booleans(kept(values, selection)),
            Values::Integers(values) => Values::Integers(kept(values, selection)),
            Values::Texts(values) => Values::Texts(Texts(kept(&values.0, selection))),
            Values::Lists(lists) => Values::Lists(Lists {
                values: Texts(lists.values.0.clone()),
                rows: kept(&lists.rows, selection),
            }),
            Values::Maps(maps) => Values::Maps(Maps {
                keys: Texts(maps.keys.0.clone()),
                values: Texts(maps.values.0.clone()),
                rows: kept(&maps.rows, selection),
            }),
        }
    }
}

impl Lists {
    pub(super) fn push_null(&mut self) {
        self.rows.push(None);
    }

    pub(super) fn push(&mut self, values: impl IntoIterator<Item = Option<String>>) {
        let start = self.values.0.len();
        self.values.0.extend(values);
        self.rows.push(Some(start..self.values.0.len()));
    }
}

impl Maps {
    pub(super) fn push_null(&mut self) {
        self.rows.push(None);
    }

    pub(super) fn push(&mut self, entries: impl IntoIterator<Item = (String, Option<String>)>) {
        let start = self.keys.0.len();
        for (key, value) in entries {
            self.keys.0.push(Some(key));
            self.values.0.push(value);
        }
        self.rows.push(Some(start..self.keys.0.len()));
    }
}

impl Actions {
    pub(super) fn new(rows: usize, columns: BTreeMap<Vec<String>, Arc<Values>>) -> Actions {
        Actions { rows, columns }
    }

    /// The actions that the kernel got from this engine.
    pub(super) fn of(data: &dyn EngineData) -> KernelResult<&Actions> {
        let actions = data.any_ref().downcast_ref();
        actions.ok_or_else(|| KernelError::engine_data_type("actions of a log"))
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The columns at or below a path, with the rest of the path of each.
    pub(super) fn below<'a>(
        &'a self,
        path: &'a [String],
    ) -> impl Iterator<Item = (&'a [String], &'a Arc<Values>)> {
        self.columns
            .iter()
            .filter_map(|(column, values)| Some((column.strip_prefix(path)?, values)))
    }
}

impl EngineData for Actions {
    fn visit_rows(&self, names: &[ColumnName], visitor: &mut dyn RowVisitor) -> KernelResult<()> {
        let getters = names.iter().map(|name| {
            let column = self.columns.get(name.path());
            let column = column.ok_or_else(|| KernelError::missing_column(name))?;
            Ok(&**column as &dyn GetData<'_>)
        });
        let getters = getters.collect::<KernelResult<Vec<_>>>()?;
        visitor.visit(self.rows, &getters)
    }

    fn len(&self) -> usize {
        self.rows
    }

    fn append_columns(
        &self,
        _schema: SchemaRef,
        _columns: Vec<ArrayData>,
    ) -> KernelResult<Box<dyn EngineData>> {
        Err(super::log::read_only("adding columns to actions"))
    }

    fn apply_selection_vector(
        self: Box<Self>,
        selection: Vec<bool>,
    ) -> KernelResult<Box<dyn EngineData>> {
        if selection.len() > self.rows {
            return Err(KernelError::InvalidSelectionVector(format!(
                "{} for {} rows",
                selection.len(),
                self.rows
            )));
        }
        let dropped = selection.iter().filter(|selected| !**selected).count();
        let columns = self.columns.iter();
        let columns =
            columns.map(|(path, values)| (path.clone(), Arc::new(values.filtered(&selection))));
        Ok(Box::new(Actions {
            rows: self.rows - dropped,
            columns: columns.collect(),
        }))
    }

    fn has_field(&self, name: &ColumnName) -> bool {
        self.below(name.path()).next().is_some()
    }
}

impl StringArrayAccessor for Texts {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn value(&self, index: usize) -> &str {
        self.0[index].as_deref().unwrap_or_default()
    }

    fn is_valid(&self, index: usize) -> bool {
        self.0[index].is_some()
    }
}

impl Values {
    fn integer<T: TryFrom<i64>>(&self, row: usize, name: &str) -> KernelResult<Option<T>> {
        let Values::Integers(values) = self else {
            return Err(other_type(name, "a whole number"));
        };
        let value = values[row].map(T::try_from).transpose();
        value.map_err(|_| KernelError::generic(format!("{name} is out of range")))
    }
}

fn other_type(name: &str, wanted: &str) -> KernelError {
    KernelError::unexpected_column_type(format!("{name} as {wanted}"))
}

impl<'a> GetData<'a> for Values {
    fn get_bool(&'a self, row: usize, name: &str) -> KernelResult<Option<bool>> {
        match self {
            Values::Booleans(values) => Ok(values[row]),
            _ => Err(other_type(name, "a boolean")),
        }
    }

    fn get_byte(&'a self, row: usize, name: &str) -> KernelResult<Option<i8>> {
        self.integer(row, name)
    }

    fn get_short(&'a self, row: usize, name: &str) -> KernelResult<Option<i16>> {
        self.integer(row, name)
    }

    fn get_int(&'a self, row: usize, name: &str) -> KernelResult<Option<i32>> {
        self.integer(row, name)
    }

    fn get_long(&'a self, row: usize, name: &str) -> KernelResult<Option<i64>> {
        self.integer(row, name)
    }

    fn get_str(&'a self, row: usize, name: &str) -> KernelResult<Option<&'a str>> {
        match self {
            Values::Texts(values) => Ok(values.0[row].as_deref()),
            _ => Err(other_type(name, "text")),
        }
    }

    fn get_list(&'a self, row: usize, name: &str) -> KernelResult<Option<ListItem<'a>>> {
        match self {
            Values::Lists(lists) => {
                let range = lists.rows[row].clone();
                Ok(range.map(|range| ListItem::new(&lists.values, range)))
            }
            _ => Err(other_type(name, "a list")),
        }
    }

    fn get_map(&'a self, row: usize, name: &str) -> KernelResult<Option<MapItem<'a>>> {
        match self {
            Values::Maps(maps) => {
                let range = maps.rows[row].clone();
                Ok(range.map(|range| MapItem::new(&maps.keys, &maps.values, range)))
            }
            _ => Err(other_type(name, "a map")),
        }
    }
}
