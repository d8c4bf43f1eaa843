//! A folder in an object store.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::azure::{self, Container};
use super::buckets;
use super::credentials::{Authentication, Credentials};
use super::failure::storage_error;
use super::file::LakeFile;
use super::local::{list_files, local_lake};
use super::location::Location;
use super::patience::Patience;
use super::reading::Meter;
use super::runtime;
use super::transfer::fetch;
use super::upload::upload;
use crate::secrets::SecretScope;
use crate::{Error, Result, error::LakeError, interrupt};

/// What is encoded in a container's name in a URL. Only OneLake's have anything of it.
const IN_USER_NAME: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'$');

/// How many files are fetched at once, to hide the latency of the store.
const CONCURRENCY: usize = 16;

/// A folder in an object store. It prints as its URL.
///
/// ```
/// use mnist_support::lake::{Credentials, Lake};
///
/// # fn main() -> mnist_support::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let url = folder.path().to_str().unwrap();
/// let lake = Lake::open(url, &Credentials::local())?;
/// lake.put("digits/small.csv", "pixel1,label\n0,7\n255,1\n".into())?;
/// assert_eq!(lake.list()?, ["digits/small.csv"]);
///
/// let frame = lake.folder("digits").csv("small.csv")?;
/// assert_eq!(frame.columns(), ["pixel1", "label"]);
/// assert_eq!(frame.collect()?.height(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Lake {
    store: Arc<dyn ObjectStore>,
    place: Place,
    folder: ObjectPath,
    url: String,
}

#[derive(Clone)]
enum Place {
    /// The folder that was opened.
    Local(PathBuf),
    Azure(Container),
    Bucket,
}

impl Lake {
    /// Opens `abfss://container@account.dfs.core.windows.net/path`,
    /// `https://account.blob.core.windows.net/container/path`, `az://container/path` (the account
    /// comes from the credentials), `s3://bucket/path`, `gs://bucket/path`, `file:///path` or a
    /// plain path. This makes no request.
    ///
    /// The host may be the one of another cloud of Azure, of a DNS zone, of a private endpoint, or
    /// OneLake's. An endpoint in the credentials is for their own account: a URL that names another
    /// account goes to that one.
    ///
    /// Buckets are opened with the credentials in object_store's environment variables, such as
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION` and `AWS_ENDPOINT`, or
    /// `GOOGLE_SERVICE_ACCOUNT`, or anonymously with [`Credentials::anonymous`].
    ///
    /// # Errors
    /// - [`LakeError::InvalidUrl`] for anything else, or if no account is named.
    /// - [`LakeError::AccessDenied`] for a container without credentials, or with credentials that
    ///   cannot be right or are another account's.
    /// - [`Error::InvalidSetting`] for credentials that contradict each other.
    pub fn open(url: &str, credentials: &Credentials) -> Result<Lake> {
        Lake::open_with(url, credentials, Patience::default())
    }

    pub(super) fn open_with(
        url: &str,
        credentials: &Credentials,
        patience: Patience,
    ) -> Result<Lake> {
        match Location::parse(url)? {
            Location::Local(path) => Lake::local(path),
            Location::Bucket {
                provider,
                bucket,
                path,
            } => {
                let shown = url.trim_end_matches('/').to_owned();
                Ok(Lake {
                    store: buckets::open(&shown, provider, &bucket, credentials, patience)?,
                    place: Place::Bucket,
                    folder: path,
                    url: shown,
                })
            }
            Location::Azure {
                container,
                service,
                path,
            } => {
                let shown = url.trim_end_matches('/').to_owned();
                let container = azure::open(&shown, &container, service, credentials, patience)?;
                Ok(Lake {
                    store: container.store.clone(),
                    place: Place::Azure(container),
                    folder: path,
                    url: shown,
                })
            }
        }
    }

    /// Opens a container of the account that `scope` names (its key `account` or `lake-name`), with
    /// the credentials of the scope. If no account is configured, this opens the folder of that
    /// name in the local lake, which is the folder that the variable `MNIST_LAKE` names, or else
    /// `data/lake` here or in a parent folder.
    ///
    /// ```no_run
    /// use mnist_support::lake::Lake;
    /// use mnist_support::secrets::SecretScope;
    ///
    /// # fn main() -> mnist_support::Result<()> {
    /// let lake = Lake::connect("torchtut", &SecretScope::open("adls")?)?;
    /// let train = lake.csv("train.csv")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// - [`LakeError::NotFound`] if there is neither an account nor a local lake with that folder.
    /// - [`SecretError::NotFound`](crate::error::SecretError::NotFound) if the scope has
    ///   credentials but no account.
    /// - The errors of [`Credentials::from_scope`] and [`Lake::open`].
    pub fn connect(container: &str, scope: &SecretScope) -> Result<Lake> {
        let credentials = Credentials::from_scope(scope)?;
        if let Some(account) = credentials.account() {
            let host = credentials.dfs_host();
            let host = host.unwrap_or_else(|| format!("{account}.dfs.core.windows.net"));
            let container = utf8_percent_encode(container, IN_USER_NAME);
            return Lake::open(&format!("abfss://{container}@{host}"), &credentials);
        }
        if !matches!(credentials.authentication(), Authentication::None) {
            // Credentials imply an account: falling back to the local lake would be wrong.
            scope.get("account")?;
        }
        let folder = local_lake()?.join(container);
        if !folder.is_dir() {
            return Err(Error::Lake(LakeError::NotFound {
                url: folder.display().to_string(),
                hint: "run `make data` to create the local lake".into(),
            }));
        }
        Lake::local(folder)
    }

