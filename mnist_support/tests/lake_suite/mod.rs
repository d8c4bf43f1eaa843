//! One suite for every store: what holds for a local folder holds for a container.
//!
//! Each function is given an empty folder of a lake.

mod csv;
mod delta;
mod folder;
mod image;
mod ipc;
mod parquet;

use bytes::Bytes;
use mnist_support::lake::{Lake, LakeFrame, Partition};
use mnist_support::{Error, error::LakeError};
use polars::prelude::DataFrame;

pub(crate) use csv::*;
pub(crate) use delta::*;
pub(crate) use folder::*;
pub(crate) use image::*;
pub(crate) use ipc::*;
pub(crate) use parquet::*;

/// Generates a test from each function of the suite, with `$open` opening an empty folder named
/// after it.
macro_rules! suite {
    ($open:path: $($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            let guarded = $open(stringify!($name));
            lake_suite::$name(&guarded.lake);
        })*
    };
}

/// Generates a test from every function of the suite.
macro_rules! whole_suite {
    ($open:path) => {
        suite!($open:
            files_are_put_listed_read_replaced_and_removed,
            a_missing_file_is_named,
            a_large_file_is_uploaded_whole,
            a_csv_is_read_whole_and_by_its_head,
            the_partitions_of_a_csv_hold_every_row_once_in_order,
            a_large_csv_is_cut_at_line_ends,
            a_column_is_as_wide_as_any_row_needs_in_every_part,
            a_wrong_row_of_a_later_partition_has_its_number_in_the_file,
            a_csv_that_is_empty_says_what_is_missing,
            a_csv_is_read_as_it_comes,
            what_a_csv_does_not_tell_is_set,
            a_compressed_csv_is_read_in_parts,
            a_csv_with_line_breaks_in_quotes_is_cut_between_rows,
            the_types_of_a_folder_do_not_depend_on_its_parts,
            a_parquet_file_is_read_whole_and_by_its_head,
            the_partitions_of_a_parquet_file_hold_every_row_once_in_order,
            a_parquet_file_that_is_damaged_is_refused,
            a_missing_value_of_a_parquet_file_is_named_where_it_is_used,
            row_groups_without_a_wanted_row_are_not_read,
            a_folder_of_images_is_a_table_of_their_bytes,
            the_label_of_an_image_is_its_folder,
            images_that_are_missing_or_have_changed_are_named,
            a_thousand_images_are_read_in_seconds,
            an_ipc_file_is_read_whole_and_in_partitions,
            an_ipc_file_that_is_damaged_is_refused,
            too_many_partitions_or_none_are_refused,
            a_partition_of_a_file_that_changed_is_refused,
            a_folder_of_part_files_is_one_table,
            a_wrong_value_in_a_part_file_is_found_by_its_file_and_row,
            folders_name_partition_columns,
            files_that_a_filter_on_their_folders_excludes_are_not_read,
            patterns_and_lists_of_files_are_tables,
            a_folder_of_parquet_files_is_cut_within_large_ones,
            a_thousand_part_files_are_opened_in_seconds,
            columns_and_rows_are_chosen,
            a_delta_table_is_what_its_log_says,
        );
    };
}

fn put(lake: &Lake, name: &str, text: impl Into<Bytes>) {
    lake.put(name, text.into()).unwrap();
}

pub(crate) fn files_are_put_listed_read_replaced_and_removed(lake: &Lake) {
    put(lake, "b.txt", "one");
    put(lake, "a/inner/c.txt", "two");
    assert_eq!(lake.list().unwrap(), ["a/inner/c.txt", "b.txt"]);
    assert_eq!(lake.folder("a").list().unwrap(), ["inner/c.txt"]);
    assert_eq!(lake.folder("a/inner").get("c.txt").unwrap(), "two");
    assert_eq!(lake.folder("nothing").list().unwrap(), Vec::<String>::new());
    put(lake, "b.txt", "three");
    assert_eq!(lake.get("b.txt").unwrap(), "three");
    assert!(lake.exists("b.txt").unwrap());
    lake.delete("b.txt").unwrap();
    assert!(!lake.exists("b.txt").unwrap());
    assert_eq!(lake.list().unwrap(), ["a/inner/c.txt"]);
    put(lake, "a name with 100% of it #1.txt", "four");
    assert_eq!(lake.get("a name with 100% of it #1.txt").unwrap(), "four");
    assert!(
        lake.list()
            .unwrap()
            .contains(&"a name with 100% of it #1.txt".to_owned())
    );
}

