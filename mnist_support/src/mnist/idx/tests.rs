use crate::error::MnistError;
use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    file
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) const TWO_IMAGES: [u8; 24] = [
    0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8,
];

fn problem<T: std::fmt::Debug>(result: Result<T>) -> IdxError {
    match result {
        Err(Error::Mnist(MnistError::InvalidIdx { source, .. })) => source,
        other => panic!("{other:?}"),
    }
}

/// The error for a file of images, which is the same whether it is gzipped or not.
fn refused(bytes: &[u8]) -> IdxError {
    let plain = problem(read_images(file(bytes).path()));
    let packed = problem(read_images(file(&gzip(bytes)).path()));
    assert_eq!(plain.to_string(), packed.to_string());
    plain
}

#[test]
fn images_and_labels_are_read_with_their_sizes_plain_or_gzipped() {
    let labels = [0, 0, 8, 1, 0, 0, 0, 2, 7, 9];
    for pack in [|bytes: &[u8]| bytes.to_vec(), gzip] {
        let images = read_images(file(&pack(&TWO_IMAGES)).path()).unwrap();
        assert_eq!((images.count, images.rows, images.columns), (2, 2, 2));
        assert_eq!(images.pixels, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(read_labels(file(&pack(&labels)).path()).unwrap(), [7, 9]);
    }
}

/// Two rows of QMNIST labels: the class, then who wrote the digit and where.
pub(super) fn two_rows_of_8(first: i32, second: i32) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0x0C, 2, 0, 0, 0, 2, 0, 0, 0, 8];
    for label in [first, second] {
        let row = [label, 4, 2370, 31_049, 253, 0, 0, -1];
        bytes.extend(row.map(i32::to_be_bytes).concat());
    }
    bytes
}

#[test]
fn the_first_of_several_label_columns_is_the_class() {
    let labels = |bytes: &[u8]| read_labels(file(bytes).path()).unwrap();
    assert_eq!(labels(&two_rows_of_8(5, 255)), [5, 255]);
    let one_column = [0, 0, 0x0C, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 46];
    assert_eq!(labels(&one_column), [3, 46]);
    let bytes = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 3, 0, 0, 8, 0, 0];
    assert_eq!(labels(&bytes), [3, 8]);
}

#[test]
fn a_label_that_is_not_a_class_is_named_with_its_position() {
    for label in [-1, 256] {
        let error = problem(read_labels(file(&two_rows_of_8(0, label)).path()));
        assert!(
            matches!(&error, IdxError::Label { row: 2, label: found } if *found == i64::from(label)),
            "{error}"
        );
    }
}

#[test]
fn labels_in_place_of_images_are_recognised_by_their_dimensions() {
    let error = refused(&[0, 0, 8, 1, 0, 0, 0, 2, 7, 9]);
    assert_eq!(
        error.to_string(),
        "it has 1 dimension, where images have 3 (number, height, width): is it the right file?"
    );
}

#[test]
fn values_of_another_type_are_named() {
    let mut bytes = TWO_IMAGES;
    bytes[2] = 0x0D;
    let said = refused(&bytes).to_string();
    assert!(said.contains("32-bit floats (0x0D)"), "{said}");
    bytes[2] = 0x0C;
    assert!(matches!(refused(&bytes), IdxError::ValueType { .. }));
}

#[test]
fn a_truncated_file_is_reported_with_both_lengths() {
    let error = refused(&TWO_IMAGES[..23]);
    assert!(
        matches!(
            &error,
            IdxError::Cut { shape, expected: 8, found: 7 } if shape == "2 x 2 x 2"
        ),
        "{error}"
    );
    assert!(matches!(refused(&TWO_IMAGES[..9]), IdxError::Header { .. }));
    assert!(matches!(refused(&TWO_IMAGES[..2]), IdxError::Header { .. }));
    assert!(matches!(refused(&[]), IdxError::Empty));
}

#[test]
fn bytes_after_the_last_value_are_reported() {
    let error = refused(&[&TWO_IMAGES[..], &[0]].concat());
    assert!(
        matches!(error, IdxError::TrailingBytes { expected: 8, .. }),
        "{error}"
    );
}

#[test]
fn a_truncated_gzip_and_a_damaged_one_are_told_apart() {
    let whole = gzip(&TWO_IMAGES);
    let error = problem(read_images(file(&whole[..whole.len() - 12]).path()));
    assert!(matches!(error, IdxError::CutGzip { .. }), "{error}");
    // All values are there, but the checksum is not.
    let error = problem(read_images(file(&whole[..whole.len() - 8]).path()));
    assert!(matches!(error, IdxError::CutGzip { .. }), "{error}");
    let mut wrong = whole;
    let checksum = wrong.len() - 8;
    wrong[checksum] ^= 1;
    let error = problem(read_images(file(&wrong).path()));
    assert!(matches!(error, IdxError::DamagedGzip { .. }), "{error}");
}

#[test]
fn a_gzip_that_claims_more_than_it_holds_takes_no_memory_for_the_claim() {
    // 4 billion images of 64 kB: no machine has that much memory.
    let mut bytes = TWO_IMAGES;
    bytes[4..8].fill(0xff);
    bytes[8..16].copy_from_slice(&[0, 0, 1, 0, 0, 0, 1, 0]);
    let error = refused(&bytes);
    assert!(matches!(error, IdxError::Cut { found: 8, .. }), "{error}");
}

#[test]
fn sizes_that_no_image_has_are_refused() {
    let mut bytes = TWO_IMAGES;
    bytes[4..16].fill(0xff);
    assert!(refused(&bytes).to_string().contains("4294967295"));
    bytes[4..16].fill(0);
    assert!(matches!(refused(&bytes), IdxError::Sizes { .. }));
}

#[test]
fn the_remains_of_a_failed_download_are_named_as_what_they_are() {
    for page in [
        "<!DOCTYPE html>\n<html><head><title>404",
        "\n <html>",
        "\u{feff}<?xml version",
    ] {
        assert!(
            matches!(refused(page.as_bytes()), IdxError::WebPage),
            "{page}"
        );
    }
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:ba89";
    assert!(matches!(refused(pointer), IdxError::GitLfsPointer));
    assert!(matches!(refused(b"Not Found"), IdxError::Text));
    for (start, with) in [(&b"PK\x03\x04\x14"[..], "zip"), (b"\xfd7zXZ\0\0", "xz")] {
        let error = refused(start);
        assert!(
            matches!(error, IdxError::Packed { with: found, .. } if found == with),
            "{error}"
        );
    }
    let twice = problem(read_images(file(&gzip(&gzip(&TWO_IMAGES))).path()));
    assert!(twice.to_string().contains("gunzip"), "{twice}");
    assert!(matches!(
        refused(b"\x93NUMPY\x01\0"),
        IdxError::Header { .. }
    ));
}
