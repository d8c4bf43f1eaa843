//! Files that are sent to the executors.

use std::{fs::File, io, path::Path, sync::Arc};

use sha2::{Digest, Sha256};
use spark_connect_core::SparkConnectClient;

use super::connection::Connection;
use crate::{Error, Result, runtime::wait};

/// Sends a file to the server, which distributes it to the executors, and returns its name there.
///
/// The name contains a hash of the content, because within a session a server refuses different
/// content under a known name. A file is sent only once per session.
pub(super) fn send(connection: &Arc<Connection>, path: &Path) -> Result<String> {
    let failed = |operation| {
        move |source| Error::Io {
            operation,
            path: path.to_owned(),
            source,
        }
    };
    let metadata = path.metadata().map_err(failed("reading"))?;
    let key = (
        path.to_owned(),
        metadata.len(),
        metadata.modified().map_err(failed("reading"))?,
    );
    // Held while sending: if two threads have the same file, one of them sends it.
    let mut sent = connection
        .sent
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(name) = sent.get(&key) {
        return Ok(name.clone());
    }
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path).map_err(failed("reading"))?, &mut hash)
        .map_err(failed("reading"))?;
    let name = artifact_name(path, &hash.finalize());
    if !sent.values().any(|known| *known == name) {
        let local = path.to_str().ok_or_else(|| Error::InvalidSetting {
            setting: "file",
            value: path.display().to_string(),
            reason: "must have a name in UTF-8 to be sent to Spark".to_owned(),
        })?;
        let (task, local, remote) = (
            Arc::clone(connection),
            local.to_owned(),
            format!("files/{name}"),
        );
        wait("sending a file to", &connection.address.url, async move {
            let send = |client: Arc<SparkConnectClient>| {
                let (remote, local) = (&remote, &local);
                async move { client.add_named_artifact(remote, local).await }
            };
            task.retried("sending a file to", send).await
        })??;
    }
    sent.insert(key, name.clone());
    Ok(name)
}

/// Returns `train-0123456789abcdef.sh` for `scripts/train.sh`.
fn artifact_name(path: &Path, hash: &[u8]) -> String {
    // The name becomes part of a URL inside Spark.
    let plain = |text: Option<&std::ffi::OsStr>| -> String {
        let text = text.unwrap_or_default().to_string_lossy();
        text.chars()
            .map(|character| match character {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' => character,
                _ => '_',
            })
            .collect()
    };
    let hash: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let extension = path
        .extension()
        .map(|_| format!(".{}", plain(path.extension())));
    format!(
        "{}-{hash}{}",
        plain(path.file_stem()),
        extension.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_holds_the_hash_and_nothing_that_a_url_would_change() {
        let hash = [0xab; 32];
        assert_eq!(
            artifact_name(Path::new("a b/my worker.v2.so"), &hash),
            "my_worker_v2-abababababababab.so"
        );
        assert_eq!(
            artifact_name(Path::new("worker"), &hash),
            "worker-abababababababab"
        );
    }
}
