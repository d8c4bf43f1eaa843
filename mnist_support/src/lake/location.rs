//! Parses URLs and paths of a lake.

use std::path::{Component, Path, PathBuf};

use object_store::path::Path as ObjectPath;
use percent_encoding::percent_decode_str;
use url::Url;

use super::failure::without_query_strings;
use super::hosts::{BlobService, is_plain};
use crate::{Error, Result, error::LakeError};

const FORMS: &str = "use abfss://container@account.dfs.core.windows.net/path, az://container/path, \
                     s3://bucket/path, gs://bucket/path, file:///path or a path";

/// Who runs a bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Provider {
    /// Amazon S3, or a store that speaks its protocol.
    Amazon,
    /// Google Cloud Storage.
    Google,
}

/// A location in a store.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Location {
    /// A local folder or file: absolute, without `.` and `..`.
    Local(PathBuf),
    /// A folder or blob in a container on Azure.
    Azure {
        container: String,
        /// The account's blob service, if the URL names it.
        service: Option<BlobService>,
        path: ObjectPath,
    },
    /// A folder or object in a bucket.
    Bucket {
        provider: Provider,
        bucket: String,
        path: ObjectPath,
    },
}

impl Location {
    /// Parses `abfss://container@account.dfs.core.windows.net/path` (also `abfs://` and
    /// `wasbs://`), `https://account.blob.core.windows.net/container/path`, `az://container/path`,
    /// `s3://bucket/path` (also `s3a://`), `gs://bucket/path`, `file:///path` or a plain path.
    pub(crate) fn parse(url: &str) -> Result<Location> {
        let location = match url.split_once("://") {
            None if url.is_empty() => Err("it is empty".into()),
            None => absolute(Path::new(url)).map(Location::Local),
            Some((
                "abfss" | "abfs" | "wasbs" | "wasb" | "https" | "az" | "s3" | "s3a" | "gs" | "file",
                _,
            )) => of_url(url),
            Some((scheme, _)) => Err(format!("{scheme}:// is not supported; {FORMS}")),
        };
        location.map_err(|reason| {
            Error::Lake(LakeError::InvalidUrl {
                url: without_query_strings(url),
                reason,
            })
        })
    }
}

/// Parses a URL with a known scheme.
fn of_url(url: &str) -> Result<Location, String> {
    let url = Url::parse(url).map_err(|error| format!("{error}; {FORMS}"))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("a query string belongs in the secret scope (key sas), not in the URL".into());
    }
    if url.scheme() == "file" {
        let path = url.to_file_path();
        let path = path.map_err(|()| "a file URL is file:///path".to_owned())?;
        return absolute(&path).map(Location::Local);
    }
    if url.password().is_some() || url.port().is_some() {
        return Err(format!("no password and no port can stand in it; {FORMS}"));
    }
    match url.scheme() {
        "s3" | "s3a" => in_bucket(&url, Provider::Amazon),
        "gs" => in_bucket(&url, Provider::Google),
        _ => on_azure(&url),
    }
}

fn in_bucket(url: &Url, provider: Provider) -> Result<Location, String> {
    let path = ObjectPath::from_url_path(url.path()).map_err(|error| error.to_string())?;
    let bucket = url.host_str().filter(|bucket| is_bucket_name(bucket));
    let bucket = bucket.filter(|_| url.username().is_empty()).ok_or_else(|| {
        format!("it names no bucket: 3 to 63 lower-case letters, digits, hyphens, dots and underscores; {FORMS}")
    })?;
    Ok(Location::Bucket {
        provider,
        bucket: bucket.into(),
        path,
    })
}

/// Whether `name` follows Amazon's and Google's rules for buckets.
fn is_bucket_name(name: &str) -> bool {
    let is_inner = |character: char| "-._".contains(character);
    (3..=63).contains(&name.len())
        && !name.starts_with(is_inner)
        && !name.ends_with(is_inner)
        && name.split(is_inner).all(is_plain)
}

fn on_azure(url: &Url) -> Result<Location, String> {
    let no_container = || format!("it names no container; {FORMS}");
    let host = url.host_str().ok_or_else(no_container)?;
    let path = ObjectPath::from_url_path(url.path()).map_err(|error| error.to_string())?;
    if let ("", "az") = (url.username(), url.scheme()) {
        check_container(host)?;
        return Ok(Location::Azure {
            container: host.into(),
            service: None,
            path,
        });
    }
    let service =
        || BlobService::of_host(host).ok_or_else(|| format!("the host is unknown; {FORMS}"));
    let (container, service, path) = if url.scheme() == "https" {
        let service = service()?;
        let mut parts = path.parts();
        let container = parts.next().ok_or_else(no_container)?;
        (container.as_ref().to_owned(), service, parts.collect())
    } else if url.username().is_empty() {
        return Err(no_container());
    } else {
        let container = percent_decode_str(url.username()).decode_utf8();
        let container = container.map_err(|error| error.to_string())?;
        (container.into_owned(), service()?, path)
    };
    // OneLake's containers are workspaces, which have names of any kind.
    if !service.is_one_lake {
        check_container(&container)?;
    }
    Ok(Location::Azure {
        container,
        service: Some(service),
        path,
    })
}

fn check_container(container: &str) -> Result<(), String> {
    if is_container_name(container) {
        return Ok(());
    }
    Err(format!(
        "{container:?} is not a container's name: \
         3 to 63 lower-case letters, digits and single hyphens"
    ))
}

