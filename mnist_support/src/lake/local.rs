//! The folder of the local lake.

use std::path::{Path, PathBuf};

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
}
