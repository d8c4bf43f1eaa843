//! Progress through the run's folder: rank 0 writes its events to small files, and a reader takes
//! them in order.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    Error, Result,
    error::LakeError,
    interrupt,
    lake::Lake,
    train::{Progress, ProgressEvent},
};

/// The minimum time between writes, so that a fast fit does not spend its time on files.
const WRITE_INTERVAL: Duration = Duration::from_millis(500);

/// Writes a fit's events to the run's folder.
#[derive(Debug)]
pub struct FolderProgress {
    folder: Lake,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pending: Vec<ProgressEvent>,
    files: usize,
    written: Option<Instant>,
}

/// The folder with the events of all attempts.
pub(super) const FOLDER: &str = "progress/";

fn attempt_folder(run: &Lake, attempt: usize) -> Lake {
    run.folder(&format!("{FOLDER}{attempt:04}"))
}

impl FolderProgress {
    /// Creates a writer for attempt number `attempt`, from 0.
    pub fn new(run: &Lake, attempt: usize) -> Self {
        FolderProgress {
            folder: attempt_folder(run, attempt),
            state: Mutex::new(State {
                pending: Vec::new(),
                files: 0,
                written: None,
            }),
        }
    }

    fn write(&self, state: &mut State) -> Result<()> {
        if state.pending.is_empty() {
            return Ok(());
        }
        // The last events of a fit that is being stopped still have to be written.
        let _shield = interrupt::shield();
        let events = serde_json::to_vec(&state.pending).expect("events are numbers and text");
        self.folder
            .put(&format!("{:08}.json", state.files), Bytes::from(events))?;
        state.pending.clear();
        state.files += 1;
        state.written = Some(Instant::now());
        Ok(())
    }
}

impl Progress for FolderProgress {
    /// A failed write is retried with the next event. It does not fail the fit, and whatever is
    /// missed in between is in the report.
    fn report(&self, event: &ProgressEvent) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.pending.push(event.clone());
        let last = match event {
            ProgressEvent::Iteration {
                losses, iterations, ..
            } => losses.iteration == *iterations,
            // Somebody is waiting for these.
            ProgressEvent::Started { .. } | ProgressEvent::Stopped { .. } => true,
            _ => false,
        };
        let due = state
            .written
            .is_none_or(|written| written.elapsed() >= WRITE_INTERVAL);
        if (due || last)
            && let Err(error) = self.write(&mut state)
        {
            eprintln!("the progress could not be written: {error}");
            state.written = Some(Instant::now());
        }
    }
}

/// Reads a fit's events from the run's folder.
#[derive(Debug)]
pub struct ProgressReader {
    folder: Lake,
    next: usize,
}

impl ProgressReader {
    /// Creates a reader of attempt number `attempt`.
    pub fn new(run: &Lake, attempt: usize) -> Self {
        ProgressReader {
            folder: attempt_folder(run, attempt),
            next: 0,
        }
    }

    /// Returns the events since the last call.
    ///
    /// # Errors
    /// Those of the storage; [`LakeError::Storage`] for a file that does not hold events.
    pub fn take(&mut self) -> Result<Vec<ProgressEvent>> {
        let mut events = Vec::new();
        loop {
            let name = format!("{:08}.json", self.next);
            let file = match self.folder.get(&name) {
                Err(Error::Lake(LakeError::NotFound { .. })) => return Ok(events),
                other => other?,
            };
            let some: Vec<ProgressEvent> = serde_json::from_slice(&file).map_err(|error| {
                Error::Lake(LakeError::Storage {
                    operation: "reading the progress in",
                    url: format!("{}/{name}", self.folder),
                    reason: error.into(),
                })
            })?;
            events.extend(some);
            self.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lake::Credentials, train::LossPoint};

    fn event(iteration: usize) -> ProgressEvent {
        ProgressEvent::Iteration {
            losses: LossPoint {
                iteration,
                training_loss: 0.1 * iteration as f64,
                validation_loss: None,
            },
            metrics: None,
            iterations: 50,
            rows_per_second: 1.0,
            seconds_left: None,
        }
    }

    #[test]
    fn all_events_arrive_once_and_in_order_in_a_few_files() {
        let folder = tempfile::tempdir().unwrap();
        let run = Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap();
        let (writer, mut reader) = (FolderProgress::new(&run, 0), ProgressReader::new(&run, 0));
        assert!(reader.take().unwrap().is_empty());
        writer.report(&event(1));
        assert_eq!(reader.take().unwrap(), [event(1)]);
        (2..=50).for_each(|iteration| writer.report(&event(iteration)));
        assert_eq!(
            reader.take().unwrap(),
            (2..=50).map(event).collect::<Vec<_>>()
        );
        assert!(reader.take().unwrap().is_empty());
        assert!(run.list().unwrap().len() <= 3);
        assert!(ProgressReader::new(&run, 1).take().unwrap().is_empty());
    }
}
