//! The rows of one rank as they pass through a pipeline.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, atomic::Ordering},
};

use ndarray::Array2;
use polars::prelude::*;

use super::column_blocks::ColumnBlocks;
use crate::{
    Error, Result,
    collective::{Collective, ReduceOp, all_reduce_f64},
    data::{
        Affine, BlockShapes, Features, FeaturesView, Indices, Kind, Matrix, MatrixBuilder,
        MemoryBudget, Statistic, TableRows, TargetValues, check_finite, check_targets, fits_f32,
    },
    error::TableError,
    lake::{
        self,
        reading::{Meter, OnProgress},
    },
    shard::Shard,
    text,
};

/// A vector column: a matrix as it was read, and the scaling of its values.
///
/// A column and its scaled version share the matrix, and the scaling is not applied until the
/// values are used: 60,000 images stay 47 MB of `u8` throughout a fit.
#[derive(Clone, Debug)]
pub(super) struct Vector {
    pub(super) features: Arc<Matrix>,
    pub(super) scaling: Option<Affine>,
}

/// Where rows are from.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    name: String,
    shard: Shard,
    /// How many rows of the shard come before these.
    first: usize,
    /// The indices in the shard of the rows that are left, once some were left out.
    kept: Option<Arc<Vec<usize>>>,
}

impl Origin {
    /// The table's name and where its rows are from, for error messages.
    pub(super) fn rows(&self) -> TableRows<'_> {
        let indices = match &self.kept {
            None => Indices::From(self.first),
            Some(kept) => Indices::Kept(kept),
        };
        TableRows::of_shard(&self.shard, &self.name, indices)
    }
}

/// Prepares a piece of a table as it is read.
pub(crate) type Prepare = Box<dyn Fn(&mut Table) -> Result<()> + Send>;

/// What is read of a table, for one of its vector columns: the columns, and what prepares them.
pub(crate) struct ColumnReading {
    pub(crate) columns: Vec<String>,
    pub(crate) prepare: Prepare,
}

/// How the vector columns of a table are read whenever they are needed.
pub(crate) struct Streaming<'a> {
    /// Those that are kept in memory instead.
    pub(crate) kept: &'a [String],
    /// What is learnt from which of them.
    pub(crate) statistics: &'a [(&'a str, Statistic)],
    /// How one of them is read again.
    pub(crate) reading: &'a dyn Fn(&str) -> ColumnReading,
}

/// A data frame, with the vector columns that the stages so far have added.
#[derive(Debug)]
pub(crate) struct Table {
    origin: Origin,
    frame: DataFrame,
    vectors: BTreeMap<String, Vector>,
    /// The names of `vectors`, in the order in which they were added.
    added: Vec<String>,
    /// What vector columns may take of memory.
    budget: MemoryBudget,
}

impl Table {
    /// A table of rows of a shard, which come after its `first` rows.
    pub(crate) fn new(shard: &Shard, frame: DataFrame, first: usize) -> Self {
        Table {
            origin: Origin {
                name: shard.name(),
                shard: shard.clone(),
                first,
                kept: None,
            },
            frame,
            vectors: BTreeMap::new(),
            added: Vec::new(),
            budget: MemoryBudget::unlimited(),
        }
    }

    /// Reads the rows of a shard piece by piece, each of which `prepare` prepares: all columns, or
    /// at least those of `columns` that there are. Vector columns that `budget` has no room for are
    /// kept in files.
    pub(crate) fn read(
        shard: &Shard,
        columns: Option<&[String]>,
        budget: &MemoryBudget,
        on_progress: OnProgress<'_>,
        prepare: impl Fn(&mut Table) -> Result<()>,
    ) -> Result<Self> {
        let (mut whole, mut first): (Option<Table>, _) = (None, 0);
        let mut vectors: BTreeMap<String, MatrixBuilder> = BTreeMap::new();
        shard.read_each(columns, on_progress, &mut |frame| {
            let rows = frame.height();
            let mut piece = Table::new(shard, frame, first);
            prepare(&mut piece)?;
            for (name, vector) in std::mem::take(&mut piece.vectors) {
                let about = |error| about_piece(error, shard, first, &name);
                let builder = vectors.entry(name.clone());
                let builder = builder.or_insert_with(|| MatrixBuilder::new(budget));
                builder.append(vector.into_features()?).map_err(about)?;
            }
            match &mut whole {
                None => whole = Some(piece),
                Some(whole) => whole.append(piece, rows)?,
            }
            first += rows;
            Ok(())
        })?;
        let mut whole = whole.unwrap_or_else(|| Table::new(shard, DataFrame::empty(), 0));
        whole.frame.rechunk_mut_par();
        whole.budget = budget.clone();
        let vectors = vectors.into_iter();
        let vectors = vectors.map(|(name, vector)| (name, Vector::new(vector.finish())));
        whole.vectors = vectors.collect();
        Ok(whole)
    }

