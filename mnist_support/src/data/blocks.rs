//! A feature matrix that is never held as a whole: blocks of a table, each of which is read
//! whenever it is needed.

use std::{
    fmt,
    ops::Range,
    sync::{Arc, mpsc::sync_channel},
    thread,
};

use super::{
    Features, FeaturesView, MatrixBuilder, MemoryBudget, Statistic, matrix::Kind,
    statistics::Statistics,
};
use crate::{Error, Result, error::TableError, interrupt};

/// Reads the features of blocks.
pub(crate) trait ReadBlock: fmt::Debug + Send + Sync {
    /// What errors call a block.
    fn name(&self, block: usize) -> String;

    /// Reads the features of a block: the same each time.
    fn read(&self, block: usize) -> Result<Features>;
}

/// A matrix in blocks. Clones read the same blocks.
#[derive(Clone, Debug)]
pub(crate) struct BlockMatrix {
    source: Arc<dyn ReadBlock>,
    /// The index of the first row of each block, and the number of rows.
    starts: Arc<[usize]>,
    kind: Kind,
    width: usize,
    /// What was asked for when all blocks were seen.
    statistics: Arc<Statistics>,
}

/// What is known of a matrix in blocks once all of them have been seen.
#[derive(Debug)]
pub(crate) struct BlockShapes {
    starts: Vec<usize>,
    kind: Kind,
    width: usize,
    wanted: Vec<Statistic>,
    statistics: Statistics,
}

impl BlockShapes {
    /// Of no block yet. `wanted` is what will be asked of the columns.
    pub(crate) fn new(wanted: Vec<Statistic>) -> Self {
        BlockShapes {
            starts: vec![0],
            kind: Kind::U8,
            width: 0,
            wanted,
            statistics: Statistics::default(),
        }
    }

    /// Adds rows to a block. Blocks come in order. The matrix has the widest type of all rows.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] for rows of another width; [`TableError::InvalidValue`] for a value
    /// that has no place between extremes, if these are needed.
    pub(crate) fn append(&mut self, block: usize, rows: &Features) -> Result<()> {
        let before = *self.starts.last().expect("the first is always there");
        self.starts.resize(block + 2, before);
        self.starts[block + 1] += rows.rows();
        let (kind, width) = (Kind::of(rows), rows.width());
        // No rows may have lost their width.
        if before == 0 {
            (self.kind, self.width) = (kind, width);
        } else if rows.rows() > 0 {
            if width != self.width {
                return Err(Error::ShapeMismatch {
                    what: "a row of features".to_owned(),
                    found: vec![width as i64],
                    expected: format!("{} features, as in the rows before,", self.width),
                });
            }
            self.kind = self.kind.max(kind);
        }
        if rows.rows() > 0 {
            for statistic in &self.wanted {
                self.statistics.take(*statistic, rows)?;
            }
        }
        Ok(())
    }

    /// The matrix whose blocks `source` reads.
    pub(crate) fn of(self, source: impl ReadBlock + 'static) -> BlockMatrix {
        BlockMatrix {
            source: Arc::new(source),
            starts: self.starts.into(),
            kind: self.kind,
            width: self.width,
            statistics: Arc::new(self.statistics),
        }
    }
}

