//! Image files as a table: a row for each, whose bytes are read and not decoded.

use std::ops::Range;
use std::sync::Arc;

use polars::prelude::{
    BinaryChunked, Column, DataFrame, IntoSeries, NamedFrom, NewChunkedArray, Series,
};

use super::discover::{self, PartFile, Paths};
use super::folder::{partition_columns, typed};
use super::number_type::NumberType;
use super::partition::{Block, Part};
use super::plan;
use super::scan::Scan;
use super::table_file::{Each, TableFile};
use crate::lake::reading::{Meter, OnProgress, ignore_progress};
use crate::lake::store::Lake;
use crate::{
    Error, Result,
    error::{LakeError, TableError},
};

/// The columns of each file. What its folders say comes after them.
const PATH: &str = "path";
const IMAGE: &str = "image";
const LABEL: &str = "label";

/// How the names of images end. Those that are not decoded are not left out silently: to read them
/// is an error that says so.
const EXTENSIONS: [&str; 15] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "gif", "bmp", "dib", "tif", "tiff", "webp", "avif",
    "heic", "jp2", "jxl",
];

/// Images are read in pieces of about this many bytes: several photographs, which are fetched at
/// once.
const PIECE: u64 = 32 << 20;

/// Whether a file's name is that of an image.
pub(super) fn is_image(name: &str) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    EXTENSIONS
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known))
}

/// Finds the images at `paths`, and the folder that their paths are relative to.
pub(super) fn find(lake: &Lake, paths: &Paths) -> Result<(Lake, Vec<PartFile>)> {
    if let Some(path) = paths.single().filter(|path| !path.is_empty())
        && let Some(size) = lake.size(path)?.filter(|size| *size > 0)
    {
        let path = path.to_owned();
        return Ok((lake.clone(), vec![PartFile { path, size }]));
    }
    let (folder, mut files) = discover::find(lake, paths)?;
    let found = files.len();
    files.retain(|file| is_image(&file.path));
    if files.is_empty() {
        return Err(Error::Lake(LakeError::NotFound {
            url: folder.url().to_owned(),
            hint: format!("none of {found} files has the name of an image, such as *.png"),
        }));
    }
    Ok((folder, files))
}

/// Image files as a table.
pub(super) struct ImageFiles {
    lake: Lake,
    files: Vec<PartFile>,
    columns: Vec<String>,
    /// The columns that the files' folders tell, with a value for each file.
    of_folders: Vec<(String, Series)>,
    /// For each file, its one row.
    rows: Vec<usize>,
}

impl ImageFiles {
    /// Opens the files of a folder. No file is read.
    pub(super) fn open(folder: &Lake, files: Vec<PartFile>) -> Result<ImageFiles> {
        let mut of_folders = partition_columns(&files, folder.url())?;
        if !of_folders.iter().any(|(name, _)| name == LABEL) {
            of_folders.extend(labels(&files).map(|labels| (LABEL.to_owned(), labels)));
        }
        let names = of_folders.iter().map(|(name, _)| name.as_str());
        let columns: Vec<String> = [PATH, IMAGE]
            .into_iter()
            .chain(names)
            .map(str::to_owned)
            .collect();
        if let Some(name) = columns[2..].iter().find(|name| columns[..2].contains(name)) {
            return Err(TableError::failed(
                folder.url(),
                format!("its folders name a column {name:?}, which images have themselves"),
            ));
        }
        Ok(ImageFiles {
            lake: folder.clone(),
            columns,
            of_folders,
            rows: vec![1; files.len()],
            files,
        })
    }

    /// Opens a single file.
    pub(super) fn open_file(lake: &Lake, path: &str) -> Result<ImageFiles> {
        let Some(size) = lake.size(path)? else {
            return Err(Error::Lake(LakeError::NotFound {
                url: lake.folder(path).url().to_owned(),
                hint: "there is no such file".to_owned(),
            }));
        };
        let path = path.to_owned();
        ImageFiles::open(lake, vec![PartFile { path, size }])
    }

    /// Reads the rows of some of the files.
    fn read_files(
        &self,
        files: Range<usize>,
        scan: &Scan,
        on_progress: OnProgress<'_>,
    ) -> Result<DataFrame> {
        let meter = self.meter(files.clone(), on_progress);
        self.read_metered(files, scan, &meter)
    }

    /// What the reading of some files is measured with.
    fn meter<'a>(&'a self, files: Range<usize>, on_progress: OnProgress<'a>) -> Meter<'a> {
        let name = self.url().rsplit('/').next().unwrap_or_default();
        let total = self.files[files].iter().map(|file| file.size).sum();
        Meter::start(name, total, on_progress)
    }

