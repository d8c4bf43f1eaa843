//! Draws rows from the blocks of a table, which a thread reads ahead.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    panic,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use ndarray::{Array2, ArrayView1};

use super::{BlockMatrix, Features, matrix::Kind};
use crate::{
    Error, Result,
    error::TableError,
    interrupt::{self, Interrupt},
};

/// How often a draw that waits for a block checks whether it was asked to stop.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Rows to draw, and the blocks that have them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BlockRows {
    /// The indices of the rows, in the order in which they are drawn.
    pub(crate) rows: Vec<i64>,
    /// The blocks that these rows, and others that are drawn soon, are in.
    pub(crate) blocks: Arc<[usize]>,
    /// The blocks that are needed after these, in this order.
    pub(crate) next: Arc<[usize]>,
}

/// The blocks of a matrix as training draws from them. A thread reads those that are needed next,
/// until this value is dropped.
#[derive(Debug)]
pub(crate) struct BlockStream {
    matrix: BlockMatrix,
    shared: Arc<Shared>,
    /// Ends what the thread is reading.
    end: Interrupt,
    reader: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// How many bytes of blocks are kept.
    capacity: u64,
}

#[derive(Debug, Default)]
struct State {
    /// The blocks that are needed now or next, in this order.
    wanted: Vec<usize>,
    loaded: BTreeMap<usize, Arc<Features>>,
    /// The bytes of the blocks that are loaded.
    bytes: u64,
    /// The loaded blocks that are not wanted, the one that has been so for the longest time first.
    idle: VecDeque<usize>,
    /// What went wrong, until a draw returns it.
    failed: Option<Error>,
    /// The thread is to end.
    ending: bool,
    /// It has ended.
    ended: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let state = self.changed.wait(state);
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a block to read: the first that is wanted and not loaded. `None` at the end.
    fn next(&self, matrix: &BlockMatrix) -> Option<usize> {
        let mut state = self.state();
        loop {
            if state.ending {
                return None;
            }
            let missing = |block: &&usize| !state.loaded.contains_key(block);
            if let Some(&block) = state.wanted.iter().find(missing) {
                state.make_room(matrix, matrix.size_of(block), self.capacity);
                return Some(block);
            }
            state = self.wait(state);
        }
    }
}

impl State {
    /// Drops blocks that are not wanted, as long as `more` bytes have no room.
    fn make_room(&mut self, matrix: &BlockMatrix, more: u64, capacity: u64) {
        while self.bytes + more > capacity {
            let Some(block) = self.idle.pop_front() else {
                break;
            };
            self.loaded.remove(&block);
            self.bytes -= matrix.size_of(block);
        }
    }

    /// Sets which blocks are wanted. Returns whether they are others than before.
    fn want(&mut self, blocks: &[usize], next: &[usize]) -> bool {
        let wanted = || blocks.iter().chain(next);
        if self.wanted.iter().eq(wanted()) {
            return false;
        }
        self.wanted = wanted().copied().collect();
        let is_wanted: BTreeSet<usize> = self.wanted.iter().copied().collect();
        self.idle.retain(|block| !is_wanted.contains(block));
        let idle = &mut self.idle;
        let unwanted = self
            .loaded
            .keys()
            .filter(|block| !is_wanted.contains(block));
        for block in unwanted {
            if !idle.contains(block) {
                idle.push_back(*block);
            }
        }
        true
    }
}

/// Says that the thread has ended, however it ended.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.state().ended = true;
        self.0.changed.notify_all();
    }
}

fn read_ahead(matrix: &BlockMatrix, shared: &Shared, end: &Interrupt) {
    let _ended = Ended(shared);
    let _scope = end.scope();
    while let Some(block) = shared.next(matrix) {
        let read = matrix.read(block);
        let mut state = shared.state();
        match read {
            Ok(features) => {
                state.bytes += matrix.size_of(block);
                state.loaded.insert(block, Arc::new(features));
                if !state.wanted.contains(&block) {
                    state.idle.push_back(block);
                }
            }
            Err(error) => {
                state.failed = Some(error);
                return;
            }
        }
        drop(state);
        shared.changed.notify_all();
    }
}

