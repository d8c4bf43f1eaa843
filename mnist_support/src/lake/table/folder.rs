//! Part files as one table.

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use polars::prelude::{Column, DataFrame, DataType, NamedFrom, Series};

use super::column_type::ColumnType;
use super::csv::CsvOptions;
use super::delta::DeltaVersion;
use super::discover::{PartFile, partition_values};
use super::format::FileFormat;
use super::number_type::NumberType;
use super::partition::{Block, FilePart, Part};
use super::scan::Scan;
use super::stack::stack;
use super::table_file::{Each, TableFile};
use crate::lake::reading::{Meter, OnProgress, ignore_progress};
use crate::lake::store::Lake;
use crate::threads::run_all;
use crate::{Error, Result, error::TableError, interrupt, text};

/// How many files are opened and read at once: enough to hide a store's latency.
pub(super) const CONCURRENCY: usize = 16;
/// Files of at most this size are read several at a time.
const SMALL: u64 = 4 << 20;
/// Tables below this size are split by rows, not by the sizes of their files.
const COUNTED: u64 = 1 << 20;
/// Into how many pieces of a partition's size the files are cut, so that partitions are about even.
const PIECES: u64 = 8;

/// The types of CSV files are learnt from at most this many of them.
const SAMPLES: usize = 16;

/// Part files as one table, each opened when it is needed.
pub(crate) struct Folder {
    lake: Lake,
    format: FileFormat,
    options: CsvOptions,
    dtype: Option<NumberType>,
    /// The version of a Delta table that the files are.
    delta: Option<Arc<DeltaVersion>>,
    files: Vec<PartFile>,
    /// The open files; `None` for one without rows.
    open: Vec<OnceLock<Option<Arc<dyn TableFile>>>>,
    /// The columns of the files, then those of their paths.
    columns: Vec<String>,
    /// The values of each column of the paths, or of a Delta table's log, one for each file.
    partition_columns: BTreeMap<String, Series>,
}

impl Folder {
    /// Opens the first file with rows, for its columns.
    pub(crate) fn open(
        lake: &Lake,
        format: FileFormat,
        options: &CsvOptions,
        dtype: Option<NumberType>,
        files: Vec<PartFile>,
    ) -> Result<Folder> {
        let partition_columns = partition_columns(&files, lake.url())?;
        let mut folder = Folder {
            lake: lake.clone(),
            format,
            options: options.clone(),
            dtype,
            delta: None,
            open: files.iter().map(|_| OnceLock::new()).collect(),
            files,
            columns: Vec::new(),
            partition_columns: BTreeMap::new(),
        };
        let first = folder.first()?;
        folder.columns = first.columns().to_vec();
        for (name, values) in partition_columns {
            if folder.columns.contains(&name) {
                // Hive and Spark leave such a column out of the files. Where it is in both, they
                // agree.
                continue;
            }
            folder.columns.push(name.clone());
            folder.partition_columns.insert(name, values);
        }
        if let Some(found) = first.csv_options()
            && !options.has_learnt()
        {
            folder.options = found;
            folder.learn_types()?;
        }
        Ok(folder)
    }

    /// Opens a version of a Delta table, and its first file with rows.
    pub(crate) fn of_delta(lake: &Lake, version: Arc<DeltaVersion>) -> Result<Folder> {
        let files = version.files();
        let folder = Folder {
            lake: lake.clone(),
            format: FileFormat::Parquet,
            options: CsvOptions::default(),
            dtype: None,
            open: files.iter().map(|_| OnceLock::new()).collect(),
            files,
            columns: version.columns(),
            partition_columns: version.partition_columns(lake.url())?,
            delta: Some(version),
        };
        folder.first()?;
        Ok(folder)
    }

    /// Opens the first file with rows.
    fn first(&self) -> Result<Arc<dyn TableFile>> {
        for index in 0..self.files.len() {
            if let Some(file) = self.file(index)? {
                return Ok(file);
            }
        }
        Err(Error::Table(TableError::EmptyFile {
            file: self.url().to_owned(),
            reason: format!("none of its {} files has rows", self.files.len()),
        }))
    }

