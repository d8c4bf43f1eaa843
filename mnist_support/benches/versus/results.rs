//! The results, and the file that stores them.

use std::{fs, io::ErrorKind, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Result,
    pairs::{Pair, Pairs, median, range},
};

/// One row of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub name: String,
    /// Our median.
    pub ours: f64,
    /// The peer's median.
    pub peer: f64,
    pub unit: String,
    /// The median of the pairs' ratios, above 1 if ours is better.
    pub ratio: f64,
    /// The number of pairs.
    pub runs: usize,
    /// The most cores that other processes used in any of them.
    pub other_load: f64,
    /// The ratio to reach.
    pub target: Option<f64>,
    /// Whether it was reached.
    pub reached: Option<bool>,
    /// What ours was compared with.
    pub against: String,
    pub ours_range: [f64; 2],
    pub peer_range: [f64; 2],
    pub ratio_range: [f64; 2],
    pub pairs: Vec<Pair>,
    /// Further notes.
    pub notes: Vec<String>,
}

impl Entry {
    /// Creates a row from pairs, of which there must be at least one.
    pub(crate) fn new(name: &str, unit: &str, against: impl Into<String>, pairs: Pairs) -> Entry {
        let Pairs { pairs, notes } = pairs;
        let all = |value: fn(&Pair) -> f64| pairs.iter().map(value);
        Entry {
            name: name.to_owned(),
            ours: median(all(|pair| pair.ours)),
            peer: median(all(|pair| pair.peer)),
            unit: unit.to_owned(),
            ratio: median(all(|pair| pair.ratio)),
            runs: pairs.len(),
            other_load: range(all(|pair| pair.other_load))[1],
            target: None,
            reached: None,
            against: against.into(),
            ours_range: range(all(|pair| pair.ours)),
            peer_range: range(all(|pair| pair.peer)),
            ratio_range: range(all(|pair| pair.ratio)),
            pairs,
            notes,
        }
    }

    /// Sets the ratio to reach.
    pub(crate) fn target(self, target: f64) -> Entry {
        Entry {
            target: Some(target),
            reached: Some(self.ratio >= target),
            ..self
        }
    }

    /// Adds a note.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Entry {
        self.notes.push(note.into());
        self
    }
}

/// Merges `rows` into the list of a file. Each replaces the row with its name; the others stay.
pub(crate) fn merge(file: Vec<Value>, rows: &[Entry]) -> Result<Vec<Value>> {
    let mut merged = file;
    for row in rows {
        let value = serde_json::to_value(row)?;
        match merged.iter_mut().find(|old| old["name"] == value["name"]) {
            Some(old) => *old = value,
            None => merged.push(value),
        }
    }
    Ok(merged)
}

/// Writes `rows` to a file that may contain others.
pub(crate) fn save(path: &Path, rows: &[Entry]) -> Result<()> {
    let there = match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|error| format!("{} is no list of rows: {error}", path.display()))?,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(format!("{}: {error}", path.display()).into()),
    };
    let merged = serde_json::to_vec_pretty(&merge(there, rows)?)?;
    let part = path.with_extension("json.part");
    fs::write(&part, merged)?;
    fs::rename(&part, path)?;
    Ok(())
}
