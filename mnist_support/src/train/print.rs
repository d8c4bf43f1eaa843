//! Prints progress events as lines of text.

use std::sync::{Mutex, PoisonError};

use super::{Progress, ProgressEvent};

/// The most lines that a fit prints at `verbose(1)`, not counting failures.
const MOST_LINES: usize = 12;
/// The most lines about reading among them. The last comes after 4 minutes.
const MOST_READING_LINES: usize = 5;
/// The most lines about iterations among them.
const MOST_ITERATION_LINES: usize = 10;

/// Prints to standard output, which a notebook shows below the cell as it arrives.
#[derive(Debug)]
pub struct Print {
    verbose: u8,
    state: Mutex<PrintState>,
}

#[derive(Debug, Default)]
struct PrintState {
    validating: bool,
    /// Whether the fit has begun to train.
    started: bool,
    /// Whether the fit is about to restart.
    restarting: bool,
    /// The number of lines so far.
    lines: usize,
    restarts: usize,
    reading_lines: usize,
    /// The number of equal stretches of the fit, each of which prints a line at its end, and how
    /// many have.
    stretches: usize,
    stretches_told: usize,
}

impl Print {
    /// Creates a printer for a fit's `verbose` setting: 0 prints nothing; 1 prints at most a dozen
    /// lines, and failures; 2 prints a line for each validation loss, or for each iteration if
    /// nothing is validated.
    pub fn new(verbose: u8) -> Self {
        Print {
            verbose,
            state: Mutex::default(),
        }
    }

    fn shows(&self, event: &ProgressEvent) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let shows = self.verbose > 0 && state.takes(event, self.verbose > 1);
        state.lines += usize::from(shows);
        shows
    }
}

impl PrintState {
    /// Records an event, and returns whether to print it.
    fn takes(&mut self, event: &ProgressEvent, every: bool) -> bool {
        match event {
            ProgressEvent::Reading(reading) if reading.waiting.is_some() => true,
            ProgressEvent::Reading(_) => {
                if self.started && !self.restarting {
                    // Another fit with the same printer.
                    *self = PrintState::default();
                }
                self.reading_lines += 1;
                self.reading_lines <= MOST_READING_LINES && (every || self.has_room())
            }
            ProgressEvent::Started {
                validation_rows, ..
            } => {
                let again = std::mem::take(&mut self.restarting);
                if self.started && !again {
                    *self = PrintState::default();
                }
                self.validating = *validation_rows > 0;
                let first = !std::mem::replace(&mut self.started, true);
                if first {
                    // One for this line, and one for a restart.
                    let room = MOST_LINES.saturating_sub(self.lines + 2);
                    self.stretches = room.min(MOST_ITERATION_LINES);
                }
                // A restart continues the same fit.
                first || every
            }
            ProgressEvent::Restarted { .. } => {
                self.restarting = true;
                self.restarts += 1;
                true
            }
            // A restart repeats the warnings.
            ProgressEvent::Warning { .. } => !self.restarting,
            ProgressEvent::Stopped { .. } => true,
            // A line without the validation loss would be hard to compare with the others.
            ProgressEvent::Iteration { losses, .. }
                if self.validating && losses.validation_loss.is_none() =>
            {
                false
            }
            ProgressEvent::Iteration {
                losses, iterations, ..
            } => {
                let told = losses.iteration * self.stretches / (*iterations).max(1);
                let due = told > self.stretches_told;
                self.stretches_told = self.stretches_told.max(told);
                let last = losses.iteration == *iterations;
                every || (due && (self.has_room() || (last && self.lines < MOST_LINES)))
            }
        }
    }

    /// Whether there is room for a line, after reserving one for the last line and for one restart
    /// more than there were: what failed may fail again.
    fn has_room(&self) -> bool {
        self.lines + 3 + self.restarts <= MOST_LINES
    }
}

