//! The original notebook, from its CSV files to its accuracy: duration and memory.

use std::time::Duration;

use super::{FEW_RUNS, tell};
use crate::{
    Result,
    children::Program,
    messages::Request,
    pairs::{Better, Pair, Pairs, Try, run_pairs},
    results::Entry,
    table::amount,
};

const AGAINST: &str = "SparkTorch 0.2.0 on local[2]";

/// Ours several times, each in a process of its own. The original once, because it takes minutes.
pub(super) fn sparktorch() -> Result<Vec<Entry>> {
    let request = Request::images(90_000);
    println!("    SparkTorch, once (3 to 7 minutes)");
    let theirs = Program::peer("spark_torch.py", &[])
        .limit(Duration::from_secs(1200))
        .measure_once(&request)?;
    println!(
        "    {}, {}, other processes {:.2} of a core",
        amount(theirs.answer.value, "s"),
        amount(theirs.memory, "GB"),
        theirs.other_load
    );

    let program = Program::ours(&["distributed"])?;
    let (mut memories, mut accuracy) = (Vec::new(), 0.0);
    let mut pairs = run_pairs(FEW_RUNS, Better::Lower, |_| {
        let ours = program.measure_once(&request)?;
        tell(ours.answer.value, theirs.answer.value, "s", ours.other_load);
        memories.push(Pair::new(
            Better::Lower,
            ours.memory,
            theirs.memory,
            ours.other_load,
        ));
        accuracy = ours.answer.accuracy.unwrap_or(0.0);
        Ok((
            Try::Measured {
                ours: ours.answer.value,
                peer: theirs.answer.value,
            },
            ours.other_load,
        ))
    })?;
    pairs.notes.push(format!(
        "theirs ran once, while other processes took {:.2} of a core",
        theirs.other_load
    ));
    pairs.notes.push(format!(
        "accuracy {:.2} % and theirs {:.2} %",
        100.0 * accuracy,
        100.0 * theirs.answer.accuracy.unwrap_or(0.0)
    ));
    // Other processes take time, not this memory, so the first runs are as good as any.
    memories.truncate(FEW_RUNS);
    let memory = Pairs {
        pairs: memories,
        notes: vec!["the peak of all processes together, libraries included".to_owned()],
    };
    Ok(vec![
        Entry::new("sparktorch", "s", AGAINST, pairs).target(30.0),
        Entry::new("sparktorch-memory", "GB", AGAINST, memory).target(4.0),
    ])
}