/// Whether `name` follows Azure's rule for containers. `$root`, `$web` and `$logs` belong to the
/// service.
fn is_container_name(name: &str) -> bool {
    let mut parts = name.split('-');
    let plain =
        (3..=63).contains(&name.len()) && parts.all(|part| !part.is_empty() && is_plain(part));
    plain || ["$root", "$web", "$logs"].contains(&name)
}

/// Makes `path` absolute, without `.` and `..`.
fn absolute(path: &Path) -> Result<PathBuf, String> {
    let full = std::path::absolute(path).map_err(|error| error.to_string())?;
    let mut clean = PathBuf::new();
    for component in full.components() {
        match component {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    Ok(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_abfss_url_names_container_account_and_path() {
        let location =
            Location::parse("abfss://torchtut@mylake.dfs.core.windows.net/a/train.csv").unwrap();
        assert_eq!(
            location,
            Location::Azure {
                container: "torchtut".into(),
                service: BlobService::of_host("mylake.dfs.core.windows.net"),
                path: ObjectPath::from("a/train.csv"),
            }
        );
    }

    #[test]
    fn other_forms_of_a_url_name_the_same_place() {
        let here = Location::parse("abfss://torchtut@mylake.dfs.core.windows.net/a%20b/train.csv")
            .unwrap();
        for url in [
            "abfs://torchtut@mylake.blob.core.windows.net/a%20b/train.csv",
            "wasbs://torchtut@mylake.blob.core.windows.net/a%20b/train.csv",
            "https://mylake.blob.core.windows.net/torchtut/a%20b/train.csv",
            "https://mylake.dfs.core.windows.net/torchtut/a%20b/train.csv/",
            "abfss://torchtut@mylake.privatelink.dfs.core.windows.net/a%20b/train.csv",
        ] {
            assert_eq!(Location::parse(url).unwrap(), here, "{url}");
        }
    }

    #[test]
    fn a_workspace_of_one_lake_has_a_name_of_any_kind() {
        for url in [
            "abfss://My%20Workspace@onelake.dfs.fabric.microsoft.com/Sales.Lakehouse/Files",
            "https://onelake.dfs.fabric.microsoft.com/My%20Workspace/Sales.Lakehouse/Files",
        ] {
            let Location::Azure {
                container,
                service,
                path,
            } = Location::parse(url).unwrap()
            else {
                panic!("{url}")
            };
            assert_eq!(container, "My Workspace");
            assert_eq!(
                service.unwrap().endpoint,
                "https://onelake.blob.fabric.microsoft.com"
            );
            assert_eq!(path.as_ref(), "Sales.Lakehouse/Files");
        }
    }

    #[test]
    fn an_az_url_leaves_the_account_to_the_credentials() {
        assert_eq!(
            Location::parse("az://torchtut").unwrap(),
            Location::Azure {
                container: "torchtut".into(),
                service: None,
                path: ObjectPath::default(),
            }
        );
    }

    #[test]
    fn a_bucket_is_amazons_or_googles() {
        for (url, provider) in [
            ("s3://my-bucket.eu/a/train.csv", Provider::Amazon),
            ("s3a://my-bucket.eu/a/train.csv", Provider::Amazon),
            ("gs://my-bucket.eu/a/train.csv", Provider::Google),
        ] {
            assert_eq!(
                Location::parse(url).unwrap(),
                Location::Bucket {
                    provider,
                    bucket: "my-bucket.eu".into(),
                    path: ObjectPath::from("a/train.csv"),
                }
            );
        }
    }

    #[test]
    fn file_urls_and_plain_paths_are_local() {
        assert_eq!(
            Location::parse("file:///tmp/a%20b").unwrap(),
            Location::Local("/tmp/a b".into())
        );
        assert_eq!(
            Location::parse("/tmp/./x/../a%20b").unwrap(),
            Location::Local("/tmp/a%20b".into())
        );
        let here = std::env::current_dir().unwrap();
        assert_eq!(
            Location::parse("data/lake").unwrap(),
            Location::Local(here.join("data/lake"))
        );
    }

    #[test]
    fn a_malformed_url_is_named_with_what_is_expected() {
        for url in [
            "",
            "s3://",
            "s3://b/key",
            "gs://Bucket_/key",
            "s3://key@bucket/key",
            "ftp://bucket/key",
            "https://a.blob.core.windows.net/c",
            "abfss://mylake.dfs.core.windows.net/train.csv",
            "abfss://torchtut@mylake/train.csv",
            "abfss://torchtut@mylake.dfs.example.com/train.csv",
            "abfss://torchtut@/train.csv",
            "abfss://",
            "az://",
            "az://Torch_Tut/train.csv",
            "az://torchtut:443/train.csv",
            "file://host/path",
        ] {
            let error = Location::parse(url).unwrap_err();
            assert!(
                matches!(error, Error::Lake(LakeError::InvalidUrl { .. })),
                "{url}: {error}"
            );
            assert!(error.to_string().contains(&format!("{url:?}")), "{error}");
        }
    }

    #[test]
    fn a_signature_in_a_url_is_refused_and_not_repeated() {
        let error = Location::parse("az://torchtut/train.csv?sv=2024&sig=hunter2").unwrap_err();
        assert!(matches!(error, Error::Lake(LakeError::InvalidUrl { .. })));
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}