impl BlockMatrix {
    pub(crate) fn rows(&self) -> usize {
        self.starts[self.blocks()]
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The number of blocks.
    pub(crate) fn blocks(&self) -> usize {
        self.starts.len() - 1
    }

    /// The index of the first row of each block, and the number of rows.
    pub(crate) fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// The indices of the rows of a block.
    pub(crate) fn rows_of(&self, block: usize) -> Range<usize> {
        self.starts[block]..self.starts[block + 1]
    }

    /// The block of a row.
    pub(super) fn block_of(&self, row: usize) -> usize {
        self.starts.partition_point(|start| *start <= row) - 1
    }

    /// What is known of the columns without another pass.
    pub(super) fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// The bytes of a row in memory.
    pub(crate) fn row_size(&self) -> usize {
        self.width * self.kind.size()
    }

    /// The bytes of a block in memory.
    pub(super) fn size_of(&self, block: usize) -> u64 {
        (self.rows_of(block).len() * self.row_size()) as u64
    }

    pub(super) fn name(&self, block: usize) -> String {
        self.source.name(block)
    }

    /// Reads a block, in the type of the matrix.
    ///
    /// # Errors
    /// Those of the source; [`TableError::Failed`] for a block that has other rows than before.
    pub(crate) fn read(&self, block: usize) -> Result<Features> {
        let features = self.source.read(block)?;
        let expected = self.rows_of(block).len();
        let found = features.rows();
        if found != expected || (found > 0 && features.width() != self.width) {
            return Err(self.changed(block, &features));
        }
        if found == 0 {
            return Ok(self.kind.no_rows(self.width));
        }
        let kind = Kind::of(&features);
        if kind > self.kind {
            return Err(self.changed(block, &features));
        }
        Ok(match kind == self.kind {
            true => features,
            false => self.kind.widen(&features).into_owned(),
        })
    }

    fn changed(&self, block: usize, found: &Features) -> Error {
        TableError::failed(
            self.name(block),
            format!(
                "it has changed since the fit began: it had {} rows of {} features, and has {} \
                 of {}, or other types",
                self.rows_of(block).len(),
                self.width,
                found.rows(),
                found.width()
            ),
        )
    }

    /// Calls `each` with all blocks in order, and the index of their first row. A thread reads the
    /// next one meanwhile, so that there are two of them in memory.
    pub(crate) fn for_each_block(
        &self,
        mut each: impl FnMut(&Features, usize) -> Result<()>,
    ) -> Result<()> {
        let interrupt = &interrupt::current();
        thread::scope(|scope| {
            let (sender, receiver) = sync_channel(0);
            scope.spawn(move || {
                let _scope = interrupt.scope();
                for block in 0..self.blocks() {
                    let read = self.read(block);
                    let failed = read.is_err();
                    // Nobody receives after an error.
                    if sender.send(read).is_err() || failed {
                        break;
                    }
                }
            });
            for (block, features) in receiver.into_iter().enumerate() {
                each(&features?, self.starts[block])?;
            }
            Ok(())
        })
    }

    /// All of the values, which must fit into memory.
    pub(crate) fn to_features(&self) -> Result<Features> {
        let mut all = MatrixBuilder::new(&MemoryBudget::unlimited());
        self.for_each_block(|block, _| all.append(block.clone()))?;
        all.finish().into_features()
    }

    /// Selects rows by index, in this order. Each block is read once.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] unless every index is below the number of rows.
    pub(crate) fn select(&self, indices: &[usize]) -> Result<Features> {
        if let Some(&index) = indices.iter().find(|&&index| index >= self.rows()) {
            return Err(Error::ShapeMismatch {
                what: "the matrix of features".to_owned(),
                found: vec![self.rows() as i64, self.width as i64],
                expected: format!("a row of index {index}"),
            });
        }
        let mut sorted = indices.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let mut found = MatrixBuilder::new(&MemoryBudget::unlimited());
        for rows in sorted.chunk_by(|a, b| self.block_of(*a) == self.block_of(*b)) {
            let block = self.block_of(rows[0]);
            let start = self.starts[block];
            let within: Vec<usize> = rows.iter().map(|row| row - start).collect();
            found.append(self.read(block)?.select(&within)?)?;
        }
        let place = |index: &usize| sorted.partition_point(|row| row < index);
        let places: Vec<usize> = indices.iter().map(place).collect();
        match indices.is_empty() {
            true => Ok(self.kind.no_rows(self.width)),
            false => found.finish().into_features()?.select(&places),
        }
    }

    /// The matrix of what `map` makes of each block and the index of its first row, in the type
    /// `kind` and of the same shape, whenever the block is read.
    pub(crate) fn map(
        &self,
        kind: Kind,
        map: impl Fn(Features, usize) -> Result<Features> + Send + Sync + 'static,
    ) -> BlockMatrix {
        BlockMatrix {
            source: Arc::new(Mapped {
                blocks: self.clone(),
                map: Box::new(map),
            }),
            starts: self.starts.clone(),
            kind,
            width: self.width,
            statistics: Arc::default(),
        }
    }

    /// The matrix of some of the rows, by their indices in ascending order.
    pub(super) fn keep(&self, indices: &[usize]) -> BlockMatrix {
        let (mut rows, mut starts, mut rest) = (Vec::new(), vec![0], indices);
        for block in 0..self.blocks() {
            let range = self.rows_of(block);
            let (own, after) = rest.split_at(rest.partition_point(|row| *row < range.end));
            rest = after;
            let within = own.iter().map(|row| (row - range.start) as u32);
            rows.push(within.collect());
            starts.push(indices.len() - rest.len());
        }
        BlockMatrix {
            source: Arc::new(Kept {
                blocks: self.clone(),
                rows,
            }),
            starts: starts.into(),
            kind: self.kind,
            width: self.width,
            statistics: Arc::default(),
        }
    }

    /// Some rows in memory, as long as the budget has bytes for them, or in a file: by their
    /// indices in ascending order, with one pass through the blocks that have any.
    pub(crate) fn gather(&self, indices: &[usize], budget: &MemoryBudget) -> Result<super::Matrix> {
        let mut gathered = MatrixBuilder::new(budget);
        gathered.append(self.kind.no_rows(self.width))?;
        let kept = self.keep(indices);
        kept.without_empty()
            .for_each_block(|block, _| gathered.append(block.clone()))?;
        Ok(gathered.finish())
    }

    /// The same rows, without the blocks that have none.
    fn without_empty(&self) -> BlockMatrix {
        let blocks = (0..self.blocks()).filter(|block| !self.rows_of(*block).is_empty());
        let blocks: Vec<usize> = blocks.collect();
        let ends = blocks.iter().map(|block| self.starts[block + 1]);
        BlockMatrix {
            starts: std::iter::once(0).chain(ends).collect(),
            source: Arc::new(Chosen {
                source: self.source.clone(),
                blocks,
            }),
            kind: self.kind,
            width: self.width,
            statistics: self.statistics.clone(),
        }
    }
}

type Map = Box<dyn Fn(Features, usize) -> Result<Features> + Send + Sync>;

/// What a function makes of blocks.
struct Mapped {
    blocks: BlockMatrix,
    map: Map,
}

impl fmt::Debug for Mapped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Mapped").field(&self.blocks).finish()
    }
}

