use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::super::testing;
use super::*;
use crate::lake::NumberType;

fn columns(width: usize) -> Columns {
    testing::columns(&vec![NumberType::UInt8; width])
}

/// All columns, by the general parser.
fn general(bytes: &[u8], columns: &Columns) -> Result<DataFrame, Problem> {
    let wanted: Vec<usize> = (0..columns.len()).collect();
    let chunks = general::chunks(bytes, columns, false, true);
    let block = Block::parse_chunks(bytes, columns, &wanted, &chunks)?;
    Ok(join(vec![block], columns, &wanted, "test.csv").unwrap())
}

/// The fast parser alone, with chunks so short that small inputs are split too.
fn fast(bytes: &[u8], columns: &Columns, chunk_size: usize) -> Option<DataFrame> {
    ByteRows::parse(bytes, columns, chunk_size).map(|rows| rows.into_frame(columns).unwrap())
}

/// Checks that the fast parser gives the same frame as the general one, or nothing. Returns whether
/// it gave a frame.
fn agree(bytes: &[u8], columns: &Columns, chunk_size: usize) -> bool {
    let shown = String::from_utf8_lossy(bytes);
    let Some(frame) = fast(bytes, columns, chunk_size) else {
        return false;
    };
    match general(bytes, columns) {
        Ok(expected) => assert_eq!(frame, expected, "{shown:?}"),
        Err(problem) => panic!("{shown:?} is {problem:?}, but was read as {frame}"),
    }
    true
}

/// Lines of mostly zeros, like pixels.
fn lines(random: &mut ChaCha8Rng, rows: usize, width: usize) -> Vec<u8> {
    let ends = [&b"\n"[..], b"\r\n"];
    let end = ends[usize::from(random.random_bool(0.3))];
    let zeros = random.random_range(0.0..1.0);
    let mut bytes = Vec::new();
    for row in 0..rows {
        for column in 0..width {
            if column > 0 {
                bytes.push(b',');
            }
            let value: u8 = if random.random_bool(zeros) {
                0
            } else {
                random.random()
            };
            bytes.extend(value.to_string().bytes());
        }
        if row + 1 < rows || random.random_bool(0.7) {
            bytes.extend(end);
        }
    }
    bytes
}

#[test]
fn lines_of_small_integers_take_the_fast_path_to_the_same_frame() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..300 {
        let (rows, width) = (random.random_range(1..200), random.random_range(1..150));
        let bytes = lines(&mut random, rows, width);
        let chunk_size = random.random_range(0..3000);
        assert!(agree(&bytes, &columns(width), chunk_size));
    }
}

#[test]
fn a_field_that_is_not_one_to_three_digits_is_left_to_the_general_parser() {
    for field in [
        "", " ", " 7", "7 ", "+7", "-7", "-0", "256", "999", "0007", "1000", "0.5", "7.", "1e1",
        "nan", "x", "\"7\"", "0x1", "\t7", "7\r", "\u{664}",
    ] {
        for at in 0..12 {
            let mut fields = ["0"; 12];
            fields[at] = field;
            let bytes = format!("{}\n{}\n", "0,".repeat(11) + "0", fields.join(","));
            let taken = agree(bytes.as_bytes(), &columns(12), 8);
            // A carriage return at the end of a line is not part of the field.
            assert_eq!(taken, field == "7\r" && at == 11, "{bytes:?}");
        }
    }
}

#[test]
fn a_row_that_is_too_short_too_long_or_blank_is_left_to_the_general_parser() {
    for bytes in [
        "1,2,3\n4,5\n",
        "1,2,3\n4,5",
        "1,2,3\n4,5,6,7\n",
        "1,2,3,\n",
        "1,2,3\n\n4,5,6\n",
        "1,2,3\n\n",
        "\n1,2,3\n",
        "1,2,3\n4,5,",
        "1,2,3\r4,5,6\n",
        "1,2,3\r",
        "1,2,3\r\r\n",
        "",
    ] {
        for chunk_size in [0, 4, 100] {
            assert!(
                !agree(bytes.as_bytes(), &columns(3), chunk_size),
                "{bytes:?}"
            );
        }
    }
}

#[test]
fn both_parsers_agree_whatever_bytes_are_changed_added_or_lost() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let (mut taken, mut left) = (0, 0);
    for _ in 0..20_000 {
        let (rows, width) = (random.random_range(1..8), random.random_range(1..24));
        let mut bytes = lines(&mut random, rows, width);
        for _ in 0..random.random_range(1..4) {
            let other = *b"00123456789,,\n\n\r \"+-.ex\xff\0"
                .choose(&mut random)
                .unwrap();
            let at = random.random_range(0..bytes.len());
            match random.random_range(0..3) {
                0 => bytes[at] = other,
                1 => bytes.insert(at, other),
                _ if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => {}
            }
        }
        let chunk_size = random.random_range(0..60);
        match agree(&bytes, &columns(width), chunk_size) {
            true => taken += 1,
            false => left += 1,
        }
    }
    // Both outcomes are tested on many inputs.
    assert!(taken > 2000 && left > 2000, "{taken} {left}");
}

#[test]
fn columns_of_another_type_are_left_to_the_general_parser() {
    use NumberType::{Float32, Int64, UInt8};
    let bytes = b"1,2\n3,4\n";
    let narrow = columns(2);
    assert!(fast(bytes, &narrow.fixed(UInt8), 4).is_some());
    assert!(fast(bytes, &narrow.fixed(Float32), 4).is_none());
    assert!(fast(bytes, &testing::columns(&[UInt8, Int64]), 4).is_none());
}

#[test]
fn blocks_of_all_parsers_become_one_frame_in_order() {
    let columns = columns(2);
    let blocks = ["1,2\n3,4\n", "5,6\n", "\"7\",8\n", "9,10\n", "11, 12\n"]
        .map(|text| Block::parse(&Bytes::from_static(text.as_bytes()), &columns, &[1, 0]).unwrap());
    let fast: Vec<bool> = blocks
        .iter()
        .map(|block| matches!(block, Block::Bytes(_)))
        .collect();
    assert_eq!(fast, [true, true, false, true, false]);
    let frame = join(blocks.into(), &columns, &[1, 0], "test.csv").unwrap();
    assert_eq!(frame.get_column_names(), ["c1", "c0"]);
    let (first, second) = (frame.column("c0").unwrap(), frame.column("c1").unwrap());
    assert_eq!(first.u8().unwrap().to_vec(), [1, 3, 5, 7, 9, 11].map(Some));
    assert_eq!(
        second.u8().unwrap().to_vec(),
        [2, 4, 6, 8, 10, 12].map(Some)
    );
    assert_eq!((first.n_chunks(), second.n_chunks()), (1, 1));
    let none = join(Vec::new(), &columns, &[1], "test.csv").unwrap();
    assert_eq!(none.shape(), (0, 1));
}

#[test]
fn polars_and_the_general_parser_agree_on_numbers() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let columns = testing::columns(&[NumberType::Int64, NumberType::Float64]);
    for _ in 0..300 {
        let mut text = String::new();
        for _ in 0..random.random_range(1..30) {
            let (integer, float): (i64, f64) = (random.random(), random.random());
            let float = float * 10_f64.powi(random.random_range(-30..30));
            text.push_str(&format!(
                "{},{float}\n",
                integer >> random.random_range(0..60)
            ));
        }
        let bytes = Bytes::from(text);
        let polars = parse::parse(&bytes, &columns).unwrap();
        assert_eq!(general(&bytes, &columns).unwrap(), polars);
    }
}
