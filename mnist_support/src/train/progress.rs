//! What a fit tells of itself while it runs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::LossPoint;
use crate::{lake::Reading, text};

/// What rank 0 tells of a fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ProgressEvent {
    /// Rank 0 reads its part of the rows; told only where that takes more than 3 seconds.
    Reading(Reading),
    /// The ranks have their rows and begin.
    Started {
        /// How many ranks there are.
        world_size: usize,
        /// The rows that all ranks train on.
        training_rows: usize,
        /// The rows that all ranks keep back.
        validation_rows: usize,
        /// How many iterations there will be at most.
        iterations: usize,
    },
    /// A rank has failed, and the fit starts again from its last checkpoint, or from the beginning.
    Restarted {
        /// How often it has started again by now.
        restarts: usize,
        /// What the rank failed of.
        reason: String,
    },
    /// An iteration has ended.
    Iteration {
        /// Its losses.
        losses: LossPoint,
        /// How many iterations there will be at most.
        iterations: usize,
        /// Training rows a second so far, over all ranks.
        rows_per_second: f64,
        /// How long the rest will take at most, at the rate so far, in seconds; `None` while that is not
        /// known yet, and after the last iteration.
        #[serde(default)]
        seconds_left: Option<f64>,
    },
    /// The fit was [stopped on request](crate::interrupt).
    Stopped {
        /// The last iteration that it made.
        iteration: usize,
        /// How many there were to be at most.
        iterations: usize,
    },
}

impl fmt::Display for ProgressEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProgressEvent::Reading(reading) => reading.fmt(f),
            ProgressEvent::Started {
                world_size,
                training_rows,
                validation_rows,
                ..
            } => write!(
                f,
                "{world_size} {} train on {training_rows} rows and validate on {validation_rows}",
                if *world_size == 1 { "rank" } else { "ranks" },
            ),
            ProgressEvent::Restarted { restarts, reason } => {
                write!(f, "restart {restarts}: {reason}")
            }
            ProgressEvent::Iteration {
                losses,
                iterations,
                rows_per_second,
                seconds_left,
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
                write!(f, "  {rows_per_second:.0} rows/s")?;
                match seconds_left {
                    Some(seconds) => write!(f, "  {}", text::time_left(*seconds)),
                    None => Ok(()),
                }
            }
            ProgressEvent::Stopped {
                iteration,
                iterations,
            } => write!(
                f,
                "stopped on request after iteration {iteration} of {iterations}"
            ),
        }
    }
}

/// Where a fit's events go. Rank 0 calls it, between iterations and while it reads.
pub trait Progress: Send + Sync {
    /// Takes one event; must return at once.
    fn report(&self, event: &ProgressEvent);
}

/// Takes no notice.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn report(&self, _event: &ProgressEvent) {}
}
