//! Actions in the Parquet files of checkpoints.

use std::collections::BTreeMap;
use std::sync::Arc;

use delta_kernel::KernelResult;
use delta_kernel::schema::{ArrayType, DataType as DeltaType, MapType, StructField, StructType};
use polars::prelude::*;

use super::actions::{self, Actions, Kind, Leaf, Lists, Maps, Texts, Values};
use super::log::failed;
use crate::error::TableError;
use crate::lake::reading::ignore_progress;
use crate::lake::store::Lake;
use crate::lake::table::parquet::ParquetFile;
use crate::lake::table::scan::Scan;
use crate::lake::table::table_file::TableFile;
use crate::{Error, Result};

/// A checkpoint that is read one row group after the other.
pub(super) struct Checkpoint {
    /// `None` without rows.
    file: Option<ParquetFile>,
    group: usize,
    schema: Arc<StructType>,
}

impl Checkpoint {
    pub(super) fn open(lake: &Lake, path: &str, schema: Arc<StructType>) -> Result<Checkpoint> {
        Ok(Checkpoint {
            file: open(lake, path)?,
            group: 0,
            schema,
        })
    }

    fn read(&self, file: &ParquetFile, rows: std::ops::Range<usize>) -> KernelResult<Actions> {
        let wanted = self.schema.fields().map(|field| field.name().clone());
        let wanted = wanted.filter(|name| file.columns().contains(name));
        let wanted: Vec<String> = wanted.collect();
        let count = rows.len();
        let frame = if wanted.is_empty() {
            DataFrame::empty()
        } else {
            let frame = file.read_rows(rows, &Scan::of(wanted), &ignore_progress);
            frame.map_err(failed)?
        };
        let mut columns = BTreeMap::new();
        for Leaf { path, kind, .. } in actions::leaves(&self.schema, &[])? {
            let values = leaf(&frame, &path).and_then(|series| match series {
                None => Ok(Values::nulls(kind, count)),
                Some(series) => values(kind, &series),
            });
            let values = values.map_err(|error| {
                let reason = format!("its column {} cannot be read: {error}", path.join("."));
                failed(TableError::failed(file.url(), reason))
            })?;
            columns.insert(path, Arc::new(values));
        }
        Ok(Actions::new(count, columns))
    }
}

impl Iterator for Checkpoint {
    type Item = KernelResult<Actions>;

    fn next(&mut self) -> Option<Self::Item> {
        let file = self.file.as_ref()?;
        let groups = file.group_rows();
        let rows = *groups.get(self.group)?;
        let start: usize = groups[..self.group].iter().sum();
        self.group += 1;
        Some(self.read(file, start..start + rows))
    }
}

/// Opens a file of a checkpoint; `None` if it has no rows.
fn open(lake: &Lake, path: &str) -> Result<Option<ParquetFile>> {
    match ParquetFile::open(lake, path) {
        Ok(file) => Ok(Some(file)),
        Err(Error::Table(TableError::EmptyFile { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The schema of a file of a checkpoint.
pub(super) fn schema(lake: &Lake, path: &str) -> KernelResult<StructType> {
    let Some(file) = open(lake, path).map_err(failed)? else {
        return StructType::try_new([]);
    };
    let frame = file.head(0, &Scan::default()).map_err(failed)?;
    let columns = frame.columns().iter();
    StructType::try_new(
        columns
            .map(|column| Ok(field(column.name(), delta_type(column.dtype())?)))
            .collect::<KernelResult<Vec<_>>>()?,
    )
}

fn field(name: &str, dtype: DeltaType) -> StructField {
    StructField::nullable(name, dtype)
}

/// The type of the log that a column of a checkpoint has.
fn delta_type(dtype: &DataType) -> KernelResult<DeltaType> {
    Ok(match dtype {
        DataType::Boolean => DeltaType::BOOLEAN,
        DataType::Int8 => DeltaType::BYTE,
        DataType::Int16 => DeltaType::SHORT,
        DataType::Int32 => DeltaType::INTEGER,
        DataType::Float32 => DeltaType::FLOAT,
        DataType::Float64 => DeltaType::DOUBLE,
        DataType::String => DeltaType::STRING,
        DataType::Date => DeltaType::DATE,
        DataType::Datetime(..) => DeltaType::TIMESTAMP,
        DataType::Struct(fields) => struct_type(fields)?.into(),
        DataType::List(inner) => match &**inner {
            DataType::Struct(fields) if is_entry(fields) => {
                let key = delta_type(fields[0].dtype())?;
                MapType::new(key, delta_type(fields[1].dtype())?, true).into()
            }
            inner => ArrayType::new(delta_type(inner)?, true).into(),
        },
        dtype if dtype.is_integer() => DeltaType::LONG,
        _ => DeltaType::BINARY,
    })
}

fn struct_type(fields: &[Field]) -> KernelResult<StructType> {
    let fields = fields
        .iter()
        .map(|inner| Ok(field(inner.name(), delta_type(inner.dtype())?)));
    StructType::try_new(fields.collect::<KernelResult<Vec<_>>>()?)
}

/// Whether a struct is an entry of a map.
fn is_entry(fields: &[Field]) -> bool {
    let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    names == ["key", "value"]
}

/// The leaf at a path; `None` if there is none.
fn leaf(frame: &DataFrame, path: &[String]) -> PolarsResult<Option<Series>> {
    let Ok(column) = frame.column(&path[0]) else {
        return Ok(None);
    };
    let mut series = column.as_materialized_series().clone();
    for name in &path[1..] {
        if series.dtype() == &DataType::Null {
            return Ok(None);
        }
        let structs = series.struct_()?;
        let present = series.is_not_null();
        let fields = structs.fields_as_series();
        let Some(field) = fields.into_iter().find(|field| field.name() == name) else {
            return Ok(None);
        };
        // What is in a struct that is null is null, whatever stands there.
        let nothing = Series::full_null(field.name().clone(), field.len(), field.dtype());
        series = field.zip_with(&present, &nothing)?;
    }
    Ok(Some(series))
}

/// The values of a leaf.
fn values(kind: Kind, series: &Series) -> PolarsResult<Values> {
    if series.dtype() == &DataType::Null {
        return Ok(Values::nulls(kind, series.len()));
    }
    let texts = |series: &Series| -> PolarsResult<Vec<Option<String>>> {
        let texts = series.cast(&DataType::String)?;
        Ok(texts
            .str()?
            .iter()
            .map(|text| text.map(str::to_owned))
            .collect())
    };
    Ok(match kind {
        Kind::Boolean => Values::Booleans(series.bool()?.iter().collect()),
        Kind::Integer => Values::Integers(series.cast(&DataType::Int64)?.i64()?.iter().collect()),
        Kind::Text => Values::Texts(Texts(texts(series)?)),
        Kind::List => {
            let mut lists = Lists::default();
            for list in series.list()?.series_iter() {
                match list {
                    None => lists.push_null(),
                    Some(list) => lists.push(texts(&list)?),
                }
            }
            Values::Lists(lists)
        }
        Kind::Map => {
            let mut maps = Maps::default();
            for map in series.list()?.series_iter() {
                let Some(map) = map else {
                    maps.push_null();
                    continue;
                };
                let entries = map.struct_()?.fields_as_series();
                let [keys, values] = entries.as_slice() else {
                    polars_bail!(SchemaMismatch: "a map has keys and values");
                };
                let keys = texts(keys)?.into_iter().map(Option::unwrap_or_default);
                maps.push(keys.zip(texts(values)?));
            }
            Values::Maps(maps)
        }
    })
}
