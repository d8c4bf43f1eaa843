//! Laying out the lake from IDX files, through the library and the command line.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use flate2::Compression;
use flate2::write::GzEncoder;
use mnist_support::lake::{Credentials, Lake};
use mnist_support::mnist::{CONTAINER, IdxError, Origin, Outcome, check, prepare};
use mnist_support::{
    Error,
    error::{LakeError, MnistError},
};

const OWN: Origin = Origin::Own { transposed: None };

fn header(value_type: u8, sizes: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0, 0, value_type, sizes.len() as u8];
    bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    bytes
}

/// Returns `count` images of 2 x 3 pixels.
fn images(count: u32) -> Vec<u8> {
    let mut bytes = header(8, &[count, 2, 3]);
    bytes.extend((0..count * 6).map(|index| (index * 7) as u8));
    bytes
}

/// Returns `count` labels that cycle from `first` to `last`.
fn labels(count: u32, first: u32, last: u32) -> Vec<u8> {
    let mut bytes = header(8, &[count]);
    bytes.extend((0..count).map(|index| (first + index % (last + 1 - first)) as u8));
    bytes
}

/// Returns the same labels as 32-bit integers in 8 columns, like QMNIST's.
fn labels_of_8_columns(count: u32) -> Vec<u8> {
    let mut bytes = header(0x0C, &[count, 8]);
    for index in 0..count {
        let row = [index % 10, 1, 2345, 40_000, 7, 0, 0, 0];
        bytes.extend(row.map(u32::to_be_bytes).concat());
    }
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn folder_of(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// Creates a folder of four IDX files with MNIST's names and other contents.
fn idx_folder() -> tempfile::TempDir {
    folder_of(&[
        ("train-images-idx3-ubyte", images(40)),
        ("train-labels.idx1-ubyte", labels(40, 0, 9)),
        ("t10k-images-idx3-ubyte", images(20)),
        ("t10k-labels.idx1-ubyte", labels(20, 0, 9)),
    ])
}

/// Lays out `idx`, and returns the outcome and the messages.
fn lay_out(idx: &Path, lake: &Path, origin: Origin) -> (mnist_support::Result<Outcome>, String) {
    let mut said = String::new();
    let outcome = prepare(idx, lake, origin, &mut |step| {
        said.push_str(step);
        said.push('\n');
    });
    (outcome, said)
}

fn table(lake: &Path, name: &str) -> String {
    fs::read_to_string(lake.join(CONTAINER).join(name)).unwrap()
}

fn labels_in(csv: &str) -> Vec<u8> {
    let lines = csv.lines().skip(1);
    lines
        .map(|line| line.rsplit_once(',').unwrap().1.parse().unwrap())
        .collect()
}

#[test]
fn the_lake_holds_the_images_as_csv_and_the_same_as_parquet() {
    let (idx, lake) = (idx_folder(), tempfile::tempdir().unwrap());
    let (outcome, _) = lay_out(idx.path(), lake.path(), OWN);
    let Outcome::Written {
        files, replaced, ..
    } = outcome.unwrap()
    else {
        panic!("nothing was written")
    };
    assert_eq!((files.len(), replaced), (4, None));
    let text = table(lake.path(), "test.csv");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 21);
    assert_eq!(lines[0], "pixel1,pixel2,pixel3,pixel4,pixel5,pixel6,label");
    assert_eq!(lines[1], "0,7,14,21,28,35,0");
    assert_eq!(lines[20], "30,37,44,51,58,65,9");
    let container = Lake::open(
        lake.path().join(CONTAINER).to_str().unwrap(),
        &Credentials::local(),
    )
    .unwrap();
    assert_eq!(
        container.list().unwrap(),
        ["test.csv", "test.parquet", "train.csv", "train.parquet"]
    );
    for (table, rows) in [("train", 40), ("test", 20)] {
        let csv = container
            .csv(format!("{table}.csv"))
            .unwrap()
            .collect()
            .unwrap();
        let parquet = container.parquet(format!("{table}.parquet")).unwrap();
        assert_eq!(csv.shape(), (rows, 7));
        assert_eq!(csv, parquet.collect().unwrap());
        // Ten row groups give ten partitions of whole row groups.
        let parts = parquet.partitions(10).unwrap();
        assert!(
            parts
                .iter()
                .all(|part| parquet.read(part).unwrap().height() == rows / 10)
        );
    }
}

#[test]
fn packed_files_make_the_same_lake_as_unpacked_ones() {
    let (plain, packed) = (idx_folder(), tempfile::tempdir().unwrap());
    for file in fs::read_dir(plain.path()).unwrap() {
        let path = file.unwrap().path();
        let name = format!("{}.gz", path.file_name().unwrap().to_str().unwrap());
        fs::write(packed.path().join(name), gzip(&fs::read(&path).unwrap())).unwrap();
    }
    let lakes = [plain.path(), packed.path()].map(|idx| {
        let lake = tempfile::tempdir().unwrap();
        lay_out(idx, lake.path(), OWN).0.unwrap();
        lake
    });
    for name in ["train.csv", "test.csv"] {
        assert_eq!(table(lakes[0].path(), name), table(lakes[1].path(), name));
    }
}

#[test]
fn letters_of_emnist_become_upright_and_their_classes_start_at_0() {
    let idx = folder_of(&[
        (
            "emnist-letters-train-images-idx3-ubyte.gz",
            gzip(&images(52)),
        ),
        (
            "emnist-letters-train-labels-idx1-ubyte.gz",
            gzip(&labels(52, 1, 26)),
        ),
        (
            "emnist-letters-test-images-idx3-ubyte.gz",
            gzip(&images(26)),
        ),
        (
            "emnist-letters-test-labels-idx1-ubyte.gz",
            gzip(&labels(26, 1, 26)),
        ),
    ]);
    let lake = tempfile::tempdir().unwrap();
    let (outcome, said) = lay_out(idx.path(), lake.path(), OWN);
    let Outcome::Written { holds, .. } = outcome.unwrap() else {
        panic!("nothing was written")
    };
    assert!(holds.contains("(52 + 26 images, 26 classes)"), "{holds}");
    assert!(
        said.contains("column by column") && said.contains("labels start at 1"),
        "{said}"
    );
    let text = table(lake.path(), "test.csv");
    // Stored as 0, 7, 14 and 21, 28, 35: two rows of three, which are three columns of two.
    assert_eq!(text.lines().nth(1), Some("0,21,7,28,14,35,0"));
    assert_eq!(labels_in(&text), (0..26).collect::<Vec<u8>>());

    let as_they_are = Origin::Own {
        transposed: Some(false),
    };
    let (outcome, _) = lay_out(idx.path(), lake.path(), as_they_are);
    assert!(matches!(
        outcome.unwrap(),
        Outcome::Written {
            replaced: Some(_),
            ..
        }
    ));
    let text = table(lake.path(), "test.csv");
    assert_eq!(text.lines().nth(1), Some("0,7,14,21,28,35,0"));
}

#[test]
fn of_qmnists_labels_the_first_column_is_taken() {
    let idx = folder_of(&[
        ("qmnist-train-images-idx3-ubyte", images(40)),
        ("qmnist-train-labels-idx2-int", labels_of_8_columns(40)),
        ("qmnist-test-images-idx3-ubyte", images(20)),
        ("qmnist-test-labels-idx2-int", labels_of_8_columns(20)),
    ]);
    let lake = tempfile::tempdir().unwrap();
    lay_out(idx.path(), lake.path(), OWN).0.unwrap();
    let digits = (0..20).map(|index| index % 10);
    assert_eq!(
        labels_in(&table(lake.path(), "test.csv")),
        digits.collect::<Vec<u8>>()
    );
}

#[test]
fn a_complete_lake_is_not_written_again_and_a_damaged_one_is() {
    let (idx, lake) = (idx_folder(), tempfile::tempdir().unwrap());
    let again = || lay_out(idx.path(), lake.path(), OWN).0.unwrap();
    assert!(matches!(
        check(lake.path()),
        Err(Error::Lake(LakeError::NotFound { .. }))
    ));
    assert!(matches!(again(), Outcome::Written { .. }));
    assert!(matches!(again(), Outcome::AlreadyComplete { .. }));
    assert_eq!(check(lake.path()).unwrap().len(), 4);

    let csv = lake.path().join(CONTAINER).join("train.csv");
    let whole = fs::read(&csv).unwrap();
    fs::write(&csv, &whole[..100]).unwrap();
    assert!(
        check(lake.path())
            .unwrap_err()
            .to_string()
            .contains("train.csv")
    );
    assert!(matches!(again(), Outcome::Written { replaced: None, .. }));
    assert_eq!(fs::read(&csv).unwrap(), whole);
}

#[test]
fn files_that_changed_or_lie_elsewhere_replace_what_the_lake_held_and_it_is_said() {
    let (first, second) = (idx_folder(), idx_folder());
    let lake = tempfile::tempdir().unwrap();
    lay_out(first.path(), lake.path(), OWN).0.unwrap();
    // The same files in another folder count as the same files.
    let (outcome, _) = lay_out(second.path(), lake.path(), OWN);
    let Outcome::AlreadyComplete { holds } = outcome.unwrap() else {
        panic!("it was written again")
    };
    assert!(holds.contains(second.path().to_str().unwrap()), "{holds}");

    let mut other = images(20);
    *other.last_mut().unwrap() ^= 1;
    fs::write(second.path().join("t10k-images-idx3-ubyte"), other).unwrap();
    let (outcome, _) = lay_out(second.path(), lake.path(), OWN);
    let Outcome::Written { replaced, .. } = outcome.unwrap() else {
        panic!("nothing was written")
    };
    let replaced = replaced.unwrap();
    assert!(
        replaced.contains("(40 + 20 images, 10 classes)"),
        "{replaced}"
    );
}

#[test]
fn a_lake_stays_as_it_was_where_the_new_files_cannot_be_used() {
    let (idx, lake) = (idx_folder(), tempfile::tempdir().unwrap());
    lay_out(idx.path(), lake.path(), OWN).0.unwrap();
    let before = table(lake.path(), "train.csv");
    let page = b"<!DOCTYPE html><html>404</html>";
    fs::write(idx.path().join("t10k-labels.idx1-ubyte"), page).unwrap();
    let error = lay_out(idx.path(), lake.path(), OWN).0.unwrap_err();
    assert!(
        matches!(&error, Error::Mnist(MnistError::InvalidIdx { path, source: IdxError::WebPage }) if path.ends_with("t10k-labels.idx1-ubyte")),
        "{error}"
    );
    assert_eq!(table(lake.path(), "train.csv"), before);
    assert_eq!(check(lake.path()).unwrap().len(), 4);
}

#[test]
fn a_download_that_is_not_mnist_is_kept_aside_and_nothing_is_written() {
    let (idx, lake) = (idx_folder(), tempfile::tempdir().unwrap());
    let error = lay_out(idx.path(), lake.path(), Origin::Download)
        .0
        .unwrap_err();
    let Error::Mnist(MnistError::HashMismatch { path, kept_as, .. }) = &error else {
        panic!("{error}")
    };
    assert!(
        !path.exists() && kept_as.ends_with("train-images-idx3-ubyte.rejected"),
        "{error}"
    );
    assert!(kept_as.exists());
    assert_eq!(fs::read_dir(lake.path()).unwrap().count(), 0);
    let again = lay_out(idx.path(), lake.path(), Origin::Download)
        .0
        .unwrap_err();
    assert!(
        matches!(again, Error::Mnist(MnistError::IdxFolder { .. })),
        "{again}"
    );
}

/// Returns the message when one file of a folder is replaced.
fn refused(name: &str, bytes: Vec<u8>) -> String {
    let (idx, lake) = (idx_folder(), tempfile::tempdir().unwrap());
    fs::write(idx.path().join(name), bytes).unwrap();
    let error = lay_out(idx.path(), lake.path(), OWN).0.unwrap_err();
    assert!(
        matches!(error, Error::Mnist(MnistError::InvalidIdx { .. })),
        "{error}"
    );
    assert!(!lake.path().join(CONTAINER).join("train.csv").exists());
    let message = error.to_string();
    assert!(message.contains(name), "{message}");
    message
}

#[test]
fn counts_that_disagree_name_both_files() {
    let message = refused("train-labels.idx1-ubyte", labels(39, 0, 9));
    for part in ["39 labels", "train-images-idx3-ubyte", "40 images"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn test_images_of_another_size_than_the_training_images_are_named_with_both() {
    let mut square = header(8, &[20, 2, 2]);
    square.extend([0; 80]);
    let message = refused("t10k-images-idx3-ubyte", square);
    assert!(
        message.contains("2 x 2") && message.contains("2 x 3"),
        "{message}"
    );
}

#[test]
fn a_class_that_is_not_trained_on_is_named_with_its_place() {
    let message = refused("t10k-labels.idx1-ubyte", labels(20, 0, 10));
    assert!(message.contains("its label 11 is of class 10"), "{message}");
}

#[test]
fn a_cut_idx_file_is_named_and_leaves_no_table() {
    let mut cut = images(40);
    cut.pop();
    let message = refused("train-images-idx3-ubyte", cut);
    assert!(message.contains("240 bytes, and 239 follow"), "{message}");
}

fn mnist_lake(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mnist-lake"))
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn the_command_line_prepares_and_checks_and_says_what_it_does() {
    let (first, second) = (idx_folder(), idx_folder());
    fs::write(second.path().join("train-images-idx3-ubyte"), images(41)).unwrap();
    fs::write(
        second.path().join("train-labels.idx1-ubyte"),
        labels(41, 0, 9),
    )
    .unwrap();
    let lake = tempfile::tempdir().unwrap();
    let lake = lake.path().to_str().unwrap();
    let say = |idx: &tempfile::TempDir| {
        let idx = idx.path().to_str().unwrap();
        let done = mnist_lake(&["prepare", "--idx", idx, "--lake", lake]);
        assert!(done.status.success());
        String::from_utf8(done.stdout).unwrap()
    };
    let said = say(&first);
    assert!(
        said.contains("train.csv with 40 rows") && said.contains("wrote 4 files"),
        "{said}"
    );
    assert!(say(&first).contains("complete already"));
    let said = say(&second);
    let files = |idx: &tempfile::TempDir| format!("the files of {}", idx.path().display());
    assert!(
        said.contains(&format!("replaced {} (40 + 20", files(&first)))
            && said.contains(&format!("by {} (41 + 20", files(&second))),
        "{said}"
    );
    assert!(mnist_lake(&["check", "--lake", lake]).status.success());
}

#[test]
fn the_command_line_fails_with_one_line_that_names_the_file() {
    let idx = idx_folder();
    fs::write(idx.path().join("train-images-idx3-ubyte"), "<html>").unwrap();
    let lake = tempfile::tempdir().unwrap();
    let (idx, lake) = (idx.path().to_str().unwrap(), lake.path().to_str().unwrap());
    let failed = mnist_lake(&["prepare", "--idx", idx, "--lake", lake]);
    assert_eq!(failed.status.code(), Some(1));
    let message = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(message.lines().count(), 1);
    assert!(
        message.contains("train-images-idx3-ubyte") && message.contains("web page"),
        "{message}"
    );
    let usage = mnist_lake(&["prepare"]);
    assert_eq!(usage.status.code(), Some(2));
    assert!(String::from_utf8(usage.stderr).unwrap().contains("usage:"));
}
