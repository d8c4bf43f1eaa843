//! The speed at which other networks train than the originals': two ranks in one process against
//! PyTorch's best of two threads.

use std::process::Command;

use super::Comparison;
use crate::{Result, children::Program, messages::Request, pairs::Better, paths, results::Entry};

/// The networks of `benches/peers/networks.py`, and whether ours is the module that it exports.
const NETWORKS: [(&str, &str, bool); 8] = [
    ("network-mlp", "mlp", false),
    ("network-lenet5", "lenet5", false),
    ("network-example", "example", false),
    ("network-residual", "residual", false),
    ("network-residual-pt2", "residual", true),
    ("network-cnn-pt2", "cnn", true),
    ("network-lstm", "lstm", false),
    ("network-transformer-pt2", "transformer", true),
];

/// An eighth of an epoch of the training images per measurement: some of the networks are slow.
const IMAGES: usize = 7_500;
const RUNS: usize = 5;

pub(super) fn networks() -> Result<Vec<Entry>> {
    let mut rows = Vec::new();
    for (row, name, exported) in NETWORKS {
        let ours = match exported {
            false => name.to_owned(),
            true => export(name)?,
        };
        let comparison = Comparison {
            name: row,
            ours: Program::ours(&["networks", &ours])?,
            peer: Program::peer("networks.py", &[name]),
            called: "PyTorch",
            variants: |_| true,
            trial: Request::images(IMAGES),
            request: Request::images(IMAGES),
            runs: RUNS,
            better: Better::Higher,
            unit: "images/s",
        };
        rows.push(comparison.measure()?.target(1.0));
    }
    let product: f64 = rows.iter().map(|row| row.ratio.ln()).sum();
    let mean = (product / rows.len() as f64).exp();
    println!("    geometric mean of the networks: {mean:.2} times PyTorch");
    Ok(rows)
}

/// Lets the peer export a module. Returns the file.
fn export(name: &str) -> Result<String> {
    std::fs::create_dir_all(paths::logs())?;
    let file = paths::logs().join(format!("{name}.pt2"));
    let status = Command::new(paths::peers_program("python"))
        .arg(paths::peer("networks.py"))
        .arg(paths::lake())
        .arg(name)
        .arg(&file)
        .status()?;
    if !status.success() {
        return Err(format!("PyTorch could not export {name}").into());
    }
    Ok(file.to_string_lossy().into_owned())
}