    /// Learns the types of CSV files from some of them. All have these types, so that those of a
    /// partition do not depend on its files.
    fn learn_types(&mut self) -> Result<()> {
        let count = self.files.len();
        let some = count.min(SAMPLES);
        let samples: Vec<usize> = (0..some).map(|sample| sample * count / some).collect();
        let types = self.joined_types(&samples, |file| Ok(file.types()))?;
        self.options = self.options.with_learnt(&types);
        for open in &mut self.open {
            let file = open.get().and_then(Option::as_ref);
            if let Some(typed) = file.and_then(|file| file.with_types(&types)) {
                *open = OnceLock::from(Some(typed));
            }
        }
        Ok(())
    }

    /// The same table, with all files still to be opened.
    fn closed(&self) -> Folder {
        Folder {
            lake: self.lake.clone(),
            format: self.format,
            options: self.options.clone(),
            dtype: self.dtype,
            delta: self.delta.clone(),
            files: self.files.clone(),
            open: self.files.iter().map(|_| OnceLock::new()).collect(),
            columns: self.columns.clone(),
            partition_columns: self.partition_columns.clone(),
        }
    }

    /// The types that hold those of some files.
    fn joined_types(
        &self,
        files: &[usize],
        types: impl Fn(&dyn TableFile) -> Result<Vec<(String, ColumnType)>>,
    ) -> Result<Vec<(String, ColumnType)>> {
        self.open_files(files.iter().copied())?;
        let mut joined: BTreeMap<String, ColumnType> = BTreeMap::new();
        for &file in files {
            let Some(file) = self.file(file)? else {
                continue;
            };
            for (name, dtype) in types(&*file)? {
                let joined = joined.entry(name).or_insert(ColumnType::Null);
                *joined = joined.join(dtype);
            }
        }
        Ok(joined.into_iter().collect())
    }

    /// Returns a file, opening it if need be; `None` for one without rows.
    fn file(&self, index: usize) -> Result<Option<Arc<dyn TableFile>>> {
        if let Some(open) = self.open[index].get() {
            return Ok(open.clone());
        }
        let path = &self.files[index].path;
        let opened = match &self.delta {
            Some(delta) => delta.open(&self.lake, index),
            None => self.format.open(&self.lake, path, &self.options),
        };
        let opened = match opened {
            Err(Error::Table(TableError::EmptyFile { .. })) => None,
            Err(error) => return Err(error),
            Ok(file) => {
                let file = match self.dtype {
                    None => file,
                    Some(dtype) => file.with_dtype(dtype).unwrap_or(file),
                };
                self.check(&*file)?;
                Some(file)
            }
        };
        Ok(self.open[index].get_or_init(|| opened).clone())
    }

    /// Checks that a file has the columns of the first. It may have others, which are left out.
    fn check(&self, file: &dyn TableFile) -> Result<()> {
        let own = |column: &&String| !self.partition_columns.contains_key(*column);
        let mut columns = self.columns.iter().filter(own);
        let has: HashSet<&String> = file.columns().iter().collect();
        match columns.find(|column| !has.contains(column)) {
            None => Ok(()),
            Some(column) => Err(Error::Table(TableError::ColumnNotFound {
                table: file.url().to_owned(),
                column: column.clone(),
                available: format!(
                    "{}, and other files of the table have it",
                    text::columns(file.columns())
                ),
            })),
        }
    }

    /// Opens some of the files, several at a time.
    fn open_files(&self, files: impl Iterator<Item = usize>) -> Result<()> {
        let closed: Vec<usize> = files
            .filter(|&file| self.open[file].get().is_none())
            .collect();
        for some in closed.chunks(CONCURRENCY) {
            at_once(some, |&file| self.file(file).map(|_| ()))?;
        }
        Ok(())
    }

    /// Reads rows of one file, and adds the columns of its path.
    fn read_file(
        &self,
        index: usize,
        scan: &Scan,
        read: impl FnOnce(&dyn TableFile, &Scan) -> Result<Option<DataFrame>>,
    ) -> Result<Option<DataFrame>> {
        let Some(file) = self.file(index)? else {
            return Ok(None);
        };
        let Some(frame) = read(&*file, &self.scan_of(&*file, scan))? else {
            return Ok(None);
        };
        self.with_path(index, &*file, frame, scan).map(Some)
    }

