//! Reads a version of a table from its log.

use std::sync::LazyLock;

use delta_kernel::Snapshot;
use delta_kernel::engine_data::{FilteredRowVisitor, GetData, RowIndexIterator, TypedGetData};
use delta_kernel::expressions::{ColumnName, column_name};
use delta_kernel::scan::{Scan, StatsOptions};
use delta_kernel::schema::{
    ColumnMetadataKey, DataType, MapType, MetadataValue, StructField, StructType,
};
use delta_kernel::{KernelError, KernelResult};
use percent_encoding::percent_decode_str;

use super::log::{self, LOG, LogEngine};
use super::{DeletionVector, DeltaFile, DeltaVersion};
use crate::lake::store::Lake;
use crate::{
    Error, Result,
    error::{LakeError, TableError},
};

pub(super) fn read(folder: &Lake, version: Option<u64>) -> Result<DeltaVersion> {
    let engine = LogEngine::new(folder)?;
    let versions = versions(engine.log().files()?);
    let Some((first, last)) = versions else {
        return Err(Error::Lake(LakeError::NotFound {
            url: format!("{}/{LOG}", folder.url()),
            hint: "the folder has no log, so it is no Delta table; open a folder of files with \
                   table()"
                .to_owned(),
        }));
    };
    if let Some(wanted) = version.filter(|wanted| !(first..=last).contains(wanted)) {
        let which = match first == last {
            true => format!("only the version {first}"),
            false => format!("the versions {first} to {last}"),
        };
        return Err(Error::InvalidSetting {
            setting: "version",
            value: wanted.to_string(),
            reason: format!("does not exist: the log of {} has {which}", folder.url()),
        });
    }
    let read = described(&engine, version);
    let described = read.map_err(|error| log::error(error, folder.url()))?;
    if described.files.is_empty() {
        return Err(Error::Table(TableError::EmptyFile {
            file: folder.url().to_owned(),
            reason: format!("its version {} has no files", described.version),
        }));
    }
    Ok(described)
}

/// The first and the last version that a log can give. A version is given by its commit and all
/// before it, or by a checkpoint.
fn versions(files: &[(String, u64)]) -> Option<(u64, u64)> {
    let (mut commits, mut checkpoints) = (Vec::new(), Vec::new());
    for (path, _) in files {
        let name = path
            .strip_prefix(LOG)
            .unwrap_or(path)
            .trim_start_matches('/');
        let Some((version, rest)) = name.split_once('.') else {
            continue;
        };
        let is_number = version.len() == 20;
        let Some(version) = is_number.then(|| version.parse().ok()).flatten() else {
            continue;
        };
        if rest == "json" {
            commits.push(version);
        } else if rest.starts_with("checkpoint.") {
            checkpoints.push(version);
        }
    }
    let first = match commits.iter().min() {
        Some(0) => Some(0),
        _ => checkpoints.iter().min().or(commits.iter().min()).copied(),
    }?;
    let last = commits.iter().chain(&checkpoints).max()?;
    Some((first, *last))
}

fn described(engine: &LogEngine, version: Option<u64>) -> KernelResult<DeltaVersion> {
    let mut builder = Snapshot::builder_for(engine.log().root());
    if let Some(version) = version {
        builder = builder.at_version(version);
    }
    let snapshot = builder.build(engine)?;
    let scan = snapshot
        .clone()
        .scan_builder()
        .with_stats(StatsOptions::none())
        .without_row_transforms()
        .build()?;
    let schema = snapshot.schema();
    let (stored, partitions) = columns(&schema, scan.physical_schema());
    let keys: Vec<String> = partitions.iter().map(|(_, key)| key.clone()).collect();
    let mut files = files(&scan, engine, &keys)?;
    // In the order in which they were added, whether a checkpoint or commits say so.
    files.sort_by(|(left_time, left), (right_time, right)| {
        (left_time, &left.path).cmp(&(right_time, &right.path))
    });
    Ok(DeltaVersion {
        version: snapshot.version(),
        schema: StructType::clone(&schema),
        stored,
        partition_columns: partitions.into_iter().map(|(name, _)| name).collect(),
        files: files.into_iter().map(|(_, file)| file).collect(),
    })
}

/// The columns in the files, by their names there, and the partition columns with the keys that
/// their values have in the log.
fn columns(schema: &StructType, physical: &StructType) -> (StructType, Vec<(String, String)>) {
    let is_stored = |name: &str| physical.field(name).is_some();
    // Without column mapping, the names that it would use may stand in the schema nevertheless.
    let mapped = schema
        .fields()
        .any(|field| mapped_name(field).is_some_and(is_stored));
    let key = |field: &StructField| match mapped_name(field) {
        Some(name) if mapped => name.to_owned(),
        _ => field.name().clone(),
    };
    let partitions = schema.fields().filter(|field| !is_stored(&key(field)));
    let partitions = partitions.map(|field| (field.name().clone(), key(field)));
    (physical.clone(), partitions.collect())
}

fn mapped_name(field: &StructField) -> Option<&str> {
    match field.get_config_value(&ColumnMetadataKey::ColumnMappingPhysicalName)? {
        MetadataValue::String(name) => Some(name),
        MetadataValue::Number(_) | MetadataValue::Boolean(_) | MetadataValue::Other(_) => None,
    }
}

