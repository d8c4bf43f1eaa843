//! One file of a lake, read in ranges.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};

use super::failure::storage_error;
use super::runtime::{self, Pending};
use crate::{Error, Result};

/// A file of a store, at the version that was there when it was opened.
#[derive(Clone)]
pub(crate) struct LakeFile {
    store: Arc<dyn ObjectStore>,
    path: ObjectPath,
    url: String,
    size: u64,
    version: Option<String>,
}

impl LakeFile {
    /// Opens a file and fetches its first bytes, at most `length`, in one request.
    ///
    /// It is a `GET` rather than a `HEAD`, whose answer has no body to say what is missing: the container or
    /// the blob.
    pub(crate) fn open(
        store: Arc<dyn ObjectStore>,
        path: ObjectPath,
        url: String,
        length: u64,
    ) -> Result<(LakeFile, Bytes)> {
        runtime::wait(async move {
            let options = GetOptions {
                range: Some(GetRange::Bounded(0..length)),
                ..GetOptions::default()
            };
            let failed = |error| storage_error("opening", &url, error);
            let (meta, bytes) = match store.get_opts(&path, options).await {
                Ok(answer) => (answer.meta.clone(), answer.bytes().await.map_err(failed)?),
                // A range of an empty file cannot be satisfied, which is none of the usual failures.
                Err(error) => match failed(error) {
                    error @ Error::Storage { .. } => match store.head(&path).await {
                        Ok(meta) if meta.size == 0 => (meta, Bytes::new()),
                        _ => return Err(error),
                    },
                    error => return Err(error),
                },
            };
            Ok((
                LakeFile {
                    store,
                    path,
                    url,
                    size: meta.size,
                    version: meta.e_tag,
                },
                bytes,
            ))
        })?
    }

    /// The file's URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The file's size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Starts to fetch a range.
    pub(crate) fn start(&self, range: Range<u64>) -> Result<Pending<Result<Bytes>>> {
        let file = self.clone();
        runtime::start(async move {
            if range.is_empty() {
                return Ok(Bytes::new());
            }
            let failed = |error| storage_error("reading", &file.url, error);
            let options = GetOptions {
                range: Some(GetRange::Bounded(range.clone())),
                if_match: file.version.clone(),
                ..GetOptions::default()
            };
            let answer = file
                .store
                .get_opts(&file.path, options)
                .await
                .map_err(failed)?;
            let bytes = answer.bytes().await.map_err(failed)?;
            if bytes.len() as u64 != range.end - range.start {
                return Err(Error::Storage {
                    operation: "reading",
                    url: file.url,
                    reason: format!(
                        "{} bytes came where {} were asked for",
                        bytes.len(),
                        range.end - range.start
                    ),
                });
            }
            Ok(bytes)
        })
    }

    /// Fetches a range.
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Bytes> {
        self.start(range)?.wait()?
    }

    /// Fetches ranges one after the other, each while the one before is being used.
    pub(crate) fn read_ahead<'a>(
        &'a self,
        ranges: &'a [Range<u64>],
    ) -> impl Iterator<Item = Result<(Range<u64>, Bytes)>> + 'a {
        let mut next = ranges.first().map(|range| self.start(range.clone()));
        ranges.iter().enumerate().map(move |(index, range)| {
            let pending = next.take().unwrap_or_else(|| self.start(range.clone()))?;
            let bytes = pending.wait()??;
            next = ranges.get(index + 1).map(|range| self.start(range.clone()));
            Ok((range.clone(), bytes))
        })
    }
}
