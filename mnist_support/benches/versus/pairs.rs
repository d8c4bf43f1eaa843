//! Pairs of measurements, one of ours and one of the peer's, and the statistics of several.

use serde::{Deserialize, Serialize};

use crate::Result;

/// A pair is run again if other processes used more cores than this.
pub(crate) const TOO_MUCH_LOAD: f64 = 0.15;

/// Whether larger or smaller values are better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// One measurement of ours and one of the peer's, taken right after each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pair {
    pub ours: f64,
    pub peer: f64,
    /// Above 1 if ours is better.
    pub ratio: f64,
    /// How many cores other processes used meanwhile.
    pub other_load: f64,
}

impl Pair {
    /// Creates a pair of two values.
    pub(crate) fn new(better: Better, ours: f64, peer: f64, other_load: f64) -> Pair {
        let ratio = match better {
            Better::Higher => ours / peer,
            Better::Lower => peer / ours,
        };
        Pair {
            ours,
            peer,
            ratio,
            other_load,
        }
    }
}

/// The outcome of one attempt at a pair.
pub(crate) enum Try {
    /// Both values.
    Measured { ours: f64, peer: f64 },
    /// The values cannot be compared, for this reason.
    Rejected(String),
}

/// The pairs that count, and notes about the others.
#[derive(Debug)]
pub(crate) struct Pairs {
    pub pairs: Vec<Pair>,
    pub notes: Vec<String>,
}

/// Runs `runs` pairs. A pair that was rejected or disturbed is run again, at most `runs` times in
/// total. After that, disturbed pairs count too, the least disturbed first.
///
/// `measure` takes the number of the attempt, from 0, and also returns how many cores other
/// processes used.
pub(crate) fn run_pairs(
    runs: usize,
    better: Better,
    mut measure: impl FnMut(usize) -> Result<(Try, f64)>,
) -> Result<Pairs> {
    let (mut kept, mut disturbed, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..2 * runs {
        if kept.len() == runs {
            break;
        }
        match measure(number)? {
            (Try::Measured { ours, peer }, other_load) => {
                let pair = Pair::new(better, ours, peer, other_load);
                if other_load > TOO_MUCH_LOAD {
                    disturbed.push(pair);
                } else {
                    kept.push(pair);
                }
            }
            (Try::Rejected(reason), _) => notes.push(format!("run again: {reason}")),
        }
    }
    if !disturbed.is_empty() {
        notes.push(format!(
            "other processes took more than {TOO_MUCH_LOAD} of a core in {} of the pairs, which were run again",
            disturbed.len()
        ));
    }
    disturbed.sort_by(|one, other| one.other_load.total_cmp(&other.other_load));
    let missing = runs - kept.len();
    let late: Vec<Pair> = disturbed.into_iter().take(missing).collect();
    if !late.is_empty() {
        notes.push(format!(
            "{} of the pairs that count were disturbed",
            late.len()
        ));
    }
    kept.extend(late);
    if kept.len() < runs {
        return Err(format!(
            "only {} of {runs} pairs could be measured: {}",
            kept.len(),
            notes.join("; ")
        )
        .into());
    }
    Ok(Pairs { pairs: kept, notes })
}

/// Returns the median: the middle value, or the mean of the two in the middle. There must be at
/// least one.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    }
}

/// Returns the lowest and the highest value.
pub(crate) fn range(values: impl IntoIterator<Item = f64>) -> [f64; 2] {
    values
        .into_iter()
        .fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], value| {
            [low.min(value), high.max(value)]
        })
}
