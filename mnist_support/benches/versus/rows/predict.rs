//! The speed at which the originals' network predicts.

use super::{Comparison, RUNS, is_bf16};
use crate::{Result, children::Program, messages::Request, pairs::Better, results::Entry};

/// The test images, several times over.
pub(super) fn predict() -> Result<Entry> {
    Ok(comparison("predict", |variant| !is_bf16(variant))?
        .measure()?
        .target(1.2))
}

/// Our 32-bit floats against PyTorch's bfloat16.
pub(super) fn predict_bf16() -> Result<Entry> {
    comparison("predict-bf16", is_bf16)?.measure()
}

fn comparison(name: &'static str, variants: fn(&str) -> bool) -> Result<Comparison> {
    Ok(Comparison {
        name,
        ours: Program::ours(&["predict"])?,
        peer: Program::peer("predict.py", &[]),
        called: "PyTorch",
        variants,
        trial: Request::images(40_000),
        request: Request::images(120_000),
        runs: RUNS,
        better: Better::Higher,
        unit: "images/s",
    })
}