    /// What is read of a file for a scan of the table.
    fn scan_of(&self, file: &dyn TableFile, scan: &Scan) -> Scan {
        let wanted = scan.columns.as_ref().unwrap_or(&self.columns);
        let in_path = |column: &&String| self.partition_columns.contains_key(*column);
        let mut columns: Vec<String> = wanted
            .iter()
            .filter(|name| !in_path(name))
            .cloned()
            .collect();
        if columns.is_empty() {
            // Only to know how many rows there are.
            columns.extend(file.columns().first().cloned());
        }
        Scan {
            columns: Some(columns),
            filter: scan.filter.clone(),
        }
    }

    /// Adds the columns of a file's path to rows of it.
    fn with_path(
        &self,
        index: usize,
        file: &dyn TableFile,
        mut frame: DataFrame,
        scan: &Scan,
    ) -> Result<DataFrame> {
        let wanted = scan.columns.as_ref().unwrap_or(&self.columns);
        let about = || TableError::about(file.url());
        for (name, values) in &self.partition_columns {
            if wanted.contains(name) {
                let column = values.new_from_index(index, frame.height());
                frame.with_column(Column::from(column)).map_err(about())?;
            }
        }
        frame.select(wanted).map_err(about())
    }

    /// Whether the values of the partition columns say that no row of a file fulfils a condition.
    fn is_excluded(&self, index: usize, scan: &Scan) -> Result<bool> {
        let in_path = |column: &str| self.partition_columns.contains_key(column);
        let Some(filter) = scan.filter.clone().and_then(|filter| filter.on(in_path)) else {
            return Ok(false);
        };
        let compared = filter.columns().into_iter();
        let values = compared.map(|column| {
            let values = &self.partition_columns[column];
            Column::from(values.new_from_index(index, 1))
        });
        let row = DataFrame::new(1, values.collect()).map_err(TableError::about(self.url()))?;
        Ok(!filter.mask(&row, self.url())?.any())
    }

    /// Reads a part of one file; `None` for a file without rows.
    fn read_part(&self, part: &FilePart, scan: &Scan) -> Result<Option<DataFrame>> {
        let mut pieces = Vec::new();
        self.read_part_each(part, scan, &ignore_progress, &mut |piece| {
            pieces.push(piece);
            Ok(())
        })?;
        stack(pieces, self.url())
    }

    /// Reads a part of one file piece by piece, unless the filter excludes the file.
    fn read_part_each(
        &self,
        part: &FilePart,
        scan: &Scan,
        on_progress: OnProgress<'_>,
        each: Each<'_>,
    ) -> Result<()> {
        if self.is_excluded(part.file, scan)? {
            return Ok(());
        }
        let Some(file) = self.file(part.file)? else {
            return Ok(());
        };
        let all;
        let inner = match part.part.as_deref() {
            Some(part) => part,
            None => {
                all = whole(&*file)?;
                &all
            }
        };
        let known = file.read_each(
            inner,
            &self.scan_of(&*file, scan),
            on_progress,
            &mut |rows| each(self.with_path(part.file, &*file, rows, scan)?),
        )?;
        if known {
            return Ok(());
        }
        let changed = "has changed since it was split into partitions: open the table again";
        Err(TableError::failed(file.url(), changed.to_owned()))
    }

    /// Reads parts of files.
    fn read_parts(
        &self,
        parts: &[FilePart],
        scan: &Scan,
        on_progress: OnProgress<'_>,
    ) -> Result<DataFrame> {
        let mut frames = Vec::new();
        self.for_each_piece(parts, scan, on_progress, &mut |piece| {
            frames.push(piece);
            Ok(())
        })?;
        Ok(stack(frames, self.url())?.unwrap_or_default())
    }

