//! Finds the files of a table: one file, the part files of a folder, or those that match a pattern.

use glob::{MatchOptions, Pattern};
use serde::{Deserialize, Serialize};

use super::delta::LOG;
use super::format::FileFormat;
use crate::lake::store::Lake;
use crate::{
    Error, Result,
    error::{LakeError, TableError},
};

/// The characters that make a path a pattern.
const WILDCARDS: [char; 3] = ['*', '?', '['];

/// The paths of a table's files: a file, a folder, a pattern, or a list of these.
///
/// ```
/// # use mnist_support::lake::{Credentials, Lake};
/// # fn main() -> mnist_support::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let lake = Lake::open(folder.path().to_str().unwrap(), &Credentials::local())?;
/// lake.put("sales/year=2025/part-00000.csv", "price\n3\n5\n".into())?;
/// lake.put("sales/year=2026/part-00000.csv", "price\n8\n".into())?;
/// assert_eq!(lake.csv("sales")?.columns(), ["price", "year"]);
/// assert_eq!(lake.csv("sales/year=2025/*.csv")?.collect()?.height(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths(Vec<String>);

impl From<&str> for Paths {
    fn from(path: &str) -> Self {
        Paths(vec![path.to_owned()])
    }
}

impl From<&String> for Paths {
    fn from(path: &String) -> Self {
        Paths(vec![path.clone()])
    }
}

impl From<String> for Paths {
    fn from(path: String) -> Self {
        Paths(vec![path])
    }
}

impl<S: Into<String>> From<Vec<S>> for Paths {
    fn from(paths: Vec<S>) -> Self {
        Paths(paths.into_iter().map(Into::into).collect())
    }
}

impl<S: Into<String>, const N: usize> From<[S; N]> for Paths {
    fn from(paths: [S; N]) -> Self {
        Paths::from(Vec::from(paths))
    }
}

/// One of the files of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartFile {
    /// Its path, relative to the table's folder.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
}

impl Paths {
    /// The only path, if it is no pattern. It may be a file's or a folder's.
    pub(super) fn single(&self) -> Option<&str> {
        match self.0.as_slice() {
            [path] if !path.contains(WILDCARDS) => Some(path.trim_end_matches('/')),
            _ => None,
        }
    }
}

/// Finds the files at `paths`, sorted, in the order of the paths. Returns them with the folder that
/// they are relative to.
pub(super) fn find(lake: &Lake, paths: &Paths) -> Result<(Lake, Vec<PartFile>)> {
    if let [path] = paths.0.as_slice() {
        let (folder, pattern) = split_pattern(path.trim_end_matches('/'));
        return Ok((lake.folder(folder), list_folder(lake, folder, pattern)?));
    }
    let mut files: Vec<PartFile> = Vec::new();
    for path in &paths.0 {
        let path = path.trim_end_matches('/');
        let (folder, pattern) = split_pattern(path);
        let size = if pattern.is_empty() {
            lake.size(path)?
        } else {
            None
        };
        if let Some(size) = size.filter(|size| *size > 0) {
            files.push(PartFile {
                path: path.to_owned(),
                size,
            });
            continue;
        }
        for file in list_folder(lake, folder, pattern)? {
            files.push(PartFile {
                path: format!("{folder}/{}", file.path)
                    .trim_start_matches('/')
                    .to_owned(),
                size: file.size,
            });
        }
    }
    if files.is_empty() {
        return Err(Error::Lake(LakeError::NotFound {
            url: lake.url().to_owned(),
            hint: "the list of paths is empty".to_owned(),
        }));
    }
    Ok((lake.clone(), files))
}

/// The folder above the first wildcard of a path, and the rest, which is a pattern.
fn split_pattern(path: &str) -> (&str, &str) {
    let Some(wildcard) = path.find(WILDCARDS) else {
        return (path, "");
    };
    match path[..wildcard].rfind('/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => ("", path),
    }
}

/// Lists the files of a folder that hold rows, or those of them that match a pattern.
///
/// As in Spark, names that begin with `_` or `.` are left out, and so are empty files, with which
/// some stores mark folders.
fn list_folder(lake: &Lake, folder: &str, pattern: &str) -> Result<Vec<PartFile>> {
    let place = lake.folder(folder);
    let listed = place.list_sizes()?;
    if pattern.is_empty() && has_log(&listed) {
        return Err(TableError::failed(
            place.url(),
            "it is a Delta table, whose log says which of its files count: open it with delta() or \
             table(), not as a folder of files",
        ));
    }
    let matches = matcher(pattern, place.url())?;
    let files = listed
        .into_iter()
        .filter(|(path, size)| *size > 0 && holds_rows(path) && matches(path));
    let files: Vec<PartFile> = files.map(|(path, size)| PartFile { path, size }).collect();
    if files.is_empty() {
        let what = if pattern.is_empty() {
            "there is no such file, nor a folder with files in it".to_owned()
        } else {
            format!("no file matches {pattern}")
        };
        return Err(Error::Lake(LakeError::NotFound {
            url: place.url().to_owned(),
            hint: what,
        }));
    }
    Ok(files)
}

