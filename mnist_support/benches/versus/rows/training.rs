//! The speed at which the originals' network trains.

use super::{Comparison, FEW_RUNS, RUNS, in_turn, is_bf16};
use crate::{Result, children::Program, messages::Request, pairs::Better, results::Entry};

const UNIT: &str = "images/s";

/// An epoch of the training images per measurement, and a quarter of one to try a variant.
const IMAGES: usize = 60_000;
const TRIAL: usize = 15_000;

/// Two ranks in one process against PyTorch's best in one process.
pub(super) fn train() -> Result<Entry> {
    Ok(in_one_process("train", "2", |variant| !is_bf16(variant))?
        .measure()?
        .target(1.5))
}

/// Our 32-bit floats against PyTorch's bfloat16.
pub(super) fn train_bf16() -> Result<Entry> {
    in_one_process("train-bf16", "2", is_bf16)?.measure()
}

/// One rank against PyTorch's best with one thread.
pub(super) fn train_one() -> Result<Entry> {
    let one_thread = |variant: &str| variant.starts_with("1 thread,") && !is_bf16(variant);
    Ok(in_one_process("train-one", "1", one_thread)?
        .measure()?
        .target(1.1))
}

fn in_one_process(
    name: &'static str,
    world_size: &str,
    variants: fn(&str) -> bool,
) -> Result<Comparison> {
    Ok(Comparison {
        name,
        ours: Program::ours(&["training", world_size])?,
        peer: Program::peer("train.py", &[]),
        called: "PyTorch",
        variants,
        trial: Request::images(TRIAL),
        request: Request::images(IMAGES),
        runs: RUNS,
        better: Better::Higher,
        unit: UNIT,
    })
}

/// Two processes on Gloo against PyTorch's DistributedDataParallel on Gloo.
pub(super) fn train_gloo() -> Result<Entry> {
    let comparison = Comparison {
        name: "train-gloo",
        ours: Program::ours(&["gloo"])?,
        peer: Program::torchrun("train_gloo.py"),
        called: "PyTorch",
        variants: |_| true,
        trial: Request::images(TRIAL),
        request: Request::images(IMAGES),
        runs: FEW_RUNS,
        better: Better::Higher,
        unit: UNIT,
    };
    Ok(comparison.measure()?.target(1.5))
}

/// Two ranks against one rank, with the same number of rows per iteration.
pub(super) fn scaling() -> Result<Entry> {
    let mut two = Program::ours(&["training", "2"])?.start()?;
    let mut one = Program::ours(&["training", "1"])?.start()?;
    let request = Request::images(IMAGES);
    let pairs = in_turn(
        RUNS,
        (&mut two, &request),
        (&mut one, &request),
        (Better::Higher, UNIT),
    )?;
    Ok(Entry::new("scaling", UNIT, "one rank of ours", pairs).target(1.8))
}