    /// Reads parts of files piece by piece, at least one, and the small files several at a time.
    fn for_each_piece(
        &self,
        parts: &[FilePart],
        scan: &Scan,
        on_progress: OnProgress<'_>,
        each: Each<'_>,
    ) -> Result<()> {
        let any = Cell::new(false);
        let mut each = |piece| {
            any.set(true);
            each(piece)
        };
        let bytes = parts.iter().map(|part| self.files[part.file].size);
        let name = self.url().rsplit('/').next().unwrap_or_default();
        let meter = Meter::start(name, bytes.sum(), on_progress);
        let mut rest = parts;
        while let Some(first) = rest.first() {
            let small = |part: &FilePart| self.files[part.file].size <= SMALL;
            let count = rest
                .iter()
                .take(CONCURRENCY)
                .take_while(|part| small(part))
                .count();
            let (some, after) = rest.split_at(count.max(1));
            rest = after;
            if count <= 1 {
                self.read_part_each(first, scan, on_progress, &mut each)?;
            } else {
                let pieces = at_once(some, |part| self.read_part(part, scan))?;
                let mut pieces = pieces.into_iter().flatten();
                pieces.try_for_each(&mut each)?;
            }
            let bytes = some.iter().map(|part| self.files[part.file].size);
            meter.counter().fetch_add(bytes.sum(), Ordering::Relaxed);
            meter.report_if_due();
        }
        if !any.get() {
            each(self.head(0, scan)?)?;
        }
        Ok(())
    }

    /// All files, each as a whole.
    fn whole(&self) -> Vec<FilePart> {
        let files = 0..self.files.len();
        files.map(|file| FilePart { file, part: None }).collect()
    }

    /// Cuts the files into pieces of at most `size` bytes, if they are larger.
    fn pieces(&self, size: u64) -> Result<Vec<(FilePart, u64)>> {
        let large = |&file: &usize| self.files[file].size > size;
        self.open_files((0..self.files.len()).filter(large))?;
        let mut pieces = Vec::with_capacity(self.files.len());
        for index in 0..self.files.len() {
            let bytes = self.files[index].size;
            let count = bytes.div_ceil(size) as usize;
            let file = if count > 1 { self.file(index)? } else { None };
            match file.map(|file| split(&*file, count)).transpose()? {
                None => pieces.push((
                    FilePart {
                        file: index,
                        part: None,
                    },
                    bytes,
                )),
                Some(parts) => {
                    let each = bytes / parts.len() as u64;
                    pieces.extend(parts.into_iter().map(|part| {
                        let part = Some(Box::new(part));
                        (FilePart { file: index, part }, each)
                    }));
                }
            }
        }
        Ok(pieces)
    }

    /// Cuts the files, or the first `limit` rows, by their rows. For small tables, in which every
    /// row counts.
    fn row_pieces(&self, n: usize, limit: Option<usize>) -> Result<Vec<(FilePart, u64)>> {
        if limit.is_none() {
            self.open_files(0..self.files.len())?;
        }
        let limit = limit.unwrap_or(usize::MAX);
        let mut pieces = Vec::new();
        let mut rows = 0;
        for index in 0..self.files.len() {
            if rows >= limit {
                break;
            }
            let Some(file) = self.file(index)? else {
                continue;
            };
            let count = (file.rows(None)? as usize).min(limit - rows);
            rows += count;
            for part in file.partitions(count.min(n * PIECES as usize), Some(count))? {
                let weight = file.rows(Some(&part))?;
                let part = Some(Box::new(part));
                pieces.push((FilePart { file: index, part }, weight));
            }
        }
        if pieces.len() < n {
            return Err(Error::InvalidSetting {
                setting: "partitions",
                value: n.to_string(),
                reason: format!("is more than the {rows} rows of {}", self.url()),
            });
        }
        Ok(pieces)
    }
}

/// Does the same with each item at once, in a thread of its own. Returns the results in order.
pub(super) fn at_once<'a, I: Sync, T: Send>(
    items: &'a [I],
    work: impl Fn(&'a I) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let (interrupt, work) = (&interrupt::current(), &work);
    let results = run_all(items.iter().map(|item| {
        move || {
            let _scope = interrupt.scope();
            work(item)
        }
    }));
    let results = results.into_iter();
    results
        .map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        .collect()
}

/// All of a file.
fn whole(file: &dyn TableFile) -> Result<Part> {
    let mut parts = file.partitions(1, None)?;
    Ok(parts.pop().expect("a file is at least one part"))
}

/// Splits a file into `n` parts, or into as many as it has rows if these are fewer.
fn split(file: &dyn TableFile, n: usize) -> Result<Vec<Part>> {
    match file.partitions(n, None) {
        Err(Error::InvalidSetting {
            setting: "partitions",
            ..
        }) if n > 1 => file.partitions((file.rows(None)? as usize).clamp(1, n), None),
        parts => parts,
    }
}