    /// Like [`read`](Self::read), from a shard's blocks, and without keeping vector columns: their
    /// blocks are read again whenever they are needed.
    pub(crate) fn read_blocks(
        shard: &Shard,
        blocks: Vec<Shard>,
        columns: Option<&[String]>,
        on_progress: OnProgress<'_>,
        prepare: impl Fn(&mut Table) -> Result<()>,
        streaming: &Streaming<'_>,
    ) -> Result<Self> {
        let Streaming {
            kept,
            statistics,
            reading,
        } = streaming;
        let (mut whole, mut first): (Option<Table>, _) = (None, 0);
        let mut streamed: BTreeMap<String, BlockShapes> = BTreeMap::new();
        let mut vectors: BTreeMap<String, MatrixBuilder> = BTreeMap::new();
        let name = shard.name();
        let name = name.rsplit('/').next().unwrap_or(&name);
        let meter = Meter::start(name, blocks.iter().map(Shard::bytes).sum(), on_progress);
        for (index, block) in blocks.iter().enumerate() {
            block.read_each(columns, on_progress, &mut |frame| {
                let rows = frame.height();
                let mut piece = Table::new(shard, frame, first);
                prepare(&mut piece)?;
                piece.take_lists(kept)?;
                for (name, vector) in std::mem::take(&mut piece.vectors) {
                    let features = vector.into_features()?;
                    if kept.contains(&name) {
                        let new = || MatrixBuilder::new(&MemoryBudget::unlimited());
                        vectors.entry(name).or_insert_with(new).append(features)?;
                    } else {
                        let wanted = || {
                            let own = statistics.iter().filter(|(column, _)| *column == name);
                            own.map(|(_, statistic)| *statistic).collect()
                        };
                        let new = || BlockShapes::new(wanted());
                        let shapes = streamed.entry(name.clone()).or_insert_with(new);
                        shapes.append(index, &features)?;
                    }
                }
                match &mut whole {
                    None => whole = Some(piece),
                    Some(whole) => whole.append(piece, rows)?,
                }
                first += rows;
                Ok(())
            })?;
            meter.counter().fetch_add(block.bytes(), Ordering::Relaxed);
            meter.report_if_due();
        }
        let mut whole = whole.unwrap_or_else(|| Table::new(shard, DataFrame::empty(), 0));
        whole.frame.rechunk_mut_par();
        let blocks: Arc<[Shard]> = blocks.into();
        let kept = vectors.into_iter();
        let kept = kept.map(|(name, vector)| (name, Vector::new(vector.finish())));
        whole.vectors = kept.collect();
        for (name, shapes) in streamed {
            let source = ColumnBlocks::new(&blocks, &name, reading(&name));
            let matrix = Matrix::Blocks(shapes.of(source));
            whole.vectors.insert(name, Vector::new(matrix));
        }
        Ok(whole)
    }

    /// Makes vector columns of the frame's list columns, but for those that are kept.
    fn take_lists(&mut self, kept: &[String]) -> Result<()> {
        let lists = self.frame.columns().iter();
        let lists = lists.filter(|column| matches!(column.dtype(), DataType::List(_)));
        let names = lists.map(|column| column.name().to_string());
        let names: Vec<String> = names.filter(|name| !kept.contains(name)).collect();
        for name in &names {
            let vector = self.vector(name)?;
            self.vectors.insert(name.clone(), vector);
            let placeholder = self.placeholder(name);
            let replaced = self.frame.with_column(placeholder).map(|_| ());
            replaced.map_err(|error| self.error(error))?;
        }
        Ok(())
    }

    /// A column that only says how many rows there are.
    fn placeholder(&self, name: &str) -> Column {
        Column::full_null(name.into(), self.frame.height(), &DataType::Boolean)
    }

    /// Sets what vector columns may take of memory.
    pub(crate) fn with_budget(self, budget: &MemoryBudget) -> Self {
        Table {
            budget: budget.clone(),
            ..self
        }
    }

