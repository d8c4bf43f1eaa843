//! A notebook kernel for a test: what it needs, and which of cargo's variables it must not see.

use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// The variables that cargo and rustup set for a test, besides those that begin with `CARGO_`.
const CARGOS: [&str; 7] = [
    "CARGO",
    "LD_LIBRARY_PATH",
    "OUT_DIR",
    "PROTOC",
    "RUSTUP_TOOLCHAIN",
    "RUSTUP_TOOLCHAIN_SOURCE",
    "RUST_RECURSION_COUNT",
];

/// The repository.
pub(crate) fn root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.join("..").canonicalize().unwrap()
}

/// The Python that has Jupyter.
pub(crate) fn python() -> PathBuf {
    let environment = env::var_os("PYTHON_ENV").map_or_else(|| root().join(".venv"), PathBuf::from);
    environment.join("bin/python")
}

/// Returns the first of the kernel's requirements that is missing.
pub(crate) fn missing() -> Option<PathBuf> {
    let root = root();
    let needed = [
        root.join(".tools/bin/evcxr_jupyter"),
        root.join(".tools/share/jupyter/kernels/rust/kernel.json"),
        // Without it, the kernel would first compile all of the crate's dependencies.
        root.join("target/kernel/1/built"),
        python(),
    ];
    needed.into_iter().find(|path| !path.exists())
}

/// Reports a skipped test on a channel that the test harness does not capture.
pub(crate) fn leave_out(what: &str, why: &str) {
    let message = format!("LEFT OUT: {what}: {why}\n");
    std::io::stderr().write_all(message.as_bytes()).unwrap();
}

/// Runs a program that starts a kernel. Fails with its output if it does.
pub(crate) fn run(command: &mut Command) {
    // With cargo's variables for this test, the kernel's cargo would compile the crate again.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_") && name != "CARGO_HOME" || CARGOS.contains(&&*name) {
            command.env_remove(&*name);
        }
    }
    let output = command.env_remove("SPARK_REMOTE").output().unwrap();
    print!("{}", String::from_utf8_lossy(&output.stdout));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
