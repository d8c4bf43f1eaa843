//! The request to stop, for ranks elsewhere: a file that the program that started a fit writes into the
//! run's folder, and that rank 0 looks for. From there the request travels with the ranks' exchanges.

use std::{thread, time::Duration};

use bytes::Bytes;

use crate::{
    Result,
    interrupt::{self, Interrupt},
    lake::Lake,
};

pub(super) const FILE: &str = "stop";
/// How often rank 0 looks for it.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// The file by which a run is stopped.
#[derive(Debug)]
pub struct StopFile {
    run: Lake,
}

impl StopFile {
    /// That of the run in this folder, not written yet.
    pub fn new(run: &Lake) -> Self {
        StopFile { run: run.clone() }
    }

    /// Asks the ranks to stop.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn write(&self) -> Result<()> {
        self.run.put(FILE, Bytes::from_static(b"stop"))
    }
}

/// Looks for the request in a run's folder from a thread of its own, and hands it on to `interrupt`.
pub fn stop_on_request(run: &Lake, interrupt: &Interrupt) {
    let (run, interrupt) = (run.clone(), interrupt.clone());
    thread::spawn(move || {
        let _shield = interrupt::shield();
        // A folder that can't be reached is the lease's to complain of.
        while !matches!(run.exists(FILE), Ok(true)) {
            thread::sleep(LOOK_EVERY);
        }
        interrupt.request();
    });
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::lake::Credentials;

    #[test]
    fn a_request_reaches_the_ranks_within_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let run = Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap();
        let file = StopFile::new(&run);
        let interrupt = Interrupt::new();
        stop_on_request(&run, &interrupt);
        thread::sleep(2 * LOOK_EVERY);
        assert!(!interrupt.is_requested());

        file.write().unwrap();
        let start = Instant::now();
        while !interrupt.is_requested() {
            assert!(start.elapsed() < Duration::from_secs(1));
            thread::sleep(Duration::from_millis(10));
        }
    }
}
