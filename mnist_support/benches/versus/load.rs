//! How much of the machine other processes take.

use std::{fs, process, time::Instant};

use crate::{
    Result,
    processes::{self, Process, TICKS_PER_SECOND},
};

/// A moment, with the processor time that had been used by then, in ticks.
pub(crate) struct Moment {
    at: Instant,
    /// By anything, as the kernel samples it.
    busy: u64,
    /// By all processes, to the last tick.
    all: u64,
    /// By this process and those that it started.
    own: u64,
}

impl Moment {
    /// Now.
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

    /// How many cores were busy since then with anything but this process and those that it started.
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

/// The ticks of other processes. The kernel's samples miss work of less than a tick; the processes' own
/// accounts miss what the host took, and processes that nobody waited for. The larger one counts.
pub(crate) fn others(busy: u64, all: u64, own: u64) -> u64 {
    busy.max(all).saturating_sub(own)
}

/// The time that all processors were not idle, in ticks, from `/proc/stat`. What the host of a virtual
/// machine took from it (steal) counts: it is time that others had.
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