/// Whether the files of a folder are a Delta table.
fn has_log(listed: &[(String, u64)]) -> bool {
    let mut folders = listed.iter().map(|(path, _)| path.split('/').next());
    folders.any(|folder| folder == Some(LOG))
}

/// Whether a folder is a Delta table.
pub(super) fn is_delta(folder: &Lake) -> Result<bool> {
    match folder.folder(LOG).list_sizes() {
        Ok(listed) => Ok(!listed.is_empty()),
        Err(Error::Lake(LakeError::NotFound { .. })) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns whether a path matches a pattern, or lies in a folder that does. No pattern matches all.
fn matcher(pattern: &str, folder: &str) -> Result<impl Fn(&str) -> bool> {
    let parsed = Pattern::new(pattern).map_err(|error| {
        Error::Lake(LakeError::InvalidUrl {
            url: format!("{folder}/{pattern}"),
            reason: error.to_string(),
        })
    })?;
    let options = MatchOptions {
        require_literal_separator: true,
        ..MatchOptions::new()
    };
    let all = pattern.is_empty();
    Ok(move |path: &str| {
        let ends = path.match_indices('/').map(|(end, _)| end);
        let mut beginnings = ends.chain([path.len()]).map(|end| &path[..end]);
        all || beginnings.any(|beginning| parsed.matches_with(beginning, options))
    })
}

/// Whether a file of a folder is one that Spark, Hive or Hadoop writes for rows.
fn holds_rows(path: &str) -> bool {
    path.split('/').all(|name| {
        let hidden = name.starts_with('.') || (name.starts_with('_') && !name.contains('='));
        !hidden && !name.ends_with(".crc") && !name.ends_with("_$folder$")
    })
}

/// The values of partition columns in a path: `year=2026/month=7/part.csv`.
pub(super) fn partition_values(path: &str) -> Vec<(String, Option<String>)> {
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    let pairs = folders.split('/').filter_map(|name| name.split_once('='));
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    pairs
        .map(|(name, value)| {
            // What Hive and Spark write for a null.
            let null = value == "__HIVE_DEFAULT_PARTITION__";
            (decoded(name), (!null).then(|| decoded(value)))
        })
        .collect()
}

/// The format that the files' names tell.
pub(super) fn format_of(files: &[PartFile], folder: &str) -> Result<FileFormat> {
    let mut found: Option<(FileFormat, &str)> = None;
    for file in files {
        let Some(format) = FileFormat::of_name(&file.path) else {
            return Err(TableError::failed(
                folder,
                format!(
                    "the name of {} does not tell its format: open the folder with csv() or parquet()",
                    file.path
                ),
            ));
        };
        match found {
            Some((first, path)) if first != format => {
                return Err(TableError::failed(
                    folder,
                    format!(
                        "it has files of several formats, such as {path} and {}",
                        file.path
                    ),
                ));
            }
            _ => found = Some((format, &file.path)),
        }
    }
    let found = found.map(|(format, _)| format);
    Ok(found.expect("a table has at least one file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_spark_writes_beside_the_rows_is_left_out() {
        for name in [
            "_SUCCESS",
            "_committed_123",
            "_started_123",
            ".part-00000.csv.crc",
            "part-00000.csv.crc",
            "_temporary/0/part-00000.csv",
            "year=2026_$folder$",
        ] {
            assert!(!holds_rows(name), "{name}");
        }
        for name in ["part-00000-a1.c000.csv", "_day=3/part.parquet", "a/b.csv"] {
            assert!(holds_rows(name), "{name}");
        }
    }

    #[test]
    fn a_pattern_matches_files_and_whole_folders() {
        let matches = |pattern: &str, path: &str| matcher(pattern, "lake").unwrap()(path);
        assert!(matches("*.csv", "a.csv"));
        assert!(!matches("*.csv", "a/b.csv"));
        assert!(matches("**/*.csv", "a/b/c.csv"));
        assert!(matches("year=202[56]", "year=2026/part.csv"));
        assert!(!matches("year=202[56]", "year=2027/part.csv"));
        assert!(matcher("a[", "lake").is_err());
        assert_eq!(split_pattern("a/b*/c.csv"), ("a", "b*/c.csv"));
        assert_eq!(split_pattern("*.csv"), ("", "*.csv"));
        assert_eq!(split_pattern("a/b"), ("a/b", ""));
    }

    #[test]
    fn partition_columns_are_in_the_path() {
        let values =
            partition_values("year=2026/city=S%C3%A3o/of=__HIVE_DEFAULT_PARTITION__/p.csv");
        let expected = [("year", Some("2026")), ("city", Some("São")), ("of", None)];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
        assert_eq!(values, expected);
        assert!(partition_values("a/b=c").is_empty());
    }
}
