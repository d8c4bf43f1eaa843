//! Both notebooks in a real browser: pictures, completion, documentation, errors, Stop.

#[path = "common/kernel.rs"]
mod kernel;

use std::{
    path::PathBuf,
    process::{Command, Output},
};

/// Returns the machine's Chromium, or what is missing to run one.
fn chromium() -> Result<PathBuf, String> {
    let script = kernel::root().join("mnist_support/scripts/chromium.sh");
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

#[test]
fn both_notebooks_run_in_a_browser_and_do_there_what_a_person_expects() {
    let what = "the notebooks in a real browser";
    let root = kernel::root();
    let chromium = match chromium() {
        Ok(path) => path,
        Err(why) => return kernel::leave_out(what, &why),
    };
    let driver = root.join(".tools/browser/bin/python");
    let playwright = Some(driver.clone()).filter(|path| !path.exists());
    if let Some(path) = kernel::missing().or(playwright) {
        let why = format!("{} is missing, `make test` makes it", path.display());
        return kernel::leave_out(what, &why);
    }
    eprintln!("where this fails, target/screenshots and target/browser/jupyter.log show more");
    kernel::run(
        Command::new(driver)
            .arg(root.join("mnist_support/tests/browser/drive.py"))
            .args([&root, &kernel::python(), &chromium])
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    );
}