pub(crate) fn a_missing_file_is_named(lake: &Lake) {
    for error in [
        lake.get("nothing.csv").unwrap_err(),
        lake.csv("nothing.csv").unwrap_err(),
        lake.parquet("nothing.csv").unwrap_err(),
    ] {
        assert!(
            matches!(error, Error::Lake(LakeError::NotFound { .. })),
            "{error}"
        );
        assert!(
            error.to_string().contains(&format!("{lake}/nothing.csv")),
            "{error}"
        );
    }
    for name in ["../x", "a/../../x", "a//b"] {
        assert!(
            matches!(
                lake.get(name),
                Err(Error::Lake(LakeError::InvalidUrl { .. }))
            ),
            "{name}"
        );
    }
}

pub(crate) fn a_large_file_is_uploaded_whole(lake: &Lake) {
    let bytes: Vec<u8> = (0..20_000_000_u32)
        .map(|index| (index % 251) as u8)
        .collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    assert_eq!(
        lake.upload("large.bin", file.path()).unwrap(),
        bytes.len() as u64
    );
    assert!(lake.get("large.bin").unwrap() == bytes);
    let error = lake
        .upload("absent.bin", std::path::Path::new("/no/such/file"))
        .unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert!(!lake.exists("absent.bin").unwrap());
}

pub(crate) fn too_many_partitions_or_none_are_refused(lake: &Lake) {
    put(lake, "three.csv", "a\n1\n2\n3\n");
    put(lake, "table.parquet", parquet_bytes(3, None));
    for frame in [
        lake.csv("three.csv").unwrap(),
        lake.parquet("table.parquet").unwrap(),
    ] {
        let refused = |frame: &LakeFrame, n: usize, said: &str| {
            let error = frame.partitions(n).unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::InvalidSetting {
                        setting: "partitions",
                        ..
                    }
                ),
                "{error}"
            );
            assert!(error.to_string().contains(said), "{error}");
        };
        refused(&frame, 0, "partitions = 0");
        refused(
            &frame,
            4,
            &format!("partitions = 4 is more than the 3 rows of {}", frame.name()),
        );
    }
}

pub(crate) fn a_partition_of_a_file_that_changed_is_refused(lake: &Lake) {
    put(lake, "table.csv", "a\n1\n2\n3\n");
    let before = lake.csv("table.csv").unwrap();
    let parts = before.partitions(3).unwrap();
    put(lake, "table.csv", "a\n11\n22\n33\n");
    let error = before.read(&parts[0]).unwrap_err();
    assert!(error.to_string().contains("replaced"), "{error}");
    let after = lake.csv("table.csv").unwrap();
    let error = after.read(&parts[0]).unwrap_err();
    assert!(error.to_string().contains("another file"), "{error}");
    put(lake, "table.parquet", parquet_bytes(30, None));
    assert!(
        lake.parquet("table.parquet")
            .unwrap()
            .read(&parts[0])
            .is_err()
    );
}

/// Returns a partition as it arrives in another process.
fn sent(part: &Partition) -> Partition {
    serde_json::from_str(&serde_json::to_string(part).unwrap()).unwrap()
}

fn u8s(frame: &DataFrame, column: &str) -> Vec<u8> {
    frame
        .column(column)
        .unwrap()
        .u8()
        .unwrap()
        .into_no_null_iter()
        .collect()
}

fn integers(frame: &DataFrame, column: &str) -> Vec<i64> {
    frame
        .column(column)
        .unwrap()
        .i64()
        .unwrap()
        .into_no_null_iter()
        .collect()
}

fn floats(frame: &DataFrame, column: &str) -> Vec<f64> {
    frame
        .column(column)
        .unwrap()
        .f64()
        .unwrap()
        .into_no_null_iter()
        .collect()
}
