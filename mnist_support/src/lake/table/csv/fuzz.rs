//! Altered CSV files are errors or tables, and the same table in whatever parts they are read.

use std::fs;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use super::*;
use crate::fuzz::Fuzz;
use crate::lake::{Credentials, CsvOptions, Lake};

fn fuzz() -> Fuzz {
    let texts = [
        "id,name,price,day,ok\n1,\"Ann, B\",0.5,2026-01-31,true\n2,,-7.25,,false\n\
         3,\"say \"\"hi\"\"\nthere\",1e3,2024-02-29,TRUE\n",
        "a;b;c\r\n1,5;x;1.234,5\r\n2,5;y;\r\n-3;z;7\r\n",
        "0,255,12\n7,0,0\n9,1,128\n",
        "  1   2\t3\n4 \"5 6\" 7\n",
        "# made by hand\nx|y\n1|2026-01-31 12:30:00.5\n?|2026-01-31T12:30Z\n",
        "a, b, c\n1, x, 0.1\n2, y, NA\n",
        ",0,1\nr,0.25,6\ns,1e-3,\n",
        "\u{feff}größe,wert\n1,\"1,234\"\n2,\"5,678\"\n",
    ];
    let mut files: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let utf16 = texts[1].encode_utf16().flat_map(u16::to_le_bytes);
    files.push([0xff, 0xfe].into_iter().chain(utf16).collect());
    files.push(zstd::encode_all(texts[0].as_bytes(), 1).unwrap());
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut zipped, texts[0].as_bytes()).unwrap();
    files.push(zipped.finish().unwrap());
    Fuzz {
        name: "csv",
        files,
        parts: &[
            b",",
            b";",
            b"\t",
            b" ",
            b"|",
            b"\n",
            b"\r\n",
            b"\r",
            b"\"",
            b"\"\"",
            b"\"\n",
            b"#",
            b"NA",
            b"nan",
            b"2026-02-28",
            b"-",
            b"1e308",
            b"\0",
            b"\xff",
            b"\xef\xbb\xbf",
            b"true",
            b"0,0,0,0,0,0,0,0,",
            b"\n\n",
            b"  \n",
            b"\\",
        ],
    }
}

fn options(random: &mut ChaCha8Rng) -> CsvOptions {
    let mut options = CsvOptions::new();
    let mut now = |probability| random.random_bool(probability);
    if now(0.1) {
        options = options.header(now(0.5));
    }
    if now(0.1) {
        options = options.no_quote();
    }
    if now(0.1) {
        options = options.escape(b'\\');
    }
    if now(0.1) {
        options = options.sep(if now(0.5) { b';' } else { b' ' });
    }
    if now(0.1) {
        options = options.thousands(b',').decimal(b'.');
    }
    if now(0.1) {
        options = options.skip_rows(usize::from(now(0.5)));
    }
    if now(0.1) {
        options = options.skip_initial_space(now(0.5));
    }
    if now(0.1) {
        options = options.encoding(if now(0.5) {
            Encoding::Latin1
        } else {
            Encoding::Utf16
        });
    }
    options
}

/// Reads a file by itself, and in parts.
fn parse(folder: &TempDir, bytes: &[u8], random: &mut ChaCha8Rng) -> bool {
    fs::write(folder.path().join("x.csv"), bytes).unwrap();
    let lake = Lake::open(&folder.path().to_string_lossy(), &Credentials::local()).unwrap();
    let Ok(table) = lake.csv_with("x.csv", &options(random)) else {
        return false;
    };
    let _ = table.head(2);
    let Ok(whole) = table.collect() else {
        return false;
    };
    let n = random.random_range(1..5);
    let parts = table.partitions(n).and_then(|parts| {
        let parts = parts.iter().map(|part| table.read(part));
        parts.collect::<Result<Vec<_>>>()
    });
    if let Ok(parts) = parts {
        let mut parts = parts.into_iter();
        let mut joined = parts.next().unwrap();
        for part in parts {
            joined.vstack_mut_owned(part).unwrap();
        }
        assert!(
            joined.equals_missing(&whole),
            "{joined} in {n} parts, not {whole}"
        );
    }
    true
}

/// Parses records that begin at every few bytes as if there were many cores, and in two blocks.
fn parse_pieces(bytes: &[u8], random: &mut ChaCha8Rng) -> bool {
    let Ok(Some(found)) = dialect::find(bytes, true, &options(random)) else {
        return false;
    };
    let data = &bytes[found.data_start..];
    let mut columns = Columns::new(found.names, found.dialect);
    let mut types = columns.types().to_vec();
    general::widen(&mut types, data, &columns);
    columns = columns.with_types(&types);
    let wanted: Vec<usize> = (0..columns.len()).collect();
    let read = |bytes: &[u8], size, at_end| {
        let (frames, end) = general::parse_records(bytes, &columns, &wanted, size, at_end)?;
        Ok((frames, end))
    };
    let joined = |frames| {
        let block = Block::Frames(frames);
        block::join(vec![block], &columns, &wanted, "x.csv").unwrap()
    };
    let size = random.random_range(1..100);
    let (serial, pieces) = (read(data, usize::MAX, true), read(data, size, true));
    match (serial, pieces) {
        (Ok((serial, end)), Ok((pieces, other))) => {
            assert_eq!(end, other);
            let serial = joined(serial);
            assert!(
                joined(pieces).equals_missing(&serial),
                "in pieces of {size}"
            );
            let cut = random.random_range(0..=data.len());
            let (mut first, at) = read(&data[..cut], size, false).unwrap();
            let (rest, _) = read(&data[at..], size, true).unwrap();
            first.extend(rest);
            assert!(joined(first).equals_missing(&serial), "cut at {cut}");
            true
        }
        (serial, pieces) => {
            let problem: fn(Result<_, Problem>) -> Option<Problem> = Result::err;
            assert_eq!(problem(pieces.map(drop)), problem(serial.map(drop)));
            false
        }
    }
}

#[test]
fn altered_files_are_errors_or_the_same_table_in_any_parts() {
    let folder = tempfile::tempdir().unwrap();
    let read = fuzz().a_few(|bytes, random| parse(&folder, bytes, random));
    assert!(read > 50, "{read}");
}

#[test]
fn records_are_the_same_wherever_cores_begin() {
    let read = fuzz().a_few(parse_pieces);
    assert!(read > 50, "{read}");
}

#[test]
#[ignore = "takes as long as MNIST_FUZZ_SECONDS says"]
fn for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    fuzz().for_a_while(|bytes, random| {
        parse_pieces(bytes, random);
        parse(&folder, bytes, random)
    });
}