impl ReadBlock for Mapped {
    fn name(&self, block: usize) -> String {
        self.blocks.name(block)
    }

    fn read(&self, block: usize) -> Result<Features> {
        (self.map)(self.blocks.read(block)?, self.blocks.starts[block])
    }
}

/// Some rows of blocks, by their indices in the block.
#[derive(Debug)]
struct Kept {
    blocks: BlockMatrix,
    rows: Vec<Vec<u32>>,
}

impl ReadBlock for Kept {
    fn name(&self, block: usize) -> String {
        self.blocks.name(block)
    }

    fn read(&self, block: usize) -> Result<Features> {
        let rows = self.rows[block].iter().map(|row| *row as usize);
        let rows: Vec<usize> = rows.collect();
        FeaturesView::from(&self.blocks.read(block)?).select(&rows)
    }
}

/// Some blocks of a source.
#[derive(Debug)]
struct Chosen {
    source: Arc<dyn ReadBlock>,
    blocks: Vec<usize>,
}

impl ReadBlock for Chosen {
    fn name(&self, block: usize) -> String {
        self.source.name(self.blocks[block])
    }

    fn read(&self, block: usize) -> Result<Features> {
        self.source.read(self.blocks[block])
    }
}

/// Blocks for tests.
#[cfg(test)]
pub(super) mod testing {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use ndarray::Array2;