    fn local(path: PathBuf) -> Result<Lake> {
        let invalid = |reason: String| {
            Error::Lake(LakeError::InvalidUrl {
                url: path.display().to_string(),
                reason,
            })
        };
        let text = path
            .to_str()
            .ok_or_else(|| invalid("it is not UTF-8".into()))?;
        let folder = ObjectPath::parse(text.trim_matches('/'))
            .map_err(|error| invalid(error.to_string()))?;
        let url = Url::from_file_path(&path).map_err(|()| invalid("it is not absolute".into()))?;
        let url = url.as_str().trim_end_matches('/').to_owned();
        Ok(Lake {
            // Sync before renaming: a file that exists after a crash is whole.
            store: Arc::new(LocalFileSystem::new().with_fsync(true)),
            place: Place::Local(path),
            folder,
            url,
        })
    }

    /// Returns a folder below this one. It need not exist: object stores have no folders, only
    /// names with `/`.
    pub fn folder(&self, path: &str) -> Lake {
        let path = path.trim_matches('/');
        let mut lake = self.clone();
        if !path.is_empty() {
            let inner = ObjectPath::parse(path).unwrap_or_else(|_| ObjectPath::from(path));
            lake.url = self.url_of(inner.as_ref());
            lake.folder = self.folder.parts().chain(inner.parts()).collect();
        }
        lake
    }

    /// The URL of this folder, without a trailing `/`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the contents of a file.
    ///
    /// # Errors
    /// [`LakeError::NotFound`], [`LakeError::AccessDenied`], [`LakeError::Unreachable`] or
    /// [`LakeError::Storage`].
    pub fn get(&self, path: &str) -> Result<Bytes> {
        let (store, path, url) = self.locate(path)?;
        runtime::wait("reading", &url.clone(), async move {
            let counter = AtomicU64::new(0);
            let fetched = fetch(store.as_ref(), &path, None, None, &counter).await;
            let (_, bytes) = fetched.map_err(|error| storage_error("reading", &url, error))?;
            Ok(bytes)
        })?
    }

    /// Returns the contents of files, in order. Several are fetched at a time. `meter` reports the
    /// progress.
    pub(super) fn get_all(&self, paths: &[&str], meter: &Meter<'_>) -> Result<Vec<Bytes>> {
        let files = paths.iter().map(|path| self.locate(path));
        let files = files.collect::<Result<Vec<_>>>()?;
        let counter = meter.counter();
        let fetched = files.into_iter().map(move |(store, path, url)| {
            let counter = Arc::clone(&counter);
            async move {
                let fetched = fetch(store.as_ref(), &path, None, None, &counter).await;
                let (_, bytes) = fetched.map_err(|error| storage_error("reading", &url, error))?;
                Ok(bytes)
            }
        });
        let all = stream::iter(fetched).buffered(CONCURRENCY).try_collect();
        let _scope = interrupt::scope();
        runtime::start("reading", &self.url, all)?.wait_with(&mut || meter.report_if_due())?
    }

