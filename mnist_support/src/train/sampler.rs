//! Splits a rank's rows into training and validation rows, and draws mini-batches.

use std::{collections::BTreeMap, sync::Arc};

use rand::seq::SliceRandom;

use super::Shuffle;
use crate::{
    data::BlockRows,
    random::{Purpose, stream},
};

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
    mini_batch: usize,
    /// The first iteration whose rows are drawn, and its position, which counts through all epochs.
    start: (usize, u64),
    order: Order,
}

enum Order {
    Rows(RowOrder),
    Blocks(BlockOrder),
}

impl BatchSampler {
    /// Draws all rows in random order.
    pub(super) fn new(seed: u64, rank: usize, rows: Vec<i64>, mini_batch: usize) -> Self {
        BatchSampler {
            mini_batch,
            start: (0, 0),
            order: Order::Rows(RowOrder {
                seed,
                rank,
                rows,
                epoch: None,
                order: Vec::new(),
            }),
        }
    }

    /// Draws rows, which are sorted, as [`Shuffle::Blocks`] says. `starts` are the first rows of
    /// the blocks and the number of rows.
    pub(super) fn of_blocks(
        seed: u64,
        rank: usize,
        rows: Vec<i64>,
        starts: Vec<usize>,
        row_size: usize,
        mini_batch: usize,
    ) -> Self {
        BatchSampler {
            mini_batch,
            start: (0, 0),
            order: Order::Blocks(BlockOrder {
                seed,
                rank,
                rows,
                starts,
                group_rows: Shuffle::group_rows(row_size),
                end: u64::MAX,
                epochs: BTreeMap::new(),
                order: None,
            }),
        }
    }

    /// Begins with an iteration, and with it an epoch.
    pub(super) fn starting_at(mut self, iteration: usize, epoch: usize) -> Self {
        let rows = match &self.order {
            Order::Rows(order) => order.rows.len(),
            Order::Blocks(order) => order.rows.len(),
        };
        self.start = (iteration, epoch as u64 * rows as u64);
        self
    }

    /// Says that no iteration from this one on will be drawn, so that nothing is read for them.
    pub(super) fn ending_before(mut self, iteration: usize) -> Self {
        let end = self.position(iteration);
        if let Order::Blocks(order) = &mut self.order {
            order.end = end;
        }
        self
    }

    /// How many rows of all epochs come before those of an iteration.
    fn position(&self, iteration: usize) -> u64 {
        let (first, position) = self.start;
        let rows = (iteration - first) as u64;
        position.saturating_add(rows.saturating_mul(self.mini_batch as u64))
    }

    /// The rows of `iteration`, which counts from 0, in runs from the same blocks. A mini-batch may
    /// extend into the next epoch.
    pub(super) fn draw(&mut self, iteration: usize) -> Vec<BlockRows> {
        let mut runs = Vec::new();
        let (mut drawn, mut position) = (0, self.position(iteration));
        while drawn < self.mini_batch {
            let most = self.mini_batch - drawn;
            let run = match &mut self.order {
                Order::Rows(order) => order.run(position, most),
                Order::Blocks(order) => order.run(position, most),
            };
            drawn += run.rows.len();
            position += run.rows.len() as u64;
            runs.push(run);
        }
        runs
    }
}

/// All rows in random order.
struct RowOrder {
    seed: u64,
    rank: usize,
    rows: Vec<i64>,
    epoch: Option<u64>,
    order: Vec<i64>,
}