    /// Appends the next piece of the shard, which had this many rows before it was prepared, but
    /// for its vectors.
    fn append(&mut self, piece: Table, rows: usize) -> Result<()> {
        let (own, next) = (&mut self.origin, piece.origin);
        if own.kept.is_some() || next.kept.is_some() {
            let before = || Arc::new((own.first..next.first).collect());
            let mut kept: Arc<Vec<usize>> = own.kept.take().unwrap_or_else(before);
            match next.kept {
                Some(more) => Arc::make_mut(&mut kept).extend(more.iter()),
                None => Arc::make_mut(&mut kept).extend(next.first..next.first + rows),
            }
            own.kept = Some(kept);
        }
        lake::append(&mut self.frame, piece.frame, &own.name)
    }

    /// What vector columns may take of memory.
    pub(super) fn budget(&self) -> &MemoryBudget {
        &self.budget
    }

    /// Drops the columns that are not among these.
    pub(crate) fn retain(&mut self, columns: &[&str]) {
        let kept = self.frame.columns().iter();
        let kept = kept.filter(|column| columns.contains(&column.name().as_str()));
        let mut kept: Vec<Column> = kept.cloned().collect();
        if kept.is_empty()
            && let Some(first) = self.frame.columns().first()
        {
            // Without a column, rows could not be left out.
            kept.push(self.placeholder(first.name()));
        }
        self.frame =
            DataFrame::new(self.frame.height(), kept).expect("some columns of a frame are a frame");
        self.vectors
            .retain(|name, _| columns.contains(&name.as_str()));
        self.added.retain(|name| columns.contains(&name.as_str()));
    }

    pub(super) fn name(&self) -> &str {
        &self.origin.name
    }

