//! A CSV file of columns of all types, as exports from databases are: numbers with and without
//! decimals, dates, categories, quoted texts, and holes.

use std::{fmt::Write, fs, path::Path};

use mnist_support::lake::ColumnType;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::Result;

const ROWS: usize = 700_000;
const SEED: u64 = 11;

/// The columns of the file.
pub(crate) const COLUMNS: [(&str, ColumnType); 13] = [
    ("id", ColumnType::Int64),
    ("age", ColumnType::UInt8),
    ("amount", ColumnType::Float64),
    ("category", ColumnType::String),
    ("price", ColumnType::Float64),
    ("city", ColumnType::String),
    ("ratio", ColumnType::Float64),
    ("day", ColumnType::Date),
    ("clicks", ColumnType::Int64),
    ("comment", ColumnType::String),
    ("active", ColumnType::Boolean),
    ("weight", ColumnType::Float64),
    ("code", ColumnType::String),
];

/// The columns that are read.
pub(crate) const WANTED: [&str; 9] = [
    "age", "amount", "category", "price", "ratio", "day", "clicks", "active", "weight",
];

/// The column of text that becomes an index.
pub(crate) const TEXT: &str = "category";

/// The columns of the matrix.
pub(crate) const FEATURES: [&str; 9] = [
    "age", "amount", "index", "price", "ratio", "day", "clicks", "active", "weight",
];

const CATEGORIES: [&str; 8] = [
    "books",
    "garden",
    "toys",
    "electronics",
    "food",
    "sports",
    "health",
    "music and film",
];
const CITIES: [&str; 5] = [
    "Oslo",
    "\"Springfield, IL\"",
    "Lima",
    "\"Paris, TX\"",
    "Zürich",
];
const COMMENTS: [&str; 5] = [
    "\"Arrived on time, as described.\"",
    "\"He said \"\"never again\"\", and sent it back\"",
    "fine",
    "\"Two lines:\nthe second, with a comma\"",
    "",
];

/// Writes the file, the same at each call.
pub(crate) fn write(path: &Path) -> Result<()> {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let names = COLUMNS.map(|(name, _)| name).join(",");
    let mut text = format!("{names}\n");
    for id in 0..ROWS {
        row(&mut text, id, &mut random)?;
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(path, text)?)
}

fn row(text: &mut String, id: usize, random: &mut ChaCha8Rng) -> Result<()> {
    let amount = random.random_range(-500_000..9_000_000_i64) as f64 / 100.0;
    let (year, month, day) = (
        random.random_range(2015..2026),
        random.random_range(1..=12),
        random.random_range(1..=28),
    );
    write!(text, "{},", 10_000_000 + id)?;
    if random.random_bool(0.95) {
        write!(text, "{}", random.random_range(0..100))?;
    }
    let category = CATEGORIES[random.random_range(0..CATEGORIES.len())];
    write!(text, ",{amount:.2},{category},")?;
    if random.random_bool(0.9) {
        write!(text, "{:.4}", random.random_range(0.0..250.0))?;
    }
    let city = CITIES[random.random_range(0..CITIES.len())];
    // Most comments are of one line.
    let comment = match random.random_range(0..1000) {
        0 => COMMENTS[3],
        other => COMMENTS[[0, 1, 2, 4][other % 4]],
    };
    let active = random.random_bool(0.4);
    write!(
        text,
        ",{city},{:.6},{year}-{month:02}-{day:02},{},{comment},{active},",
        random.random_range(0.0..1.0),
        random.random_range(0..2_000_000),
    )?;
    write!(text, "{},", random.random_range(0.1_f32..80.0))?;
    writeln!(text, "{:08x}", random.random_range(0..u32::MAX))?;
    Ok(())
}
