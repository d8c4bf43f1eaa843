//! The kernel's engine: how it lists and reads the log of a table in the lake.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use delta_kernel::schema::{SchemaRef, StructType};
use delta_kernel::{
    Engine, EngineData, EvaluationHandler, FileDataReadResultIterator, FileMeta, FileSize,
    FileSlice, FilteredEngineData, JsonHandler, KernelError, KernelResult, KernelResultIterator,
    KernelResultIteratorStatic, ParquetFooter, ParquetHandler, PredicateRef, StorageHandler,
};
use percent_encoding::percent_decode_str;
use url::Url;

use super::checkpoint::{self, Checkpoint};
use super::evaluate::Evaluation;
use super::json;
use crate::lake::store::Lake;
use crate::lake::table::folder::{CONCURRENCY, at_once};
use crate::{
    Error, Result,
    error::{LakeError, TableError},
};

/// The folder of a table's log.
pub(in crate::lake::table) const LOG: &str = "_delta_log";

/// The kernel's engine for one table. It reads, and writes nothing.
pub(super) struct LogEngine(Arc<Log>);

/// A table's folder.
pub(super) struct Log {
    lake: Lake,
    root: Url,
    /// The files of the log and their sizes, sorted, once they have been listed.
    files: OnceLock<Vec<(String, u64)>>,
    /// Commits: the kernel reads them once for the schema, and once for the files.
    commits: Mutex<HashMap<String, Bytes>>,
}

/// The error with which the kernel hands back one of this crate.
pub(super) fn failed(error: Error) -> KernelError {
    KernelError::generic_err(error)
}

/// The error for a request to write.
pub(super) fn read_only(what: &str) -> KernelError {
    KernelError::unsupported(format!("{what}: tables are only read here"))
}

/// The error of this crate that a kernel's error carries, or the kernel's own about `table`.
pub(super) fn error(error: KernelError, table: &str) -> Error {
    match error {
        KernelError::Backtraced { source, .. } => self::error(*source, table),
        KernelError::GenericError { source } => match source.downcast::<Error>() {
            Ok(error) => *error,
            Err(source) => TableError::failed(table, source),
        },
        KernelError::Unsupported(reason) => TableError::failed(
            table,
            format!(
                "the table uses a part of the Delta protocol that cannot be read: {reason}; read \
                 it with Spark, or have its writer drop the feature (ALTER TABLE … DROP FEATURE)"
            ),
        ),
        other => TableError::failed(table, other),
    }
}

impl LogEngine {
    pub(super) fn new(lake: &Lake) -> Result<LogEngine> {
        let root = root(lake.url()).map_err(|reason| {
            Error::Lake(LakeError::InvalidUrl {
                url: lake.url().to_owned(),
                reason,
            })
        })?;
        Ok(LogEngine(Arc::new(Log {
            lake: lake.clone(),
            root,
            files: OnceLock::new(),
            commits: Mutex::default(),
        })))
    }

    pub(super) fn log(&self) -> &Log {
        &self.0
    }
}

/// The URL of a folder as the kernel writes it: with a slash at its end, and a local one without
/// symbolic links.
fn root(url: &str) -> std::result::Result<Url, String> {
    let root = Url::parse(&format!("{url}/")).map_err(|error| error.to_string())?;
    let local = (root.scheme() == "file")
        .then(|| root.to_file_path().ok()?.canonicalize().ok())
        .flatten();
    match local {
        None => Ok(root),
        Some(path) => {
            Url::from_directory_path(path).map_err(|()| "it is no path of a folder".to_owned())
        }
    }
}

impl Log {
    pub(super) fn root(&self) -> &Url {
        &self.root
    }

    /// The files of the log and their sizes, as paths below the table's folder, sorted.
    pub(super) fn files(&self) -> Result<&[(String, u64)]> {
        if self.files.get().is_none() {
            let listed = self.lake.folder(LOG).list_sizes()?.into_iter();
            let mut files: Vec<_> = listed
                .map(|(path, size)| (format!("{LOG}/{path}"), size))
                .collect();
            files.sort();
            return Ok(self.files.get_or_init(|| files));
        }
        Ok(self.files.get().map(Vec::as_slice).unwrap_or_default())
    }