    use super::*;

    /// Blocks of so many rows of two columns: the row's number, and 100 more. The second block has
    /// floats, the others bytes.
    #[derive(Debug)]
    pub(in crate::data) struct Counted {
        pub(in crate::data) rows: Vec<usize>,
        pub(in crate::data) reads: Arc<AtomicUsize>,
        /// From this read on, a block has a row less.
        pub(in crate::data) changes_at: usize,
    }

    impl ReadBlock for Counted {
        fn name(&self, block: usize) -> String {
            format!("part-{block}")
        }

        fn read(&self, block: usize) -> Result<Features> {
            let reads = self.reads.fetch_add(1, Ordering::SeqCst);
            let rows = self.rows[block] - usize::from(reads >= self.changes_at);
            let first: usize = self.rows[..block].iter().sum();
            let value = |(row, column): (usize, usize)| (first + row) % 100 + column * 100;
            Ok(match block {
                1 => Features::F32(Array2::from_shape_fn((rows, 2), |at| value(at) as f32)),
                _ => Features::U8(Array2::from_shape_fn((rows, 2), |at| value(at) as u8)),
            })
        }
    }

    pub(in crate::data) fn matrix(rows: &[usize], changes_at: usize) -> (BlockMatrix, Counts) {
        let reads = Counts::default();
        let source = Counted {
            rows: rows.to_vec(),
            reads: reads.clone(),
            changes_at: usize::MAX,
        };
        let mut shapes = BlockShapes::new(Vec::new());
        for block in 0..rows.len() {
            shapes.append(block, &source.read(block).unwrap()).unwrap();
        }
        reads.store(0, Ordering::SeqCst);
        let matrix = shapes.of(Counted {
            changes_at,
            ..source
        });
        (matrix, reads)
    }

    pub(in crate::data) type Counts = Arc<AtomicUsize>;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::{super::Matrix, testing::matrix, *};

    const ROWS: [usize; 4] = [30, 20, 0, 45];

