//! Splits a rank's rows into training and validation rows, and draws mini-batches.

use rand::seq::SliceRandom;

use crate::random::{Purpose, stream};

/// Takes the place of an epoch: the split comes before the first one.
const SPLIT: u64 = u64::MAX;

/// Shuffles a rank's row indices and splits them into training and validation rows.
pub(super) fn split(
    seed: u64,
    rank: usize,
    rows: usize,
    validation_rows: usize,
) -> (Vec<i64>, Vec<i64>) {
    let mut all: Vec<i64> = (0..rows as i64).collect();
    all.shuffle(&mut stream(Purpose::Rows, seed, [rank as u64, SPLIT]));
    let validation = all.split_off(rows - validation_rows);
    (all, validation)
}

/// Splits a rank's rows into training and validation rows as `held_out` marks them.
pub(super) fn split_by(held_out: &[bool]) -> (Vec<i64>, Vec<i64>) {
    let rows = 0..held_out.len() as i64;
    let (validation, training) = rows.partition(|row| held_out[*row as usize]);
    (training, validation)
}

/// The endless sequence of a rank's training rows, reshuffled in every epoch.
///
/// The rows of an iteration depend only on its number, so a fit can resume in the middle.
pub(super) struct BatchSampler {
    seed: u64,
    rank: usize,
    rows: Vec<i64>,
    mini_batch: usize,
    epoch: Option<u64>,
    order: Vec<i64>,
}

impl BatchSampler {
    pub(super) fn new(seed: u64, rank: usize, rows: Vec<i64>, mini_batch: usize) -> Self {
        BatchSampler {
            seed,
            rank,
            rows,
            mini_batch,
            epoch: None,
            order: Vec::new(),
        }
    }

    /// The rows of `iteration`, which counts from 0. A mini-batch may extend into the next epoch.
    pub(super) fn rows_of(&mut self, iteration: usize) -> Vec<i64> {
        let mut batch = Vec::with_capacity(self.mini_batch);
        let mut position = iteration as u64 * self.mini_batch as u64;
        while batch.len() < self.mini_batch {
            let rows = self.rows.len() as u64;
            self.shuffle_for(position / rows);
            let start = (position % rows) as usize;
            let taken = (self.mini_batch - batch.len()).min(self.rows.len() - start);
            batch.extend_from_slice(&self.order[start..start + taken]);
            position += taken as u64;
        }
        batch
    }

    fn shuffle_for(&mut self, epoch: u64) {
        if self.epoch != Some(epoch) {
            self.order.clone_from(&self.rows);
            let mut random = stream(Purpose::Rows, self.seed, [self.rank as u64, epoch]);
            self.order.shuffle(&mut random);
            self.epoch = Some(epoch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(mut rows: Vec<i64>) -> Vec<i64> {
        rows.sort_unstable();
        rows
    }

    #[test]
    fn the_split_uses_every_row_once() {
        let (training, validation) = split(1, 0, 10, 3);
        assert_eq!((training.len(), validation.len()), (7, 3));
        assert_eq!(
            sorted([training, validation].concat()),
            (0..10).collect::<Vec<_>>()
        );
    }

    #[test]
    fn rows_that_are_marked_are_held_out() {
        let (training, validation) = split_by(&[false, true, true, false]);
        assert_eq!((training, validation), (vec![0, 3], vec![1, 2]));
    }

    #[test]
    fn an_epoch_draws_every_row_once_and_the_next_in_another_order() {
        let mut batches = BatchSampler::new(1, 0, (0..12).collect(), 4);
        let mut epoch = |first: usize| {
            (first..first + 3)
                .flat_map(|i| batches.rows_of(i))
                .collect::<Vec<_>>()
        };
        let (first, second) = (epoch(0), epoch(3));
        assert_eq!(sorted(first.clone()), (0..12).collect::<Vec<_>>());
        assert_eq!(sorted(second.clone()), (0..12).collect::<Vec<_>>());
        assert_ne!(first, second);
    }

    #[test]
    fn a_mini_batch_that_does_not_divide_the_rows_reaches_into_the_next_epoch() {
        let mut batches = BatchSampler::new(1, 0, (0..5).collect(), 3);
        let drawn: Vec<i64> = (0..5).flat_map(|i| batches.rows_of(i)).collect();
        assert_eq!(sorted(drawn[..5].to_vec()), [0, 1, 2, 3, 4]);
        assert_eq!(sorted(drawn[5..10].to_vec()), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn any_iteration_can_be_drawn_by_its_number_alone() {
        let mut forward = BatchSampler::new(7, 1, (0..11).collect(), 4);
        let drawn: Vec<_> = (0..9).map(|i| forward.rows_of(i)).collect();
        let mut late = BatchSampler::new(7, 1, (0..11).collect(), 4);
        assert_eq!(late.rows_of(8), drawn[8]);
    }

    #[test]
    fn another_rank_or_seed_draws_other_rows() {
        let first = |seed, rank| BatchSampler::new(seed, rank, (0..1000).collect(), 10).rows_of(0);
        assert_ne!(first(1, 0), first(1, 1));
        assert_ne!(first(1, 0), first(2, 0));
    }
}
