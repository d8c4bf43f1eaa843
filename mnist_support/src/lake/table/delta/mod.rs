//! Delta tables: which Parquet files a table consists of, and which of their rows and columns,
//! stands in its log. The crate `delta_kernel` reads the log.

mod actions;
mod checkpoint;
mod data_file;
mod evaluate;
mod json;
mod log;
mod snapshot;
mod stored;
mod types;

use std::collections::BTreeMap;
use std::sync::Arc;

use delta_kernel::schema::StructType;
use polars::prelude::Series;
use serde::{Deserialize, Serialize};

use super::discover::PartFile;
use super::table_file::TableFile;
use crate::lake::store::Lake;
use crate::{
    Error, Result,
    error::{LakeError, TableError},
};
use data_file::DataFile;
pub(super) use log::LOG;

/// A version of a Delta table, as its log describes it: its columns and its files. It is plain
/// data, so that every worker reads the same version, whatever is written meanwhile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeltaVersion {
    version: u64,
    /// The columns as the table has them.
    schema: StructType,
    /// Those of the columns that are in the files, by the names that they have there.
    stored: StructType,
    /// The columns whose values are in the log.
    partition_columns: Vec<String>,
    files: Vec<DeltaFile>,
}

/// A file of a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeltaFile {
    path: String,
    size: u64,
    /// The values of the partition columns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    partition_values: Vec<Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deletion_vector: Option<DeletionVector>,
}

/// Where it stands which rows of a file are deleted, in the protocol's terms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeletionVector {
    storage_type: String,
    path_or_inline_dv: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offset: Option<i32>,
    size_in_bytes: i32,
    cardinality: i64,
}

impl DeltaVersion {
    /// Reads the log of the table in a folder; `None` is the latest version.
    pub(super) fn read(folder: &Lake, version: Option<u64>) -> Result<DeltaVersion> {
        snapshot::read(folder, version)
    }

    /// The version's number.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The column names, in order.
    pub(super) fn columns(&self) -> Vec<String> {
        self.schema
            .fields()
            .map(|field| field.name().clone())
            .collect()
    }

    pub(super) fn files(&self) -> Vec<PartFile> {
        let files = self.files.iter().map(|file| PartFile {
            path: file.path.clone(),
            size: file.size,
        });
        files.collect()
    }

    /// The values of each partition column, one for each file.
    pub(super) fn partition_columns(&self, table: &str) -> Result<BTreeMap<String, Series>> {
        let columns = self.partition_columns.iter().enumerate();
        let columns = columns.map(|(index, name)| {
            let field = self.schema.field(name).ok_or_else(|| {
                TableError::failed(
                    table,
                    format!("its schema lacks the partition column {name}"),
                )
            })?;
            let values = self.files.iter();
            let values = values.map(|file| file.partition_values.get(index)?.as_deref());
            let column = types::partition_column(name, field.data_type(), values, table)?;
            Ok((name.clone(), column))
        });
        columns.collect()
    }

    /// Opens a file, by its index.
    pub(super) fn open(
        self: &Arc<Self>,
        folder: &Lake,
        index: usize,
    ) -> Result<Arc<dyn TableFile>> {
        let file = &self.files[index];
        let opened = DataFile::open(folder, self, file);
        match opened {
            Err(Error::Lake(LakeError::NotFound { url, .. })) => Err(TableError::failed(
                folder.url(),
                format!(
                    "{url} is gone, which version {} of the table needs: VACUUM deletes the files \
                     of old versions, so open the latest one with delta()",
                    self.version
                ),
            )),
            opened => Ok(Arc::new(opened?)),
        }
    }
}
