//! Stop in a notebook's kernel: a fit keeps the variables, other code ends at the second press.

use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// What cargo and rustup set for a test beside the variables that begin with `CARGO_`.
const CARGOS: [&str; 7] = [
    "CARGO",
    "LD_LIBRARY_PATH",
    "OUT_DIR",
    "PROTOC",
    "RUSTUP_TOOLCHAIN",
    "RUSTUP_TOOLCHAIN_SOURCE",
    "RUST_RECURSION_COUNT",
];

/// What a kernel needs that `make test` does not set up; the first part that is missing.
fn missing(root: &Path, python: &Path) -> Option<PathBuf> {
    let needed = [
        root.join(".tools/bin/evcxr_jupyter"),
        root.join(".tools/share/jupyter/kernels/rust/kernel.json"),
        // Without, the kernel would first compile everything that the crate needs.
        root.join("target/kernel/1/built"),
        python.to_owned(),
    ];
    needed.into_iter().find(|path| !path.exists())
}

#[test]
fn stop_keeps_the_variables_of_a_fit_and_ends_other_code_at_the_second_press() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = crate_folder.join("..").canonicalize().unwrap();
    let environment = env::var_os("PYTHON_ENV").map_or_else(|| root.join(".venv"), PathBuf::from);
    let python = environment.join("bin/python");
    if let Some(path) = missing(&root, &python) {
        // Past the test harness, which would keep it to itself.
        let message = format!(
            "LEFT OUT: Stop in a notebook's kernel: {} is missing, `make setup` makes it\n",
            path.display()
        );
        std::io::stderr().write_all(message.as_bytes()).unwrap();
        return;
    }
    let mut command = Command::new(python);
    // The kernel's cargo would compile the crate again for what cargo has set for this test.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_") && name != "CARGO_HOME" || CARGOS.contains(&&*name) {
            command.env_remove(&*name);
        }
    }
    let output = command
        .arg(crate_folder.join("tests/kernel_stop.py"))
        .arg(crate_folder.join("notebook"))
        .current_dir(root.join("notebooks"))
        .env("JUPYTER_PATH", root.join(".tools/share/jupyter"))
        .env_remove("SPARK_REMOTE")
        .output()
        .unwrap();
    print!("{}", String::from_utf8_lossy(&output.stdout));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
