//! Fetches a file, or a range of it, and takes a body that breaks off up again where it broke.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::client::HttpError;
use object_store::path::Path as ObjectPath;
use object_store::{
    GetOptions, GetRange, GetResult, GetResultPayload, ObjectMeta, ObjectStore, Result,
};
use tokio::runtime::Handle;

use super::failure::find_source;
use super::patience::Busy;

/// How often in a row a body may break off without a byte of progress.
const FRUITLESS: usize = 3;

/// Fetches the bytes of `range`, or all of the file, of the version `version` if it is given. Adds
/// the bytes to `counter` as they arrive over a network; a local file is counted at once.
///
/// object_store takes a broken body up too, but only three times, and not when the request began
/// longer ago than the limit for its retries.
pub(super) async fn fetch(
    store: &dyn ObjectStore,
    path: &ObjectPath,
    range: Option<Range<u64>>,
    version: Option<String>,
    counter: &AtomicU64,
) -> Result<(ObjectMeta, Bytes)> {
    let mut options = GetOptions {
        range: range.map(GetRange::Bounded),
        if_match: version,
        ..GetOptions::default()
    };
    let mut received = Vec::new();
    let mut fruitless = 0;
    loop {
        let before = received.len();
        let response = store.get_opts(path, options.clone()).await?;
        let (meta, range) = (response.meta.clone(), response.range.clone());
        let failure = match append(response, &mut received, counter).await {
            Ok(Some(whole)) => return Ok((meta, whole)),
            Ok(None) => return Ok((meta, received.into())),
            Err(failure) => failure,
        };
        let progress = received.len() - before;
        fruitless = if progress > 0 { 0 } else { fruitless + 1 };
        if progress as u64 == range.end - range.start {
            return Ok((meta, received.into()));
        }
        let is_broken =
            find_source::<HttpError>(&failure).is_some() && find_source::<Busy>(&failure).is_none();
        // Without a version the rest might be another file's.
        if !is_broken || fruitless > FRUITLESS || meta.e_tag.is_none() {
            return Err(failure);
        }
        options.range = Some(GetRange::Bounded(range.start + progress as u64..range.end));
        options.if_match = meta.e_tag;
    }
}

/// Appends the body of a response. Returns the body instead if it is in memory or in a local file.
async fn append(
    response: GetResult,
    received: &mut Vec<u8>,
    counter: &AtomicU64,
) -> Result<Option<Bytes>> {
    let length = response.range.end - response.range.start;
    match response.payload {
        GetResultPayload::Stream(mut stream) => {
            // Only to save copies: what a response says of its length may be wrong.
            let _ = received.try_reserve_exact(length as usize);
            while let Some(chunk) = stream.try_next().await? {
                counter.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                received.extend_from_slice(&chunk);
            }
            Ok(None)
        }
        GetResultPayload::File(file, path) => {
            let read = read_ranges(file, path, vec![response.range], counter).await?;
            Ok(read.into_iter().next())
        }
    }
}

/// Fetches ranges of a local file, of the version `version` if it is given: the file is opened once
/// for all of them.
pub(super) async fn fetch_local(
    store: &dyn ObjectStore,
    path: &ObjectPath,
    ranges: Vec<Range<u64>>,
    version: Option<String>,
    counter: &AtomicU64,
) -> Result<Vec<Bytes>> {
    let start = ranges.iter().map(|range| range.start).min();
    let end = ranges.iter().map(|range| range.end).max();
    let options = GetOptions {
        range: start
            .zip(end)
            .map(|(start, end)| GetRange::Bounded(start..end)),
        if_match: version.clone(),
        ..GetOptions::default()
    };
    if let GetResultPayload::File(file, path) = store.get_opts(path, options).await?.payload {
        return read_ranges(file, path, ranges, counter).await;
    }
    let mut fetched = Vec::with_capacity(ranges.len());
    for range in ranges {
        fetched.push(
            fetch(store, path, Some(range), version.clone(), counter)
                .await?
                .1,
        );
    }
    Ok(fetched)
}

async fn read_ranges(
    mut file: File,
    path: PathBuf,
    ranges: Vec<Range<u64>>,
    counter: &AtomicU64,
) -> Result<Vec<Bytes>> {
    let read = move || {
        let ranges = ranges.into_iter();
        ranges.map(|range| read_range(&mut file, range)).collect()
    };
    let read: io::Result<Vec<Bytes>> = match Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(read).await?,
        Err(_) => read(),
    };
    let read = read.map_err(|source| object_store::Error::Generic {
        store: "LocalFileSystem",
        source: format!("{}: {source}", path.display()).into(),
    })?;
    let bytes: usize = read.iter().map(Bytes::len).sum();
    counter.fetch_add(bytes as u64, Ordering::Relaxed);
    Ok(read)
}

/// Reads a range of a local file, or as much of it as there is. What object_store offers for that
/// fills the memory with zeros first.
fn read_range(file: &mut File, range: Range<u64>) -> io::Result<Bytes> {
    let length = range.end - range.start;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length as usize)?;
    file.seek(SeekFrom::Start(range.start))?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}
