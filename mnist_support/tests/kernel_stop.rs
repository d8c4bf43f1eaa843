//! Stop in a notebook's kernel: a fit keeps the variables, other code ends at the second press.

use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

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
    let output = Command::new(python)
        .arg(crate_folder.join("tests/kernel_stop.py"))
        .arg(crate_folder.join("notebook"))
        .current_dir(root.join("notebooks"))
        .env("JUPYTER_PATH", root.join(".tools/share/jupyter"))
        // What cargo sets for this test is not what the kernel's cargo is to see.
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO")
        .env_remove("SPARK_REMOTE")
        .output()
        .unwrap();
    print!("{}", String::from_utf8_lossy(&output.stdout));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
