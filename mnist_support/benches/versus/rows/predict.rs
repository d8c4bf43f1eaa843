//! How fast the originals' network predicts.

use super::{Comparison, RUNS};
use crate::{Result, children::Program, messages::Request, pairs::Better, results::Entry};

/// The test images, several times over.
pub fn predict() -> Result<Entry> {
    let comparison = Comparison {
        name: "predict",
        ours: Program::ours(&["predict"])?,
        peer: Program::peer("predict.py", &[]),
        called: "PyTorch",
        variants: |_| true,
        trial: Request::images(40_000),
        request: Request::images(120_000),
        runs: RUNS,
        better: Better::Higher,
        unit: "images/s",
    };
    Ok(comparison.measure()?.target(1.2))
}
