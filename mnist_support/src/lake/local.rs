//! The folder of the local lake.

use std::path::{Path, PathBuf};

use object_store::path::Path as ObjectPath;
use walkdir::WalkDir;

use super::reading::notices;
use crate::{Error, Result, error::LakeError};

/// The environment variable that names the folder of the local lake.
const LAKE_VARIABLE: &str = "MNIST_LAKE";
/// The default folder of the local lake, searched for here and in the parent folders.
const LOCAL_LAKE: &str = "data/lake";

/// Returns the folder of the local lake.
pub(super) fn local_lake() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os(LAKE_VARIABLE).filter(|value| !value.is_empty()) {
        return Ok(PathBuf::from(folder));
    }
    let here = std::env::current_dir().map_err(|source| Error::Io {
        operation: "finding",
        path: PathBuf::from("."),
        source,
    })?;
    lake_above(&here)
}

/// Finds the local lake in a folder or one of its parents.
fn lake_above(here: &Path) -> Result<PathBuf> {
    let mut lakes = here.ancestors().map(|folder| folder.join(LOCAL_LAKE));
    lakes.find(|folder| folder.is_dir()).ok_or_else(|| Error::Lake(LakeError::NotFound {
        url: LOCAL_LAKE.into(),
        hint: format!(
            "no folder {LOCAL_LAKE} is in {} or above; run `make data`, or name an account in the \
             secret scope",
            here.display()
        ),
    }))
}

/// Lists the files in a folder and below it, with their sizes, as paths relative to it. A missing
/// folder has none. Names that object_store cannot hold are left out, and so are links that lead
/// nowhere.
pub(super) fn list_files(folder: &Path) -> std::io::Result<Vec<(String, u64)>> {
    let mut files = Vec::new();
    for entry in WalkDir::new(folder).min_depth(1).follow_links(true) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => match error.io_error().map(std::io::Error::kind) {
                Some(std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => continue,
                // A link to a folder above it.
                None => continue,
                Some(_) => return Err(error.into()),
            },
        };
        // A file may have gone since.
        let Some(metadata) = entry.metadata().ok().filter(|metadata| metadata.is_file()) else {
            continue;
        };
        let name = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let usable = name
            .to_str()
            .filter(|name| ObjectPath::parse(name).is_ok_and(|path| path.as_ref() == *name));
        match usable {
            // So object_store names the files that it is writing.
            Some(name) if is_unfinished(name) => {}
            Some(name) => files.push((name.to_owned(), metadata.len())),
            None => notices().print(&format!(
                "left out of the listing: a file with a name that cannot be used, {name:?}"
            )),
        }
    }
    Ok(files)
}

/// Whether a file's name has only digits after its first `#`.
fn is_unfinished(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split_once('#').is_some_and(|(_, digits)| {
        !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_lake_is_found_from_a_folder_below() {
        let root = tempfile::tempdir().unwrap();
        let notebooks = root.path().join("notebooks/inner");
        std::fs::create_dir_all(&notebooks).unwrap();
        let error = lake_above(&notebooks).unwrap_err();
        assert!(error.to_string().contains("make data"), "{error}");
        std::fs::create_dir_all(root.path().join(LOCAL_LAKE)).unwrap();
        assert_eq!(
            lake_above(&notebooks).unwrap(),
            root.path().join(LOCAL_LAKE)
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_listing_survives_odd_names() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("inner");
        std::fs::create_dir_all(folder.join("deep")).unwrap();
        for name in [
            "a.csv",
            "deep/b c.csv",
            "line\nbreak.csv",
            "mark\u{1}.csv",
            "half.csv#7",
        ] {
            std::fs::write(folder.join(name), "x").unwrap();
        }
        std::fs::write(folder.join(OsStr::from_bytes(b"latin\xe4.csv")), "x").unwrap();
        std::os::unix::fs::symlink("nowhere", folder.join("broken.csv")).unwrap();
        std::os::unix::fs::symlink(&folder, folder.join("deep/round")).unwrap();
        let mut files = list_files(&folder).unwrap();
        files.sort();
        assert_eq!(
            files,
            [("a.csv".to_owned(), 1), ("deep/b c.csv".to_owned(), 1)]
        );
        assert!(list_files(&root.path().join("missing")).unwrap().is_empty());
    }
}
