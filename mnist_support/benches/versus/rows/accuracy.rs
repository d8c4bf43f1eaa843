//! The time to reach an accuracy.

use super::{FEW_RUNS, best_variant, tell};
use crate::{
    Result,
    children::Program,
    load::Moment,
    messages::{Measure, Request},
    pairs::{Better, Try, run_pairs},
    results::Entry,
};

const ACCURACY: f64 = 0.985;

/// The schedule of `notebooks/distributed.ipynb`, with just enough epochs to reach the accuracy.
const EPOCHS: usize = 7;

/// The seconds of the same training to completion on both sides. It counts if both reach the
/// accuracy.
pub(super) fn time_to_accuracy() -> Result<Entry> {
    let mut request = Request::images(15_000);
    request.batch = 600;
    let mut peer = Program::peer("train.py", &[]).start()?;
    let variant = best_variant(&mut peer, |_| true, &request, (Better::Higher, "images/s"))?;
    let mut ours = Program::ours(&["training", "2"])?.start()?;
    request.measure = Measure::OneCycle;
    request.images = EPOCHS * 60_000;
    request.learning_rate = 0.008;
    let pairs = run_pairs(FEW_RUNS, Better::Lower, |number| {
        request.seed = 1 + number as u64;
        let start = Moment::now()?;
        let (ours, peer) = (
            ours.measure(&request)?,
            peer.measure(&request.of(&variant))?,
        );
        let other_load = start.other_load()?;
        tell(ours.value, peer.value, "s", other_load);
        let [right, theirs] = [ours, peer].map(|one| one.accuracy.unwrap_or(0.0));
        println!(
            "    accuracy {:.2} % and {:.2} %",
            100.0 * right,
            100.0 * theirs
        );
        if right < ACCURACY || theirs < ACCURACY {
            let reason = format!(
                "with seed {} the accuracy was {:.2} % and theirs {:.2} %",
                request.seed,
                100.0 * right,
                100.0 * theirs
            );
            return Ok((Try::Rejected(reason), other_load));
        }
        Ok((
            Try::Measured {
                ours: ours.value,
                peer: peer.value,
            },
            other_load,
        ))
    })?;
    Ok(
        Entry::new("time-to-98.5", "s", format!("PyTorch, {variant}"), pairs)
            .target(1.5)
            .note(format!(
                "both trained {EPOCHS} epochs in batches of {}",
                request.batch
            )),
    )
}