/// Divides weighted pieces into `n` runs of about the same weight, none of them empty.
fn divide(weights: &[u64], n: usize) -> Vec<Range<usize>> {
    let total: u64 = weights.iter().sum();
    let mut runs = Vec::with_capacity(n);
    let (mut start, mut before) = (0, 0);
    for part in 1..=n {
        let goal = (u128::from(total) * part as u128 / n as u128) as u64;
        let last = weights.len() - (n - part);
        let mut end = start + 1;
        before += weights[start];
        // A piece goes to the side of the border where most of it lies.
        while end < last && (part == n || before + weights[end] / 2 < goal) {
            before += weights[end];
            end += 1;
        }
        runs.push(start..end);
        start = end;
    }
    runs
}

/// The columns of the files' paths, with a value for each file: whole numbers, numbers, or text.
pub(super) fn partition_columns(files: &[PartFile], table: &str) -> Result<Vec<(String, Series)>> {
    let values: Vec<_> = files
        .iter()
        .map(|file| partition_values(&file.path))
        .collect();
    let names = |file: &[(String, Option<String>)]| -> Vec<String> {
        file.iter().map(|(name, _)| name.clone()).collect()
    };
    let Some(first) = values.first().map(|first| names(first)) else {
        return Ok(Vec::new());
    };
    if let Some(other) = values.iter().position(|file| names(file) != first) {
        return Err(TableError::failed(
            table,
            format!(
                "the folders of {} name the columns {:?}, those of {} {:?}",
                files[0].path,
                first,
                files[other].path,
                names(&values[other])
            ),
        ));
    }
    let column = |index: usize| values.iter().map(move |file| file[index].1.as_deref());
    Ok(first
        .into_iter()
        .enumerate()
        .map(|(index, name)| {
            let series = typed(&name, || column(index));
            (name, series)
        })
        .collect())
}

/// Returns texts as the narrowest type that holds all of them.
pub(super) fn typed<'a, I>(name: &str, values: impl Fn() -> I) -> Series
where
    I: Iterator<Item = Option<&'a str>>,
{
    let texts = Series::new(name.into(), values().collect::<Vec<_>>());
    for dtype in [DataType::Int64, DataType::Float64] {
        if let Ok(numbers) = texts.strict_cast(&dtype) {
            return numbers;
        }
    }
    texts
}

impl TableFile for Folder {
    fn url(&self) -> &str {
        self.lake.url()
    }

    fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn with_dtype(&self, dtype: NumberType) -> Option<Arc<dyn TableFile>> {
        // All files have the format of the first.
        let first = self.open.iter().find_map(|file| file.get()?.as_ref())?;
        first.with_dtype(dtype)?;
        Some(Arc::new(Folder {
            dtype: Some(dtype),
            ..self.closed()
        }))
    }

    fn head(&self, n: usize, scan: &Scan) -> Result<DataFrame> {
        let (mut frames, mut rows) = (Vec::new(), 0);
        for index in 0..self.files.len() {
            if self.file(index)?.is_none() {
                continue;
            }
            let left = n - rows;
            let head = self.read_file(index, scan, |file, scan| file.head(left, scan).map(Some))?;
            rows += head.as_ref().map_or(0, DataFrame::height);
            frames.extend(head);
            if rows >= n {
                break;
            }
        }
        Ok(stack(frames, self.url())?.unwrap_or_default())
    }

    fn collect(&self, scan: &Scan, on_progress: OnProgress<'_>) -> Result<DataFrame> {
        self.read_parts(&self.whole(), scan, on_progress)
    }

    /// Splits the table between files where that is about even, and within files where it is not.
    fn partitions(&self, n: usize, limit: Option<usize>) -> Result<Vec<Part>> {
        let pieces = if limit.is_some() || self.size() <= COUNTED {
            self.row_pieces(n, limit)?
        } else {
            self.pieces((self.size() / (n as u64 * PIECES)).max(1))?
        };
        let pieces = if pieces.len() < n {
            self.row_pieces(n, limit)?
        } else {
            pieces
        };
        let weights: Vec<u64> = pieces.iter().map(|(_, weight)| *weight).collect();
        let parts = |run: Range<usize>| {
            let parts = pieces[run].iter().map(|(part, _)| part.clone());
            Part::Files(parts.collect())
        };
        Ok(divide(&weights, n).into_iter().map(parts).collect())
    }

