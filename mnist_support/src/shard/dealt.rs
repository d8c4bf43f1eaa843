//! Parts of a table that are dealt to the ranks of a fit again and again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use polars::prelude::DataFrame;
use rand::seq::SliceRandom;

use super::{Data, Part, Shard, all_rows};
use crate::{
    Error, Result,
    lake::ReadProgress,
    random::{Purpose, stream},
};

/// How many parts of the table a rank has at a time, if there are rows enough.
const PARTS: usize = 8;

/// The parts of a table, and who has which of them.
#[derive(Clone, Debug)]
pub(super) struct Dealt {
    name: String,
    /// All parts of the table, in order.
    parts: Arc<[Shard]>,
    rank: usize,
    world_size: usize,
    /// Those that the rank has, in order.
    own: Vec<usize>,
    rows: Arc<RowCounts>,
}

/// How many rows have been read of a part's blocks, or of the part itself as its block 0.
#[derive(Debug, Default)]
struct RowCounts(Mutex<BTreeMap<(usize, usize), usize>>);

impl RowCounts {
    fn set(&self, part: usize, block: usize, rows: usize) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.insert((part, block), rows);
    }

    fn of(&self, part: usize) -> usize {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.range((part, 0)..(part + 1, 0)).map(|(_, n)| n).sum()
    }
}

impl Data {
    /// Like [`shards`](Self::shards), but a shard can be [dealt anew](Shard::dealt_anew).
    ///
    /// # Errors
    /// Same as [`shards`](Self::shards).
    pub(crate) fn dealt_shards(&self, world_size: usize) -> Result<Vec<Shard>> {
        let parts: Arc<[Shard]> = self.parts(world_size)?.into();
        let per_rank = parts.len() / world_size;
        let validation = self.validation_shards(world_size)?;
        let mut validation = validation.into_iter();
        let shards = (0..world_size).map(|rank| {
            let dealt = Dealt {
                name: self.name(),
                parts: parts.clone(),
                rank,
                world_size,
                own: (rank * per_rank..(rank + 1) * per_rank).collect(),
                rows: Arc::default(),
            };
            Shard::of_parts(dealt).with_validation(validation.next())
        });
        Ok(shards.collect())
    }

    /// The parts: as many for each rank, and at least one.
    fn parts(&self, world_size: usize) -> Result<Vec<Shard>> {
        let mut parts_of_a_rank = PARTS;
        loop {
            match self.source.shards(world_size * parts_of_a_rank) {
                // There are fewer rows.
                Err(Error::InvalidSetting {
                    setting: "partitions",
                    ..
                }) if parts_of_a_rank > 1 => parts_of_a_rank /= 2,
                parts => return parts,
            }
        }
    }
}

impl Shard {
    fn of_parts(dealt: Dealt) -> Shard {
        Shard {
            part: Arc::new(dealt.clone()),
            validation: None,
            dealt: Some(dealt),
        }
    }

    /// The parts that this rank gets in a round: those that follow each other in the first, and
    /// then random ones, which depend on the seed and the number of ranks alone. Together, the
    /// ranks have each part once. `None` if the shard is not one of [`Data::dealt_shards`].
    pub(crate) fn dealt_anew(&self, seed: u64, round: usize) -> Option<Shard> {
        let mut dealt = self.dealt.clone()?;
        let mut order: Vec<usize> = (0..dealt.parts.len()).collect();
        if round > 0 {
            order.shuffle(&mut stream(Purpose::Parts, seed, [round as u64, 0]));
        }
        let per_rank = order.len() / dealt.world_size;
        let mut own = order[dealt.rank * per_rank..(dealt.rank + 1) * per_rank].to_vec();
        own.sort_unstable();
        dealt.own = own;
        Some(Shard::of_parts(dealt))
    }

    /// The numbers of the parts that this rank has, and how many rows they have had when they were
    /// read. `None` if the shard is not one of [`Data::dealt_shards`].
    pub(crate) fn parts_read(&self) -> Option<Vec<(usize, usize)>> {
        let dealt = self.dealt.as_ref()?;
        let own = dealt.own.iter();
        Some(own.map(|part| (*part, dealt.rows.of(*part))).collect())
    }
}

impl Part for Dealt {
    fn name(&self) -> String {
        format!("{} (parts of rank {})", self.name, self.rank)
    }

    fn locate(&self, index: usize) -> (String, u64) {
        let (mut part, mut index) = (self.own[0], index);
        for own in &self.own {
            part = *own;
            let rows = self.rows.of(part);
            if index < rows {
                break;
            }
            index -= rows;
        }
        self.parts[part].locate(index)
    }

    fn read(
        &self,
        columns: Option<&[String]>,
        on_progress: &dyn Fn(ReadProgress),
    ) -> Result<DataFrame> {
        all_rows(self, columns, on_progress)
    }

