//! The cargo and rustc of the notebook kernel (`kernel/toolchain/`), called as evcxr calls them,
//! in a repository whose crate is a single function. The real cargo and rustc do the work.

use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

const TARGET: &str = "x86_64-unknown-linux-gnu";
const NOTEBOOK_CRATE: &str = r#"mnist_support = { package = "mnist_support_notebook", path = "../../../../mnist_support/notebook" }"#;

/// A kernel's folder, in a repository of its own.
struct Kernel {
    repository: TempDir,
    variables: Vec<(&'static str, &'static str)>,
}

impl Kernel {
    fn start() -> Self {
        let kernel = Kernel {
            repository: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
        };
        let ours = Path::new(env!("CARGO_MANIFEST_DIR"));
        run(Command::new("cp")
            .arg("-r")
            .args([ours.join("kernel"), ours.join("scripts")])
            .arg(kernel.folder("mnist_support")));
        kernel.write("Cargo.toml", "[workspace]\n");
        kernel.write("Cargo.lock", "version = 4\n");
        kernel.write(".cargo/config.toml", "");
        kernel.write(
            "mnist_support/Cargo.toml",
            &package("mnist_support", "[workspace]"),
        );
        kernel.write("mnist_support/build.rs", "fn main() {}");
        kernel.write("mnist_support/src/lib.rs", "");
        kernel.folder("mnist_support/native");
        kernel.write(
            "mnist_support/notebook/Cargo.toml",
            &package("mnist_support_notebook", "[workspace]"),
        );
        kernel.write(
            "mnist_support/notebook/src/lib.rs",
            "pub fn answer() -> i32 { 42 }",
        );
        // Runs the real cargo, and records each call.
        let real = sysroot();
        kernel.write(
            "sysroot/bin/cargo",
            &format!(
                "#!/bin/sh\necho \"$*\" >>'{}'\nexec '{}/bin/cargo' \"$@\"\n",
                kernel.path("calls").display(),
                real.display(),
            ),
        );
        let program = kernel.path("sysroot/bin/cargo");
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink(real.join("bin/rustc"), kernel.path("sysroot/bin/rustc"))
            .unwrap();

        let prepare = kernel.path("mnist_support/kernel/prepare_slot.sh");
        run(Command::new(prepare).arg("1"));
        kernel.folder("target/kernel/1/session");
        kernel.write(
            "target/kernel/1/cells/.cargo/config.toml",
            "[net]\noffline = false\n",
        );
        kernel.depend_on(NOTEBOOK_CRATE);
        kernel
    }

    fn path(&self, path: &str) -> PathBuf {
        self.repository.path().canonicalize().unwrap().join(path)
    }

    fn folder(&self, path: &str) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes the manifest of the cells.
    fn depend_on(&self, dependency: &str) {
        let manifest = package(
            "ctx",
            &format!(
                "[lib]\ncrate-type = [\"cdylib\"]\n[profile.dev]\nopt-level = 2\n\
                 [dependencies]\n{dependency}"
            ),
        );
        self.write("target/kernel/1/cells/Cargo.toml", &manifest);
    }

    fn depend_on_a_crate_from_elsewhere(&self) {
        self.write("mine/Cargo.toml", &package("mine", "[workspace]"));
        self.write("mine/src/lib.rs", "");
        self.depend_on("mine = { path = \"../../../../mine\" }");
    }

    fn cargo(&self, arguments: &[&str]) -> Output {
        Command::new(self.path("mnist_support/kernel/toolchain/cargo"))
            .args(arguments)
            .current_dir(self.path("target/kernel/1/cells"))
            .env("KERNEL_ROOT", self.path(""))
            .env("KERNEL_SLOT", self.path("target/kernel/1"))
            .env("KERNEL_SYSROOT", self.path("sysroot"))
            .env("RUSTC", self.path("mnist_support/kernel/toolchain/rustc"))
            .env("CARGO_TARGET_DIR", "target")
            .env("RUSTFLAGS", "-Cprefer-dynamic")
            .env_remove("RUSTC_WRAPPER")
            .envs(self.variables.iter().copied())
            .output()
            .unwrap()
    }