    /// The path of a URL below the table's folder.
    fn path(&self, url: &Url) -> KernelResult<String> {
        let url = url.as_str();
        let shown = self.lake.url();
        let below = url.strip_prefix(self.root.as_str()).or_else(|| {
            let rest = url.strip_prefix(shown)?;
            rest.strip_prefix('/')
        });
        match below {
            Some(path) => Ok(percent_decode_str(path).decode_utf8_lossy().into_owned()),
            None => Err(failed(outside(url, shown))),
        }
    }

    fn url(&self, path: &str) -> KernelResult<Url> {
        let mut url = self.root.clone();
        url.path_segments_mut()
            .map_err(|()| KernelError::invalid_table_location(&self.root))?
            .pop_if_empty()
            .extend(path.split('/'));
        Ok(url)
    }

    /// Fetches the commits that have not been, several at a time, and returns all of them.
    fn commits(&self, paths: &[String]) -> KernelResult<Vec<Bytes>> {
        let commits = || self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        let missing: Vec<&String> = {
            let commits = commits();
            paths
                .iter()
                .filter(|path| !commits.contains_key(*path))
                .collect()
        };
        for some in missing.chunks(CONCURRENCY) {
            let fetched = at_once(some, |path| self.lake.get(path)).map_err(not_fetched)?;
            commits().extend(some.iter().map(|path| (*path).clone()).zip(fetched));
        }
        let commits = commits();
        Ok(paths
            .iter()
            .filter_map(|path| commits.get(path).cloned())
            .collect())
    }
}

/// The kernel's error for a file that could not be fetched. It takes some files for optional.
fn not_fetched(error: Error) -> KernelError {
    match error {
        Error::Lake(LakeError::NotFound { url, .. }) => KernelError::file_not_found(url),
        error => failed(error),
    }
}

/// The error for a file that is not in the table's folder.
pub(super) fn outside(file: &str, table: &str) -> Error {
    TableError::failed(
        table,
        format!(
            "its log names {file}, which is outside the table's folder, as in a shallow clone: \
             only files in the folder are read; make a deep clone of the table, or read it with \
             Spark"
        ),
    )
}

impl Engine for LogEngine {
    fn evaluation_handler(&self) -> Arc<dyn EvaluationHandler> {
        Arc::new(Evaluation)
    }

    fn storage_handler(&self) -> Arc<dyn StorageHandler> {
        self.0.clone()
    }

    fn json_handler(&self) -> Arc<dyn JsonHandler> {
        self.0.clone()
    }

    fn parquet_handler(&self) -> Arc<dyn ParquetHandler> {
        self.0.clone()
    }
}

impl StorageHandler for Log {
    /// Only the log is ever listed.
    fn list_from(&self, path: &Url) -> KernelResult<KernelResultIteratorStatic<FileMeta>> {
        let from = self.path(path)?;
        let folder = from.rfind('/').map_or("", |slash| &from[..=slash]);
        let files = self.files().map_err(failed)?.iter();
        let files =
            files.filter(|(file, _)| file.starts_with(folder) && file.as_str() > from.as_str());
        let files = files.map(|(file, size)| Ok(FileMeta::new(self.url(file)?, 0, *size)));
        let files: Vec<KernelResult<FileMeta>> = files.collect();
        Ok(Box::new(files.into_iter()))
    }