    /// The table's name and where its rows are from, for error messages.
    pub(super) fn rows(&self) -> TableRows<'_> {
        self.origin.rows()
    }

    /// Where the rows are from.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(super) fn frame(&self) -> &DataFrame {
        &self.frame
    }

    /// The numbers of the parts of the table that the rows are from, and how many are of each, if
    /// the rank may get other parts.
    pub(super) fn parts(&self) -> Option<Vec<(usize, usize)>> {
        let parts = self.origin.shard.parts_read()?;
        let Some(kept) = &self.origin.kept else {
            return Some(parts);
        };
        let (mut end, mut rest) = (0, &kept[..]);
        let left = parts.into_iter().map(|(part, rows)| {
            end += rows;
            let (own, after) = rest.split_at(rest.partition_point(|row| *row < end));
            rest = after;
            (part, own.len())
        });
        Some(left.collect())
    }

    /// The number of rows.
    pub(super) fn height(&self) -> usize {
        self.frame.height()
    }

    /// Leaves out the rows for which `keep` is false.
    pub(super) fn keep(&mut self, keep: &[bool]) -> Result<()> {
        if keep.iter().all(|keep| *keep) {
            return Ok(());
        }
        let mask = BooleanChunked::from_slice("".into(), keep);
        self.frame = self
            .frame
            .filter(&mask)
            .map_err(|error| self.error(error))?;
        let rows: Vec<usize> = (0..keep.len()).filter(|row| keep[*row]).collect();
        // Columns that share a matrix still do.
        let mut selected: Vec<(Arc<Matrix>, Arc<Matrix>)> = Vec::new();
        for vector in self.vectors.values_mut() {
            let known = selected
                .iter()
                .find(|(whole, _)| Arc::ptr_eq(whole, &vector.features));
            let part = match known {
                Some((_, part)) => part.clone(),
                None => {
                    let part = Arc::new(vector.features.select_all(&rows, &self.budget)?);
                    selected.push((vector.features.clone(), part.clone()));
                    part
                }
            };
            vector.features = part;
        }
        let origin = &mut self.origin;
        origin.kept = Some(Arc::new(match &origin.kept {
            None => rows.into_iter().map(|row| origin.first + row).collect(),
            Some(kept) => rows.into_iter().map(|row| kept[row]).collect(),
        }));
        Ok(())
    }

    /// Adds or replaces a column of the frame.
    pub(super) fn set_column(&mut self, column: Series) -> Result<()> {
        let added = self.frame.with_column(column.into()).map(|_| ());
        added.map_err(|error| self.error(error))
    }

    /// Adds or replaces a vector column.
    pub(super) fn set_vector(&mut self, name: &str, vector: Vector) {
        if self.vectors.insert(name.to_owned(), vector).is_none() {
            self.added.push(name.to_owned());
        }
    }

    /// Whether a stage has added a vector column of this name.
    pub(super) fn has_vector(&self, name: &str) -> bool {
        self.vectors.contains_key(name)
    }

    /// Returns a vector column: one that a stage has added, or a list column of the frame.
    pub(super) fn vector(&self, name: &str) -> Result<Vector> {
        if let Some(vector) = self.vectors.get(name) {
            return Ok(vector.clone());
        }
        let Ok(column) = self.frame.column(name) else {
            return Err(Error::Table(TableError::ColumnNotFound {
                table: self.origin.name.clone(),
                column: name.to_owned(),
                available: format!(
                    "the vector columns [{}]; a VectorAssembler makes one out of number columns",
                    self.added.join(", ")
                ),
            }));
        };
        let refused = |found: String, expected: &str| {
            Error::Table(TableError::ColumnType {
                table: self.origin.name.clone(),
                column: name.to_owned(),
                found,
                expected: expected.to_owned(),
            })
        };
        if !matches!(column.dtype(), DataType::List(_)) {
            return Err(refused(
                column.dtype().to_string(),
                "a vector column, as a VectorAssembler makes,",
            ));
        }
        match list_to_matrix(column).map_err(|error| self.error(error))? {
            Some(features) => {
                // As for a VectorAssembler's columns.
                check_finite(&features)?;
                Ok(Vector::new(features))
            }
            None => Err(refused(
                "a list of uneven lengths or with nulls".to_owned(),
                "a list with the same number of values in every row",
            )),
        }
    }

    /// Takes the values of a vector column as it was read.
    pub(super) fn take_vector(&mut self, name: &str) -> Result<Features> {
        match self.vectors.remove(name) {
            Some(vector) => vector.into_features(),
            None => self.vector(name)?.into_features(),
        }
    }

    /// Returns the scaling of a vector column: a factor and an offset for each of its columns.
    pub(crate) fn scaling_of(&self, name: &str) -> Result<Option<(Vec<f32>, Vec<f32>)>> {
        Ok(self.vector(name)?.scaling.map(|affine| affine.to_f32()))
    }

    /// Returns the vector column that a stage has added under the only one of these names.
    pub(super) fn added_vector(&self, columns: &[String]) -> Option<&Vector> {
        match columns {
            [name] => self.vectors.get(name),
            _ => None,
        }
    }

    /// Returns a vector column's values as targets.
    pub(super) fn vector_targets(
        &self,
        vector: &Vector,
        columns: &[String],
        width: usize,
        values: TargetValues,
    ) -> Result<Array2<f32>> {
        let found = vector.features.width();
        if found != width {
            return Err(Error::ShapeMismatch {
                what: format!(
                    "a row of the vector column {columns:?} of {}",
                    self.origin.name
                ),
                found: vec![found as i64],
                expected: format!("{width} values, one for each output of the network,"),
            });
        }
        check_targets(vector.to_f32()?, columns, values, self.rows())
    }

    /// Returns a vector column that a stage with the other ranks learns from: of the same width in
    /// all of them, even where there are no rows to know it by.
    pub(super) fn vector_to_learn(
        &self,
        name: &str,
        collective: &dyn Collective,
    ) -> Result<Vector> {
        let vector = self.vector(name)?;
        let own = [vector.width() as f64];
        let widest = all_reduce_f64(&own, ReduceOp::Max, collective)?[0] as usize;
        let vector = vector.widened_if_empty(widest);
        if vector.width() == widest {
            return Ok(vector);
        }
        Err(Error::ShapeMismatch {
            what: format!("the vector column {name:?} of {}", self.origin.name),
            found: vec![vector.features.rows() as i64, vector.width() as i64],
            expected: format!("{widest} features, as in another partition,"),
        })
    }

    /// Returns a vector column, which has as many features as a scaler was fitted on.
    pub(super) fn vector_of_width(&self, name: &str, width: usize) -> Result<Vector> {
        let vector = self.vector(name)?.widened_if_empty(width);
        if vector.width() == width {
            return Ok(vector);
        }
        Err(Error::ShapeMismatch {
            what: format!("the vector column {name:?} of {}", self.origin.name),
            found: vec![vector.features.rows() as i64, vector.width() as i64],
            expected: format!("{width} features, as the scaler was fitted on,"),
        })
    }

    /// Drops the vector columns of these names.
    pub(crate) fn drop_vectors(&mut self, names: &[&str]) {
        self.vectors
            .retain(|name, _| !names.contains(&name.as_str()));
        self.added.retain(|name| !names.contains(&name.as_str()));
    }

    /// The frame with its vector columns as lists.
    pub(crate) fn into_frame(mut self) -> Result<DataFrame> {
        for name in std::mem::take(&mut self.added) {
            if let Some(vector) = self.vectors.remove(&name) {
                let column = vector.to_list(&name, &self.origin.name)?;
                self.set_column(column)?;
            }
        }
        Ok(self.frame)
    }

    /// These columns, in this order, the vector columns among them as lists.
    pub(crate) fn select(&self, columns: &[String]) -> Result<DataFrame> {
        let column = |name: &String| match self.vectors.get(name) {
            Some(vector) => Ok(vector.to_list(name, &self.origin.name)?.into_column()),
            None => match self.frame.column(name) {
                Ok(column) => Ok(column.clone()),
                Err(_) => Err(Error::Table(TableError::ColumnNotFound {
                    table: self.origin.name.clone(),
                    column: name.clone(),
                    available: text::columns(&self.frame.get_column_names_owned()),
                })),
            },
        };
        let columns = columns.iter().map(column).collect::<Result<Vec<_>>>()?;
        DataFrame::new(self.frame.height(), columns).map_err(|error| self.error(error))
    }

    fn error(&self, error: PolarsError) -> Error {
        TableError::failed(&self.origin.name, error)
    }
}