    fn read_each(
        &self,
        columns: Option<&[String]>,
        on_progress: &dyn Fn(ReadProgress),
        each: &mut dyn FnMut(DataFrame) -> Result<()>,
    ) -> Result<()> {
        for part in &self.own {
            let mut rows = 0;
            self.parts[*part].read_each(columns, on_progress, &mut |piece| {
                rows += piece.height();
                // Before the piece is used: an error names the row.
                self.rows.set(*part, 0, rows);
                each(piece)
            })?;
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.own.iter().map(|part| self.parts[*part].bytes()).sum()
    }

    fn blocks(&self) -> Result<Option<Vec<Shard>>> {
        let mut all = Vec::new();
        for part in &self.own {
            let Some(blocks) = self.parts[*part].blocks()? else {
                return Ok(None);
            };
            let blocks = blocks.into_iter().enumerate();
            all.extend(blocks.map(|(number, block)| {
                Shard::new(CountedBlock {
                    block,
                    part: *part,
                    number,
                    rows: self.rows.clone(),
                })
            }));
        }
        Ok(Some(all))
    }
}

/// A block of a part, whose rows are counted.
#[derive(Debug)]
struct CountedBlock {
    block: Shard,
    part: usize,
    number: usize,
    rows: Arc<RowCounts>,
}

impl Part for CountedBlock {
    fn name(&self) -> String {
        self.block.name()
    }

    fn locate(&self, index: usize) -> (String, u64) {
        self.block.locate(index)
    }

    fn read(
        &self,
        columns: Option<&[String]>,
        on_progress: &dyn Fn(ReadProgress),
    ) -> Result<DataFrame> {
        all_rows(self, columns, on_progress)
    }

    fn read_each(
        &self,
        columns: Option<&[String]>,
        on_progress: &dyn Fn(ReadProgress),
        each: &mut dyn FnMut(DataFrame) -> Result<()>,
    ) -> Result<()> {
        let mut rows = 0;
        self.block.read_each(columns, on_progress, &mut |piece| {
            rows += piece.height();
            self.rows.set(self.part, self.number, rows);
            each(piece)
        })
    }

    fn bytes(&self) -> u64 {
        self.block.bytes()
    }
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;

    fn data(rows: i32) -> Data {
        Data::from(df!("value" => (0..rows).collect::<Vec<_>>()).unwrap())
    }

    fn values(shard: &Shard) -> Vec<i32> {
        let frame = shard.read().unwrap();
        let values = frame.column("value").unwrap().i32().unwrap();
        values.into_no_null_iter().collect()
    }

    #[test]
    fn in_each_round_the_ranks_have_all_rows_together_and_other_ones_each() {
        let shards = data(1003).dealt_shards(3).unwrap();
        let mut before = Vec::new();
        for round in 0..4 {
            let dealt: Vec<Vec<i32>> = shards
                .iter()
                .map(|shard| values(&shard.dealt_anew(42, round).unwrap()))
                .collect();
            assert_ne!(dealt, before);
            assert!(dealt.iter().all(|own| own.len().abs_diff(1003 / 3) <= 8));
            let mut all = dealt.concat();
            if round == 0 {
                assert!(all.is_sorted());
                let first = shards.iter().map(values).collect::<Vec<_>>();
                assert_eq!(first, dealt);
            }
            all.sort_unstable();
            assert_eq!(all, (0..1003).collect::<Vec<_>>());
            before = dealt;
        }
        let again = shards[1].dealt_anew(42, 3).unwrap();
        assert_eq!(values(&again), before[1]);
        let other = shards[1].dealt_anew(43, 3).unwrap();
        assert_ne!(values(&other), before[1]);
    }

    #[test]
    fn a_row_is_found_in_the_table_whichever_part_it_is_in() {
        let shards = data(1000).dealt_shards(2).unwrap();
        let shard = shards[1].dealt_anew(7, 2).unwrap();
        let own = values(&shard);
        for (index, value) in own.iter().enumerate() {
            assert_eq!(shard.locate(index).1, *value as u64 + 1);
        }
        let parts = shard.parts_read().unwrap();
        assert_eq!(parts.len(), PARTS);
        let rows = parts.iter().map(|(_, rows)| rows);
        assert_eq!(rows.sum::<usize>(), own.len());
        // The same in blocks.
        let shard = shards[1].dealt_anew(7, 2).unwrap();
        let blocks = shard.blocks().unwrap().unwrap();
        let read: Vec<Vec<i32>> = blocks.iter().map(values).collect();
        assert_eq!(shard.parts_read().unwrap(), parts);
        for (index, value) in read.concat().into_iter().enumerate() {
            assert_eq!(shard.locate(index).1, value as u64 + 1);
        }
    }

    #[test]
    fn few_rows_make_fewer_parts_and_too_few_are_an_error() {
        for (rows, parts) in [(48, 8), (47, 4), (6, 1)] {
            let shards = data(rows).dealt_shards(6).unwrap();
            assert_eq!(shards[0].dealt.as_ref().unwrap().own.len(), parts);
        }
        assert!(data(5).dealt_shards(6).is_err());
        assert!(data(5).shards(2).unwrap()[0].dealt_anew(1, 1).is_none());
    }
}
