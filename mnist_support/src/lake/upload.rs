//! Uploads a local file to an object store, in blocks.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};

use super::failure::storage_error;
use crate::{Error, Result};

/// The size of a block, and how many blocks are in flight at a time.
const BLOCK: usize = 8 << 20;
const BLOCKS_AT_ONCE: usize = 4;

/// Uploads what `reader` reads of the file `name`, whole or not at all. Returns its size.
pub(super) async fn upload(
    store: Arc<dyn ObjectStore>,
    path: ObjectPath,
    url: String,
    mut reader: File,
    name: PathBuf,
) -> Result<u64> {
    let failed = |error| storage_error("writing", &url, error);
    let upload = store.put_multipart(&path).await.map_err(failed)?;
    let mut writer = WriteMultipart::new_with_chunk_size(upload, BLOCK);
    let mut size = 0;
    let sent = loop {
        let (back, block) = match read_block(reader, &name).await {
            Ok(read) => read,
            Err(error) => break Err(error),
        };
        if block.is_empty() {
            break Ok(size);
        }
        reader = back;
        size += block.len() as u64;
        if let Err(error) = writer.wait_for_capacity(BLOCKS_AT_ONCE).await {
            break Err(failed(error));
        }
        writer.put(block);
    };
    match sent {
        Ok(size) => {
            writer.finish().await.map_err(failed)?;
            Ok(size)
        }
        Err(error) => {
            // The service drops uncommitted blocks. The first error is the one to report.
            let _ = writer.abort().await;
            Err(error)
        }
    }
}

/// Reads the next block of a file, empty at the end. This blocks a thread of the pool, not the
/// runtime.
async fn read_block(mut reader: File, file: &Path) -> Result<(File, Bytes)> {
    let unread = |source| Error::Io {
        operation: "reading",
        path: file.into(),
        source,
    };
    tokio::task::spawn_blocking(move || {
        let mut block = Vec::with_capacity(BLOCK);
        Read::take(&mut reader, BLOCK as u64).read_to_end(&mut block)?;
        Ok((reader, Bytes::from(block)))
    })
    .await
    .map_err(std::io::Error::other)
    .flatten()
    .map_err(unread)
}