impl Vector {
    /// A vector column of values as they are.
    pub(super) fn new(features: impl Into<Matrix>) -> Vector {
        Vector {
            features: Arc::new(features.into()),
            scaling: None,
        }
    }

    /// The values, which must fit into memory, of a column without a scaling, as the stages that
    /// learn nothing make it.
    fn into_features(self) -> Result<Features> {
        match Arc::try_unwrap(self.features) {
            Ok(features) => features.into_features(),
            Err(shared) => Ok(shared.to_features()?.into_owned()),
        }
    }

    /// Returns the same features with a further scaling, feature by feature.
    pub(super) fn scaled_by(self, scaling: Affine) -> Vector {
        Vector {
            features: self.features,
            scaling: Some(match self.scaling {
                None => scaling,
                Some(first) => first.then(&scaling),
            }),
        }
    }

    /// Returns no rows of this width, if there are none: lists without rows don't tell theirs.
    pub(super) fn widened_if_empty(self, width: usize) -> Vector {
        match self.features.rows() == 0 && self.width() != width {
            true => Vector::new(Features::F32(Array2::zeros((0, width)))),
            false => self,
        }
    }

    /// The number of columns.
    pub(super) fn width(&self) -> usize {
        self.features.width()
    }

    /// The scaled values as a network takes them, which must fit into memory.
    pub(super) fn to_f32(&self) -> Result<Array2<f32>> {
        scaled_f32(
            self.scaling.as_ref(),
            (&*self.features.to_features()?).into(),
        )
    }