impl RowOrder {
    /// At most so many rows from a position on, which counts through all epochs: those of one.
    fn run(&mut self, position: u64, most: usize) -> BlockRows {
        let rows = self.rows.len() as u64;
        self.shuffle_for(position / rows);
        let start = (position % rows) as usize;
        let end = self.rows.len().min(start + most);
        BlockRows {
            rows: self.order[start..end].to_vec(),
            blocks: Arc::default(),
            next: Arc::default(),
        }
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

/// Blocks in random order, and in groups of them the rows.
struct BlockOrder {
    seed: u64,
    rank: usize,
    /// The rows to draw, sorted.
    rows: Vec<i64>,
    /// The first rows of the blocks, and the number of rows.
    starts: Vec<usize>,
    /// How many rows end a group.
    group_rows: usize,
    /// No position from here on is drawn.
    end: u64,
    /// The groups of the epochs that were looked at last.
    epochs: BTreeMap<u64, Arc<[Group]>>,
    /// The rows of a group of an epoch, in their order.
    order: Option<(u64, usize, Vec<i64>)>,
}

/// Blocks whose rows are drawn in random order.
struct Group {
    blocks: Arc<[usize]>,
    /// How many rows of the epoch are drawn before the next group.
    end: usize,
}

impl BlockOrder {
    /// At most so many rows from a position on, which counts through all epochs: those of one
    /// group.
    fn run(&mut self, position: u64, most: usize) -> BlockRows {
        let rows = self.rows.len() as u64;
        let (epoch, start) = (position / rows, (position % rows) as usize);
        let groups = self.groups(epoch);
        let index = groups.partition_point(|group| group.end <= start);
        let before = index.checked_sub(1).map_or(0, |index| groups[index].end);
        let group = &groups[index];
        let after = epoch * rows + group.end as u64;
        let next = match groups.get(index + 1) {
            _ if after >= self.end => Arc::default(),
            Some(next) => next.blocks.clone(),
            None => self.groups(epoch + 1)[0].blocks.clone(),
        };
        let drawn = start + most.min(group.end - start);
        let order = self.order_of(epoch, index, &group.blocks);
        BlockRows {
            rows: order[start - before..drawn - before].to_vec(),
            blocks: group.blocks.clone(),
            next,
        }
    }

    /// The rows of a block that are drawn.
    fn rows_of(&self, block: usize) -> &[i64] {
        let place = |row: usize| self.rows.partition_point(|other| (*other as usize) < row);
        &self.rows[place(self.starts[block])..place(self.starts[block + 1])]
    }

    /// The groups of an epoch.
    fn groups(&mut self, epoch: u64) -> Arc<[Group]> {
        if let Some(groups) = self.epochs.get(&epoch) {
            return groups.clone();
        }
        let blocks = 0..self.starts.len() - 1;
        let mut blocks: Vec<usize> = blocks
            .filter(|block| !self.rows_of(*block).is_empty())
            .collect();
        let key = [self.rank as u64, epoch];
        blocks.shuffle(&mut stream(Purpose::Blocks, self.seed, key));
        let (mut groups, mut some, mut rows, mut end) = (Vec::new(), Vec::new(), 0, 0);
        let last = blocks.last().copied();
        for block in blocks {
            some.push(block);
            // Rows that are held out are in memory too.
            rows += self.starts[block + 1] - self.starts[block];
            end += self.rows_of(block).len();
            if rows >= self.group_rows || Some(block) == last {
                groups.push(Group {
                    blocks: std::mem::take(&mut some).into(),
                    end,
                });
                rows = 0;
            }
        }
        self.epochs.retain(|known, _| known.abs_diff(epoch) <= 1);
        let groups: Arc<[Group]> = groups.into();
        self.epochs.insert(epoch, groups.clone());
        groups
    }

    /// The rows of a group of an epoch, in their order.
    fn order_of(&mut self, epoch: u64, group: usize, blocks: &[usize]) -> &[i64] {
        let known = self.order.take();
        let known = known.filter(|(of, index, _)| (*of, *index) == (epoch, group));
        let known = known.unwrap_or_else(|| {
            let rows = blocks.iter().flat_map(|block| self.rows_of(*block));
            let mut rows: Vec<i64> = rows.copied().collect();
            let key = [self.rank as u64, epoch << 32 | group as u64];
            rows.shuffle(&mut stream(Purpose::BlockRows, self.seed, key));
            (epoch, group, rows)
        });
        &self.order.insert(known).2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl BatchSampler {
        fn rows_of(&mut self, iteration: usize) -> Vec<i64> {
            let runs = self.draw(iteration).into_iter();
            runs.flat_map(|run| run.rows).collect()
        }
    }

    /// Blocks of 40,000, 0, 30,000, 5, 70,000 and 60,000 rows, of which one in seven is held out,
    /// and all of the block of 5.
    fn blocks(seed: u64, rank: usize, mini_batch: usize) -> (Vec<i64>, BatchSampler) {
        let starts = vec![0, 40_000, 40_000, 70_000, 70_005, 140_005, 200_005];
        let drawn = |row: &i64| row % 7 != 3 && !(70_000..70_005).contains(row);
        let rows: Vec<i64> = (0..200_005).filter(drawn).collect();
        let sampler = BatchSampler::of_blocks(seed, rank, rows.clone(), starts, 4, mini_batch);
        (rows, sampler)
    }

    #[test]
    fn an_epoch_of_blocks_draws_every_row_once_and_the_next_in_another_order() {
        let (rows, mut sampler) = blocks(1, 0, 1000);
        let epochs = rows.len() as u64 * 3;
        let drawn: Vec<i64> = (0..epochs.div_ceil(1000))
            .flat_map(|iteration| sampler.rows_of(iteration as usize))
            .collect();
        let epoch = |number: usize| &drawn[number * rows.len()..(number + 1) * rows.len()];
        for number in 0..3 {
            assert_eq!(sorted(epoch(number).to_vec()), rows);
        }
        assert_ne!(epoch(0), epoch(1));
        assert_ne!(epoch(1), epoch(2));
    }

    #[test]
    fn a_run_is_from_the_blocks_of_one_group_and_says_which_come_next() {
        let (_, mut sampler) = blocks(1, 0, 500);
        let starts = [0, 40_000, 40_000, 70_000, 70_005, 140_005, 200_005];
        let (mut known, mut groups) = (Vec::<Arc<[usize]>>::new(), Vec::new());
        for run in (0..900).flat_map(|iteration| sampler.draw(iteration)) {
            for row in &run.rows {
                let block = starts.partition_point(|start| start <= row) - 1;
                assert!(run.blocks.contains(&block));
            }
            if known.last() != Some(&run.blocks) {
                if let Some(next) = groups.last() {
                    assert_eq!(*next, run.blocks, "what came next");
                }
                known.push(run.blocks.clone());
                groups.push(run.next.clone());
            }
        }
        assert!(known.len() >= 4, "{known:?}");
        for group in &known {
            assert!(!group.contains(&1) && !group.contains(&3), "{group:?}");
        }
    }

    #[test]
    fn any_iteration_of_blocks_can_be_drawn_by_its_number_alone() {
        let (_, mut forward) = blocks(7, 1, 4_000);
        let drawn: Vec<_> = (0..100).map(|i| forward.draw(i)).collect();
        for iteration in [99, 42, 0, 43] {
            let (_, mut late) = blocks(7, 1, 4_000);
            assert_eq!(late.draw(iteration), drawn[iteration]);
        }
        let first = |seed, rank| blocks(seed, rank, 10).1.rows_of(0);
        assert_ne!(first(1, 0), first(1, 1));
        assert_ne!(first(1, 0), first(2, 0));
    }

    #[test]
    fn nothing_comes_next_where_training_ends() {
        let (rows, sampler) = blocks(1, 0, 1000);
        let iterations = rows.len() / 1000;
        let mut sampler = sampler.ending_before(iterations);
        let last = sampler.draw(iterations - 1);
        assert!(last[0].next.is_empty(), "{:?}", last[0].next);
        assert!(!sampler.draw(0)[0].next.is_empty());
    }

    #[test]
    fn groups_end_at_so_many_rows_or_bytes() {
        assert_eq!(Shuffle::group_rows(1), Shuffle::GROUP_ROWS);
        assert_eq!(Shuffle::group_rows(2048), Shuffle::GROUP_ROWS);
        assert_eq!(Shuffle::group_rows(150_528), 891);
        assert_eq!(Shuffle::group_rows(1 << 30), 1);
        // Two groups that have all rows, and a block.
        assert_eq!(Shuffle::bytes_needed(&[0, 100, 150], 8), 250 * 8);
        assert_eq!(Shuffle::bytes_needed(&[0], 8), 0);
    }

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
