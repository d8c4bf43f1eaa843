//! One file of a lake, read by byte ranges.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};

use super::failure::storage_error;
use super::reading::{Meter, OnProgress};
use super::runtime::{self, Pending};
use super::transfer::{fetch, fetch_local};
use crate::{Error, Result, error::LakeError};

/// As long as fewer bytes are being fetched ahead, the next ones are asked for.
const READ_AHEAD: u64 = 32 << 20;

/// So many bytes of a local file are read by the thread that needs them, which takes less time than
/// to wake others. Of more, some are used while others are read.
const AT_ONCE: u64 = 4 << 20;

fn is_local(url: &str) -> bool {
    url.starts_with("file://")
}

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
        let open = |url: String| LakeFile::opened(store.clone(), path.clone(), url, length);
        if is_local(&url)
            && let Some(opened) = runtime::now("opening", &url, open(url.clone()))?
        {
            return opened;
        }
        runtime::wait("opening", &url, open(url.clone()))?
    }

    async fn opened(
        store: Arc<dyn ObjectStore>,
        path: ObjectPath,
        url: String,
        length: u64,
    ) -> Result<(LakeFile, Bytes)> {
        let failed = |error| storage_error("opening", &url, error);
        let counter = AtomicU64::new(0);
        let first = fetch(store.as_ref(), &path, Some(0..length), None, &counter).await;
        let (meta, bytes) = match first {
            Ok(fetched) => fetched,
            // An empty file cannot satisfy any range, and the store's error for that is not
            // specific.
            Err(error) => match failed(error) {
                error @ Error::Lake(LakeError::Storage { .. }) => match store.head(&path).await {
                    Ok(meta) if meta.size == 0 => (meta, Bytes::new()),
                    _ => return Err(error),
                },
                error => return Err(error),
            },
        };
        let file = LakeFile {
            store,
            path,
            url,
            size: meta.size,
            version: meta.e_tag,
        };
        Ok((file, bytes))
    }

    /// The file's URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The file's size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Whether it is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        is_local(&self.url)
    }

    /// Starts to fetch a byte range.
    pub(crate) fn start(&self, range: Range<u64>) -> Result<Pending<Result<Bytes>>> {
        let file = self.clone();
        runtime::start("reading", &self.url, async move {
            file.fetch(range, &AtomicU64::new(0)).await
        })
    }

    /// Fetches a byte range, and adds the bytes to `counter` as they arrive.
    async fn fetch(&self, range: Range<u64>, counter: &AtomicU64) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let (store, version) = (self.store.as_ref(), self.version.clone());
        let (_, bytes) = fetch(store, &self.path, Some(range.clone()), version, counter)
            .await
            .map_err(|error| storage_error("reading", &self.url, error))?;
        self.check(&range, &bytes)?;
        Ok(bytes)
    }

    /// Starts to fetch byte ranges, each by itself unless the file is local.
    fn start_all(
        &self,
        ranges: &[Range<u64>],
        counter: &Arc<AtomicU64>,
    ) -> Result<Vec<Pending<Result<Vec<Bytes>>>>> {
        if !self.is_local() || ranges.iter().any(Range::is_empty) {
            let ranges = ranges.iter().cloned();
            return ranges
                .map(|range| {
                    let (file, counter) = (self.clone(), Arc::clone(counter));
                    runtime::start("reading", &self.url, async move {
                        file.fetch(range, &counter).await.map(|bytes| vec![bytes])
                    })
                })
                .collect();
        }
        let bytes: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        if bytes <= AT_ONCE
            && let Some(fetched) =
                runtime::now("reading", &self.url, self.fetch_all(ranges, counter))?
        {
            return Ok(vec![Pending::ready(fetched)]);
        }
        let (file, counter, ranges) = (self.clone(), Arc::clone(counter), ranges.to_vec());
        let all = runtime::start("reading", &self.url, async move {
            file.fetch_all(&ranges, &counter).await
        })?;
        Ok(vec![all])
    }

    /// Fetches byte ranges of a local file.
    async fn fetch_all(&self, ranges: &[Range<u64>], counter: &AtomicU64) -> Result<Vec<Bytes>> {
        let (store, version) = (self.store.as_ref(), self.version.clone());
        let fetched = fetch_local(store, &self.path, ranges.to_vec(), version, counter)
            .await
            .map_err(|error| storage_error("reading", &self.url, error))?;
        let mut each = ranges.iter().zip(&fetched);
        each.try_for_each(|(range, bytes)| self.check(range, bytes))?;
        Ok(fetched)
    }

    /// Checks that as many bytes have come as were asked for.
    fn check(&self, range: &Range<u64>, bytes: &Bytes) -> Result<()> {
        let requested = range.end - range.start;
        if bytes.len() as u64 == requested {
            return Ok(());
        }
        Err(Error::Lake(LakeError::Storage {
            operation: "reading",
            url: self.url.clone(),
            reason: format!("received {} bytes, but requested {requested}", bytes.len()).into(),
        }))
    }

    /// Fetches a byte range.
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let counter = AtomicU64::new(0);
        if self.is_local()
            && range.end - range.start <= AT_ONCE
            && let Some(fetched) =
                runtime::now("reading", &self.url, self.fetch(range.clone(), &counter))?
        {
            return fetched;
        }
        self.start(range)?.wait()?
    }

    /// Fetches groups of byte ranges in order, each group at once, and while those before it are
    /// being used: the next one, and over a network more of them if they are small. `meter` reports
    /// the progress.
    pub(crate) fn read_ahead<'a>(
        &'a self,
        groups: &'a [Vec<Range<u64>>],
        meter: &'a Meter<'a>,
    ) -> impl Iterator<Item = Result<Vec<Bytes>>> + 'a {
        // A local file is read as fast as it is used, and its reader takes time from who uses it.
        let ahead = if self.is_local() { 1 } else { READ_AHEAD };
        let counter = meter.counter();
        let (mut waiting, mut started) = (groups.iter(), VecDeque::new());
        let mut start_more = move |started: &mut VecDeque<_>| {
            let mut under_way: u64 = started.iter().map(|(bytes, _)| bytes).sum();
            while under_way < ahead
                && let Some(group) = waiting.next()
            {
                let bytes: u64 = group.iter().map(|range| range.end - range.start).sum();
                started.push_back((bytes.max(1), self.start_all(group, &counter)));
                under_way += bytes.max(1);
            }
        };
        start_more(&mut started);
        std::iter::from_fn(move || {
            let (_, pending) = started.pop_front()?;
            let wait = |read: Pending<Result<Vec<Bytes>>>| {
                read.wait_with(&mut || meter.report_if_due())?
            };
            let fetched = pending.and_then(|pending| {
                let fetched: Result<Vec<_>> = pending.into_iter().map(wait).collect();
                fetched.map(|fetched| fetched.concat())
            });
            start_more(&mut started);
            Some(fetched)
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
