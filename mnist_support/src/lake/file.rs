//! One file of a lake, read by byte ranges.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};

use super::failure::storage_error;
use super::reading::{Meter, OnProgress};
use super::runtime::{self, Pending};
use super::transfer::fetch;
use crate::{Error, Result, error::LakeError};

/// A file in an object store, at the version that it had when it was opened.
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
    /// The request is a `GET`, because the response to a `HEAD` has no body that says whether the
    /// container or the blob is missing.
    pub(crate) fn open(
        store: Arc<dyn ObjectStore>,
        path: ObjectPath,
        url: String,
        length: u64,
    ) -> Result<(LakeFile, Bytes)> {
        let name = url.clone();
        runtime::wait("opening", &name, async move {
            let failed = |error| storage_error("opening", &url, error);
            let counter = AtomicU64::new(0);
            let first = fetch(store.as_ref(), &path, Some(0..length), None, &counter).await;
            let (meta, bytes) = match first {
                Ok(fetched) => fetched,
                // An empty file cannot satisfy any range, and the store's error for that is not
                // specific.
                Err(error) => match failed(error) {
                    error @ Error::Lake(LakeError::Storage { .. }) => match store.head(&path).await
                    {
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

    /// Starts to fetch a byte range.
    pub(crate) fn start(&self, range: Range<u64>) -> Result<Pending<Result<Bytes>>> {
        self.start_counting(range, Arc::default())
    }

    /// Like [`start`](Self::start), but adds the bytes to `counter` as they arrive.
    fn start_counting(
        &self,
        range: Range<u64>,
        counter: Arc<AtomicU64>,
    ) -> Result<Pending<Result<Bytes>>> {
        let file = self.clone();
        runtime::start("reading", &self.url, async move {
            if range.is_empty() {
                return Ok(Bytes::new());
            }
            let (store, version) = (file.store.as_ref(), file.version.clone());
            let (_, bytes) = fetch(store, &file.path, Some(range.clone()), version, &counter)
                .await
                .map_err(|error| storage_error("reading", &file.url, error))?;
            if bytes.len() as u64 != range.end - range.start {
                return Err(Error::Lake(LakeError::Storage {
                    operation: "reading",
                    url: file.url,
                    reason: format!(
                        "received {} bytes, but requested {}",
                        bytes.len(),
                        range.end - range.start
                    )
                    .into(),
                }));
            }
            Ok(bytes)
        })
    }

    /// Fetches a byte range.
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Bytes> {
        self.start(range)?.wait()?
    }

    /// Fetches groups of byte ranges in order, each group at once, and while the previous one is
    /// being used. `meter` reports the progress.
    pub(crate) fn read_ahead<'a>(
        &'a self,
        groups: &'a [Vec<Range<u64>>],
        meter: &'a Meter<'a>,
    ) -> impl Iterator<Item = Result<Vec<Bytes>>> + 'a {
        let start = |group: &Vec<Range<u64>>| -> Result<Vec<_>> {
            let ranges = group.iter().cloned();
            ranges
                .map(|range| self.start_counting(range, meter.counter()))
                .collect()
        };
        let mut next = groups.first().map(start);
        groups.iter().enumerate().map(move |(index, group)| {
            let pending = next.take().unwrap_or_else(|| start(group))?.into_iter();
            let bytes = pending
                .map(|read| read.wait_with(&mut || meter.report_if_due())?)
                .collect::<Result<Vec<_>>>()?;
            next = groups.get(index + 1).map(start);
            Ok(bytes)
        })
    }

    /// A meter for reading `groups` of ranges of this file.
    pub(crate) fn meter<'a>(
        &'a self,
        groups: &[Vec<Range<u64>>],
        on_progress: OnProgress<'a>,
    ) -> Meter<'a> {
        let ranges = groups.iter().flatten();
        let total = ranges.map(|range| range.end - range.start).sum();
        // Only the file name: with its folders the line would be long.
        let name = self.url.rsplit('/').next().unwrap_or(&self.url);
        Meter::start(name, total, on_progress)
    }
}
