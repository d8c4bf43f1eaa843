//! Rows in memory.

use polars::prelude::DataFrame;

use super::{Data, Part, Shard, Source};
use crate::{
    Error, Result, interrupt,
    lake::{BLOCK_ROWS, ReadProgress},
};

const NAME: &str = "the data frame";

/// What stages make of rows is larger than the rows: about as much of them is handled at a time.
const PIECE: usize = 32 << 20;

impl Source for DataFrame {
    fn shards(&self, parts: usize) -> Result<Vec<Shard>> {
        let rows = self.height();
        if parts == 0 || parts > rows {
            return Err(Error::InvalidSetting {
                setting: "partitions",
                value: parts.to_string(),
                reason: format!("must be from 1 to the number of rows, {rows}"),
            });
        }
        let start = |part: usize| rows * part / parts;
        Ok((0..parts)
            .map(|part| {
                let (first, end) = (start(part), start(part + 1));
                Shard::rows(NAME, self.slice(first as i64, end - first), first as u64)
            })
            .collect())
    }

    fn shards_at_most(&self, parts: usize) -> Result<Vec<Shard>> {
        match self.height() {
            0 => Ok(vec![Shard::rows(NAME, self.clone(), 0)]),
            rows => self.shards(parts.clamp(1, rows)),
        }
    }

    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn columns(&self) -> Result<Option<Vec<String>>> {
        let names = self.get_column_names_owned().into_iter();
        Ok(Some(names.map(|name| name.to_string()).collect()))
    }
}

impl Shard {
    /// Creates a shard of rows in memory. Errors call their table `name`, and `first_row` rows of
    /// it come before these.
    pub fn rows(name: impl Into<String>, frame: DataFrame, first_row: u64) -> Self {
        Shard::new(Rows {
            name: name.into(),
            frame,
            first_row,
        })
    }
}

#[derive(Debug)]
struct Rows {
    name: String,
    frame: DataFrame,
    first_row: u64,
}

impl Part for Rows {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn locate(&self, index: usize) -> (String, u64) {
        (self.name.clone(), self.first_row + index as u64 + 1)
    }

    fn read(
        &self,
        _columns: Option<&[String]>,
        _on_progress: &dyn Fn(ReadProgress),
    ) -> Result<DataFrame> {
        Ok(self.frame.clone())
    }

    fn read_each(
        &self,
        _columns: Option<&[String]>,
        _on_progress: &dyn Fn(ReadProgress),
        each: &mut dyn FnMut(DataFrame) -> Result<()>,
    ) -> Result<()> {
        let height = self.frame.height();
        let row = self.frame.estimated_size() / height.max(1);
        let rows = (PIECE / row.max(1)).max(1);
        for piece in 0..height.div_ceil(rows).max(1) {
            interrupt::check("reading", &self.name)?;
            each(self.frame.slice((piece * rows) as i64, rows))?;
        }
        Ok(())
    }

    fn blocks(&self) -> Result<Option<Vec<Shard>>> {
        let starts = (0..self.frame.height()).step_by(BLOCK_ROWS);
        let blocks = starts.map(|start| {
            let rows = self.frame.slice(start as i64, BLOCK_ROWS);
            Shard::rows(&self.name, rows, self.first_row + start as u64)
        });
        Ok(Some(blocks.collect()))
    }
}

impl From<&DataFrame> for Data {
    fn from(frame: &DataFrame) -> Self {
        Data::new(frame.clone())
    }
}

impl From<DataFrame> for Data {
    fn from(frame: DataFrame) -> Self {
        Data::new(frame)
    }
}

#[cfg(test)]
mod tests {
    use polars::df;

    use super::*;

    fn frame(rows: i32) -> DataFrame {
        df!("value" => (0..rows).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_frame_is_split_in_order_and_evenly() {
        let shards = Data::from(&frame(7)).shards(3).unwrap();
        let parts: Vec<(u64, usize)> = shards
            .iter()
            .map(|shard| (shard.locate(0).1, shard.read().unwrap().height()))
            .collect();
        assert_eq!(parts, [(1, 2), (3, 2), (5, 3)]);
    }

    #[test]
    fn no_partitions_and_more_partitions_than_rows_are_errors() {
        for parts in [0, 8] {
            let error = Data::from(&frame(7)).shards(parts).unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::InvalidSetting {
                        setting: "partitions",
                        ..
                    }
                ),
                "{error}"
            );
        }
    }

    #[test]
    fn a_transformation_gets_fewer_shards_if_there_are_fewer_rows() {
        assert_eq!(Data::from(&frame(1)).shards_at_most(4).unwrap().len(), 1);
        assert_eq!(Data::from(&frame(0)).shards_at_most(4).unwrap().len(), 1);
        assert_eq!(Data::from(&frame(9)).shards_at_most(4).unwrap().len(), 4);
    }
}
