//! The lease: a file that the program that started a fit renews as long as it waits.
//!
//! A cluster keeps a job running when the program that asked for it is gone. Its workers look at the
//! lease, and end when it is no longer renewed.

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
const RENEWED_EVERY: Duration = Duration::from_secs(1);
/// How long workers go on without a renewal: enough for a slow store, below what a user waits for.
const RUNS_OUT_AFTER: Duration = Duration::from_secs(8);

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
    /// Those of writing it the first time; later ones let it run out.
    pub fn start(run: &Lake) -> Result<Self> {
        run.put(FILE, Bytes::from_static(b"0"))?;
        let (stop, stopped) = channel::<()>();
        let folder = run.clone();
        let renewing = thread::spawn(move || {
            // A fit that is being stopped still needs its lease.
            let _shield = interrupt::shield();
            let mut renewals: u64 = 0;
            // The other end is dropped when the holder is.
            while stopped.recv_timeout(RENEWED_EVERY)
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

/// Watches the lease of a run from a thread of its own, and calls `end` when it has run out or is gone.
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
                // An error that passes is waited out as a renewal that does not come.
                Err(error) => problem = error.to_string(),
                Ok(_) => {}
            }
            if changed.elapsed() > RUNS_OUT_AFTER && content.is_none() {
                return end(format!(
                    "the run's folder cannot be read from here: {problem}; name one in MNIST_RUNS that the \
                     program that starts the fit and the executors both reach"
                ));
            }
            if changed.elapsed() > RUNS_OUT_AFTER {
                return end(format!(
                    "the program that started the fit has not renewed its lease for {} s",
                    RUNS_OUT_AFTER.as_secs()
                ));
            }
            thread::sleep(RENEWED_EVERY);
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
        let longer_than_the_limit = RUNS_OUT_AFTER + Duration::from_secs(2);
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
        let reason = end.recv_timeout(RUNS_OUT_AFTER * 2).unwrap();
        assert!(
            reason.contains("/no/such/folder") && reason.contains("MNIST_RUNS"),
            "{reason}"
        );
    }
}
