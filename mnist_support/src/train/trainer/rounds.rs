//! The rounds of a fit, in each of which a rank has other parts of the table.

use std::ops::Range;

use crate::{
    Result,
    train::{TrainingData, TrainingSettings},
};

/// Which iterations are in which round: all in one, unless the parts are dealt anew.
pub(super) struct Rounds<'a> {
    /// The epochs and the iterations of a round.
    epochs: usize,
    iterations: usize,
    /// The iterations of the fit.
    all: usize,
    accumulate_grad_batches: usize,
    /// The round whose rows the rank has.
    pub(super) current: usize,
    /// Reads the rows of a round; `None` if they stay what they are.
    pub(super) deal: &'a dyn Fn(usize) -> Result<Option<TrainingData>>,
}

impl<'a> Rounds<'a> {
    /// For the number of training rows and of rows in one iteration over all ranks, and the number
    /// of iterations.
    pub(super) fn new(
        training_rows: usize,
        global_batch: usize,
        iterations: usize,
        settings: &TrainingSettings,
        deal: &'a dyn Fn(usize) -> Result<Option<TrainingData>>,
    ) -> Self {
        let epochs = settings.partition_shuffles.unwrap_or(0);
        let of_round = match settings.partition_shuffles {
            None => usize::MAX,
            Some(epochs) => epochs
                .saturating_mul(training_rows)
                .div_ceil(global_batch.max(1)),
        };
        Rounds {
            epochs,
            iterations: of_round.max(1),
            all: iterations,
            accumulate_grad_batches: settings.accumulate_grad_batches,
            current: 0,
            deal,
        }
    }

    /// The round of an iteration, which counts from 0.
    pub(super) fn of(&self, iteration: usize) -> usize {
        iteration / self.iterations
    }

    /// Whether the rank needs other rows than it has, for an iteration that counts from 0.
    pub(super) fn is_over(&self, iteration: usize) -> bool {
        self.of(iteration) != self.current
    }

    /// The mini-batches of a rank in a round.
    pub(super) fn batches(&self, round: usize) -> Range<usize> {
        let iterations = |round: usize| round.saturating_mul(self.iterations).min(self.all);
        let batches = |round| iterations(round).saturating_mul(self.accumulate_grad_batches);
        batches(round)..batches(round + 1)
    }

    /// The number of the epoch that begins with a round.
    pub(super) fn first_epoch(&self, round: usize) -> usize {
        round.saturating_mul(self.epochs)
    }
}
