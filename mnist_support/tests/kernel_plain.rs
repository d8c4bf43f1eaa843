//! The notebook kernel with its shortcuts and, with `KERNEL_PLAIN=1`, without: stock evcxr.

#[path = "common/kernel.rs"]
mod kernel;

use serde_json::json;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};
use tempfile::TempDir;

/// Without shortcuts, only the kernel in the warm slot finds the crate compiled.
static WARM_SLOT: Mutex<()> = Mutex::new(());

/// Variables that a shell sets itself.
const SHELLS: [&str; 4] = ["OLDPWD", "PWD", "SHLVL", "_"];

/// A copy of the project on a machine with lld, whose evcxr only records its environment.
struct Project {
    folder: TempDir,
    root: PathBuf,
}

impl Project {
    fn new(name: &str) -> Project {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join(name);
        let project = Project { folder, root };
        let ours = Path::new(env!("CARGO_MANIFEST_DIR"));
        fs::create_dir_all(project.root.join("mnist_support")).unwrap();
        let copied = Command::new("cp")
            .arg("-r")
            .args([ours.join("kernel"), ours.join("scripts")])
            .arg(project.root.join("mnist_support"))
            .status();
        assert!(copied.unwrap().success());
        fs::create_dir(project.root.join("notebooks")).unwrap();
        project.write("Cargo.lock", "version = 4\n");
        project.write(
            "target/x86_64-unknown-linux-gnu/debug/libtorch/libtch.so",
            "",
        );
        for part in ["core", "stdarch"] {
            project.write(
                &format!("rust/lib/rustlib/src/rust/library/{part}/lib.rs"),
                "",
            );
        }
        let rust = project.root.join("rust");
        project.program("bin/rustc", &format!("echo '{}'", rust.display()));
        for name in ["cargo", "lld"] {
            project.program(&format!("bin/{name}"), ":");
        }
        project.program(".tools/bin/evcxr_jupyter", "env >\"$2\"");
        project.program("bin/python", "echo \"$3\"");
        project
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn program(&self, path: &str, body: &str) {
        self.write(path, &format!("#!/bin/sh\n{body}\n"));
        let program = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.root.join(path), program).unwrap();
    }

    fn path_variable(&self) -> String {
        let machines = std::env::var("PATH").unwrap();
        format!("{}:{machines}", self.root.join("bin").display())
    }

