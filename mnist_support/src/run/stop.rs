//! The stop request for remote ranks: a file that the program that started a fit writes to the
//! run's folder, and that rank 0 polls for. From there the request travels with the ranks'
//! exchanges.

use std::{thread, time::Duration};

use bytes::Bytes;

use crate::{
    Result,
    interrupt::{self, Interrupt},
    lake::Lake,
};

pub(super) const FILE: &str = "stop";
/// How often rank 0 checks for the file.
const POLL_INTERVAL: Duration = Duration::from_millis(300);

/// The file that stops a run.
#[derive(Debug)]
pub struct StopFile {
    run: Lake,
}

impl StopFile {
    /// Names the stop file of the run in this folder. Does not write it yet.
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

/// Polls a run's folder for the stop request on a separate thread, and passes it on to `interrupt`.
pub fn stop_on_request(run: &Lake, interrupt: &Interrupt) {
    let (run, interrupt) = (run.clone(), interrupt.clone());
    thread::spawn(move || {
        let _shield = interrupt::shield();
        // Reporting a folder that cannot be reached is left to the lease.
        while !matches!(run.exists(FILE), Ok(true)) {
            thread::sleep(POLL_INTERVAL);
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
        thread::sleep(2 * POLL_INTERVAL);
        assert!(!interrupt.is_requested());

        file.write().unwrap();
        let start = Instant::now();
        while !interrupt.is_requested() {
            assert!(start.elapsed() < Duration::from_secs(1));
            thread::sleep(Duration::from_millis(10));
        }
    }
}
