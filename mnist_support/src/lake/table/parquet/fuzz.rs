//! Altered Parquet files are errors or tables.

use std::fs;

use polars::df;
use polars::prelude::{ParquetCompression, ParquetWriter};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use crate::fuzz::Fuzz;
use crate::lake::{Credentials, Lake};

fn fuzz() -> Fuzz {
    let file = |name: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tables/");
        fs::read(format!("{folder}{name}")).unwrap()
    };
    Fuzz {
        name: "parquet",
        files: vec![file("types.parquet"), file("int96.parquet"), zstd()],
        parts: &[
            b"PAR1",
            b"\x15\x00",
            b"\x19\x1c",
            b"\xff\xff\xff\xff\x0f",
            b"\x00",
        ],
    }
}

/// A file whose pages are decompressed before polars sees them.
fn zstd() -> Vec<u8> {
    let numbers: Vec<i64> = (0..40).map(|row| row * row % 7).collect();
    let some: Vec<Option<&str>> = (0..40).map(|row| (row % 3 > 0).then_some("word")).collect();
    let small: Vec<u8> = (0..40_u32).map(|row| (row * row % 11) as u8).collect();
    let mut frame = df!("numbers" => numbers, "some" => some, "bytes" => small).unwrap();
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .with_compression(ParquetCompression::Zstd(None))
        .with_row_group_size(Some(20))
        .finish(&mut frame)
        .unwrap();
    bytes
}

fn parse(folder: &TempDir, bytes: &[u8], _: &mut ChaCha8Rng) -> bool {
    fs::write(folder.path().join("x.parquet"), bytes).unwrap();
    let lake = Lake::open(&folder.path().to_string_lossy(), &Credentials::local()).unwrap();
    let Ok(table) = lake.parquet("x.parquet") else {
        return false;
    };
    let _ = table.head(2);
    for column in table.columns() {
        let one = table.select([&column]).and_then(|one| one.collect());
        let _ = one.map(|frame| frame.to_string());
        let _ = table
            .filter(&format!("{column} > 3"))
            .and_then(|some| some.collect());
    }
    table.collect().is_ok()
}

#[test]
fn altered_files_are_errors_or_tables() {
    let folder = tempfile::tempdir().unwrap();
    let read = fuzz().a_few(|bytes, random| parse(&folder, bytes, random));
    assert!(read > 0);
}

#[test]
#[ignore = "takes as long as MNIST_FUZZ_SECONDS says"]
fn for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    fuzz().for_a_while(|bytes, random| parse(&folder, bytes, random));
}
