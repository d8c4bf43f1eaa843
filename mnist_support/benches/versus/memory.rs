//! The most memory that a process and those that it started had at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{Result, processes};

/// How often the memory is looked at.
const EVERY: Duration = Duration::from_millis(100);

/// Looking takes time, the more the larger the processes are: at most one part in so many.
const PART: u32 = 50;

/// Looks at the memory of a process's tree until it is asked for the peak.
pub(crate) struct PeakMemory {
    ended: Arc<AtomicBool>,
    watcher: JoinHandle<u64>,
}

impl PeakMemory {
    /// Begins with the process `root`.
    pub(crate) fn watch(root: u32) -> PeakMemory {
        let ended = Arc::new(AtomicBool::new(false));
        let watcher = thread::spawn({
            let ended = Arc::clone(&ended);
            move || {
                let mut peak = 0;
                while !ended.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    // A tree that can't be read now can be the next time; without any, the peak is 0.
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

    /// Ends, and gives the peak in GB (10^9 bytes).
    pub(crate) fn gigabytes(self) -> Result<f64> {
        self.ended.store(true, Ordering::Relaxed);
        match self.watcher.join() {
            Ok(peak) if peak > 0 => Ok(peak as f64 / 1e9),
            _ => Err("the memory of the process could not be read".into()),
        }
    }
}
