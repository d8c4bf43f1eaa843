//! What a fit reports when it has ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The losses at one iteration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LossPoint {
    /// The iteration, from 1.
    pub iteration: usize,
    /// The mean training loss over the rows of all ranks' mini-batches, before the step, with
    /// dropout.
    pub training_loss: f64,
    /// The mean validation loss over all ranks' rows, after the step, if it was measured.
    pub validation_loss: Option<f64>,
}

/// The report of a fit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FitReport {
    /// The number of ranks.
    #[serde(alias = "copies")] // as it was called in models saved before
    pub world_size: usize,
    /// The number of training rows over all ranks.
    pub training_rows: usize,
    /// The number of validation rows over all ranks.
    pub validation_rows: usize,
    /// The number of rows in one iteration, over all ranks.
    pub global_batch: usize,
    /// The losses of every iteration that ran.
    pub history: Vec<LossPoint>,
    /// The iteration whose weights were kept: the one with the lowest validation loss, or the last.
    pub best_iteration: usize,
    /// The validation loss at that iteration.
    pub best_validation_loss: Option<f64>,
    /// The maximum number of iterations; 0 in models that were saved before this field existed.
    #[serde(default)]
    pub max_iterations: usize,
    /// Whether early stopping ended the fit before its last iteration.
    pub stopped_early: bool,
    /// Whether the fit was [stopped on request](crate::interrupt) before it had ended.
    #[serde(default)]
    pub interrupted: bool,
    /// The duration of rank 0's training loop in seconds, validation included.
    pub seconds: f64,
}

impl FitReport {
    /// The number of iterations that ran.
    pub fn iterations(&self) -> usize {
        self.history.len()
    }

    /// The number of passes through the training rows.
    pub fn epochs(&self) -> f64 {
        (self.iterations() * self.global_batch) as f64 / self.training_rows.max(1) as f64
    }

    /// Training rows per second, validation included.
    pub fn rows_per_second(&self) -> f64 {
        (self.iterations() * self.global_batch) as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }

    /// The training losses as (iteration, loss) points, for a plot.
    pub fn training_losses(&self) -> Vec<(f64, f64)> {
        self.history
            .iter()
            .map(|point| (point.iteration as f64, point.training_loss))
            .collect()
    }

    /// The validation losses as (iteration, loss) points, for a plot.
    pub fn validation_losses(&self) -> Vec<(f64, f64)> {
        self.history
            .iter()
            .filter_map(|point| Some((point.iteration as f64, point.validation_loss?)))
            .collect()
    }
}

impl fmt::Display for FitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} iterations of {} rows ({:.1} epochs of {} rows) on {} {} in {:.1} s, {:.0} rows/s",
            self.iterations(),
            self.global_batch,
            self.epochs(),
            self.training_rows,
            self.world_size,
            if self.world_size == 1 {
                "rank"
            } else {
                "ranks"
            },
            self.seconds,
            self.rows_per_second(),
        )?;
        if let Some(loss) = self.best_validation_loss {
            write!(
                f,
                "\nlowest validation loss {loss:.4} on {} rows at iteration {}, whose weights are kept",
                self.validation_rows, self.best_iteration
            )?;
        }
        if self.stopped_early {
            let loss = match self.best_validation_loss {
                Some(_) => "validation",
                None => "training",
            };
            write!(f, "\nstopped early: the {loss} loss no longer fell")?;
        }
        if self.interrupted {
            let (done, planned) = (self.iterations(), self.max_iterations);
            write!(
                f,
                "\nstopped on request after iteration {done} of {planned}"
            )?;
        }
        Ok(())
    }
}
