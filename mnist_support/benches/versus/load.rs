//! How much of the machine other processes take.

use std::{fs, process, time::Instant};

use crate::{
    Result,
    processes::{self, TICKS_PER_SECOND},
};

/// A moment, with the processor time that had been used by then.
pub struct Moment {
    at: Instant,
    busy: u64,
    own: u64,
}

impl Moment {
    /// Now.
    pub fn now() -> Result<Moment> {
        Ok(Moment {
            at: Instant::now(),
            busy: busy_ticks(&fs::read_to_string("/proc/stat")?)
                .ok_or("/proc/stat has no line of all processors")?,
            own: processes::tree(process::id())?
                .iter()
                .map(|process| process.ticks)
                .sum(),
        })
    }

    /// How many cores were busy since then with anything but this process and those that it started.
    pub fn other_load(&self) -> Result<f64> {
        let now = Moment::now()?;
        let busy = now.busy.saturating_sub(self.busy);
        let others = busy.saturating_sub(now.own.saturating_sub(self.own));
        let wall = (now.at - self.at).as_secs_f64();
        Ok(others as f64 / TICKS_PER_SECOND / wall.max(f64::MIN_POSITIVE))
    }
}

/// The time that all processors were not idle, in ticks, from `/proc/stat`. What the host of a virtual
/// machine took from it (steal) counts: it is time that others had.
pub fn busy_ticks(stat: &str) -> Option<u64> {
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