    #[test]
    fn a_matrix_in_blocks_has_the_values_of_one_in_memory() {
        let (blocks, reads) = matrix(&ROWS, usize::MAX);
        let whole = Matrix::from(blocks.to_features().unwrap());
        assert_eq!(reads.load(Ordering::SeqCst), 4);
        assert_eq!((blocks.rows(), blocks.width()), (95, 2));
        // The floats of a block widen all.
        assert_eq!((blocks.kind(), whole.kind()), (Kind::F32, Kind::F32));
        let rows = [94, 0, 31, 0, 29, 50];
        assert_eq!(blocks.select(&rows).unwrap(), whole.select(&rows).unwrap());
        assert_eq!(blocks.select(&[]).unwrap().width(), 2);
        assert!(blocks.select(&[95]).is_err());
        let none = MemoryBudget::of(0);
        let rows = [3, 29, 30, 60, 94];
        for budget in [&none, &MemoryBudget::unlimited()] {
            let kept = Matrix::Blocks(blocks.clone()).select_all(&rows, budget);
            let kept = kept.unwrap();
            assert!(kept.blocks().is_some());
            let expected = whole.select(&rows).unwrap();
            assert_eq!(*kept.to_features().unwrap(), expected);
            let gathered = blocks.gather(&rows, budget).unwrap();
            assert!(gathered.blocks().is_none());
            assert_eq!(*gathered.to_features().unwrap(), expected);
        }
        // Only the blocks with a row are read.
        reads.store(0, Ordering::SeqCst);
        blocks.gather(&[0, 94], &none).unwrap();
        assert_eq!(reads.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn statistics_that_were_asked_for_cost_no_further_pass() {
        let (blocks, reads) = matrix(&ROWS, usize::MAX);
        let unknown = Matrix::Blocks(blocks.clone());
        let (expected, moments) = (unknown.min_max().unwrap(), unknown.moments().unwrap());
        let largest = unknown.max_abs().unwrap();
        assert_eq!(reads.load(Ordering::SeqCst), 12);
        assert_eq!(largest.values(), [94.0, 194.0]);
        assert_eq!(expected.maximum, [94.0, 194.0]);
        assert_eq!(moments.sums(), [4465.0, 13_965.0]);
        let all = [Statistic::Moments, Statistic::MinMax, Statistic::MaxAbs];
        let mut shapes = BlockShapes::new(all.to_vec());
        for block in 0..ROWS.len() {
            shapes.append(block, &blocks.read(block).unwrap()).unwrap();
        }
        reads.store(0, Ordering::SeqCst);
        let known = Matrix::Blocks(shapes.of(ReadAgain(blocks)));
        assert_eq!(known.min_max().unwrap(), expected);
        assert_eq!(known.moments().unwrap(), moments);
        assert_eq!(known.max_abs().unwrap(), largest);
        assert_eq!(reads.load(Ordering::SeqCst), 0);
        // Of other rows or other values they are others.
        let unlimited = MemoryBudget::unlimited();
        let some = known.select_all(&[3, 50], &unlimited).unwrap();
        assert_eq!(some.min_max().unwrap().maximum, [50.0, 150.0]);
        assert_eq!(some.moments().unwrap().sums(), [53.0, 253.0]);
        let negated = known.map(&unlimited, Kind::F64, |block, _| {
            Ok(Features::F64(-block.to_f64()))
        });
        assert_eq!(negated.unwrap().min_max().unwrap().minimum, [-94.0, -194.0]);
    }

    #[derive(Debug)]
    struct ReadAgain(BlockMatrix);

    impl ReadBlock for ReadAgain {
        fn name(&self, block: usize) -> String {
            self.0.name(block)
        }

        fn read(&self, block: usize) -> Result<Features> {
            self.0.read(block)
        }
    }

    #[test]
    fn a_mapped_matrix_is_mapped_whenever_a_block_is_read() {
        let (blocks, _) = matrix(&ROWS, usize::MAX);
        let double = |block: FeaturesView<'_>, _: usize| Ok(Features::F64(2.0 * block.to_f64()));
        let none = MemoryBudget::of(0);
        let whole = Matrix::from(blocks.to_features().unwrap());
        let whole = whole.map(&none, Kind::F64, double).unwrap();
        let mapped = Matrix::Blocks(blocks).map(&none, Kind::F64, double);
        let mapped = mapped.unwrap();
        assert!(mapped.blocks().is_some() && mapped.is_f64());
        assert_eq!(
            *mapped.to_features().unwrap(),
            *whole.to_features().unwrap()
        );
    }

    #[test]
    fn a_block_that_has_other_rows_than_before_is_named() {
        let (blocks, _) = matrix(&ROWS, 3);
        let error = blocks.for_each_block(|_, _| Ok(())).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("part-3") && text.contains("has changed") && text.contains("44"),
            "{text}"
        );
    }

    #[test]
    fn an_error_of_the_caller_ends_the_pass() {
        let (blocks, reads) = matrix(&[1; 50], usize::MAX);
        let stop = |_: &Features, first| match first {
            2 => Err(TableError::failed("the caller", "enough".to_owned())),
            _ => Ok(()),
        };
        assert!(blocks.for_each_block(stop).is_err());
        assert!(reads.load(Ordering::SeqCst) <= 5);
    }

    #[test]
    fn blocks_of_another_width_are_refused() {
        let mut shapes = BlockShapes::new(Vec::new());
        let rows = |width| Features::U8(ndarray::Array2::zeros((2, width)));
        shapes.append(0, &rows(3)).unwrap();
        shapes.append(0, &rows(3)).unwrap();
        // No rows may have lost their width.
        let none = Features::F64(ndarray::Array2::zeros((0, 0)));
        shapes.append(1, &none).unwrap();
        assert!(shapes.append(2, &rows(4)).is_err());
        assert_eq!((shapes.width, shapes.kind), (3, Kind::U8));
    }
}
