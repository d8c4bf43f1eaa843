//! What set-up checks before it compiles anything, and how it gets the sources of Rust's own library:
//! `scripts/check_tools.sh` and `scripts/rust_sources.sh`, in a copy of the project's layout, on a
//! machine whose programs the test makes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What every Linux has, beside the programs that set-up looks for.
const BASICS: [&str; 26] = [
    "as",
    "basename",
    "bash",
    "cat",
    "cc",
    "cut",
    "df",
    "dirname",
    "du",
    "env",
    "flock",
    "grep",
    "g++",
    "head",
    "ld",
    "mkdir",
    "mktemp",
    "rm",
    "sed",
    "sha256sum",
    "sort",
    "tail",
    "tar",
    "timeout",
    "touch",
    "uname",
];

struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    /// A machine with all that set-up needs, but for the sources of Rust's own library.
    fn new() -> Machine {
        let machine = Machine {
            root: tempfile::tempdir().unwrap(),
        };
        let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
        let scripts = machine.folder("mnist_support/scripts");
        for name in [
            "check_tools.sh",
            "rust_sources.sh",
            "common.sh",
            "versions.env",
        ] {
            fs::copy(sources.join("scripts").join(name), scripts.join(name)).unwrap();
        }
        for name in ["Cargo.toml", "requirements.txt"] {
            fs::copy(sources.join("..").join(name), machine.path(name)).unwrap();
        }
        machine.folder("target");
        machine.folder("rustup/toolchains/mine/lib/rustlib");
        for name in BASICS {
            let found = std::env::split_paths(&std::env::var_os("PATH").unwrap())
                .map(|folder| folder.join(name))
                .find(|path| path.exists());
            symlink(found.unwrap(), machine.folder("bin").join(name)).unwrap();
        }
        let sysroot = machine.sysroot();
        machine.program(
            "rustc",
            &format!(
                "if [ \"$1\" = --print ]; then echo '{}'; else echo 'rustc 1.95.0 (x)'; fi",
                sysroot.display()
            ),
        );
        machine.program("cargo", ":");
        machine.program("python3", ":");
        machine.program("npm", ":");
        machine.program(
            "rustup",
            &format!(
                "if [ \"$1\" = show ]; then echo '{}'; exit; fi\n\
                 echo \"$@\" >>'{}'\nmkdir -p '{}'",
                machine.path("rustup").display(),
                machine.path("calls").display(),
                machine.sources().join("core").display(),
            ),
        );
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn sysroot(&self) -> PathBuf {
        self.path("rustup/toolchains/mine")
    }

    fn sources(&self) -> PathBuf {
        self.sysroot().join("lib/rustlib/src/rust/library")
    }

    fn program(&self, name: &str, body: &str) {
        let path = self.folder("bin").join(name);
        let _ = fs::remove_file(&path);
        fs::write(&path, format!("#!/bin/bash\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn without(&self, name: &str) {
        fs::remove_file(self.path("bin").join(name)).unwrap();
    }

    fn run(&self, script: &str, arguments: &[&str]) -> Output {
        Command::new(self.path("mnist_support/scripts").join(script))
            .args(arguments)
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("PYTHON_ENV", self.path(".venv"))
            .output()
            .unwrap()
    }

    /// What the check says where it fails.
    fn refused(&self) -> String {
        let output = self.run("check_tools.sh", &["python3"]);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }
}

#[test]
fn a_machine_that_has_everything_passes_without_a_word() {
    let output = Machine::new().run("check_tools.sh", &["python3"]);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
}

#[test]
fn all_that_is_missing_stands_in_one_message() {
    let machine = Machine::new();
    machine.without("g++");
    machine.without("flock");
    machine.program("rustc", "echo 'rustc 1.80.0 (x)'");
    machine.program("python3", "exit 1");
    let said = machine.refused();
    for needed in [
        "Rust 1.95 or later; this is 1.80.0",
        "a C++ compiler (g++): install g++",
        "the program flock",
        "Python 3.10 or later",
    ] {
        assert!(said.contains(needed), "{needed}: {said}");
    }
}

#[test]
fn a_compiler_without_its_headers_and_a_silent_registry_are_named_with_what_they_say() {
    let machine = Machine::new();
    machine.program(
        "g++",
        "echo 'fatal error: vector: No such file' >&2; exit 1",
    );
    machine.program("npm", "echo 'npm error network' >&2; exit 1");
    let said = machine.refused();
    assert!(said.contains("g++ says: fatal error: vector"), "{said}");
    assert!(
        said.contains("npm's packages") && said.contains("npm error network"),
        "{said}"
    );
    assert!(!said.contains("Rust's crates"), "{said}");
}

#[test]
fn rustup_brings_the_sources_once() {
    let machine = Machine::new();
    for _ in 0..2 {
        let output = machine.run("rust_sources.sh", &[]);
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(
        fs::read_to_string(machine.path("calls")).unwrap(),
        "component add rust-src --toolchain mine\n"
    );
}

#[test]
fn a_toolchain_without_a_manager_is_refused_before_anything_is_compiled_with_the_package_to_install()
 {
    let machine = Machine::new();
    machine.without("rustup");
    let said = machine.refused();
    assert!(
        said.contains("install the package rust-src of Rust 1.95.0"),
        "{said}"
    );
}

#[test]
fn an_installation_that_fails_says_why_and_how_to_do_it_by_hand() {
    let machine = Machine::new();
    let home = machine.path("rustup");
    machine.program(
        "rustup",
        &format!(
            "if [ \"$1\" = show ]; then echo '{}'; exit; fi; echo 'could not download' >&2; exit 1",
            home.display()
        ),
    );
    let output = machine.run("rust_sources.sh", &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(
        said.contains("could not download") && said.contains("rustup component add rust-src"),
        "{said}"
    );
}
