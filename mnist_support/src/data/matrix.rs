//! A feature matrix in memory, or in a file where memory would not hold it.

use std::{
    borrow::Cow,
    env,
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytemuck::Pod;
use ndarray::Array2;

use super::{
    BlockMatrix, Features, FeaturesView, MaxAbs, MinMaxStatistics, Moments, statistics::Statistics,
};
use crate::{Error, Result};

/// How many bytes of a matrix are handled at a time, as the widest type.
const BLOCK: usize = 16 << 20;

/// How many more bytes of matrices are kept in memory. Clones share the bytes.
#[derive(Clone, Debug)]
pub(crate) struct MemoryBudget(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    total: u64,
    left: AtomicU64,
}

impl MemoryBudget {
    pub(crate) fn of(bytes: u64) -> Self {
        MemoryBudget(Arc::new(Counts {
            total: bytes,
            left: AtomicU64::new(bytes),
        }))
    }

    pub(crate) fn unlimited() -> Self {
        Self::of(u64::MAX)
    }

    /// How many there were at the beginning.
    pub(crate) fn total(&self) -> u64 {
        self.0.total
    }

    /// How many are left.
    pub(crate) fn left(&self) -> u64 {
        self.0.left.load(Ordering::Relaxed)
    }

    /// Takes bytes, if as many are left.
    pub(crate) fn take(&self, bytes: u64) -> bool {
        let take = |left: u64| left.checked_sub(bytes);
        let taken = self
            .0
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.is_ok()
    }

    pub(crate) fn give_back(&self, bytes: u64) {
        self.0.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A matrix of features, `[rows, columns]`.
#[derive(Debug)]
pub(crate) enum Matrix {
    Memory(Features),
    /// In a file without a name, which is gone with this value.
    File(FileMatrix),
    /// In blocks of the table, each of which is read whenever it is needed.
    Blocks(BlockMatrix),
}

/// A matrix in a file: its rows, one after the other.
#[derive(Debug)]
pub(crate) struct FileMatrix {
    file: File,
    kind: Kind,
    rows: usize,
    width: usize,
}

/// The type of a matrix's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    U8,
    F32,
    F64,
}

impl Kind {
    pub(super) fn of(features: &Features) -> Kind {
        match features {
            Features::U8(_) => Kind::U8,
            Features::F32(_) => Kind::F32,
            Features::F64(_) => Kind::F64,
        }
    }

    pub(crate) fn size(self) -> usize {
        match self {
            Kind::U8 => 1,
            Kind::F32 => 4,
            Kind::F64 => 8,
        }
    }

    /// No rows of this type.
    pub(super) fn no_rows(self, width: usize) -> Features {
        match self {
            Kind::U8 => Features::U8(Array2::zeros((0, width))),
            Kind::F32 => Features::F32(Array2::zeros((0, width))),
            Kind::F64 => Features::F64(Array2::zeros((0, width))),
        }
    }

    /// The values in this type, which is as wide as theirs or wider.
    pub(super) fn widen(self, features: &Features) -> Cow<'_, Features> {
        match (self, features) {
            (Kind::F32, Features::U8(_)) => Cow::Owned(Features::F32(features.to_f32())),
            (Kind::F64, Features::U8(_) | Features::F32(_)) => {
                Cow::Owned(Features::F64(features.to_f64()))
            }
            (Kind::U8 | Kind::F32 | Kind::F64, _) => Cow::Borrowed(features),
        }
    }
}

impl From<Features> for Matrix {
    fn from(features: Features) -> Self {
        Matrix::Memory(features)
    }
}

impl Matrix {
    pub(crate) fn rows(&self) -> usize {
        match self {
            Matrix::Memory(features) => features.rows(),
            Matrix::File(file) => file.rows,
            Matrix::Blocks(blocks) => blocks.rows(),
        }
    }

    pub(crate) fn width(&self) -> usize {
        match self {
            Matrix::Memory(features) => features.width(),
            Matrix::File(file) => file.width,
            Matrix::Blocks(blocks) => blocks.width(),
        }
    }

    /// The type of the values.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Matrix::Memory(features) => Kind::of(features),
            Matrix::File(file) => file.kind,
            Matrix::Blocks(blocks) => blocks.kind(),
        }
    }

    /// The blocks, if they are read whenever they are needed.
    pub(crate) fn blocks(&self) -> Option<&BlockMatrix> {
        match self {
            Matrix::Memory(_) | Matrix::File(_) => None,
            Matrix::Blocks(blocks) => Some(blocks),
        }
    }

    /// Whether the values are 64 bits wide.
    pub(crate) fn is_f64(&self) -> bool {
        self.kind() == Kind::F64
    }

    /// All of the values, which must fit into memory.
    pub(crate) fn to_features(&self) -> Result<Cow<'_, Features>> {
        match self {
            Matrix::Memory(features) => Ok(Cow::Borrowed(features)),
            Matrix::File(file) => Ok(Cow::Owned(file.read(0..file.rows)?)),
            Matrix::Blocks(blocks) => Ok(Cow::Owned(blocks.to_features()?)),
        }
    }

    /// All of the values, which must fit into memory.
    pub(crate) fn into_features(self) -> Result<Features> {
        match self {
            Matrix::Memory(features) => Ok(features),
            Matrix::File(file) => file.read(0..file.rows),
            Matrix::Blocks(blocks) => blocks.to_features(),
        }
    }

    /// Calls `with` with the rows of a range, which must be in the matrix.
    pub(crate) fn with_rows<T>(
        &self,
        rows: Range<usize>,
        with: impl FnOnce(FeaturesView<'_>) -> Result<T>,
    ) -> Result<T> {
        match self {
            Matrix::Memory(features) => with(FeaturesView::from(features).slice(rows)),
            Matrix::File(file) => with((&file.read(rows)?).into()),
            Matrix::Blocks(blocks) => {
                let rows: Vec<usize> = rows.collect();
                with((&blocks.select(&rows)?).into())
            }
        }
    }

    /// Calls `each` with some rows after the other, and the index of their first.
    pub(crate) fn for_each_block(
        &self,
        mut each: impl FnMut(FeaturesView<'_>, usize) -> Result<()>,
    ) -> Result<()> {
        if let Matrix::Blocks(blocks) = self {
            return blocks.for_each_block(|block, start| each(block.into(), start));
        }
        let rows = (BLOCK / (self.width() * size_of::<f64>()).max(1)).max(1);
        for start in (0..self.rows()).step_by(rows) {
            let range = start..(start + rows).min(self.rows());
            self.with_rows(range, |block| each(block, start))?;
        }
        Ok(())
    }

    /// The extremes of each column.
    ///
    /// # Errors
    /// Those of [`MinMaxStatistics::of`].
    pub(crate) fn min_max(&self) -> Result<MinMaxStatistics> {
        let none = MinMaxStatistics::empty(self.width());
        let known = |known: &Statistics| known.min_max.clone();
        self.learn(known, none, |all, block| {
            all.merge(&MinMaxStatistics::of(block)?)
        })
    }

    /// The largest absolute value of each column.
    pub(crate) fn max_abs(&self) -> Result<MaxAbs> {
        let none = MaxAbs::empty(self.width());
        let known = |known: &Statistics| known.max_abs.clone();
        self.learn(known, none, |all, block| {
            all.add(block);
            Ok(())
        })
    }

    /// The mean and the spread of each column.
    pub(crate) fn moments(&self) -> Result<Moments> {
        let none = Moments::empty(self.width());
        let known = |known: &Statistics| known.moments.clone();
        self.learn(known, none, |all, block| all.merge(&Moments::of(block)))
    }

    /// What is known of blocks without another pass, or else what `add` makes of all rows.
    fn learn<T>(
        &self,
        known: impl Fn(&Statistics) -> Option<T>,
        mut all: T,
        add: impl Fn(&mut T, FeaturesView<'_>) -> Result<()>,
    ) -> Result<T> {
        if let Some(known) = self.blocks().and_then(|blocks| known(blocks.statistics())) {
            return Ok(known);
        }
        self.for_each_block(|block, _| add(&mut all, block))?;
        Ok(all)
    }

    /// Makes a matrix of what `map` makes of some rows after the other: as many rows and columns,
    /// of the type `kind`. It is given the index of their first. Blocks of a table are mapped
    /// whenever they are read.
    pub(crate) fn map(
        &self,
        budget: &MemoryBudget,
        kind: Kind,
        map: impl Fn(FeaturesView<'_>, usize) -> Result<Features> + Send + Sync + 'static,
    ) -> Result<Matrix> {
        if let Matrix::Blocks(blocks) = self {
            let map = move |block: Features, start| map((&block).into(), start);
            return Ok(Matrix::Blocks(blocks.map(kind, map)));
        }
        let mut mapped = MatrixBuilder::new(budget);
        if self.rows() == 0 {
            self.with_rows(0..0, |nothing| mapped.append(map(nothing, 0)?))?;
        }
        self.for_each_block(|block, start| mapped.append(map(block, start)?))?;
        Ok(mapped.finish())
    }

    /// Selects rows by index, in this order.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] unless every index is below the number of rows.
    pub(crate) fn select(&self, indices: &[usize]) -> Result<Features> {
        match self {
            Matrix::Memory(features) => features.select(indices),
            Matrix::File(file) => file.select(indices),
            Matrix::Blocks(blocks) => blocks.select(indices),
        }
    }

    /// Like [`select`](Self::select), for more rows than memory may hold, in ascending order. Of
    /// blocks of a table, they are selected whenever a block is read.
    pub(crate) fn select_all(&self, indices: &[usize], budget: &MemoryBudget) -> Result<Matrix> {
        if let Matrix::Blocks(blocks) = self {
            return Ok(Matrix::Blocks(blocks.keep(indices)));
        }
        let mut selected = MatrixBuilder::new(budget);
        let rows = (BLOCK / (self.width() * size_of::<f64>()).max(1)).max(1);
        for some in indices.chunks(rows) {
            selected.append(self.select(some)?)?;
        }
        if indices.is_empty() {
            selected.append(self.select(&[])?)?;
        }
        Ok(selected.finish())
    }
}

impl FileMatrix {
    fn new(kind: Kind, width: usize) -> Result<FileMatrix> {
        Ok(FileMatrix {
            file: tempfile::tempfile().map_err(failed("making a file in"))?,
            kind,
            rows: 0,
            width,
        })
    }

    fn row_size(&self) -> usize {
        self.kind.size() * self.width
    }

    fn append(&mut self, features: &Features) -> Result<()> {
        if features.width() != self.width {
            return Err(Error::ShapeMismatch {
                what: "a row of features".to_owned(),
                found: vec![features.width() as i64],
                expected: format!("{} features, as in the rows before,", self.width),
            });
        }
        let place = (self.rows * self.row_size()) as u64;
        let written = match &*self.kind.widen(features) {
            Features::U8(array) => self.file.write_all_at(bytes(&values(array)), place),
            Features::F32(array) => self.file.write_all_at(bytes(&values(array)), place),
            Features::F64(array) => self.file.write_all_at(bytes(&values(array)), place),
        };
        written.map_err(failed("writing features to a file in"))?;
        self.rows += features.rows();
        Ok(())
    }

    /// The same rows, with values as wide as `kind`.
    fn widened(&self, kind: Kind) -> Result<FileMatrix> {
        let mut wider = FileMatrix::new(kind, self.width)?;
        let rows = (BLOCK / self.row_size().max(1)).max(1);
        for start in (0..self.rows).step_by(rows) {
            wider.append(&self.read(start..(start + rows).min(self.rows))?)?;
        }
        Ok(wider)
    }

    fn read(&self, rows: Range<usize>) -> Result<Features> {
        let (start, count) = (rows.start, rows.len());
        Ok(match self.kind {
            Kind::U8 => Features::U8(self.array(count, |values| self.fill(values, start))?),
            Kind::F32 => Features::F32(self.array(count, |values| self.fill(values, start))?),
            Kind::F64 => Features::F64(self.array(count, |values| self.fill(values, start))?),
        })
    }

    fn select(&self, indices: &[usize]) -> Result<Features> {
        if let Some(&index) = indices.iter().find(|&&index| index >= self.rows) {
            return Err(Error::ShapeMismatch {
                what: "the matrix of features".to_owned(),
                found: vec![self.rows as i64, self.width as i64],
                expected: format!("a row of index {index}"),
            });
        }
        let count = indices.len();
        Ok(match self.kind {
            Kind::U8 => Features::U8(self.array(count, |values| self.gather(values, indices))?),
            Kind::F32 => Features::F32(self.array(count, |values| self.gather(values, indices))?),
            Kind::F64 => Features::F64(self.array(count, |values| self.gather(values, indices))?),
        })
    }

    fn array<T: Pod>(
        &self,
        rows: usize,
        fill: impl FnOnce(&mut [T]) -> Result<()>,
    ) -> Result<Array2<T>> {
        let mut values = vec![T::zeroed(); rows * self.width];
        fill(&mut values)?;
        Ok(Array2::from_shape_vec((rows, self.width), values)
            .expect("there is a value for each column of each row"))
    }

    /// Reads the rows from `start` on.
    fn fill<T: Pod>(&self, values: &mut [T], start: usize) -> Result<()> {
        let place = (start * self.row_size()) as u64;
        let bytes = bytemuck::cast_slice_mut(values);
        let read = self.file.read_exact_at(bytes, place);
        read.map_err(failed("reading features from a file in"))
    }

    fn gather<T: Pod>(&self, values: &mut [T], indices: &[usize]) -> Result<()> {
        let rows = values.chunks_mut(self.width.max(1));
        let mut rows = rows.zip(indices);
        rows.try_for_each(|(row, index)| self.fill(row, *index))
    }
}

fn values<T: Pod>(array: &Array2<T>) -> Cow<'_, [T]> {
    match array.as_slice() {
        Some(values) => Cow::Borrowed(values),
        None => Cow::Owned(array.iter().copied().collect()),
    }
}

fn bytes<T: Pod>(values: &[T]) -> &[u8] {
    bytemuck::cast_slice(values)
}

fn failed(operation: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io {
        operation,
        path: env::temp_dir(),
        source,
    }
}

/// Puts rows together, in memory as long as the budget has bytes for them, else in a file.
#[derive(Debug)]
pub(crate) struct MatrixBuilder {
    matrix: Option<Matrix>,
    budget: MemoryBudget,
    /// The bytes of the budget that the matrix takes.
    taken: u64,
}

impl MatrixBuilder {
    pub(crate) fn new(budget: &MemoryBudget) -> Self {
        MatrixBuilder {
            matrix: None,
            budget: budget.clone(),
            taken: 0,
        }
    }

    /// Appends rows. The matrix has the widest type of all of them.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] for rows of another width; [`Error::Io`] for a file that cannot be
    /// written.
    pub(crate) fn append(&mut self, more: Features) -> Result<()> {
        // No rows may have lost their width.
        let matrix = match self.matrix.take() {
            Some(matrix) if matrix.rows() > 0 => matrix,
            _ => Matrix::Memory(more.select(&[])?),
        };
        if matrix.rows() > 0 && more.rows() == 0 {
            self.matrix = Some(matrix);
            return Ok(());
        }
        self.matrix = Some(match matrix {
            Matrix::Memory(own) => self.append_in_memory(own, more)?,
            Matrix::File(own) => append_to_file(own, &more)?,
            Matrix::Blocks(_) => unreachable!("a builder makes no matrix of blocks"),
        });
        Ok(())
    }

    fn append_in_memory(&mut self, mut own: Features, more: Features) -> Result<Matrix> {
        let kind = Kind::of(&own).max(Kind::of(&more));
        let values = (own.rows() + more.rows()) * own.width();
        let needed = (values * kind.size()) as u64;
        if self.budget.take(needed.saturating_sub(self.taken)) {
            self.taken = needed.max(self.taken);
            if own.rows() == 0 {
                return Ok(Matrix::Memory(more));
            }
            own.append(&more)?;
            return Ok(Matrix::Memory(own));
        }
        let mut file = FileMatrix::new(kind, own.width())?;
        file.append(&own)?;
        drop(own);
        self.budget.give_back(self.taken);
        self.taken = 0;
        append_to_file(file, &more)
    }

    /// The matrix of all rows: one without columns if there were none.
    pub(crate) fn finish(self) -> Matrix {
        let nothing = || Matrix::Memory(Features::U8(Array2::zeros((0, 0))));
        self.matrix.unwrap_or_else(nothing)
    }
}

fn append_to_file(own: FileMatrix, more: &Features) -> Result<Matrix> {
    let kind = Kind::of(more);
    let mut file = if kind > own.kind {
        own.widened(kind)?
    } else {
        own
    };
    file.append(more)?;
    Ok(Matrix::File(file))
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    fn rows() -> [Features; 3] {
        [
            Features::U8(arr2(&[[1, 2], [3, 4]])),
            Features::F32(arr2(&[[0.5, -1.0]])),
            Features::F64(arr2(&[[1e300, 5.0], [6.0, 7.0]])),
        ]
    }

    fn built(budget: u64) -> Matrix {
        let mut builder = MatrixBuilder::new(&MemoryBudget::of(budget));
        for some in rows() {
            builder.append(some).unwrap();
        }
        builder.finish()
    }

    #[test]
    fn a_matrix_in_a_file_has_the_values_of_one_in_memory() {
        let expected = Features::F64(arr2(&[
            [1.0, 2.0],
            [3.0, 4.0],
            [0.5, -1.0],
            [1e300, 5.0],
            [6.0, 7.0],
        ]));
        // In a file from the first rows on, from the second or the third, and never.
        for (budget, in_file) in [(0, true), (4, true), (40, true), (80, false)] {
            let matrix = built(budget);
            assert_eq!(matches!(matrix, Matrix::File(_)), in_file, "{budget}");
            assert_eq!(*matrix.to_features().unwrap(), expected, "{budget}");
            assert_eq!((matrix.rows(), matrix.width()), (5, 2));
            let some = matrix.select(&[4, 0, 4]).unwrap();
            assert_eq!(some, expected.select(&[4, 0, 4]).unwrap());
            assert!(matrix.select(&[5]).is_err());
            let none = MemoryBudget::of(0);
            let all = matrix.select_all(&[3, 1], &none).unwrap();
            assert!(matches!(all, Matrix::File(_)));
            assert_eq!(
                *all.to_features().unwrap(),
                expected.select(&[3, 1]).unwrap()
            );
            let same = matrix.map(&none, Kind::F64, |block, _| block.select(&[0, 1, 2, 3, 4]));
            assert_eq!(*same.unwrap().to_features().unwrap(), expected);
        }
    }

    #[test]
    fn a_budget_is_shared_and_what_goes_to_a_file_is_given_back() {
        let budget = MemoryBudget::of(6);
        let mut first = MatrixBuilder::new(&budget);
        first.append(Features::U8(arr2(&[[1, 2], [3, 4]]))).unwrap();
        let mut second = MatrixBuilder::new(&budget);
        second.append(Features::U8(arr2(&[[1], [2], [3]]))).unwrap();
        assert!(matches!(second.finish(), Matrix::File(_)));
        first.append(Features::U8(arr2(&[[5, 6], [7, 8]]))).unwrap();
        let mut third = MatrixBuilder::new(&budget);
        third
            .append(Features::U8(arr2(&[[1, 2, 3, 4, 5, 6]])))
            .unwrap();
        assert!(matches!(third.finish(), Matrix::Memory(_)));
        let first = first.finish();
        assert!(matches!(first, Matrix::File(_)));
        let expected = Features::U8(arr2(&[[1, 2], [3, 4], [5, 6], [7, 8]]));
        assert_eq!(*first.to_features().unwrap(), expected);
    }

    #[test]
    fn rows_of_another_width_are_refused() {
        let mut builder = MatrixBuilder::new(&MemoryBudget::unlimited());
        builder.append(Features::U8(arr2(&[[1, 2]]))).unwrap();
        builder.append(Features::U8(Array2::zeros((0, 0)))).unwrap();
        let error = builder.append(Features::U8(arr2(&[[1]]))).unwrap_err();
        assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
    }
}
