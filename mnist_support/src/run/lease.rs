//! The lease: a file that the program that started a fit renews for as long as it waits.
//!
//! A cluster keeps a job running when the program that submitted it is gone. The job's workers
//! watch the lease, and exit once it is no longer renewed.

use std::{
    sync::{
        Arc,
        mpsc::{Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{Error, Result, error::LakeError, interrupt, lake::Lake};

pub(super) const FILE: &str = "lease";
const RENEWAL_INTERVAL: Duration = Duration::from_secs(1);
/// How long workers go on without a renewal: enough for a slow store, less than a user would wait.
const EXPIRES_AFTER: Duration = Duration::from_secs(8);

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
            while stopped.recv_timeout(RENEWAL_INTERVAL)
                == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
            {
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
    let folder = Arc::new(run.clone());
    thread::spawn(move || {
        let _shield = interrupt::shield();
        let (mut content, mut changed, mut problem) = (None, Instant::now(), String::new());
        loop {
            match folder.get(FILE) {
                Ok(new) if Some(&new) != content.as_ref() => {
                    (content, changed) = (Some(new), Instant::now());
                }
                Err(error @ Error::Lake(LakeError::NotFound { .. })) if content.is_some() => {
                    return end(format!("the run's folder was removed: {error}"));
                }
                // A transient error counts as a missing renewal.
                Err(error) => problem = error.to_string(),
                Ok(_) => {}
            }
            if changed.elapsed() > EXPIRES_AFTER && content.is_none() {
                return end(format!(
                    "the run's folder cannot be read from here: {problem}; name one in MNIST_RUNS that the \
                     program that starts the fit and the executors both reach"
                ));
            }
            if changed.elapsed() > EXPIRES_AFTER {
                return end(format!(
                    "the program that started the fit has not renewed its lease for {} s",
                    EXPIRES_AFTER.as_secs()
                ));
            }
            thread::sleep(RENEWAL_INTERVAL);
        }
    });
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
}