    /// Returns what the kernel says instead of starting, and the variables that it starts with.
    fn start(&self, plain: &str) -> (String, BTreeMap<String, String>) {
        let connection = self.folder.path().join("connection");
        let output = Command::new(self.root.join("mnist_support/kernel/start.sh"))
            .arg(&connection)
            .arg(self.root.join("bin/python"))
            .env_clear()
            .env("PATH", self.path_variable())
            .env("KERNEL_PLAIN", plain)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let variables = fs::read_to_string(connection).unwrap_or_default();
        let variables = variables
            .lines()
            .filter_map(|line| line.split_once('='))
            .filter(|(name, _)| !SHELLS.contains(name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        (String::from_utf8(output.stdout).unwrap(), variables)
    }
}

#[test]
fn kernel_plain_leaves_evcxr_the_machines_own_cargo_rustc_linker_and_sources() {
    let project = Project::new("project");
    let (_, quick) = project.start("0");
    let toolchain = project.root.join("target/kernel/toolchain");
    assert_eq!(
        quick["CARGO"],
        toolchain.join("bin/cargo").to_str().unwrap()
    );
    assert_eq!(
        quick["RUST_SRC_PATH"],
        toolchain.join("library").to_str().unwrap()
    );
    assert!(toolchain.join("library/core").exists() && !toolchain.join("library/stdarch").exists());

    let (_, plain) = project.start("1");
    let names: Vec<&str> = plain.keys().map(String::as_str).collect();
    let set = [
        "EVCXR_CONFIG_DIR",
        "EVCXR_TMPDIR",
        "JUPYTER_PATH",
        "KERNEL_PLAIN",
        "LD_LIBRARY_PATH",
        "PATH",
    ];
    assert_eq!(names, set);
    assert_eq!(plain["PATH"], project.path_variable());
    // Where cells are compiled, and which libraries they find, is the same.
    for name in ["EVCXR_TMPDIR", "LD_LIBRARY_PATH"] {
        assert_eq!(plain[name], quick[name]);
    }
}

#[test]
fn kernel_plain_says_in_the_notebook_that_evcxr_cannot_load_cells_from_a_path_with_a_space() {
    let project = Project::new("my project");
    let (said, variables) = project.start("1");
    assert!(
        said.contains("KERNEL_PLAIN=1") && said.contains("path with a space"),
        "{said}"
    );
    assert!(variables.is_empty());
    let (said, variables) = project.start("0");
    assert_eq!(said, "");
    assert!(variables["KERNEL_LOADED"].starts_with("/proc/self/fd/"));
}

/// Runs a notebook as `make run-notebooks` does, unless something that it needs is missing.
fn run_notebook(how: &str, notebook: &Path, plain: &str, needed: &Path) {
    let missing = Some(needed.to_owned()).filter(|path| !path.exists());
    if let Some(path) = kernel::missing().or(missing) {
        let why = format!("{} is missing, `make setup data` makes it", path.display());
        return kernel::leave_out(&format!("a notebook with KERNEL_PLAIN={plain}"), &why);
    }
    let python = kernel::python();
    let environment = python.ancestors().nth(2).unwrap();
    kernel::run(
        Command::new(kernel::root().join("mnist_support/scripts/run_notebooks.sh"))
            .arg(how)
            .arg(notebook)
            .env("PYTHON_ENV", environment)
            .env("KERNEL_PLAIN", plain),
    );
}

#[test]
fn the_traditional_notebook_runs_with_kernel_plain() {
    let _alone = WARM_SLOT.lock();
    let root = kernel::root();
    let notebook = root.join("notebooks/traditional.ipynb");
    let mut text = fs::read_to_string(notebook).unwrap();
    // In a folder of its own, with one epoch: how well it trains is tested elsewhere.
    let crate_folder = root.join("mnist_support/notebook");
    for (from, to) in [
        ("../mnist_support/notebook", crate_folder.to_str().unwrap()),
        ("../target/models", "models"),
        ("let epochs = 20;", "let epochs = 1;"),
    ] {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text = text.replace(from, to);
    }
    let folder = root.join("target/kernel-plain");
    fs::create_dir_all(&folder).unwrap();
    let copy = folder.join("traditional.ipynb");
    fs::write(&copy, text).unwrap();
    let lake = root.join("data/lake/.complete");
    run_notebook("in-place", &copy, "1", &lake);
}

/// If evcxr called cargo in another way than the shortcuts expect, cells would only be slower.
#[test]
fn evcxr_takes_the_shortcuts() {
    let _alone = WARM_SLOT.lock();
    let cells = [
        // Its type is inferred from the sources of Rust's standard library.
        r#"let kept = Some(String::from("kept"));"#,
        r#"{
            assert_eq!(kept.as_deref(), Some("kept"));
            let slot = std::path::PathBuf::from(std::env::var("KERNEL_SLOT")?);
            assert!(slot.join("session/output").exists(), "no cell was compiled without cargo");
            assert!(slot.join("answers").exists(), "no answer of cargo's was remembered");
        }"#,
    ];
    let cells = cells.map(|source| {
        json!({"cell_type": "code", "execution_count": null, "metadata": {}, "outputs": [], "source": source})
    });
    let kernelspec = json!({"name": "rust", "display_name": "Rust", "language": "rust"});
    let notebook = json!({
        "cells": cells, "metadata": {"kernelspec": kernelspec}, "nbformat": 4, "nbformat_minor": 4
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shortcuts.ipynb");
    fs::write(&path, notebook.to_string()).unwrap();
    run_notebook("in-place", &path, "0", folder.path());
}