/// The files of a scan, with the times at which they were made.
fn files(scan: &Scan, engine: &LogEngine, keys: &[String]) -> KernelResult<Vec<(i64, DeltaFile)>> {
    let mut visitor = Files {
        keys,
        files: Vec::new(),
    };
    for metadata in scan.scan_metadata(engine)? {
        visitor.visit_rows_of(&metadata?.scan_files)?;
    }
    Ok(visitor.files)
}

/// Collects the files of a scan.
struct Files<'k> {
    keys: &'k [String],
    files: Vec<(i64, DeltaFile)>,
}

/// The names and types of what is read of every file.
static FILE: LazyLock<(Vec<ColumnName>, Vec<DataType>)> = LazyLock::new(|| {
    let texts = MapType::new(DataType::STRING, DataType::STRING, true);
    let columns: [(ColumnName, DataType); 9] = [
        (column_name!("path"), DataType::STRING),
        (column_name!("size"), DataType::LONG),
        (column_name!("modificationTime"), DataType::LONG),
        (
            column_name!("fileConstantValues.partitionValues"),
            texts.into(),
        ),
        (column_name!("deletionVector.storageType"), DataType::STRING),
        (
            column_name!("deletionVector.pathOrInlineDv"),
            DataType::STRING,
        ),
        (column_name!("deletionVector.offset"), DataType::INTEGER),
        (
            column_name!("deletionVector.sizeInBytes"),
            DataType::INTEGER,
        ),
        (column_name!("deletionVector.cardinality"), DataType::LONG),
    ];
    columns.into_iter().unzip()
});

impl FilteredRowVisitor for Files<'_> {
    fn selected_column_names_and_types(&self) -> (&'static [ColumnName], &'static [DataType]) {
        (&FILE.0, &FILE.1)
    }

    fn visit_filtered<'a>(
        &mut self,
        getters: &[&'a dyn GetData<'a>],
        rows: RowIndexIterator<'_>,
    ) -> KernelResult<()> {
        for row in rows {
            let path: String = getters[0].get(row, "path")?;
            let size: i64 = getters[1].get(row, "size")?;
            let time: Option<i64> = getters[2].get_opt(row, "modificationTime")?;
            let values = getters[3].get_map(row, "partitionValues")?;
            let value = |key: &String| Some(values.as_ref()?.get(key)?.to_owned());
            let file = DeltaFile {
                path: decoded(&path)?,
                size: u64::try_from(size).map_err(|_| {
                    KernelError::generic(format!("the log gives {path} the size {size}"))
                })?,
                partition_values: self.keys.iter().map(value).collect(),
                deletion_vector: deletion_vector(&getters[4..], row)?,
            };
            self.files.push((time.unwrap_or_default(), file));
        }
        Ok(())
    }
}

fn deletion_vector<'a>(
    getters: &[&'a dyn GetData<'a>],
    row: usize,
) -> KernelResult<Option<DeletionVector>> {
    let storage_type: Option<String> = getters[0].get_opt(row, "storageType")?;
    let Some(storage_type) = storage_type else {
        return Ok(None);
    };
    Ok(Some(DeletionVector {
        storage_type,
        path_or_inline_dv: getters[1].get(row, "pathOrInlineDv")?,
        offset: getters[2].get_opt(row, "offset")?,
        size_in_bytes: getters[3].get(row, "sizeInBytes")?,
        cardinality: getters[4].get(row, "cardinality")?,
    }))
}

/// The path of a file, which stands in the log as part of a URL.
fn decoded(path: &str) -> KernelResult<String> {
    let decoded = percent_decode_str(path).decode_utf8();
    let decoded = decoded.map_err(|_| {
        KernelError::generic(format!("the log has a path that is not UTF-8: {path}"))
    })?;
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(names: &[&str]) -> Option<(u64, u64)> {
        let files = names.iter().map(|name| (format!("{LOG}/{name}"), 1));
        versions(&files.collect::<Vec<_>>())
    }

    #[test]
    fn the_versions_of_a_log_begin_at_its_first_commit_or_a_checkpoint() {
        let commit = |version: u64| format!("{version:020}.json");
        let (zero, one, two) = (commit(0), commit(1), commit(2));
        assert_eq!(range(&[&zero, &one, "_last_checkpoint"]), Some((0, 1)));
        let checkpoint = "00000000000000000001.checkpoint.0000000001.0000000002.parquet";
        assert_eq!(range(&[&one, checkpoint, &two]), Some((1, 2)));
        assert_eq!(range(&[checkpoint, &two]), Some((1, 2)));
        assert_eq!(
            range(&["_last_checkpoint", "00000000000000000000.crc"]),
            None
        );
    }

    #[test]
    fn paths_are_parts_of_urls() {
        assert_eq!(
            decoded("year=2026/a%20b.parquet").unwrap(),
            "year=2026/a b.parquet"
        );
        assert_eq!(decoded("name=a%2520b/x").unwrap(), "name=a%20b/x");
        assert!(decoded("%ff").is_err());
    }
}
