//! The rows of the table: what is compared with what, and how much better ours has to be.

mod accuracy;
mod csv;
mod networks;
mod parquet;
mod predict;
mod size;
mod sparktorch;
mod training;

use std::{thread, time::Duration};

use crate::{
    Result,
    children::{Child, Program},
    load::Moment,
    messages::Request,
    pairs::{Better, Pairs, TOO_MUCH_LOAD, Try, median, run_pairs},
    results::Entry,
    table::amount,
};

/// The number of pairs in a row whose pairs take a few seconds.
const RUNS: usize = 9;

/// The number of pairs in a row whose pairs take longer.
const FEW_RUNS: usize = 5;

/// How often each variant is tried before the pairs.
const TRIES: usize = 3;

/// How long to pause after a disturbed pair.
const REST: Duration = Duration::from_secs(3);

/// The rows, in table order.
pub(crate) const NAMES: [&str; 17] = [
    "train",
    "train-bf16",
    "train-gloo",
    "train-one",
    "scaling",
    "networks",
    "predict",
    "predict-bf16",
    "csv",
    "csv-default",
    "csv-pyarrow",
    "csv-mixed",
    "parquet",
    "parquet-columns",
    "size",
    "time-to-98.5",
    "sparktorch",
];

/// Measures a row.
pub(crate) fn measure(name: &str) -> Result<Vec<Entry>> {
    match name {
        "train" => one(training::train()),
        "train-bf16" => one(training::train_bf16()),
        "train-gloo" => one(training::train_gloo()),
        "train-one" => one(training::train_one()),
        "scaling" => one(training::scaling()),
        "networks" => networks::networks(),
        "predict" => one(predict::predict()),
        "predict-bf16" => one(predict::predict_bf16()),
        "csv" => one(csv::csv()),
        "csv-default" => one(csv::csv_default()),
        "csv-pyarrow" => one(csv::csv_pyarrow()),
        "csv-mixed" => one(csv::csv_mixed()),
        "parquet" => one(parquet::parquet()),
        "parquet-columns" => one(parquet::parquet_columns()),
        "size" => size::size(),
        "time-to-98.5" => one(accuracy::time_to_accuracy()),
        "sparktorch" => sparktorch::sparktorch(),
        _ => Err(format!("there is no row {name:?}").into()),
    }
}

fn one(row: Result<Entry>) -> Result<Vec<Entry>> {
    row.map(|row| vec![row])
}

/// Whether a PyTorch variant computes in bfloat16.
fn is_bf16(variant: &str) -> bool {
    variant.contains("bf16")
}

/// Ours and a peer that do the same work many times.
struct Comparison {
    name: &'static str,
    ours: Program,
    peer: Program,
    /// The peer's name in the table.
    called: &'static str,
    /// The variants of the peer that take part.
    variants: fn(&str) -> bool,
    /// The request with which a variant is tried.
    trial: Request,
    /// The request that both sides measure.
    request: Request,
    runs: usize,
    better: Better,
    unit: &'static str,
}

impl Comparison {
    /// Finds the peer's best variant, and measures ours and that one in turn.
    fn measure(self) -> Result<Entry> {
        let mut peer = self.peer.start()?;
        let variant = best_variant(
            &mut peer,
            self.variants,
            &self.trial,
            (self.better, self.unit),
        )?;
        let mut ours = self.ours.start()?;
        let pairs = in_turn(
            self.runs,
            (&mut ours, &self.request),
            (&mut peer, &self.request.of(&variant)),
            (self.better, self.unit),
        )?;
        let against = format!("{}, {variant}", self.called);
        Ok(Entry::new(self.name, self.unit, against, pairs))
    }
}

/// Tries the peer's variants in turn, several times, and returns the best one.
fn best_variant(
    peer: &mut Child,
    suits: impl Fn(&str) -> bool,
    request: &Request,
    (better, unit): (Better, &str),
) -> Result<String> {
    let mut tried: Vec<(String, Vec<f64>)> = peer
        .variants()
        .iter()
        .filter(|variant| suits(variant))
        .map(|variant| (variant.clone(), Vec::new()))
        .collect();
    for _ in 0..TRIES {
        tried.retain_mut(
            |(variant, values)| match peer.measure(&request.of(variant)) {
                Ok(answer) => {
                    values.push(answer.value);
                    true
                }
                Err(error) => {
                    println!("    {variant}: cannot run: {error}");
                    false
                }
            },
        );
    }
    let mut medians: Vec<(f64, String)> = tried
        .into_iter()
        .map(|(variant, values)| (median(values), variant))
        .collect();
    medians.sort_by(|one, other| match better {
        Better::Higher => other.0.total_cmp(&one.0),
        Better::Lower => one.0.total_cmp(&other.0),
    });
    for (value, variant) in &medians {
        println!("    {:>18}  {variant}", amount(*value, unit));
    }
    let best = medians.into_iter().next();
    Ok(best.ok_or("no variant of the peer's can run")?.1)
}

/// Measures ours and the peer's in turn.
fn in_turn(
    runs: usize,
    (ours, ours_request): (&mut Child, &Request),
    (peer, peer_request): (&mut Child, &Request),
    (better, unit): (Better, &str),
) -> Result<Pairs> {
    run_pairs(runs, better, |_| {
        let start = Moment::now()?;
        let (ours, peer) = (ours.measure(ours_request)?, peer.measure(peer_request)?);
        let other_load = start.other_load()?;
        tell(ours.value, peer.value, unit, other_load);
        Ok((
            Try::Measured {
                ours: ours.value,
                peer: peer.value,
            },
            other_load,
        ))
    })
}

/// Prints a pair, and gives processes that disturbed it some time to finish.
fn tell(ours: f64, peer: f64, unit: &str, other_load: f64) {
    println!(
        "    ours {}, theirs {}, other processes {other_load:.2} of a core",
        amount(ours, unit),
        amount(peer, unit)
    );
    if other_load > TOO_MUCH_LOAD {
        thread::sleep(REST);
    }
}