    /// A matrix of the scaled values as a network takes them. `check` is given some rows after the
    /// other, and the index of their first: those of blocks of a table whenever they are read.
    pub(super) fn map_f32(
        &self,
        budget: &MemoryBudget,
        check: impl Fn(&Array2<f32>, usize) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Matrix> {
        let scaling = self.scaling.clone();
        self.features.map(budget, Kind::F32, move |block, start| {
            let values = scaled_f32(scaling.as_ref(), block)?;
            check(&values, start)?;
            Ok(Features::F32(values))
        })
    }

    /// A matrix of what `change` makes of the scaled values.
    pub(super) fn map_f64(
        &self,
        budget: &MemoryBudget,
        change: impl Fn(&mut Array2<f64>) + Send + Sync + 'static,
    ) -> Result<Matrix> {
        let scaling = self.scaling.clone();
        self.features.map(budget, Kind::F64, move |block, _| {
            let mut values = scaled_f64(scaling.as_ref(), block);
            change(&mut values);
            Ok(Features::F64(values))
        })
    }

    /// Calls `each` with the scaled values of some rows after the other.
    pub(super) fn for_each_block(&self, mut each: impl FnMut(&Array2<f64>)) -> Result<()> {
        self.features.for_each_block(|block, _| {
            each(&scaled_f64(self.scaling.as_ref(), block));
            Ok(())
        })
    }

    /// The scaled values of some columns.
    pub(super) fn columns(&self, columns: Range<usize>) -> Result<Vec<Vec<f64>>> {
        let mut values = vec![Vec::with_capacity(self.features.rows()); columns.len()];
        self.features.for_each_block(|block, _| {
            let block = block.columns(columns.clone()).to_f64();
            for ((column, own), values) in columns.clone().zip(block.columns()).zip(&mut values) {
                match &self.scaling {
                    None => values.extend(own),
                    Some(affine) => values.extend(own.iter().map(|own| affine.at(column, *own))),
                }
            }
            Ok(())
        })?;
        Ok(values)
    }

    /// The scaled values in the type of the column that users get. Bytes become 32 bits wide,
    /// which keeps a table of images small.
    pub(super) fn values(&self) -> Result<Features> {
        let features = self.features.to_features()?;
        Ok(match (&self.scaling, &*features) {
            (None, _) => features.into_owned(),
            (Some(affine), Features::U8(_)) => {
                Features::F32(scaled_f32(Some(affine), (&*features).into())?)
            }
            (Some(affine), Features::F32(_) | Features::F64(_)) => {
                Features::F64(scaled_f64(Some(affine), (&*features).into()))
            }
        })
    }

    /// The values as a list column.
    fn to_list(&self, name: &str, table: &str) -> Result<Series> {
        let (rows, width) = (self.features.rows(), self.features.width());
        let name = PlSmallStr::from_str(name);
        let values = match self.values()? {
            Features::U8(matrix) => Series::from_vec(name, matrix.into_iter().collect::<Vec<u8>>()),
            Features::F32(matrix) => {
                Series::from_vec(name, matrix.into_iter().collect::<Vec<f32>>())
            }
            Features::F64(matrix) => {
                Series::from_vec(name, matrix.into_iter().collect::<Vec<f64>>())
            }
        };
        if rows == 0 {
            // polars cannot infer the type of lists when there are no rows.
            let lists = DataType::List(Box::new(values.dtype().clone()));
            return Ok(Series::new_empty(values.name().clone(), &lists));
        }
        let shape = [rows, width].map(|length| ReshapeDimension::new(length as i64));
        values
            .reshape_list(&shape)
            .map_err(TableError::about(table))
    }
}

/// Says where the rows are whose vectors are not as wide as those before.
fn about_piece(error: Error, shard: &Shard, first: usize, column: &str) -> Error {
    match error {
        Error::ShapeMismatch {
            found, expected, ..
        } => {
            let (file, row) = shard.locate(first);
            Error::ShapeMismatch {
                what: format!("the vector column {column:?} from row {row} of {file} on"),
                found,
                expected,
            }
        }
        other => other,
    }
}

fn scaled_f32(scaling: Option<&Affine>, values: FeaturesView<'_>) -> Result<Array2<f32>> {
    match scaling {
        None => Ok(values.to_f32()),
        Some(affine) => values.scaled(affine),
    }
}

fn scaled_f64(scaling: Option<&Affine>, values: FeaturesView<'_>) -> Array2<f64> {
    let mut values = values.to_f64();
    if let Some(affine) = scaling {
        for ((_, column), value) in values.indexed_iter_mut() {
            *value = affine.at(column, *value);
        }
    }
    values
}

/// Converts a list column of equal lengths without nulls to a matrix; `None` if it is not one.
fn list_to_matrix(column: &Column) -> PolarsResult<Option<Features>> {
    let lists = column.list()?.rechunk();
    let rows = lists.len();
    // A part of a longer column shares that one's values.
    let chunk = lists.downcast_iter().next();
    let (first, last) = chunk.map_or((0, 0), |chunk| {
        let offsets = chunk.offsets();
        (*offsets.first(), *offsets.last())
    });
    let values = lists.get_inner().slice(first, (last - first) as usize);
    let width = values.len().checked_div(rows).unwrap_or(0);
    let uneven = lists
        .downcast_iter()
        .any(|chunk| chunk.offsets().lengths().any(|length| length != width));
    if uneven || lists.null_count() > 0 || values.null_count() > 0 {
        return Ok(None);
    }
    Ok(if values.dtype() == &DataType::UInt8 {
        let values = values.u8()?.into_no_null_iter().collect();
        Array2::from_shape_vec((rows, width), values)
            .ok()
            .map(Features::U8)
    } else if !fits_f32(values.dtype()) {
        let values = values.cast(&DataType::Float64)?;
        let values = values.f64()?.into_no_null_iter().collect();
        Array2::from_shape_vec((rows, width), values)
            .ok()
            .map(Features::F64)
    } else {
        let values = values.cast(&DataType::Float32)?;
        let values = values.f32()?.into_no_null_iter().collect();
        Array2::from_shape_vec((rows, width), values)
            .ok()
            .map(Features::F32)
    })
}
