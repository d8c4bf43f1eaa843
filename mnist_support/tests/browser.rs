//! Both notebooks in a real browser: pictures, completion, documentation, mistakes, Stop.

use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.join("..").canonicalize().unwrap()
}

/// The Python that has JupyterLab.
fn python(root: &Path) -> PathBuf {
    let environment = env::var_os("PYTHON_ENV").map_or_else(|| root.join(".venv"), PathBuf::from);
    environment.join("bin/python")
}

/// The machine's Chromium, or what is missing to run one.
fn chromium(root: &Path) -> Result<PathBuf, String> {
    let script = root.join("mnist_support/scripts/chromium.sh");
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(script).output().unwrap();
    if status.success() {
        let path = String::from_utf8(stdout).unwrap();
        Ok(PathBuf::from(path.trim()))
    } else {
        Err(String::from_utf8_lossy(&stderr).trim().to_owned())
    }
}

/// The first part that is missing of what `make test` sets up where there is a Chromium.
fn missing(root: &Path) -> Option<PathBuf> {
    let needed = [
        root.join(".tools/bin/evcxr_jupyter"),
        root.join(".tools/share/jupyter/kernels/rust/kernel.json"),
        // Without, the kernel would first compile everything that the crate needs.
        root.join("target/kernel/1/built"),
        root.join(".tools/browser/bin/python"),
        python(root),
    ];
    needed.into_iter().find(|path| !path.exists())
}

/// Says it past the test harness, which would keep it to itself.
fn leave_out(why: &str) {
    let message = format!("LEFT OUT: the notebooks in a real browser: {why}\n");
    std::io::stderr().write_all(message.as_bytes()).unwrap();
}

#[test]
fn both_notebooks_run_in_a_browser_and_do_there_what_a_person_expects() {
    let root = root();
    let chromium = match chromium(&root) {
        Ok(path) => path,
        Err(why) => return leave_out(&why),
    };
    if let Some(path) = missing(&root) {
        return leave_out(&format!(
            "{} is missing, `make test` makes it",
            path.display()
        ));
    }
    let output = Command::new(root.join(".tools/browser/bin/python"))
        .arg(root.join("mnist_support/tests/browser/drive.py"))
        .args([&root, &python(&root), &chromium])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        // What cargo sets for this test is not what the kernel's cargo is to see.
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO")
        .output()
        .unwrap();
    print!("{}", String::from_utf8_lossy(&output.stdout));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{said}\ntarget/screenshots and target/browser/jupyter.log show more"
    );
}
