//! Rows of a file in the lake: each rank reads its own partition.

use polars::prelude::DataFrame;

use super::{Data, Part, Shard, Source};
use crate::{
    Result,
    lake::{FileSource, LakeFrame, Partition, ReadProgress},
};

impl Source for LakeFrame {
    fn shards(&self, parts: usize) -> Result<Vec<Shard>> {
        let partitions = self.partitions(parts)?.into_iter();
        Ok(partitions
            .map(|partition| {
                Shard::new(FilePart {
                    frame: self.clone(),
                    partition,
                    bytes: 0,
                })
            })
            .collect())
    }

    fn name(&self) -> String {
        LakeFrame::name(self).to_owned()
    }

    fn columns(&self) -> Result<Option<Vec<String>>> {
        Ok(Some(LakeFrame::columns(self)))
    }

    fn file(&self) -> Option<&FileSource> {
        Some(self.source())
    }

    fn widened(&self) -> Result<Option<Data>> {
        Ok(LakeFrame::widened(self)?.map(Data::from))
    }
}

#[derive(Debug)]
struct FilePart {
    frame: LakeFrame,
    partition: Partition,
    bytes: u64,
}

impl Part for FilePart {
    fn name(&self) -> String {
        format!("{} ({})", self.frame.name(), self.partition)
    }

    fn locate(&self, index: usize) -> (String, u64) {
        let located = self.frame.locate(&self.partition, index as u64);
        // The file may be out of reach by now: the number then counts within the partition.
        located.unwrap_or_else(|_| (self.name(), index as u64 + 1))
    }

    fn read(
        &self,
        columns: Option<&[String]>,
        on_progress: &dyn Fn(ReadProgress),
    ) -> Result<DataFrame> {
        self.frame
            .read_with_progress(&self.partition, columns, on_progress)
    }

    fn read_each(
        &self,
        columns: Option<&[String]>,
        on_progress: &dyn Fn(ReadProgress),
        each: &mut dyn FnMut(DataFrame) -> Result<()>,
    ) -> Result<()> {
        self.frame
            .read_each(&self.partition, columns, on_progress, each)
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn blocks(&self) -> Result<Option<Vec<Shard>>> {
        let blocks = self.frame.blocks(&self.partition)?.into_iter();
        let shards = blocks.map(|(partition, bytes)| {
            Shard::new(FilePart {
                frame: self.frame.clone(),
                partition,
                bytes,
            })
        });
        Ok(Some(shards.collect()))
    }
}

impl From<&LakeFrame> for Data {
    fn from(frame: &LakeFrame) -> Self {
        Data::new(frame.clone())
    }
}

impl From<LakeFrame> for Data {
    fn from(frame: LakeFrame) -> Self {
        Data::new(frame)
    }
}
