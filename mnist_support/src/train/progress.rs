//! What a fit reports while it runs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::LossPoint;
use crate::{lake::ReadProgress, text};

/// A progress event of a fit, reported by rank 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ProgressEvent {
    /// Rank 0 is reading its part of the rows. Reported only if that takes more than 3 seconds.
    Reading(ReadProgress),
    /// The ranks have their rows and start to train.
    Started {
        /// The number of ranks.
        world_size: usize,
        /// The number of training rows over all ranks.
        training_rows: usize,
        /// The number of validation rows over all ranks.
        validation_rows: usize,
        /// The maximum number of iterations.
        iterations: usize,
    },
    /// Something about the fit is probably not what the user wants. It goes on all the same.
    Warning {
        /// What it is, and what to do about it.
        message: String,
    },
    /// A rank has failed, and the fit restarts from its last checkpoint, or from the beginning.
    Restarted {
        /// The number of restarts so far.
        restarts: usize,
        /// Why the rank failed.
        reason: String,
    },
    /// An iteration has ended.
    Iteration {
        /// Its losses.
        losses: LossPoint,
        /// The maximum number of iterations.
        iterations: usize,
        /// Training rows per second so far, over all ranks.
        rows_per_second: f64,
        /// The most time that is left, in seconds, at the rate so far. `None` while that is not
        /// known yet, and after the last iteration.
        #[serde(default)]
        seconds_left: Option<f64>,
    },
    /// The fit was [stopped on request](crate::interrupt).
    Stopped {
        /// The last iteration that ran.
        iteration: usize,
        /// The maximum number of iterations.
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
            ProgressEvent::Warning { message } => write!(f, "warning: {message}"),
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

/// Receives a fit's progress events. Rank 0 calls it between iterations and while it reads.
pub trait Progress: Send + Sync {
    /// Handles one event. Must return at once.
    fn report(&self, event: &ProgressEvent);
}

/// Ignores all events.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn report(&self, _event: &ProgressEvent) {}
}
