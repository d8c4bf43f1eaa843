use super::*;
use crate::error::MnistError;

fn folder_with(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"x").unwrap();
    }
    folder
}

const MNIST: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// The file names of an EMNIST set.
fn emnist(set: &str) -> Vec<String> {
    let names = MNIST.map(|name| name.replace("t10k", "test"));
    names.map(|name| format!("emnist-{set}-{name}.gz")).to_vec()
}

fn strs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// The four files found, relative to the folder.
fn found(folder: &tempfile::TempDir) -> [String; 4] {
    let set = Set::find(folder.path()).unwrap();
    set.files.map(|path| {
        let path = path.strip_prefix(folder.path()).unwrap();
        path.to_str().unwrap().to_owned()
    })
}

fn problem(place: &Path) -> FolderError {
    match Set::find(place) {
        Err(Error::Mnist(MnistError::IdxFolder { path, source })) if path == place => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_files_of_the_known_sets_are_found_by_their_names() {
    assert_eq!(found(&folder_with(&MNIST)), MNIST);
    let packed = MNIST.map(|name| format!("{name}.gz"));
    assert_eq!(found(&folder_with(&strs(&packed))), packed);
    let dotted = MNIST.map(|name| name.replace("-idx", ".idx"));
    assert_eq!(found(&folder_with(&strs(&dotted))), dotted[..]);
    let letters = emnist("letters");
    assert_eq!(found(&folder_with(&strs(&letters))), letters[..]);
    let qmnist = [
        "qmnist-train-images-idx3-ubyte.gz",
        "qmnist-train-labels-idx2-int.gz",
        "qmnist-test-images-idx3-ubyte.gz",
        "qmnist-test-labels-idx2-int.gz",
    ];
    assert_eq!(found(&folder_with(&qmnist)), qmnist);
}

#[test]
fn files_are_found_in_common_folder_layouts() {
    for inner in ["raw", "package/data", "FashionMNIST/raw"] {
        let names = MNIST.map(|name| format!("{inner}/{name}"));
        assert_eq!(found(&folder_with(&strs(&names))), names);
    }
}

#[test]
fn an_unpacked_file_is_preferred_to_the_gzip_beside_it() {
    let mut names = MNIST.to_vec();
    names.extend([
        "train-images-idx3-ubyte.gz",
        "train-images-idx3-ubyte.rejected",
    ]);
    assert_eq!(found(&folder_with(&names)), MNIST);
}

#[test]
fn only_emnist_is_assumed_to_be_transposed() {
    let transposed = |names: &[&str]| {
        let folder = folder_with(names);
        Set::find(folder.path()).unwrap().is_transposed()
    };
    assert!(transposed(&strs(&emnist("byclass"))));
    assert!(!transposed(&MNIST));
}

#[test]
fn several_sets_are_named_and_one_is_chosen_by_its_prefix() {
    let names = [emnist("letters"), emnist("digits")].concat();
    let folder = folder_with(&strs(&names));
    let FolderError::SeveralSets { sets, example } = problem(folder.path()) else {
        panic!("not refused")
    };
    assert!(
        sets.contains("emnist-letters-") && sets.contains("emnist-digits-"),
        "{sets}"
    );
    let chosen = Set::find(&example.unwrap()).unwrap();
    assert_eq!(chosen.prefix, "emnist-digits");
    let letters = Set::find(&folder.path().join("emnist-letters")).unwrap();
    assert_eq!(letters.prefix, "emnist-letters");

    let letters = emnist("letters");
    let folder = folder_with(&[&MNIST[..], &strs(&letters)].concat());
    assert!(matches!(
        problem(folder.path()),
        FolderError::SeveralSets { .. }
    ));
}

#[test]
fn two_files_for_one_role_are_both_named() {
    let folder = folder_with(&[&MNIST[..], &["test-labels-idx1-ubyte"]].concat());
    let said = problem(folder.path()).to_string();
    for part in [
        "t10k-labels-idx1-ubyte",
        "test-labels-idx1-ubyte",
        "test labels",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let said = problem(folder_with(&MNIST[..3]).path()).to_string();
    assert!(
        said.contains("no test labels") && said.contains(MNIST[3]),
        "{said}"
    );
    let letters = emnist("letters");
    let said = problem(folder_with(&strs(&letters[1..])).path()).to_string();
    assert!(
        said.contains("emnist-letters-train-images-idx3-ubyte"),
        "{said}"
    );
}

#[test]
fn a_path_without_idx_files_is_named_as_what_it_is() {
    let empty = folder_with(&[]);
    assert!(matches!(problem(empty.path()), FolderError::Empty));
    let folder = folder_with(&["gzip.zip"]);
    let said = problem(folder.path()).to_string();
    assert!(
        said.contains("gzip.zip") && said.contains("train-images-idx3-ubyte"),
        "{said}"
    );
    assert!(matches!(
        problem(&folder.path().join("gzip.zip")),
        FolderError::NotAFolder
    ));
    assert!(matches!(
        problem(&folder.path().join("elsewhere")),
        FolderError::NoSuchFolder
    ));
}

#[cfg(unix)]
#[test]
fn a_pipe_with_the_name_of_a_file_is_not_waited_for() {
    let folder = folder_with(&MNIST[1..]);
    let pipe = folder.path().join(MNIST[0]);
    let made = std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap();
    assert!(made.success());
    assert!(matches!(
        problem(folder.path()),
        FolderError::Missing { .. }
    ));
}
