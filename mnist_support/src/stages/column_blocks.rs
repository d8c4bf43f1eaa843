//! A vector column whose blocks are read whenever they are needed.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use super::table::{ColumnReading, Prepare, Table};
use crate::{
    Result,
    data::{Features, MatrixBuilder, MemoryBudget, ReadBlock},
    lake::reading::ignore_progress,
    shard::Shard,
};

/// A vector column of a shard's blocks.
pub(super) struct ColumnBlocks {
    blocks: Arc<[Shard]>,
    column: String,
    columns: Vec<String>,
    /// A stage's model may hold tensors, which only one thread may use at a time.
    prepare: Mutex<Prepare>,
}

impl ColumnBlocks {
    pub(super) fn new(blocks: &Arc<[Shard]>, column: &str, reading: ColumnReading) -> Self {
        ColumnBlocks {
            blocks: blocks.clone(),
            column: column.to_owned(),
            columns: reading.columns,
            prepare: Mutex::new(reading.prepare),
        }
    }
}

impl fmt::Debug for ColumnBlocks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "ColumnBlocks({:?}, {} blocks)",
            self.column,
            self.blocks.len()
        )
    }
}

impl ReadBlock for ColumnBlocks {
    fn name(&self, block: usize) -> String {
        self.blocks[block].name()
    }

    fn read(&self, block: usize) -> Result<Features> {
        let shard = &self.blocks[block];
        let prepare = self.prepare.lock().unwrap_or_else(PoisonError::into_inner);
        let mut features = MatrixBuilder::new(&MemoryBudget::unlimited());
        let mut first = 0;
        shard.read_each(Some(&self.columns), &ignore_progress, &mut |frame| {
            let rows = frame.height();
            let mut piece = Table::new(shard, frame, first);
            prepare(&mut piece)?;
            features.append(piece.take_vector(&self.column)?)?;
            first += rows;
            Ok(())
        })?;
        features.finish().into_features()
    }
}