    fn rows(&self, part: Option<&Part>) -> Result<u64> {
        let whole;
        let parts = match part {
            Some(Part::Files(parts)) => parts,
            _ => {
                whole = self.whole();
                &whole
            }
        };
        self.open_files(parts.iter().map(|part| part.file))?;
        let rows = |part: &FilePart| match self.file(part.file)? {
            None => Ok(0),
            Some(file) => file.rows(part.part.as_deref()),
        };
        parts.iter().map(rows).sum()
    }

    fn locate(&self, part: &Part, index: u64) -> Result<(String, u64)> {
        let Part::Files(parts) = part else {
            return Ok((self.url().to_owned(), index + 1));
        };
        let mut left = index;
        for part in parts {
            let Some(file) = self.file(part.file)? else {
                continue;
            };
            let rows = file.rows(part.part.as_deref())?;
            if left < rows {
                return match part.part.as_deref() {
                    Some(part) => file.locate(part, left),
                    None => Ok((file.url().to_owned(), file.row_number(left))),
                };
            }
            left -= rows;
        }
        Ok((self.url().to_owned(), index + 1))
    }

    fn read(
        &self,
        part: &Part,
        scan: &Scan,
        on_progress: OnProgress<'_>,
    ) -> Result<Option<DataFrame>> {
        match part {
            Part::Files(parts) if parts.iter().all(|part| part.file < self.files.len()) => {
                self.read_parts(parts, scan, on_progress).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn read_each(
        &self,
        part: &Part,
        scan: &Scan,
        on_progress: OnProgress<'_>,
        each: Each<'_>,
    ) -> Result<bool> {
        match part {
            Part::Files(parts) if parts.iter().all(|part| part.file < self.files.len()) => self
                .for_each_piece(parts, scan, on_progress, each)
                .map(|()| true),
            _ => Ok(false),
        }
    }

    /// The blocks of the files, of which small ones are joined, also those of several files.
    fn blocks(&self, part: &Part) -> Result<Vec<Block>> {
        let parts = match part {
            Part::Files(parts) if parts.iter().all(|part| part.file < self.files.len()) => parts,
            Part::Files(_) | Part::Bytes(_) | Part::RowGroups { .. } => {
                // Reading it says that the table has changed.
                return Ok(vec![Block {
                    part: part.clone(),
                    rows: None,
                    bytes: 0,
                }]);
            }
        };
        self.open_files(parts.iter().map(|part| part.file))?;
        let mut blocks: Vec<Block> = Vec::new();
        for FilePart { file: index, part } in parts {
            let Some(file) = self.file(*index)? else {
                continue;
            };
            let of_file = match part.as_deref() {
                Some(part) => file.blocks(part)?,
                None => file.blocks(&whole(&*file)?)?,
            };
            for block in of_file {
                let part = FilePart {
                    file: *index,
                    part: Some(Box::new(block.part)),
                };
                let next = Block {
                    part: Part::Files(vec![part]),
                    ..block
                };
                match blocks.last_mut() {
                    Some(last) if last.has_room_for(&next) => last.join(next),
                    _ => blocks.push(next),
                }
            }
        }
        Ok(blocks)
    }

    fn csv_options(&self) -> Option<CsvOptions> {
        (self.format == FileFormat::Csv).then(|| self.options.clone())
    }

    fn types(&self) -> Vec<(String, ColumnType)> {
        self.options.learnt()
    }

    fn types_of_all_rows(&self) -> Result<Vec<(String, ColumnType)>> {
        let files: Vec<usize> = (0..self.files.len()).collect();
        self.joined_types(&files, |file| file.types_of_all_rows())
    }

    fn with_types(&self, types: &[(String, ColumnType)]) -> Option<Arc<dyn TableFile>> {
        (self.format == FileFormat::Csv).then(|| {
            let folder = Folder {
                options: self.options.with_learnt(types),
                ..self.closed()
            };
            Arc::new(folder) as Arc<dyn TableFile>
        })
    }
}