    /// Writes a file, whole or not at all. An existing file is replaced.
    ///
    /// # Errors
    /// Same as [`Lake::get`].
    pub fn put(&self, path: &str, bytes: Bytes) -> Result<()> {
        let (store, path, url) = self.locate(path)?;
        interrupt::check("writing", &url)?;
        // A local write cannot be cancelled: if it were not waited for, it could still finish after
        // the caller has cleaned up.
        let _shield = matches!(self.place, Place::Local(_)).then(interrupt::shield);
        runtime::wait("writing", &url.clone(), async move {
            store
                .put(&path, bytes.into())
                .await
                .map_err(|error| storage_error("writing", &url, error))?;
            Ok(())
        })?
    }

    /// Uploads a local file in blocks, whole or not at all, and returns its size in bytes. At most
    /// 40 MB of it are in memory at a time.
    ///
    /// # Errors
    /// [`Error::Io`] for the local file, otherwise the same as [`Lake::put`].
    pub fn upload(&self, path: &str, file: &Path) -> Result<u64> {
        let reader = File::open(file).map_err(|source| Error::Io {
            operation: "opening",
            path: file.into(),
            source,
        })?;
        self.upload_file(path, reader, file)
    }

    /// Like [`upload`](Self::upload), with an open file. Errors call it `name`.
    pub(crate) fn upload_file(&self, path: &str, file: File, name: &Path) -> Result<u64> {
        let (store, path, url) = self.locate(path)?;
        interrupt::check("sending", &url)?;
        // As in `put`.
        let _shield = matches!(self.place, Place::Local(_)).then(interrupt::shield);
        runtime::wait(
            "sending",
            &url.clone(),
            upload(store, path, url, file, name.to_path_buf()),
        )?
    }

    /// Lists the files in this folder and below it, as sorted paths relative to this folder.
    ///
    /// Left out are files with names that cannot be given to [`Lake::get`] (with an empty part, `.`
    /// or `..` between slashes, or with control characters), and the empty files with which some
    /// programs mark folders. A notebook or a terminal says so for the former.
    ///
    /// # Errors
    /// [`LakeError::NotFound`] if the container, or the local folder that was opened, does not
    /// exist. Otherwise the same as [`Lake::get`].
    pub fn list(&self) -> Result<Vec<String>> {
        let files = self.list_sizes()?.into_iter();
        Ok(files.map(|(name, _)| name).collect())
    }

    /// Like [`list`](Self::list), with the sizes of the files in bytes.
    pub(super) fn list_sizes(&self) -> Result<Vec<(String, u64)>> {
        let mut names = match &self.place {
            Place::Local(root) => self.list_local(root)?,
            Place::Azure(_) | Place::Bucket => self.list_store()?,
        };
        names.sort();
        Ok(names)
    }

    /// Lists the files of an object store.
    fn list_store(&self) -> Result<Vec<(String, u64)>> {
        let (store, folder, url) = (self.store.clone(), self.folder.clone(), self.url.clone());
        let found = runtime::wait("listing", &url.clone(), async move {
            let found = store.list(Some(&folder)).try_collect::<Vec<_>>().await;
            found.map_err(|error| storage_error("listing", &url, error))
        })??;
        let mut files = Vec::with_capacity(found.len());
        for file in found {
            let Some(parts) = file.location.prefix_match(&self.folder) else {
                continue;
            };
            let parts: Vec<_> = parts.collect();
            let names: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
            files.push((names.join("/"), file.size));
        }
        let folders: BTreeSet<String> = files
            .iter()
            .flat_map(|(name, _)| {
                name.match_indices('/')
                    .map(|(end, _)| name[..end].to_owned())
            })
            .collect();
        // An empty file with the name of a folder is the folder's mark.
        files.retain(|(name, size)| *size > 0 || !folders.contains(name));
        Ok(files)
    }

    /// Lists the files of a local folder. object_store's own listing ends at the first name that it
    /// cannot hold.
    fn list_local(&self, root: &Path) -> Result<Vec<(String, u64)>> {
        if !root.is_dir() {
            return Err(Error::Lake(LakeError::NotFound {
                url: self.url.clone(),
                hint: "there is no such folder".into(),
            }));
        }
        let folder = Path::new("/").join(self.folder.as_ref());
        let url = self.url.clone();
        runtime::wait("listing", &self.url, async move {
            let listed = tokio::task::spawn_blocking(move || list_files(&folder)).await;
            let listed = listed.map_err(std::io::Error::other).flatten();
            listed.map_err(|error| {
                let failure = object_store::Error::Generic {
                    store: "LocalFileSystem",
                    source: Box::new(error),
                };
                storage_error("listing", &url, failure)
            })
        })?
    }

