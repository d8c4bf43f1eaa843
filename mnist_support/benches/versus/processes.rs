//! The machine's processes, as listed in `/proc`.

use std::{collections::HashMap, fs};

use crate::Result;

/// The unit in which Linux counts processor time, on every machine.
pub(crate) const TICKS_PER_SECOND: f64 = 100.0;

/// A running process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Process {
    pub id: u32,
    pub parent: u32,
    /// Its processor time, including that of its children that have exited.
    pub ticks: u64,
}

/// Returns all processes.
pub(crate) fn all() -> Result<Vec<Process>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        if name.to_string_lossy().parse::<u32>().is_err() {
            continue;
        }
        // A process that has exited meanwhile is in its parent's account.
        let path = format!("/proc/{}/stat", name.to_string_lossy());
        if let Ok(stat) = fs::read_to_string(path) {
            all.push(parse(&stat).ok_or_else(|| format!("/proc has an odd process: {stat}"))?);
        }
    }
    Ok(all)
}

/// Returns the memory of a process in bytes, including its part of shared memory; 0 if it has
/// exited.
pub(crate) fn memory(id: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    proportional_bytes(&rollup).unwrap_or(0)
}

/// Parses a line of `/proc/PID/stat`.
pub(crate) fn parse(stat: &str) -> Option<Process> {
    // The name is in parentheses and may contain anything, including parentheses and spaces.
    let (id, rest) = (stat.split_whitespace().next()?, stat.rsplit_once(')')?.1);
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Process {
        id: id.parse().ok()?,
        parent: u32::try_from(number(1)?).ok()?,
        ticks: number(11)? + number(12)? + number(13)? + number(14)?,
    })
}

/// Returns the process `root` among `all`, with all of its descendants.
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

/// Returns the `Pss` of `/proc/PID/smaps_rollup`, in bytes.
pub(crate) fn proportional_bytes(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
