//! Altered IDX files are errors or images.

use std::fs;

use rand_chacha::ChaCha8Rng;

use super::tests::{TWO_IMAGES, gzip, two_rows_of_8};
use super::*;
use crate::fuzz::Fuzz;

fn fuzz() -> Fuzz {
    let labels = [0, 0, 8, 1, 0, 0, 0, 2, 7, 9].to_vec();
    let plain = [TWO_IMAGES.to_vec(), labels, two_rows_of_8(3, 4)];
    let packed = plain.iter().map(|bytes| gzip(bytes));
    Fuzz {
        name: "idx",
        files: packed.chain(plain.clone()).collect(),
        parts: &[
            b"\x00\x00\x08\x03",
            b"\x1f\x8b\x08\x00",
            b"\x00\x00\x00\x02",
            b"\xff\xff\xff\xff",
        ],
    }
}

fn parse(path: &Path, bytes: &[u8], _: &mut ChaCha8Rng) -> bool {
    fs::write(path, bytes).unwrap();
    let images = read_images(path).inspect(|images| {
        let size = images.count * images.rows * images.columns;
        assert_eq!(images.pixels.len(), size);
    });
    read_labels(path).is_ok() || images.is_ok()
}

#[test]
fn altered_files_are_errors_or_images() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let read = fuzz().a_few(|bytes, random| parse(file.path(), bytes, random));
    assert!(read > 2, "{read}");
}

#[test]
#[ignore = "takes as long as MNIST_FUZZ_SECONDS says"]
fn for_a_while() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fuzz().for_a_while(|bytes, random| parse(file.path(), bytes, random));
}