impl Progress for Print {
    fn report(&self, event: &ProgressEvent) {
        if self.shows(event) {
            println!("{event}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lake::ReadProgress, train::LossPoint};

    fn reading() -> ProgressEvent {
        ProgressEvent::Reading(ReadProgress {
            name: "train.csv".to_owned(),
            bytes: 1_000_000,
            total: 40_000_000,
            seconds_left: Some(117.0),
            waiting: None,
        })
    }

    fn started(iterations: usize, validation_rows: usize) -> ProgressEvent {
        ProgressEvent::Started {
            world_size: 2,
            training_rows: 100,
            validation_rows,
            iterations,
        }
    }

    fn restarted(restarts: usize) -> ProgressEvent {
        ProgressEvent::Restarted {
            restarts,
            reason: "rank 1 of 2 failed".to_owned(),
        }
    }

    fn iteration(
        iteration: usize,
        iterations: usize,
        validation_every: Option<usize>,
    ) -> ProgressEvent {
        ProgressEvent::Iteration {
            losses: LossPoint {
                iteration,
                training_loss: 1.0,
                validation_loss: validation_every
                    .filter(|every| iteration.is_multiple_of(*every))
                    .map(|_| 1.0),
            },
            metrics: None,
            iterations,
            rows_per_second: 2000.0,
            seconds_left: (iteration < iterations).then_some(42.0),
        }
    }

    /// Returns the lines of a fit that reads for a long time and restarts after some iterations.
    fn printed(
        verbose: u8,
        readings: usize,
        iterations: usize,
        every: Option<usize>,
        failures: &[usize],
    ) -> Vec<String> {
        let validation_rows = every.map_or(0, |_| 10);
        let mut events = vec![reading(); readings];
        events.push(started(iterations, validation_rows));
        let mut done = 1;
        for (restarts, failure) in failures.iter().enumerate() {
            events.extend((done..=*failure).map(|done| iteration(done, iterations, every)));
            done = failure.saturating_sub(iterations / 20).max(1);
            events.push(restarted(restarts + 1));
            events.extend(vec![reading(); readings]);
            events.push(started(iterations, validation_rows));
        }
        events.extend((done..=iterations).map(|done| iteration(done, iterations, every)));
        let print = Print::new(verbose);
        events
            .iter()
            .filter(|event| print.shows(event))
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_long_fit_prints_about_ten_lines() {
        assert_eq!(printed(1, 0, 10_000, Some(100), &[]).len(), 11);
        assert_eq!(printed(1, 0, 10_000, None, &[]).len(), 11);
        assert_eq!(printed(1, 0, 150, Some(10), &[]).len(), 11);
    }

    #[test]
    fn no_fit_prints_more_than_a_dozen_lines_and_every_one_prints_its_last() {
        for readings in [0, 1, 3, 20] {
            for failures in [&[][..], &[900], &[300, 700], &[100, 100, 950]] {
                for (iterations, every) in [(1000, Some(50)), (1000, None), (1003, Some(59))] {
                    let lines = printed(1, readings, iterations, every, failures);
                    let told = format!("{readings} {failures:?} {every:?}: {lines:#?}");
                    assert!(lines.len() <= 12, "{told}");
                    assert!(lines.len() >= 8, "{told}");
                    let restarts = lines.iter().filter(|line| line.starts_with("restart"));
                    assert_eq!(restarts.count(), failures.len(), "{told}");
                    let last = lines.last().unwrap();
                    if iterations == 1000 {
                        assert!(last.starts_with("iteration 1000/1000"), "{told}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_failed_is_printed_however_often() {
        let failures: Vec<usize> = (1..=30).map(|failure| failure * 30).collect();
        let lines = printed(1, 1, 1000, None, &failures);
        let restarts = lines.iter().filter(|line| line.starts_with("restart"));
        assert_eq!(restarts.count(), 30);
    }

    #[test]
    fn a_line_says_how_long_the_fit_will_still_take_and_the_last_does_not() {
        let lines = printed(1, 1, 1000, Some(100), &[]);
        assert_eq!(lines[0], "reading train.csv: 1 MB of 40 MB  115 s left");
        assert_eq!(
            lines[2],
            "iteration  200/1000  training loss 1.0000  validation loss 1.0000  2000 rows/s  42 s left"
        );
        assert!(lines.last().unwrap().ends_with("2000 rows/s"));
    }

    #[test]
    fn verbose_two_prints_every_validation_and_zero_nothing() {
        assert_eq!(printed(2, 0, 150, Some(10), &[]).len(), 16);
        assert_eq!(printed(2, 0, 15, None, &[]).len(), 16);
        assert_eq!(printed(0, 3, 150, Some(10), &[40]).len(), 0);
    }

    #[test]
    fn a_second_fit_with_the_same_printer_prints_as_many_lines() {
        let print = Print::new(1);
        for _ in 0..2 {
            let events = [reading(), started(100, 0)].into_iter();
            let events = events.chain((1..=100).map(|done| iteration(done, 100, None)));
            assert_eq!(events.filter(|event| print.shows(event)).count(), 11);
        }
    }
}