    fn compile(&self, cell: &str) -> Output {
        self.run_on(cell, "build")
    }

    fn run_on(&self, cell: &str, command: &str) -> Output {
        self.write("target/kernel/1/cells/src/lib.rs", cell);
        self.cargo(&[command, "--target", TARGET, "--message-format=json"])
    }

    /// The number of times that the real cargo ran.
    fn calls(&self) -> usize {
        fs::read_to_string(self.path("calls")).map_or(0, |calls| calls.lines().count())
    }

    /// Compiles a cell that only this call has seen, and returns how often cargo ran for it.
    fn calls_for_a_cell(&self) -> usize {
        let before = self.calls();
        let output = self.compile(&format!("pub fn cell() -> usize {{ {before} }}"));
        assert!(output.status.success(), "{output:?}");
        self.calls() - before
    }
}

fn package(name: &str, rest: &str) -> String {
    format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n{rest}\n")
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

fn sysroot() -> PathBuf {
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().into()
}

fn messages(output: &Output) -> Vec<Value> {
    let lines = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(lines)
        .unwrap()
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Returns the library of a cell, where evcxr looks for it.
fn library(output: &Output) -> Option<PathBuf> {
    messages(output)
        .iter()
        .filter(|message| {
            message["reason"] == "compiler-artifact" && message["target"]["name"] == "ctx"
        })
        .flat_map(|message| message["filenames"].as_array().unwrap())
        .map(|file| PathBuf::from(file.as_str().unwrap()))
        .find(|file| file.file_name().unwrap() == "libctx.so")
}

/// Returns what evcxr reads of a cell's errors: everything but the text as rendered for a terminal,
/// from which cargo strips the colours.
fn errors(output: &Output) -> BTreeSet<String> {
    messages(output)
        .into_iter()
        .map(|mut message| match message["message"].take() {
            inner @ Value::Object(_) => inner,
            text => {
                message["message"] = text;
                message
            }
        })
        .filter(|message| message["level"] == "error" && message["code"].is_object())
        .map(|mut message| {
            let fields = message.as_object_mut().unwrap();
            fields.retain(|name, _| name != "rendered" && name != "$message_type");
            message.to_string()
        })
        .collect()
}

#[test]
fn only_the_first_cell_is_compiled_by_cargo() {
    let kernel = Kernel::start();
    assert_eq!(kernel.calls_for_a_cell(), 1);
    assert_eq!(kernel.calls_for_a_cell(), 0);

    let cell = kernel.compile(
        "#[unsafe(no_mangle)] pub extern \"C\" fn cell() -> i32 { mnist_support::answer() }",
    );
    let library = library(&cell).unwrap();
    let symbols = fs::read(library).unwrap();
    assert!(symbols.windows(4).any(|bytes| bytes == b"cell"));
}

#[test]
fn an_error_in_a_cell_reads_the_same_with_and_without_cargo() {
    let wrong = "pub fn cell() -> String { mnist_support::answer() }\npub fn other() { unknown }";
    let kernel = Kernel::start();
    let by_cargo = kernel.compile(wrong);
    assert_eq!(kernel.calls(), 1);
    let directly = kernel.compile(wrong);
    assert_eq!(kernel.calls(), 1);
    assert!(!by_cargo.status.success() && !directly.status.success());
    assert_eq!(errors(&by_cargo).len(), 2);
    assert_eq!(errors(&by_cargo), errors(&directly));
}

#[test]
fn whatever_cargo_would_look_at_leads_back_to_cargo() {
    let mut kernel = Kernel::start();
    kernel.calls_for_a_cell();
    for changed in [
        "mnist_support/notebook/src/lib.rs",
        "mnist_support/src/lib.rs",
        "mnist_support/src/new.rs",
        "mnist_support/Cargo.toml",
        ".cargo/config.toml",
        "target/kernel/1/cells/Cargo.toml",
    ] {
        let text = fs::read_to_string(kernel.path(changed)).unwrap_or_default();
        kernel.write(changed, &text);
        assert!(kernel.calls_for_a_cell() > 0, "{changed}");
        assert_eq!(kernel.calls_for_a_cell(), 0, "{changed}");
    }
    kernel.variables.push(("MNIST_SOMETHING", "else"));
    assert_eq!(kernel.calls_for_a_cell(), 1);
    assert_eq!(kernel.calls_for_a_cell(), 0);
}

#[test]
fn a_library_that_is_gone_leads_back_to_cargo() {
    let kernel = Kernel::start();
    kernel.calls_for_a_cell();
    kernel.calls_for_a_cell();
    let deps = kernel.path("target").join(TARGET).join("debug/deps");
    for file in fs::read_dir(deps).unwrap() {
        let file = file.unwrap().path();
        if file.to_str().unwrap().contains("mnist_support_notebook") {
            fs::remove_file(file).unwrap();
        }
    }
    assert!(kernel.calls_for_a_cell() > 0);
}

#[test]
fn a_crate_from_elsewhere_is_left_to_cargo() {
    let kernel = Kernel::start();
    kernel.depend_on_a_crate_from_elsewhere();
    for _ in 0..3 {
        assert_eq!(kernel.calls_for_a_cell(), 1);
    }
}

#[test]
fn a_check_finds_the_errors_of_a_build_and_leaves_no_library() {
    let kernel = Kernel::start();
    let wrong = "pub fn cell() -> String { mnist_support::answer() }";
    let built = kernel.run_on(wrong, "build");
    for _ in 0..2 {
        let checked = kernel.run_on(wrong, "check");
        assert!(!checked.status.success());
        assert_eq!(errors(&built), errors(&checked));
    }
    assert_eq!(kernel.calls(), 1);

    let right = kernel.run_on("pub fn cell() -> i32 { mnist_support::answer() }", "check");
    assert!(right.status.success());
    assert_eq!(library(&right), None);
}

#[test]
fn the_optimisation_that_a_notebook_asks_for_is_used() {
    let kernel = Kernel::start();
    kernel.calls_for_a_cell();
    let noted = || fs::read_to_string(kernel.path("target/kernel/1/session/command")).unwrap();
    assert!(noted().contains("-Copt-level=2"));
    let manifest = "target/kernel/1/cells/Cargo.toml";
    let text = fs::read_to_string(kernel.path(manifest)).unwrap();
    kernel.write(manifest, &text.replace("opt-level = 2", "opt-level = 0"));
    kernel.calls_for_a_cell();
    assert!(noted().contains("-Copt-level=0"));
}

#[test]
fn an_answer_is_remembered_until_a_manifest_changes() {
    let kernel = Kernel::start();
    let question = ["metadata", "--format-version=1"];
    let first = kernel.cargo(&question);
    assert!(first.status.success(), "{first:?}");
    assert_eq!(kernel.cargo(&question).stdout, first.stdout);
    assert_eq!(kernel.calls(), 1);

    kernel.write(
        "mnist_support/notebook/Cargo.toml",
        &package(
            "mnist_support_notebook",
            "description = \"new\"\n[workspace]",
        ),
    );
    let changed = kernel.cargo(&question);
    assert_eq!(kernel.calls(), 2);
    assert_ne!(changed.stdout, first.stdout);
}

#[test]
fn of_crates_of_a_notebooks_own_no_answer_is_remembered() {
    let kernel = Kernel::start();
    kernel.depend_on_a_crate_from_elsewhere();
    for calls in 1..=2 {
        let answer = kernel.cargo(&["metadata", "--format-version=1"]);
        assert!(answer.status.success(), "{answer:?}");
        assert_eq!(kernel.calls(), calls);
    }
}

#[test]
fn secrets_of_the_environment_are_not_written_down() {
    let mut kernel = Kernel::start();
    kernel
        .variables
        .push(("ADLS_CLIENT_SECRET", "not-to-be-seen"));
    kernel
        .variables
        .push(("CARGO_REGISTRY_TOKEN", "not-to-be-seen"));
    kernel.calls_for_a_cell();
    kernel.calls_for_a_cell();
    kernel.cargo(&["metadata", "--format-version=1"]);
    let found = Command::new("grep")
        .args(["--recursive", "--files-with-matches", "not-to-be-seen"])
        .arg(kernel.path("target/kernel"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(found.stdout).unwrap(), "");
}