    fn read_metered(
        &self,
        files: Range<usize>,
        scan: &Scan,
        meter: &Meter<'_>,
    ) -> Result<DataFrame> {
        let wanted = scan.columns.as_ref().unwrap_or(&self.columns);
        let columns: Result<Vec<Column>> = wanted
            .iter()
            .map(|name| {
                let series = match name.as_str() {
                    PATH => {
                        let paths = self.files[files.clone()].iter();
                        let paths: Vec<&str> = paths.map(|file| file.path.as_str()).collect();
                        Series::new(PATH.into(), paths)
                    }
                    IMAGE => self.images(files.clone(), meter)?,
                    name => self.of_folders(name, files.clone())?,
                };
                Ok(series.into())
            })
            .collect();
        DataFrame::new(files.len(), columns?).map_err(TableError::about(self.url()))
    }

    fn of_folders(&self, name: &str, files: Range<usize>) -> Result<Series> {
        let column = self.of_folders.iter().find(|(column, _)| column == name);
        match column {
            Some((_, values)) => Ok(values.slice(files.start as i64, files.len())),
            None => Err(Error::Table(TableError::ColumnNotFound {
                table: self.url().to_owned(),
                column: name.to_owned(),
                available: crate::text::columns(&self.columns),
            })),
        }
    }

    /// Fetches the files' bytes.
    fn images(&self, files: Range<usize>, meter: &Meter<'_>) -> Result<Series> {
        let files = &self.files[files];
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let fetched = self.lake.get_all(&paths, meter)?;
        for (file, bytes) in files.iter().zip(&fetched) {
            if bytes.len() as u64 != file.size {
                return Err(TableError::failed(
                    format!("{}/{}", self.url(), file.path),
                    format!(
                        "the file has changed since it was listed: it had {} bytes, and has {}",
                        file.size,
                        bytes.len()
                    ),
                ));
            }
        }
        let images = BinaryChunked::from_iter_values(IMAGE.into(), fetched.iter());
        Ok(images.into_series())
    }
}

/// The names of the folders that the files are in: whole numbers if all are, or text; `None` if
/// there are files in none.
fn labels(files: &[PartFile]) -> Option<Series> {
    let labels = files.iter().map(|file| {
        let (folders, _) = file.path.rsplit_once('/')?;
        Some(folders.rsplit_once('/').map_or(folders, |(_, name)| name))
    });
    let labels = labels.collect::<Option<Vec<&str>>>()?;
    Some(typed(LABEL, || labels.iter().copied().map(Some)))
}

impl TableFile for ImageFiles {
    fn url(&self) -> &str {
        self.lake.url()
    }

    fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Images have no numbers to choose a type for.
    fn with_dtype(&self, _dtype: NumberType) -> Option<Arc<dyn TableFile>> {
        None
    }

    fn head(&self, n: usize, scan: &Scan) -> Result<DataFrame> {
        self.read_files(0..n.min(self.files.len()), scan, &ignore_progress)
    }

    fn collect(&self, scan: &Scan, on_progress: OnProgress<'_>) -> Result<DataFrame> {
        self.read_files(0..self.files.len(), scan, on_progress)
    }

    /// Splits the table between files. Each counts as a row group of one row.
    fn partitions(&self, n: usize, limit: Option<usize>) -> Result<Vec<Part>> {
        plan::partitions(&self.rows, n, limit, self.url())
    }

    fn rows(&self, part: Option<&Part>) -> Result<u64> {
        Ok(plan::rows(&self.rows, part))
    }

    fn locate(&self, part: &Part, index: u64) -> Result<(String, u64)> {
        let row = plan::row_number(&self.rows, part, index);
        Ok(match self.files.get(row as usize - 1) {
            Some(file) => (self.lake.folder(&file.path).url().to_owned(), 1),
            None => (self.url().to_owned(), row),
        })
    }

    fn read(
        &self,
        part: &Part,
        scan: &Scan,
        on_progress: OnProgress<'_>,
    ) -> Result<Option<DataFrame>> {
        let Some((files, skip, rows)) = plan::checked(&self.rows, part) else {
            return Ok(None);
        };
        let start = files.start + skip;
        self.read_files(start..start + rows, scan, on_progress)
            .map(Some)
    }

    fn read_each(
        &self,
        part: &Part,
        scan: &Scan,
        on_progress: OnProgress<'_>,
        each: Each<'_>,
    ) -> Result<bool> {
        let Some((files, skip, rows)) = plan::checked(&self.rows, part) else {
            return Ok(false);
        };
        let files = files.start + skip..files.start + skip + rows;
        let meter = self.meter(files.clone(), on_progress);
        let mut pieces = plan::runs(files.clone(), |file| self.files[file].size, PIECE);
        if pieces.is_empty() {
            pieces.push(files);
        }
        for piece in pieces {
            each(self.read_metered(piece, scan, &meter)?)?;
        }
        Ok(true)
    }

    fn blocks(&self, part: &Part) -> Result<Vec<Block>> {
        let bytes = |file: usize| self.files[file].size;
        Ok(plan::blocks(&self.rows, bytes, part))
    }
}
