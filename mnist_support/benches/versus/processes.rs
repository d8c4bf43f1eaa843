//! The processes of the machine, as `/proc` shows them.

use std::{collections::HashMap, fs};

use crate::Result;

/// What Linux counts processor time in, on every machine.
pub(crate) const TICKS_PER_SECOND: f64 = 100.0;

/// A process that runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Process {
    pub id: u32,
    pub parent: u32,
    /// Its processor time, and that of the children that it has outlived.
    pub ticks: u64,
}

/// All processes.
pub(crate) fn all() -> Result<Vec<Process>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        if name.to_string_lossy().parse::<u32>().is_err() {
            continue;
        }
        // A process that has ended meanwhile is in its parent's account.
        let path = format!("/proc/{}/stat", name.to_string_lossy());
        if let Ok(stat) = fs::read_to_string(path) {
            all.push(parse(&stat).ok_or_else(|| format!("/proc has an odd process: {stat}"))?);
        }
    }
    Ok(all)
}

/// The memory of a process in bytes, with its part of what it shares with others; 0 if it has ended.
pub(crate) fn memory(id: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    proportional_bytes(&rollup).unwrap_or(0)
}

/// A line of `/proc/PID/stat`.
pub(crate) fn parse(stat: &str) -> Option<Process> {
    // The name stands in parentheses and may hold anything, parentheses and spaces included.
    let (id, rest) = (stat.split_whitespace().next()?, stat.rsplit_once(')')?.1);
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Process {
        id: id.parse().ok()?,
        parent: u32::try_from(number(1)?).ok()?,
        ticks: number(11)? + number(12)? + number(13)? + number(14)?,
    })
}

/// The process `root` among `all`, and those that it started, and those that they started, and so on.
pub(crate) fn descendants(root: u32, all: &[Process]) -> Vec<Process> {
    let mut children: HashMap<u32, Vec<Process>> = HashMap::new();
    for process in all {
        children.entry(process.parent).or_default().push(*process);
    }
    let mut found: Vec<Process> = all.iter().copied().filter(|one| one.id == root).collect();
    let mut next = 0;
    while next < found.len() {
        found.extend(children.remove(&found[next].id).unwrap_or_default());
        next += 1;
    }
    found
}

/// The `Pss` of `/proc/PID/smaps_rollup`, in bytes.
pub(crate) fn proportional_bytes(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