    /// Whether a file exists.
    ///
    /// # Errors
    /// Same as [`Lake::get`], except that a missing file is no error.
    pub fn exists(&self, path: &str) -> Result<bool> {
        Ok(self.size(path)?.is_some())
    }

    /// The size of a file in bytes, if it exists.
    pub(super) fn size(&self, path: &str) -> Result<Option<u64>> {
        let (store, path, url) = self.locate(path)?;
        runtime::wait("looking for", &url.clone(), async move {
            match store.head(&path).await {
                Ok(file) => Ok(Some(file.size)),
                Err(error) => match storage_error("looking for", &url, error) {
                    Error::Lake(LakeError::NotFound { .. }) => Ok(None),
                    error => Err(error),
                },
            }
        })?
    }

    /// Deletes a file.
    ///
    /// # Errors
    /// Same as [`Lake::get`].
    pub fn delete(&self, path: &str) -> Result<()> {
        let (store, path, url) = self.locate(path)?;
        runtime::wait("removing", &url.clone(), async move {
            store
                .delete(&path)
                .await
                .map_err(|error| storage_error("removing", &url, error))
        })?
    }

    /// Creates the container or, for a local lake, the folder that was opened. Returns `false` if
    /// it exists already.
    ///
    /// # Errors
    /// [`LakeError::AccessDenied`], [`LakeError::Unreachable`] or [`LakeError::Storage`] (always
    /// for a bucket), and [`Error::Io`] for a folder.
    pub fn create_container(&self) -> Result<bool> {
        match &self.place {
            Place::Local(root) if root.is_dir() => Ok(false),
            Place::Local(root) => {
                std::fs::create_dir_all(root).map_err(|source| Error::Io {
                    operation: "creating",
                    path: root.clone(),
                    source,
                })?;
                Ok(true)
            }
            Place::Azure(container) => container.create(),
            Place::Bucket => Err(Error::Lake(LakeError::Storage {
                operation: "creating",
                url: self.url.clone(),
                reason: "buckets are created with their provider's tools".into(),
            })),
        }
    }

    /// Opens a file and fetches its first bytes.
    pub(crate) fn file(&self, path: &str, first: u64) -> Result<(LakeFile, Bytes)> {
        let (store, path, url) = self.locate(path)?;
        LakeFile::open(store, path, url, first)
    }

    fn locate(&self, path: &str) -> Result<(Arc<dyn ObjectStore>, ObjectPath, String)> {
        let url = self.url_of(path);
        let inner = ObjectPath::parse(path).map_err(|error| {
            Error::Lake(LakeError::InvalidUrl {
                url: url.clone(),
                reason: error.to_string(),
            })
        })?;
        if inner.as_ref().is_empty() && self.folder.as_ref().is_empty() {
            return Err(Error::Lake(LakeError::InvalidUrl {
                url,
                reason: "it names no file".into(),
            }));
        }
        let full = self.folder.parts().chain(inner.parts()).collect();
        Ok((self.store.clone(), full, url))
    }

    fn url_of(&self, path: &str) -> String {
        let mut url = self.url.clone();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            url.push('/');
            for character in part.chars() {
                match character {
                    '%' => url.push_str("%25"),
                    '?' => url.push_str("%3F"),
                    '#' => url.push_str("%23"),
                    ' ' => url.push_str("%20"),
                    other => url.push(other),
                }
            }
        }
        url
    }
}

impl fmt::Display for Lake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.url)
    }
}

impl fmt::Debug for Lake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Lake({:?})", self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lake_prints_as_its_url() {
        let lake = Lake::open("az://torchtut/", &Credentials::azurite(1)).unwrap();
        assert_eq!(lake.folder("a/b").to_string(), "az://torchtut/a/b");
        assert_eq!(
            format!("{:?}", lake.folder("/a b/")),
            r#"Lake("az://torchtut/a%20b")"#
        );
        assert_eq!(lake.folder("").url(), "az://torchtut");
    }
}
