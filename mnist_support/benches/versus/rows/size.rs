//! MNIST forty times over: speed and peak memory, from the files to the result.

use super::tell;
use crate::{
    Result,
    children::{Once, Program},
    messages::Request,
    pairs::{Better, Pair, Pairs, Try, run_pairs},
    paths,
    results::Entry,
    table::amount,
};

const TIMES: usize = 40;
const RUNS: usize = 3;
const UNIT: &str = "images/s";

/// Fits against a stream of PyTorch's, and transformations against the fit in memory.
pub(super) fn size() -> Result<Vec<Entry>> {
    let request = Request::images(TIMES * 60_000);
    let ours = |work: &str| Program::ours(&["size", work, &TIMES.to_string()]);
    // The first fit makes the table.
    let first = ours("fit")?.measure_once(&request)?;
    println!("    a fit to warm up: {}", amount(first.answer.value, UNIT));
    let folder = paths::size().join(format!("x{TIMES}"));
    let theirs = Program::peer("stream.py", &[&folder.to_string_lossy()]);
    let variant = fastest(&theirs, &request)?;
    let against = format!("PyTorch's DataLoader over pyarrow, {variant}");

    let mut entries = Vec::new();
    // A run of theirs takes minutes: each is compared with all works.
    let mut known: Vec<Once> = Vec::new();
    let mut stream = |number: usize| {
        if known.len() <= number {
            known.push(theirs.measure_once(&request.of(&variant))?);
        }
        Ok(known[number])
    };
    for (work, least) in [("fit", 2.0), ("fit-budget", 2.0), ("fit-blocks", 2.0)] {
        let (speed, memory) = compare(&ours(work)?, &request, &mut stream)?;
        let name = |what: &str| format!("size-{work}{what}");
        entries.push(Entry::new(&name(""), UNIT, against.as_str(), speed).target(least));
        entries.push(Entry::new(&name("-memory"), "GB", against.as_str(), memory).target(2.0));
    }
    for work in ["transform", "transform-to"] {
        let fit = ours("fit")?;
        let mut fit = |_| fit.measure_once(&request);
        let (speed, memory) = compare(&ours(work)?, &request, &mut fit)?;
        let name = |what: &str| format!("size-{work}{what}");
        let against = "the fit in memory";
        entries.push(Entry::new(&name(""), UNIT, against, speed));
        entries.push(Entry::new(&name("-memory"), "GB", against, memory));
    }
    Ok(entries)
}

fn fastest(program: &Program, request: &Request) -> Result<String> {
    let mut best: Option<(f64, String)> = None;
    for variant in program.start()?.variants() {
        let once = program.measure_once(&request.of(variant))?;
        println!("    {:>18}  {variant}", amount(once.answer.value, UNIT));
        if best
            .as_ref()
            .is_none_or(|(value, _)| once.answer.value > *value)
        {
            best = Some((once.answer.value, variant.clone()));
        }
    }
    Ok(best.ok_or("the peer has no variant")?.1)
}

/// Measures speed and memory, each time in processes of their own. `theirs` is given the number of
/// the try.
fn compare(
    ours: &Program,
    request: &Request,
    theirs: &mut dyn FnMut(usize) -> Result<Once>,
) -> Result<(Pairs, Pairs)> {
    let mut memories = Vec::new();
    let speeds = run_pairs(RUNS, Better::Higher, |number| {
        let ours: Once = ours.measure_once(request)?;
        let theirs: Once = theirs(number)?;
        let load = ours.other_load.max(theirs.other_load);
        tell(ours.answer.value, theirs.answer.value, UNIT, load);
        println!(
            "    ours {}, theirs {}",
            amount(ours.memory, "GB"),
            amount(theirs.memory, "GB")
        );
        memories.push(Pair::new(Better::Lower, ours.memory, theirs.memory, load));
        let (ours, peer) = (ours.answer.value, theirs.answer.value);
        Ok((Try::Measured { ours, peer }, load))
    })?;
    // Other processes take time, not this memory, so the first runs are as good as any.
    memories.truncate(RUNS);
    let memory = Pairs {
        pairs: memories,
        notes: vec!["the peak of all processes together, libraries included".to_owned()],
    };
    Ok((speeds, memory))
}