impl BlockStream {
    /// Starts the thread. It keeps `capacity` bytes of blocks, or those that are wanted if they
    /// have more.
    pub(crate) fn start(matrix: &BlockMatrix, capacity: u64) -> Result<BlockStream> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            capacity,
        });
        let end = Interrupt::new();
        let reader = thread::Builder::new().name("blocks".to_owned()).spawn({
            let (matrix, shared, end) = (matrix.clone(), shared.clone(), end.clone());
            move || read_ahead(&matrix, &shared, &end)
        });
        let reader = reader.map_err(TableError::about("the thread that reads blocks"))?;
        Ok(BlockStream {
            matrix: matrix.clone(),
            shared,
            end,
            reader: Mutex::new(Some(reader)),
        })
    }

    pub(crate) fn matrix(&self) -> &BlockMatrix {
        &self.matrix
    }

    /// Returns rows, one run after the other, once their blocks are there.
    ///
    /// # Errors
    /// Those of reading blocks, also of blocks that are read ahead; [`Error::Interrupted`] for a
    /// stop while it waits for a block.
    pub(crate) fn draw(&self, runs: &[BlockRows]) -> Result<Features> {
        Ok(match self.matrix.kind() {
            Kind::U8 => Features::U8(self.gather(runs, |features| match features {
                Features::U8(array) => Some(array),
                Features::F32(_) | Features::F64(_) => None,
            })?),
            Kind::F32 => Features::F32(self.gather(runs, |features| match features {
                Features::F32(array) => Some(array),
                Features::U8(_) | Features::F64(_) => None,
            })?),
            Kind::F64 => Features::F64(self.gather(runs, |features| match features {
                Features::F64(array) => Some(array),
                Features::U8(_) | Features::F32(_) => None,
            })?),
        })
    }

    fn gather<T: Copy>(
        &self,
        runs: &[BlockRows],
        array: impl Fn(&Features) -> Option<&Array2<T>>,
    ) -> Result<Array2<T>> {
        let (rows, width) = (
            runs.iter().map(|run| run.rows.len()).sum(),
            self.matrix.width(),
        );
        let mut values = Vec::with_capacity(rows * width);
        for run in runs {
            let blocks = self.wait_for(run)?;
            for row in &run.rows {
                let row = *row as usize;
                let block = self.matrix.block_of(row);
                let array = blocks.get(&block).and_then(|block| array(block));
                let array = array.expect("a run names the blocks of its rows");
                let row: ArrayView1<'_, T> = array.row(row - self.matrix.rows_of(block).start);
                match row.as_slice() {
                    Some(row) => values.extend_from_slice(row),
                    None => values.extend(row.iter().copied()),
                }
            }
        }
        Ok(Array2::from_shape_vec((rows, width), values)
            .expect("there is a row of values for each index"))
    }

    /// Waits until the blocks of a run are there.
    fn wait_for(&self, run: &BlockRows) -> Result<BTreeMap<usize, Arc<Features>>> {
        let stop = interrupt::current();
        let mut state = self.shared.state();
        if state.want(&run.blocks, &run.next) {
            self.shared.changed.notify_all();
        }
        loop {
            if let Some(error) = state.failed.take() {
                return Err(error);
            }
            let mut blocks = BTreeMap::new();
            let mut missing = None;
            for block in run.blocks.iter() {
                match state.loaded.get(block) {
                    Some(features) => drop(blocks.insert(*block, features.clone())),
                    None => missing = missing.or(Some(*block)),
                }
            }
            let Some(missing) = missing else {
                return Ok(blocks);
            };
            if state.ended {
                drop(state);
                return Err(self.ended(missing));
            }
            if stop.is_requested() {
                return Err(interrupt::interrupted(
                    "reading",
                    &self.matrix.name(missing),
                ));
            }
            let waited = self.shared.changed.wait_timeout(state, POLL_INTERVAL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Why the thread has ended, which has said so before, or has panicked.
    fn ended(&self, missing: usize) -> Error {
        let reader = self.reader.lock();
        let reader = reader.unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(panic)) = reader.map(JoinHandle::join) {
            panic::resume_unwind(panic);
        }
        TableError::failed(
            self.matrix.name(missing),
            "it is not read after an error".to_owned(),
        )
    }
}

impl Drop for BlockStream {
    fn drop(&mut self) {
        self.shared.state().ending = true;
        self.shared.changed.notify_all();
        self.end.request();
        let reader = self.reader.lock();
        let reader = reader.unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reader) = reader {
            // A panic that no draw has seen has spoilt nothing.
            let _ = reader.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::Ordering, time::Instant};

    use super::*;
    use crate::data::{ReadBlock, blocks::testing::matrix};

    const ROWS: [usize; 5] = [10, 20, 0, 30, 15];

    fn run(rows: &[i64], blocks: &[usize], next: &[usize]) -> BlockRows {
        BlockRows {
            rows: rows.to_vec(),
            blocks: blocks.into(),
            next: next.into(),
        }
    }

    #[test]
    fn rows_are_drawn_in_their_order_from_the_blocks_that_are_kept() {
        let (blocks, reads) = matrix(&ROWS, usize::MAX);
        let whole = blocks.to_features().unwrap();
        reads.store(0, Ordering::SeqCst);
        let stream = BlockStream::start(&blocks, 0).unwrap();
        let first = run(&[29, 0, 12, 0], &[1, 0], &[3]);
        let second = run(&[59, 30], &[3], &[4, 1]);
        let drawn = stream.draw(&[first.clone(), second.clone()]).unwrap();
        assert_eq!(drawn, whole.select(&[29, 0, 12, 0, 59, 30]).unwrap());
        let drawn = stream.draw(std::slice::from_ref(&second)).unwrap();
        assert_eq!(drawn, whole.select(&[59, 30]).unwrap());
        let third = run(&[74, 29], &[4, 1], &[]);
        let drawn = stream.draw(&[third]).unwrap();
        assert_eq!(drawn, whole.select(&[74, 29]).unwrap());
        drop(stream);
        // Block 1 may or may not have been dropped before it was wanted again.
        assert!((4..=5).contains(&reads.load(Ordering::SeqCst)));
    }

    #[test]
    fn with_room_for_all_each_block_is_read_once() {
        let (blocks, reads) = matrix(&ROWS, usize::MAX);
        reads.store(0, Ordering::SeqCst);
        let stream = BlockStream::start(&blocks, u64::MAX / 2).unwrap();
        for _ in 0..3 {
            for block in [0, 1, 3, 4] {
                let row = blocks.rows_of(block).start as i64;
                stream.draw(&[run(&[row], &[block], &[])]).unwrap();
            }
        }
        assert_eq!(reads.load(Ordering::SeqCst), 4);
    }

    #[test]
    fn no_more_is_kept_than_is_wanted_or_has_room() {
        let (blocks, _) = matrix(&[10; 40], usize::MAX);
        let size = blocks.size_of(0);
        let stream = BlockStream::start(&blocks, 4 * size).unwrap();
        for block in 0..39 {
            let row = blocks.rows_of(block).start as i64;
            stream.draw(&[run(&[row], &[block], &[block + 1])]).unwrap();
            let state = stream.shared.state();
            assert!(state.bytes <= 4 * size);
            assert_eq!(state.bytes, state.loaded.len() as u64 * size);
        }
    }

    #[test]
    fn an_error_of_a_block_that_is_read_ahead_comes_with_a_later_draw() {
        let (blocks, _) = matrix(&ROWS, 2);
        let stream = BlockStream::start(&blocks, 0).unwrap();
        let first = run(&[0, 29], &[0, 1], &[3]);
        let error = loop {
            match stream.draw(std::slice::from_ref(&first)) {
                Ok(_) => thread::sleep(Duration::from_millis(1)),
                Err(error) => break error.to_string(),
            }
        };
        assert!(
            error.contains("part-3") && error.contains("has changed"),
            "{error}"
        );
        let again = stream.draw(&[run(&[59], &[3], &[])]).unwrap_err();
        assert!(again.to_string().contains("part-3"), "{again}");
    }

    /// Blocks whose reading ends only when it is stopped.
    #[derive(Debug)]
    struct Stuck(BlockMatrix);

    impl ReadBlock for Stuck {
        fn name(&self, block: usize) -> String {
            self.0.name(block)
        }

        fn read(&self, block: usize) -> Result<Features> {
            while !interrupt::requested() {
                thread::sleep(Duration::from_millis(1));
            }
            self.0.read(block)
        }
    }

    #[test]
    fn a_stop_ends_a_draw_that_waits_and_dropping_the_stream_what_it_reads() {
        let (inner, _) = matrix(&ROWS, usize::MAX);
        let mut shapes = crate::data::BlockShapes::new(Vec::new());
        for (block, rows) in ROWS.into_iter().enumerate() {
            let rows = Features::F32(Array2::zeros((rows, 2)));
            shapes.append(block, &rows).unwrap();
        }
        let blocks = shapes.of(Stuck(inner));
        let stop = Interrupt::new();
        let _scope = stop.scope();
        let stream = BlockStream::start(&blocks, 0).unwrap();
        let press = thread::spawn({
            let stop = stop.clone();
            move || {
                thread::sleep(Duration::from_millis(100));
                stop.request();
            }
        });
        let start = Instant::now();
        let error = stream.draw(&[run(&[0], &[0], &[])]).unwrap_err();
        assert!(matches!(error, Error::Interrupted { .. }), "{error}");
        drop(stream);
        assert!(start.elapsed() < Duration::from_secs(5));
        press.join().unwrap();
    }
}
