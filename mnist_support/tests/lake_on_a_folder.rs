//! Runs the lake's suite on local folders, and tests what only they have.

#[macro_use]
mod lake_suite;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use mnist_support::lake::{Credentials, Lake, LakeFrame};
use mnist_support::secrets::SecretScope;
use mnist_support::{
    Error,
    error::{LakeError, SecretError},
};

struct Folder {
    lake: Lake,
    folder: tempfile::TempDir,
}

fn empty_folder(_name: &str) -> Folder {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap();
    Folder { lake, folder }
}

whole_suite!(empty_folder);

#[test]
fn a_missing_folder_cannot_be_listed_but_can_be_written_to() {
    let Folder { folder, .. } = empty_folder("");
    let url = format!("file://{}/new", folder.path().display());
    let lake = Lake::open(&url, &Credentials::local()).unwrap();
    assert!(matches!(
        lake.list(),
        Err(Error::Lake(LakeError::NotFound { .. }))
    ));
    lake.put("inner/file.txt", "text".into()).unwrap();
    assert_eq!(lake.list().unwrap(), ["inner/file.txt"]);
    assert_eq!(lake.to_string(), url);
}

#[test]
fn a_put_leaves_no_other_file_behind() {
    let Folder { lake, folder } = empty_folder("");
    for text in ["one", "two"] {
        lake.put("file.txt", text.into()).unwrap();
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_put_that_cannot_be_finished_leaves_the_old_file() {
    let Folder { lake, folder } = empty_folder("");
    lake.put("file.txt", "old".into()).unwrap();
    // A folder is in the place where the file should go.
    fs::create_dir(folder.path().join("taken")).unwrap();
    fs::write(folder.path().join("taken/inner"), "x").unwrap();
    assert!(lake.put("taken", "new".into()).is_err());
    assert_eq!(lake.get("file.txt").unwrap(), "old");
    assert_eq!(lake.list().unwrap(), ["file.txt", "taken/inner"]);
}

#[test]
fn another_process_opens_a_table_by_its_source() {
    let Folder { lake, .. } = empty_folder("");
    let lake = lake.folder("a folder");
    lake.put("100% #1.csv", "a,b\n1,2\n3,4\n".into()).unwrap();
    let frame = lake.csv("100% #1.csv").unwrap();
    let sent = serde_json::to_string(frame.source()).unwrap();
    let there =
        LakeFrame::open(&serde_json::from_str(&sent).unwrap(), &Credentials::local()).unwrap();
    assert_eq!(there.name(), frame.name());
    assert_eq!(there.collect().unwrap(), frame.collect().unwrap());
}

#[test]
fn a_malformed_url_is_refused() {
    for url in [
        "",
        "s3://",
        "ftp://bucket",
        "abfss://torchtut",
        "az://",
        "file://host/x",
    ] {
        let error = Lake::open(url, &Credentials::local()).unwrap_err();
        assert!(
            matches!(error, Error::Lake(LakeError::InvalidUrl { .. })),
            "{url}: {error}"
        );
    }
}

#[test]
fn a_scope_that_names_an_account_connects_to_it_and_says_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("connect-test.json");
    fs::write(&file, r#"{"account": "mylake"}"#).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let scope = SecretScope::open_in("connect-test", folder.path()).unwrap();
    let error = Lake::connect("torchtut", &scope).unwrap_err();
    assert!(
        matches!(error, Error::Lake(LakeError::AccessDenied { .. })),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("abfss://torchtut@mylake.dfs.core.windows.net"),
        "{error}"
    );

    fs::write(&file, r#"{"lake-name": "mylake", "access-key": "a2V5"}"#).unwrap();
    let scope = SecretScope::open_in("connect-test", folder.path()).unwrap();
    let lake = Lake::connect("torchtut", &scope).unwrap();
    assert_eq!(
        lake.to_string(),
        "abfss://torchtut@mylake.dfs.core.windows.net"
    );
}

#[test]
fn a_scope_with_a_key_and_no_account_does_not_fall_back_to_the_local_lake() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("connect-key.json");
    fs::write(&file, r#"{"access-key": "a2V5"}"#).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let scope = SecretScope::open_in("connect-key", folder.path()).unwrap();
    let error = Lake::connect("torchtut", &scope).unwrap_err();
    assert!(
        matches!(&error, Error::Secret(SecretError::NotFound { key, .. }) if key == "account"),
        "{error}"
    );
}

#[test]
fn without_an_account_an_unknown_container_of_the_local_lake_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let scope = SecretScope::open_in("connect-nowhere", folder.path()).unwrap();
    let error = Lake::connect("no-such-container", &scope).unwrap_err();
    assert!(
        matches!(error, Error::Lake(LakeError::NotFound { .. })),
        "{error}"
    );
    assert!(error.to_string().contains("make data"), "{error}");
}
