//! The peak memory of a process and its descendants.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{Result, processes};

/// How often the memory is sampled.
const EVERY: Duration = Duration::from_millis(100);

/// Sampling takes time, more so for large processes. At most one part in this many is spent on it.
const PART: u32 = 50;

/// Samples the memory of a process tree until it is asked for the peak.
pub(crate) struct PeakMemory {
    ended: Arc<AtomicBool>,
    watcher: JoinHandle<u64>,
}

impl PeakMemory {
    /// Starts with the process `root`.
    pub(crate) fn watch(root: u32) -> PeakMemory {
        let ended = Arc::new(AtomicBool::new(false));
        let watcher = thread::spawn({
            let ended = Arc::clone(&ended);
            move || {
                let mut peak = 0;
                while !ended.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    // A tree that cannot be read now may be readable the next time. Without any
                    // sample, the peak is 0.
                    let all = processes::all().unwrap_or_default();
                    let tree = processes::descendants(root, &all);
                    peak = peak.max(tree.iter().map(|one| processes::memory(one.id)).sum());
                    thread::sleep(EVERY.max(start.elapsed() * PART));
                }
                peak
            }
        });
        PeakMemory { ended, watcher }
    }

    /// Stops, and returns the peak in GB (10^9 bytes).
    pub(crate) fn gigabytes(self) -> Result<f64> {
        self.ended.store(true, Ordering::Relaxed);
        match self.watcher.join() {
            Ok(peak) if peak > 0 => Ok(peak as f64 / 1e9),
            _ => Err("the memory of the process could not be read".into()),
        }
    }
}
