//! The lease: a file that the program that started a fit renews for as long as it waits.
//!
//! A cluster keeps a job running when the program that submitted it is gone. The job's workers
//! watch the lease, and exit once it is no longer renewed.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{Error, Result, error::LakeError, interrupt, lake::Lake};

pub(super) const FILE: &str = "lease";
const RENEWAL_INTERVAL: Duration = Duration::from_secs(1);
/// How long workers go on without a renewal: enough for a slow store, less than a user would wait.
const EXPIRES_AFTER: Duration = Duration::from_secs(8);

/// How old the last successful read of an expired lease must be for the folder, rather than the
/// program that renews it, to be what is missing.
const OUT_OF_REACH_AFTER: Duration = Duration::from_secs(4);

/// Renews the lease of a run until it is dropped.
#[derive(Debug)]
pub struct LeaseHolder {
    stop: Option<Sender<()>>,
    renewing: Option<JoinHandle<()>>,
}

impl LeaseHolder {
    /// Writes the lease into the run's folder and keeps renewing it.
    ///
    /// # Errors
    /// Those of the first write. If a later one fails, the lease expires.
    pub fn start(run: &Lake) -> Result<Self> {
        run.put(FILE, Bytes::from_static(b"0"))?;
        let (stop, stopped) = channel::<()>();
        let folder = run.clone();
        let renewing = thread::spawn(move || {
            // A fit that is being stopped still needs its lease.
            let _shield = interrupt::shield();
            let mut renewals: u64 = 0;
            // The sender is dropped with the holder.
            while stopped.recv_timeout(RENEWAL_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                renewals += 1;
                if let Err(error) = folder.put(FILE, Bytes::from(renewals.to_string())) {
                    eprintln!("the lease could not be renewed: {error}");
                }
            }
        });
        Ok(LeaseHolder {
            stop: Some(stop),
            renewing: Some(renewing),
        })
    }
}

impl Drop for LeaseHolder {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(renewing) = self.renewing.take() {
            // A thread that panicked has stopped renewing, which is what is wanted here.
            let _ = renewing.join();
        }
    }
}

/// Watches a run's lease on a separate thread, and calls `end` when it has expired or is gone.
pub fn end_without_lease(run: &Lake, end: impl FnOnce(String) + Send + 'static) {
    let folder = run.clone();
    let (sender, reads) = channel();
    // On a thread of its own: a read from a store that is out of reach may outlast the lease.
    thread::spawn(move || {
        let _shield = interrupt::shield();
        while sender.send(folder.get(FILE)).is_ok() {
            thread::sleep(RENEWAL_INTERVAL);
        }
    });
    thread::spawn(move || end(watch(&reads)));
}

/// Waits until the lease that is read has expired or is gone, and returns why this rank must end.
fn watch(reads: &Receiver<Result<Bytes>>) -> String {
    let (mut renewed, mut reached) = (Instant::now(), Instant::now());
    let mut content = None;
    let mut problem = "it does not answer".to_owned();
    loop {
        match reads.recv_timeout(RENEWAL_INTERVAL) {
            Ok(Ok(new)) => {
                reached = Instant::now();
                if content.as_ref() != Some(&new) {
                    (content, renewed) = (Some(new), reached);
                }
            }
            Ok(Err(error @ Error::Lake(LakeError::NotFound { .. }))) if content.is_some() => {
                return format!("the run's folder was removed: {error}");
            }
            // A transient error counts as a missing renewal.
            Ok(Err(error)) => problem = error.to_string(),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return "the thread that reads the lease has ended".to_owned();
            }
        }
        if renewed.elapsed() <= EXPIRES_AFTER {
            continue;
        }
        if content.is_none() {
            return format!(
                "the run's folder cannot be read from here: {problem}; name one in MNIST_RUNS that the \
                 program that starts the fit and the executors both reach"
            );
        }
        if reached.elapsed() > OUT_OF_REACH_AFTER {
            return format!(
                "the run's folder could not be reached for {} s: {problem}",
                reached.elapsed().as_secs()
            );
        }
        return format!(
            "the program that started the fit has not renewed its lease for {} s",
            EXPIRES_AFTER.as_secs()
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::lake::Credentials;

    #[test]
    fn a_worker_goes_on_while_the_lease_is_renewed_and_ends_soon_after() {
        let folder = tempfile::tempdir().unwrap();
        let run = Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap();
        let holder = LeaseHolder::start(&run).unwrap();
        let (ended, end) = mpsc::channel();
        end_without_lease(&run, move |reason| ended.send(reason).unwrap());
        let longer_than_the_limit = EXPIRES_AFTER + Duration::from_secs(2);
        assert!(
            end.recv_timeout(longer_than_the_limit).is_err(),
            "it ended too early"
        );
        drop(holder);
        let reason = end.recv_timeout(longer_than_the_limit).unwrap();
        assert!(reason.contains("lease"), "{reason}");
    }

    #[test]
    fn a_folder_that_a_worker_cannot_reach_is_named_with_what_to_do() {
        let run = Lake::open("/no/such/folder", &Credentials::local()).unwrap();
        let (ended, end) = mpsc::channel();
        end_without_lease(&run, move |reason| ended.send(reason).unwrap());
        let reason = end.recv_timeout(EXPIRES_AFTER * 2).unwrap();
        assert!(
            reason.contains("/no/such/folder") && reason.contains("MNIST_RUNS"),
            "{reason}"
        );
    }

    #[test]
    fn a_folder_that_goes_out_of_reach_is_told_from_a_program_that_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let run = Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap();
        let holder = LeaseHolder::start(&run).unwrap();
        let (ended, end) = mpsc::channel();
        end_without_lease(&run, move |reason| ended.send(reason).unwrap());
        thread::sleep(2 * RENEWAL_INTERVAL);
        drop(holder);
        // Whoever reads it waits, as for a store behind a link that is cut.
        let (lease, pipe) = (folder.path().join(FILE), folder.path().join("pipe"));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        std::fs::rename(&pipe, &lease).unwrap();
        let reason = end.recv_timeout(EXPIRES_AFTER * 2).unwrap();
        assert!(
            reason.starts_with("the run's folder could not be reached for"),
            "{reason}"
        );
        // So that the thread that reads ends.
        std::fs::write(&lease, "").unwrap();
    }
}
