//! From a CSV file of numbers, dates, texts and holes to features as f32, in seconds: by this crate
//! and by polars' own reader. What follows the reading is the same for both.

use std::{fs, io::Cursor, path::PathBuf, sync::Arc, time::Instant};

use mnist_support::{
    data::Features,
    lake::{Credentials, CsvOptions, Lake},
    ml::{Fit, StringIndexer, Transform},
};
use ndarray::Array2;
use polars::prelude::{
    CsvReadOptions, DataFrame, Field, FillNullStrategy, PlSmallStr, Schema, SchemaRef, SerReader,
};

use super::{serve_variants, speed};
use crate::{
    Result,
    mixed::{COLUMNS, FEATURES, TEXT, WANTED},
    paths,
};

/// The ways to read with polars, of which the fastest counts.
const POLARS: [&str; 3] = ["from the file", "from the file, rechunked", "from memory"];

/// Reads with this crate or with polars.
pub(super) fn run(reader: &str) -> Result<()> {
    let ours = || matrix(&by_ours()?);
    // A comparison of different results would mean nothing.
    let expected = ours()?;
    for variant in POLARS {
        if matrix(&by_polars(variant)?)? != expected {
            return Err(format!("polars, {variant}, reads other values").into());
        }
    }
    drop(expected);
    let variants: &[&str] = if reader == "polars" { &POLARS } else { &[] };
    serve_variants(variants, |request| {
        let start = Instant::now();
        let features = match reader {
            "polars" => matrix(&by_polars(&request.variant)?)?,
            _ => ours()?,
        };
        let seconds = start.elapsed().as_secs_f64();
        assert_eq!(features.ncols(), FEATURES.len());
        Ok(speed(seconds))
    })
}

fn by_ours() -> Result<DataFrame> {
    let lake = Lake::open(&paths::logs().to_string_lossy(), &Credentials::local())?;
    let options = CsvOptions::new().schema(COLUMNS);
    let table = lake.csv_with("mixed.csv", &options)?.select(WANTED)?;
    Ok(table.collect()?)
}

fn by_polars(variant: &str) -> Result<DataFrame> {
    let fields = COLUMNS.map(|(name, dtype)| Field::new(name.into(), dtype.into()));
    let schema: SchemaRef = Arc::new(Schema::from_iter(fields));
    let options = CsvReadOptions::default()
        .with_has_header(true)
        .with_schema(Some(schema))
        .with_columns(Some(WANTED.map(PlSmallStr::from_static).into()))
        .with_rechunk(variant.ends_with("rechunked"));
    let path: PathBuf = paths::mixed();
    let frame = if variant == "from memory" {
        let bytes = Cursor::new(fs::read(path)?);
        options.into_reader_with_file_handle(bytes).finish()?
    } else {
        options
            .try_into_reader_with_file_path(Some(path))?
            .finish()?
    };
    Ok(frame.select(WANTED)?)
}

/// The features, with 0 for what is missing, and the text as an index.
fn matrix(frame: &DataFrame) -> Result<Array2<f32>> {
    let indexer = StringIndexer::new().input_col(TEXT).output_col("index");
    let mut frame = indexer.fit(frame)?.transform(frame)?;
    for name in FEATURES {
        let column = frame.column(name)?;
        if column.null_count() > 0 {
            let filled = column.fill_null(FillNullStrategy::Zero)?;
            frame.with_column(filled)?;
        }
    }
    let names: Vec<String> = FEATURES.iter().map(|name| (*name).to_owned()).collect();
    Ok(Features::from_frame(&frame, &names, "mixed.csv")?.to_f32())
}
