//! The locations of files in the repository.

use std::path::{Path, PathBuf};

/// The arguments that start both programs that run in two processes.
pub(crate) const TORCHRUN: [&str; 3] = ["--standalone", "--nproc-per-node", "2"];

fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

/// The local lake that `make data` lays out.
pub(crate) fn lake() -> PathBuf {
    root().join("data/lake/torchtut")
}

/// The record of what the lake was made from.
pub(crate) fn lake_record() -> PathBuf {
    lake().with_extension("json")
}

/// A peer's script.
pub(crate) fn peer(script: &str) -> PathBuf {
    root().join("mnist_support/benches/peers").join(script)
}

/// A program of the peers' virtual environment.
pub(crate) fn peers_program(name: &str) -> PathBuf {
    root().join(".tools/peers/bin").join(name)
}

/// The folder for what the processes write besides their answers.
pub(crate) fn logs() -> PathBuf {
    root().join("target/bench")
}

/// The folder for the tables of the row `size`.
pub(crate) fn size() -> PathBuf {
    logs().join("size")
}

/// The CSV file of columns of all types.
pub(crate) fn mixed() -> PathBuf {
    logs().join("mixed.csv")
}

/// The file for the results.
pub(crate) fn results() -> PathBuf {
    root().join("target/bench.json")
}
