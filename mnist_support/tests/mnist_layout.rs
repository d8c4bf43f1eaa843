//! Laying the lake out from IDX files, through the library and the command line.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use mnist_support::Error;
use mnist_support::lake::{Credentials, Lake};
use mnist_support::mnist::{CONTAINER, Origin, Outcome, check, prepare};

/// The images and labels of an IDX pair of `count` images of 2 x 3 pixels.
fn idx_pair(count: u32) -> (Vec<u8>, Vec<u8>) {
    let mut images = vec![0, 0, 8, 3];
    images.extend([count, 2, 3].map(u32::to_be_bytes).concat());
    images.extend((0..count * 6).map(|index| (index * 7) as u8));
    let mut labels = vec![0, 0, 8, 1];
    labels.extend(count.to_be_bytes());
    labels.extend((0..count).map(|index| (index % 10) as u8));
    (images, labels)
}

/// A folder of four IDX files in MNIST's format and of other content.
fn idx_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, count) in [("train", 40), ("t10k", 20)] {
        let (images, labels) = idx_pair(count);
        fs::write(
            folder.path().join(format!("{name}-images-idx3-ubyte")),
            images,
        )
        .unwrap();
        fs::write(
            folder.path().join(format!("{name}-labels.idx1-ubyte")),
            labels,
        )
        .unwrap();
    }
    folder
}

fn lay_out(idx: &Path, lake: &Path, origin: Origin) -> mnist_support::Result<Outcome> {
    prepare(idx, lake, origin, &mut |_| ())
}

#[test]
fn the_lake_holds_the_images_as_csv_and_the_same_as_parquet() {
    let (idx, lake) = (idx_folder(), tempfile::tempdir().unwrap());
    let Outcome::Written(files) =
        lay_out(idx.path(), lake.path(), Origin::OwnOfAnyContent).unwrap()
    else {
        panic!("nothing was written")
    };
    assert_eq!(files.len(), 4);
    let text = fs::read_to_string(lake.path().join(CONTAINER).join("test.csv")).unwrap();
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
            .csv(&format!("{table}.csv"))
            .unwrap()
            .collect()
            .unwrap();
        let parquet = container.parquet(&format!("{table}.parquet")).unwrap();
        assert_eq!(csv.shape(), (rows, 7));
        assert_eq!(csv, parquet.collect().unwrap());
        // Ten row groups: ten partitions of whole groups.
        let parts = parquet.partitions(10).unwrap();
        assert!(
            parts
                .iter()
                .all(|part| parquet.read(part).unwrap().height() == rows / 10)
        );
    }
}

#[test]
fn a_complete_lake_is_not_written_again_and_a_damaged_one_is() {
    let (idx, lake) = (idx_folder(), tempfile::tempdir().unwrap());
    let again = || lay_out(idx.path(), lake.path(), Origin::OwnOfAnyContent).unwrap();
    assert!(matches!(check(lake.path()), Err(Error::NotFound { .. })));
    assert!(matches!(again(), Outcome::Written(_)));
    assert_eq!(again(), Outcome::AlreadyComplete);
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
    assert!(matches!(again(), Outcome::Written(_)));
    assert_eq!(fs::read(&csv).unwrap(), whole);

    // Other raw files make another lake.
    let (images, _) = idx_pair(20);
    let mut other = images;
    *other.last_mut().unwrap() ^= 1;
    fs::write(idx.path().join("t10k-images-idx3-ubyte"), other).unwrap();
    assert!(matches!(again(), Outcome::Written(_)));
}

#[test]
fn a_download_that_is_not_mnist_is_kept_aside_and_nothing_is_written() {
    let (idx, lake) = (idx_folder(), tempfile::tempdir().unwrap());
    let error = lay_out(idx.path(), lake.path(), Origin::Download).unwrap_err();
    let Error::HashMismatch { path, kept_as, .. } = &error else {
        panic!("{error}")
    };
    assert!(
        !path.exists() && kept_as.ends_with("train-images-idx3-ubyte.rejected"),
        "{error}"
    );
    assert!(kept_as.exists());
    assert_eq!(fs::read_dir(lake.path()).unwrap().count(), 0);
    let again = lay_out(idx.path(), lake.path(), Origin::Download).unwrap_err();
    assert!(matches!(again, Error::NotFound { .. }), "{again}");
}

#[test]
fn counts_that_disagree_name_both_files() {
    let (idx, lake) = (idx_folder(), tempfile::tempdir().unwrap());
    fs::write(idx.path().join("train-labels.idx1-ubyte"), idx_pair(39).1).unwrap();
    let error = lay_out(idx.path(), lake.path(), Origin::OwnOfAnyContent).unwrap_err();
    assert!(matches!(error, Error::InvalidIdx { .. }), "{error}");
    let message = error.to_string();
    for part in [
        "train-labels.idx1-ubyte",
        "39 labels",
        "train-images-idx3-ubyte",
        "40 images",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!lake.path().join(CONTAINER).join("train.csv").exists());
}

#[test]
fn a_label_above_nine_is_named_with_its_place() {
    let (idx, lake) = (idx_folder(), tempfile::tempdir().unwrap());
    let (_, mut labels) = idx_pair(40);
    labels[8 + 11] = 10;
    fs::write(idx.path().join("train-labels.idx1-ubyte"), labels).unwrap();
    let error = lay_out(idx.path(), lake.path(), Origin::OwnOfAnyContent).unwrap_err();
    assert!(error.to_string().contains("its label 12 is 10"), "{error}");
}

#[test]
fn a_cut_idx_file_is_named_and_leaves_no_table() {
    let (idx, lake) = (idx_folder(), tempfile::tempdir().unwrap());
    let images = idx_pair(40).0;
    fs::write(
        idx.path().join("train-images-idx3-ubyte"),
        &images[..images.len() - 1],
    )
    .unwrap();
    let error = lay_out(idx.path(), lake.path(), Origin::OwnOfAnyContent).unwrap_err();
    assert!(matches!(error, Error::InvalidIdx { .. }), "{error}");
    assert!(
        error.to_string().contains("which is 240, and 239 follow"),
        "{error}"
    );
    assert!(!lake.path().join(CONTAINER).join("train.csv").exists());
}

fn mnist_lake(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mnist-lake"))
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn the_command_line_prepares_and_checks_and_says_what_it_does() {
    let (idx, lake) = (idx_folder(), tempfile::tempdir().unwrap());
    let (idx, lake) = (idx.path().to_str().unwrap(), lake.path().to_str().unwrap());
    let prepare = ["prepare", "--idx", idx, "--lake", lake, "--any-content"];
    let done = mnist_lake(&prepare);
    assert!(done.status.success());
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(
        said.contains("train.csv with 40 rows") && said.contains("wrote 4 files"),
        "{said}"
    );
    assert!(
        String::from_utf8(mnist_lake(&prepare).stdout)
            .unwrap()
            .contains("complete already")
    );
    assert!(mnist_lake(&["check", "--lake", lake]).status.success());
}

#[test]
fn the_command_line_fails_with_one_line_that_names_the_file() {
    let idx = idx_folder();
    let failed = mnist_lake(&["prepare", "--idx", idx.path().to_str().unwrap(), "--own"]);
    assert_eq!(failed.status.code(), Some(1));
    let message = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(message.lines().count(), 1);
    assert!(
        message.contains("train-images-idx3-ubyte") && message.contains("SHA-256"),
        "{message}"
    );
    let usage = mnist_lake(&["prepare"]);
    assert_eq!(usage.status.code(), Some(2));
    assert!(String::from_utf8(usage.stderr).unwrap().contains("usage:"));
}
