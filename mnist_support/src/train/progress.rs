//! What a fit tells of itself while it runs.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::LossPoint;

/// One piece of news from rank 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ProgressEvent {
    /// The copies have their rows and begin.
    Started {
        /// How many copies there are.
        copies: usize,
        /// The rows that all copies train on.
        training_rows: usize,
        /// The rows that all copies keep back.
        validation_rows: usize,
        /// How many iterations there will be at most.
        iterations: usize,
    },
    /// A copy has failed, and the fit starts again from its last checkpoint, or from the beginning.
    Restarted {
        /// How often it has started again by now.
        restarts: usize,
        /// What the copy failed of.
        reason: String,
    },
    /// An iteration has ended.
    Iteration {
        /// Its losses.
        losses: LossPoint,
        /// How many iterations there will be at most.
        iterations: usize,
        /// Training rows a second so far, over all copies.
        rows_per_second: f64,
    },
}

impl fmt::Display for ProgressEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProgressEvent::Started {
                copies,
                training_rows,
                validation_rows,
                ..
            } => write!(
                f,
                "{copies} {} train on {training_rows} rows and validate on {validation_rows}",
                if *copies == 1 { "copy" } else { "copies" },
            ),
            ProgressEvent::Restarted { restarts, reason } => {
                write!(f, "restart {restarts}: {reason}")
            }
            ProgressEvent::Iteration {
                losses,
                iterations,
                rows_per_second,
            } => {
                let width = iterations.to_string().len();
                write!(
                    f,
                    "iteration {:>width$}/{iterations}  training loss {:.4}",
                    losses.iteration, losses.training_loss
                )?;
                if let Some(loss) = losses.validation_loss {
                    write!(f, "  validation loss {loss:.4}")?;
                }
                write!(f, "  {rows_per_second:.0} rows/s")
            }
        }
    }
}

/// Where a fit's news goes. The trainer calls it on rank 0 only, between iterations.
pub trait Progress: Send + Sync {
    /// Takes one piece of news; must return at once.
    fn report(&self, event: &ProgressEvent);
}

/// Takes no notice.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn report(&self, _event: &ProgressEvent) {}
}

/// Prints to the standard output, which a notebook shows under the cell as it comes.
#[derive(Debug)]
pub struct Print {
    verbose: u8,
    state: Mutex<PrintState>,
}

#[derive(Debug, Default)]
struct PrintState {
    validating: bool,
    /// How many tenths of the fit have had their line.
    tenths: usize,
}

impl Print {
    /// A printer for the setting `verbose` of a fit: 0 prints nothing, 1 about ten lines,
    /// 2 a line for each validation loss, or for each iteration where nothing is validated.
    pub fn new(verbose: u8) -> Self {
        Print {
            verbose,
            state: Mutex::default(),
        }
    }

    fn shows(&self, event: &ProgressEvent) -> bool {
        if self.verbose == 0 {
            return false;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            ProgressEvent::Started {
                validation_rows, ..
            } => {
                *state = PrintState {
                    validating: *validation_rows > 0,
                    tenths: 0,
                };
                true
            }
            ProgressEvent::Restarted { .. } => true,
            // A line that lacks the validation loss would be hard to compare with the others.
            ProgressEvent::Iteration { losses, .. }
                if state.validating && losses.validation_loss.is_none() =>
            {
                false
            }
            ProgressEvent::Iteration {
                losses, iterations, ..
            } => {
                let tenths = losses.iteration * 10 / (*iterations).max(1);
                let due = tenths > state.tenths;
                state.tenths = tenths;
                due || self.verbose > 1
            }
        }
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

    fn lines(verbose: u8, iterations: usize, validation_every: Option<usize>) -> usize {
        let print = Print::new(verbose);
        let started = ProgressEvent::Started {
            copies: 2,
            training_rows: 100,
            validation_rows: validation_every.map_or(0, |_| 10),
            iterations,
        };
        let events = (1..=iterations).map(|iteration| ProgressEvent::Iteration {
            losses: LossPoint {
                iteration,
                training_loss: 1.0,
                validation_loss: validation_every
                    .filter(|every| iteration % every == 0)
                    .map(|_| 1.0),
            },
            iterations,
            rows_per_second: 1.0,
        });
        std::iter::once(started)
            .chain(events)
            .filter(|event| print.shows(event))
            .count()
    }

    #[test]
    fn a_long_fit_prints_about_ten_lines() {
        assert_eq!(lines(1, 10_000, Some(100)), 11);
        assert_eq!(lines(1, 10_000, None), 11);
        assert_eq!(lines(1, 150, Some(10)), 11);
    }

    #[test]
    fn verbose_two_prints_every_validation_and_zero_nothing() {
        assert_eq!(lines(2, 150, Some(10)), 16);
        assert_eq!(lines(2, 15, None), 16);
        assert_eq!(lines(0, 150, Some(10)), 0);
    }
}