    fn read_files(&self, files: Vec<FileSlice>) -> KernelResult<KernelResultIteratorStatic<Bytes>> {
        let read = |(url, range): FileSlice| {
            let bytes = self.lake.get(&self.path(&url)?).map_err(not_fetched)?;
            match range {
                None => Ok(bytes),
                Some(range) if range.start <= range.end && range.end <= bytes.len() as u64 => {
                    Ok(bytes.slice(range.start as usize..range.end as usize))
                }
                Some(range) => Err(KernelError::generic(format!(
                    "{url} has {} bytes, and {range:?} are needed",
                    bytes.len()
                ))),
            }
        };
        let read: Vec<_> = files.into_iter().map(read).collect();
        Ok(Box::new(read.into_iter()))
    }

    fn copy_atomic(&self, _from: &Url, _to: &Url) -> KernelResult<()> {
        Err(read_only("copying a file"))
    }

    fn put(&self, _path: &Url, _data: Bytes, _overwrite: bool) -> KernelResult<()> {
        Err(read_only("writing a file"))
    }

    fn head(&self, path: &Url) -> KernelResult<FileMeta> {
        match self.lake.size(&self.path(path)?).map_err(failed)? {
            Some(size) => Ok(FileMeta::new(path.clone(), 0, size)),
            None => Err(KernelError::file_not_found(path)),
        }
    }

    fn delete(&self, _path: &Url) -> KernelResult<()> {
        Err(read_only("deleting a file"))
    }
}

impl JsonHandler for Log {
    fn parse_json(
        &self,
        _texts: Box<dyn EngineData>,
        _schema: SchemaRef,
    ) -> KernelResult<Box<dyn EngineData>> {
        Err(KernelError::unsupported("statistics of the log"))
    }

    fn read_json_files(
        &self,
        files: &[FileMeta],
        schema: SchemaRef,
        _predicate: Option<PredicateRef>,
    ) -> KernelResult<FileDataReadResultIterator> {
        let paths = files.iter().map(|file| self.path(&file.location));
        let paths = paths.collect::<KernelResult<Vec<String>>>()?;
        let urls = files.iter().map(|file| file.location.to_string());
        let commits: Vec<_> = urls.zip(self.commits(&paths)?).collect();
        let read = commits.into_iter().map(move |(url, text)| {
            let actions = json::parse(&text, &schema, &url)?;
            Ok(Box::new(actions) as Box<dyn EngineData>)
        });
        Ok(Box::new(read))
    }

    fn write_json_file(
        &self,
        _path: &Url,
        _data: KernelResultIterator<'_, FilteredEngineData>,
        _overwrite: bool,
    ) -> KernelResult<FileSize> {
        Err(read_only("writing a commit"))
    }
}

impl ParquetHandler for Log {
    fn read_parquet_files(
        &self,
        files: &[FileMeta],
        schema: SchemaRef,
        _predicate: Option<PredicateRef>,
    ) -> KernelResult<FileDataReadResultIterator> {
        let paths = files.iter().map(|file| self.path(&file.location));
        let paths = paths.collect::<KernelResult<Vec<String>>>()?;
        let lake = self.lake.clone();
        let checkpoints = paths.into_iter().map(move |path| {
            let opened = Checkpoint::open(&lake, &path, Arc::clone(&schema));
            opened.map_err(failed)
        });
        let actions = checkpoints.flat_map(|checkpoint| {
            let read: Box<dyn Iterator<Item = _> + Send> = match checkpoint {
                Ok(checkpoint) => Box::new(checkpoint),
                Err(error) => Box::new(std::iter::once(Err(error))),
            };
            read
        });
        Ok(Box::new(actions.map(|actions| {
            actions.map(|actions| Box::new(actions) as Box<dyn EngineData>)
        })))
    }

    fn write_parquet_file(
        &self,
        _location: Url,
        _data: KernelResultIteratorStatic<Box<dyn EngineData>>,
    ) -> KernelResult<FileSize> {
        Err(read_only("writing a checkpoint"))
    }

    fn read_parquet_footer(&self, file: &FileMeta) -> KernelResult<ParquetFooter> {
        let schema: StructType = checkpoint::schema(&self.lake, &self.path(&file.location)?)?;
        Ok(ParquetFooter {
            schema: Arc::new(schema),
        })
    }
}
