//! A folder in a store.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;

use super::azure::{self, Container};
use super::credentials::{Authentication, Credentials};
use super::failure::storage_error;
use super::file::LakeFile;
use super::local::local_lake;
use super::location::Location;
use super::runtime;
use super::upload::upload;
use crate::secrets::SecretScope;
use crate::{Error, Result, error::LakeError, interrupt};

/// A folder in a store. It prints as its URL.
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
}

impl Lake {
    /// Opens `abfss://container@account.dfs.core.windows.net/path`, `az://container/path` (the account comes
    /// from the credentials), `file:///path` or a plain path. No request is made yet.
    ///
    /// # Errors
    /// [`LakeError::InvalidUrl`](crate::error::LakeError::InvalidUrl) for anything else, or where no account is named; [`LakeError::AccessDenied`](crate::error::LakeError::AccessDenied) where
    /// a container is asked for without credentials, or with ones that cannot be right.
    pub fn open(url: &str, credentials: &Credentials) -> Result<Lake> {
        match Location::parse(url)? {
            Location::Local(path) => Lake::local(path),
            Location::Azure {
                container,
                account,
                endpoint,
                path,
            } => {
                let shown = url.trim_end_matches('/').to_owned();
                let container = azure::open(&shown, &container, account, endpoint, credentials)?;
                Ok(Lake {
                    store: container.store.clone(),
                    place: Place::Azure(container),
                    folder: path,
                    url: shown,
                })
            }
        }
    }

    /// The container of the account that `scope` names (its key `account` or `lake-name`), with the
    /// credentials of the scope, or, where no account is configured, the folder of that name in the local
    /// lake: the folder that the variable `MNIST_LAKE` names, or `data/lake` here or in a folder above.
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
    /// # Errors
    /// [`LakeError::NotFound`](crate::error::LakeError::NotFound) where neither an account nor a local lake with that folder is there;
    /// [`SecretError::NotFound`](crate::error::SecretError::NotFound) where the scope has credentials and no account; else as
    /// [`Credentials::from_scope`] and [`Lake::open`].
    pub fn connect(container: &str, scope: &SecretScope) -> Result<Lake> {
        let credentials = Credentials::from_scope(scope)?;
        if let Some(account) = credentials.account() {
            let url = format!("abfss://{container}@{account}.dfs.core.windows.net");
            return Lake::open(&url, &credentials);
        }
        if !matches!(credentials.authentication(), Authentication::None) {
            // Whoever gives a key means an account: the local lake would be the wrong one.
            scope.get("account")?;
        }
        let folder = local_lake()?.join(container);
        if !folder.is_dir() {
            return Err(Error::Lake(LakeError::NotFound {
                url: folder.display().to_string(),
                hint: "run `make data`, which lays the local lake out".into(),
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
            // To the disk before the name: a file that is there after a crash is whole.
            store: Arc::new(LocalFileSystem::new().with_fsync(true)),
            place: Place::Local(path),
            folder,
            url,
        })
    }

    /// A folder of this one. It need not be there: stores have no folders of their own, only names with `/`.
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

    /// The URL of this folder, without an ending `/`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// [`LakeError::NotFound`](crate::error::LakeError::NotFound), [`LakeError::AccessDenied`](crate::error::LakeError::AccessDenied), [`LakeError::Unreachable`](crate::error::LakeError::Unreachable), [`LakeError::Storage`](crate::error::LakeError::Storage).
    pub fn get(&self, path: &str) -> Result<Bytes> {
        let (store, path, url) = self.locate(path)?;
        runtime::wait("reading", &url.clone(), async move {
            let failed = |error| storage_error("reading", &url, error);
            store
                .get(&path)
                .await
                .map_err(failed)?
                .bytes()
                .await
                .map_err(failed)
        })?
    }

    /// Writes a file, whole or not at all, in place of one that is there.
    ///
    /// # Errors
    /// As [`Lake::get`].
    pub fn put(&self, path: &str, bytes: Bytes) -> Result<()> {
        let (store, path, url) = self.locate(path)?;
        interrupt::check("writing", &url)?;
        // A write to this machine can't be given up: not waited for, it might still end after whoever was
        // stopped has cleaned up.
        let _shield = matches!(self.place, Place::Local(_)).then(interrupt::shield);
        runtime::wait("writing", &url.clone(), async move {
            store
                .put(&path, bytes.into())
                .await
                .map_err(|error| storage_error("writing", &url, error))?;
            Ok(())
        })?
    }

    /// Sends a file of this machine, in blocks, whole or not at all; returns its size in bytes. At most
    /// 40 MB of it are in memory at a time.
    ///
    /// # Errors
    /// [`Error::Io`] for the file on this machine; else as [`Lake::put`].
    pub fn upload(&self, path: &str, file: &Path) -> Result<u64> {
        let (store, path, url) = self.locate(path)?;
        runtime::wait(
            "sending",
            &url.clone(),
            upload(store, path, url, file.to_path_buf()),
        )?
    }

    /// The files of this folder and of those below it, sorted, by their paths from here.
    ///
    /// # Errors
    /// [`LakeError::NotFound`](crate::error::LakeError::NotFound) where the container, or the folder of this machine that was opened, is not there;
    /// else as [`Lake::get`].
    pub fn list(&self) -> Result<Vec<String>> {
        if let Place::Local(root) = &self.place
            && !root.is_dir()
        {
            return Err(Error::Lake(LakeError::NotFound {
                url: self.url.clone(),
                hint: "there is no such folder".into(),
            }));
        }
        let (store, folder, url) = (self.store.clone(), self.folder.clone(), self.url.clone());
        let mut names = runtime::wait("listing", &url.clone(), async move {
            let found: Vec<_> = store
                .list(Some(&folder))
                .try_collect()
                .await
                .map_err(|error| storage_error("listing", &url, error))?;
            Ok::<_, Error>(
                found
                    .into_iter()
                    .filter_map(|file| {
                        let parts: Vec<_> = file.location.prefix_match(&folder)?.collect();
                        Some(
                            parts
                                .iter()
                                .map(AsRef::as_ref)
                                .collect::<Vec<_>>()
                                .join("/"),
                        )
                    })
                    .collect::<Vec<String>>(),
            )
        })??;
        names.sort();
        Ok(names)
    }

    /// Whether a file is there.
    ///
    /// # Errors
    /// As [`Lake::get`], but for a file that is not there.
    pub fn exists(&self, path: &str) -> Result<bool> {
        let (store, path, url) = self.locate(path)?;
        runtime::wait("looking for", &url.clone(), async move {
            match store.head(&path).await {
                Ok(_) => Ok(true),
                Err(error) => match storage_error("looking for", &url, error) {
                    Error::Lake(LakeError::NotFound { .. }) => Ok(false),
                    error => Err(error),
                },
            }
        })?
    }

    /// Removes a file.
    ///
    /// # Errors
    /// As [`Lake::get`].
    pub fn delete(&self, path: &str) -> Result<()> {
        let (store, path, url) = self.locate(path)?;
        runtime::wait("removing", &url.clone(), async move {
            store
                .delete(&path)
                .await
                .map_err(|error| storage_error("removing", &url, error))
        })?
    }

    /// Makes the container (or, on this machine, the folder that was opened). `false` where it is there.
    ///
    /// # Errors
    /// [`LakeError::AccessDenied`](crate::error::LakeError::AccessDenied), [`LakeError::Unreachable`](crate::error::LakeError::Unreachable), [`LakeError::Storage`](crate::error::LakeError::Storage); [`Error::Io`] for a folder.
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
