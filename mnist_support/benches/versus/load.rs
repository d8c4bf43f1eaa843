//! How much of the machine other processes use.

use std::{fs, process, time::Instant};

use crate::{
    Result,
    processes::{self, Process, TICKS_PER_SECOND},
};

/// A point in time, with the processor time used until then, in ticks.
pub(crate) struct Moment {
    at: Instant,
    /// By everything, as the operating system samples it.
    busy: u64,
    /// By all processes, exact to a tick.
    all: u64,
    /// By this process and those that it started.
    own: u64,
}

impl Moment {
    /// Returns the current point in time.
    pub(crate) fn now() -> Result<Moment> {
        let sum = |processes: &[Process]| processes.iter().map(|one| one.ticks).sum();
        let all = processes::all()?;
        Ok(Moment {
            at: Instant::now(),
            busy: busy_ticks(&fs::read_to_string("/proc/stat")?)
                .ok_or("/proc/stat has no line of all processors")?,
            all: sum(&all),
            own: sum(&processes::descendants(process::id(), &all)),
        })
    }

    /// Returns how many cores were busy since then with anything but this process and its
    /// descendants.
    pub(crate) fn other_load(&self) -> Result<f64> {
        let now = Moment::now()?;
        let wall = (now.at - self.at).as_secs_f64();
        let ticks = others(
            now.busy.saturating_sub(self.busy),
            now.all.saturating_sub(self.all),
            now.own.saturating_sub(self.own),
        );
        Ok(ticks as f64 / TICKS_PER_SECOND / wall.max(f64::MIN_POSITIVE))
    }
}

/// Returns the ticks of other processes. The operating system's samples miss work of less than a
/// tick. The processes' own accounts miss what the host took, and processes that nobody waited for.
/// The larger figure counts.
pub(crate) fn others(busy: u64, all: u64, own: u64) -> u64 {
    busy.max(all).saturating_sub(own)
}

/// Returns the time that all processors were not idle, in ticks, from `/proc/stat`. Time that the
/// host of a virtual machine took from it (steal) counts, because others used it.
pub(crate) fn busy_ticks(stat: &str) -> Option<u64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Vec<u64> = line
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    // user nice system idle iowait irq softirq steal; guests are in user and nice already.
    let of = |index: usize| fields.get(index).copied().unwrap_or(0);
    (fields.len() >= 4).then(|| [0, 1, 2, 5, 6, 7].map(of).iter().sum())
}
