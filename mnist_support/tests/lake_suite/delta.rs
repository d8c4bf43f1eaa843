//! What every store must do with Delta tables.

use std::fs;
use std::path::Path;

use mnist_support::lake::Lake;
use mnist_support::{Error, error::LakeError};

use super::put;

/// Puts the files of a folder of the fixtures into a folder of the lake.
fn put_folder(lake: &Lake, name: &str, folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{name}/{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            put_folder(lake, &name, &entry.path());
        } else {
            put(lake, &name, fs::read(entry.path()).unwrap());
        }
    }
}

pub(crate) fn a_delta_table_is_what_its_log_says(lake: &Lake) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/delta");
    put_folder(lake, "my tables/houses", &fixtures.join("houses"));
    // Of a write that has not been committed.
    put(lake, "my tables/houses/district=north/part-9.parquet", "no");
    for table in [
        lake.table("my tables/houses").unwrap(),
        lake.folder("my tables").delta("houses/").unwrap(),
        lake.folder("my tables/houses").delta("").unwrap(),
    ] {
        assert_eq!(table.name(), lake.folder("my tables/houses").url());
        assert_eq!(table.collect().unwrap().height(), 91);
        let north = table.filter("district = 'north'").unwrap();
        assert_eq!(north.collect().unwrap().height(), 32);
        let rows = table.partitions(5).unwrap();
        let rows = rows.iter().map(|part| table.read(part).unwrap().height());
        assert_eq!(rows.sum::<usize>(), 91);
    }
    let first = lake.delta_version("my tables/houses", 0).unwrap();
    assert_eq!(first.columns().len(), 4);
    let error = lake.delta("my tables").unwrap_err();
    assert!(
        matches!(error, Error::Lake(LakeError::NotFound { .. })),
        "{error}"
    );
}
