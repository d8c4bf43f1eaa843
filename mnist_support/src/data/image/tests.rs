//! Pillow is the judge of the values: `tests/fixtures/make_images.py` writes what it decodes.

use polars::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::lake::{Credentials, Lake};

/// The settings under which most tests decode.
const GREY: ImageOptions = ImageOptions {
    channels: 1,
    size: None,
    apply_exif_orientation: false,
    max_pixels: 1_000_000,
    skip_invalid: false,
};

fn fixture() -> DataFrame {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let lake = Lake::open(folder, &Credentials::local()).unwrap();
    lake.parquet("images.parquet").unwrap().collect().unwrap()
}

/// The bytes of an image of the fixture.
fn file(frame: &DataFrame, name: &str) -> Vec<u8> {
    let names = frame.column("name").unwrap().str().unwrap();
    let row = names.iter().position(|found| found == Some(name)).unwrap();
    let images = Images::of(frame, "image", "images.parquet".into()).unwrap();
    match images.get(row).unwrap() {
        Some(Image::File(bytes)) => bytes.to_vec(),
        _ => panic!("{name} has no bytes"),
    }
}

fn decoded_features(frame: &DataFrame, options: &ImageOptions) -> Result<Features> {
    images_from_frame(frame, "image", options, "images.parquet".into())
        .map(|images| images.features)
}

#[test]
fn every_image_has_the_values_that_pillow_gives_it() {
    let frame = fixture();
    let numbers = |name: &str| frame.column(name).unwrap().i64().unwrap().clone();
    let (channels, tolerances) = (numbers("channels"), numbers("tolerance"));
    let (heights, widths) = (numbers("height"), numbers("width"));
    let sizes = frame.column("resize").unwrap().list().unwrap();
    let exif = frame.column("exif").unwrap().bool().unwrap();
    let names = frame.column("name").unwrap().str().unwrap();
    let expected = frame.column("expected").unwrap().binary().unwrap();
    assert!(frame.height() > 80);
    let mut wrong = Vec::new();
    for row in 0..frame.height() {
        let size = sizes.get_as_series(row);
        let size = size.map(|size| [0, 1].map(|i| size.i64().unwrap().get(i).unwrap() as usize));
        let options = ImageOptions {
            channels: channels.get(row).unwrap() as usize,
            size,
            apply_exif_orientation: exif.get(row).unwrap(),
            ..GREY
        };
        let name = names.get(row).unwrap();
        let found = decoded_features(&frame.slice(row as i64, 1), &options);
        let found = match found {
            Ok(Features::U8(found)) => found,
            other => {
                wrong.push(format!("{name}: {other:?}"));
                continue;
            }
        };
        let expected = expected.get(row).unwrap();
        let (height, width) = (heights.get(row).unwrap(), widths.get(row).unwrap());
        assert_eq!(expected.len(), options.channels * (height * width) as usize);
        if found.len() != expected.len() {
            wrong.push(format!("{name}: {} values", found.len()));
            continue;
        }
        let largest = found.iter().zip(expected).map(|(a, b)| a.abs_diff(*b));
        let largest = largest.max().unwrap();
        if i64::from(largest) > tolerances.get(row).unwrap() {
            wrong.push(format!("{name}, {options:?}: differs by {largest}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_file_whose_end_is_missing_is_damaged_wherever_it_ends() {
    let frame = fixture();
    for name in [
        "L.png",
        "RGB.png",
        "P.png",
        "interlaced.png",
        "grey at 95.jpg",
        "4:2:0.jpg",
        "restarts.jpg",
        "progressive.jpg",
    ] {
        let whole = file(&frame, name);
        let pixels = decode::decode(&whole, &GREY).unwrap();
        for length in 8..whole.len() {
            match decode::decode(&whole[..length], &GREY) {
                Err(ImageError::Damaged { .. }) => {}
                // The last chunk of a PNG is empty.
                Ok(found) => assert!(
                    found == pixels && name.ends_with(".png") && length + 16 >= whole.len(),
                    "{name}, {length} of {} bytes",
                    whole.len()
                ),
                Err(error) => panic!("{name}, {length} bytes: {error}"),
            }
        }
    }
}

#[test]
fn damaged_bytes_are_an_error_or_another_image_and_never_a_panic() {
    let frame = fixture();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let names = frame.column("name").unwrap().str().unwrap();
    for name in names.iter().flatten() {
        let whole = file(&frame, name);
        for _ in 0..100 {
            let mut bytes = whole.clone();
            for _ in 0..random.random_range(1..4) {
                let place = random.random_range(3..bytes.len());
                bytes[place] = random.random();
            }
            if let Ok(pixels) = decode::decode(&bytes, &GREY) {
                let length = pixels.height * pixels.width * pixels.channels;
                assert_eq!(pixels.values.len(), length, "{name}");
            }
        }
    }
}

#[test]
fn an_image_that_claims_to_be_too_large_is_not_decoded() {
    let frame = fixture();
    let mut png = file(&frame, "L.png");
    png[16..24].copy_from_slice(&[0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0]);
    // The checksum of the header.
    let mut checksum = flate2::Crc::new();
    checksum.update(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.sum().to_be_bytes());
    let mut jpeg = file(&frame, "4:2:0.jpg");
    let start = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]);
    let start = start.unwrap();
    jpeg[start + 5..start + 9].copy_from_slice(&[0xff; 4]);
    for (bytes, claimed) in [(png, 100_000), (jpeg, 65_535)] {
        let frame = df!("image" => [&bytes[..]]).unwrap();
        let error = decoded_features(&frame, &GREY).unwrap_err();
        let message = error.to_string();
        assert!(
            message.starts_with(&format!(
                "images.parquet, row 1, column \"image\": it says that it has {claimed} x \
                 {claimed} pixels, and max_pixels is 1000000"
            )),
            "{message}"
        );
    }
    let small = ImageOptions {
        max_pixels: 23 * 37,
        ..GREY
    };
    let grey = file(&frame, "L.png");
    let frame = df!("image" => [&grey[..]]).unwrap();
    assert!(decoded_features(&frame, &small).is_ok());
    let smaller = ImageOptions {
        max_pixels: 23 * 37 - 1,
        ..GREY
    };
    assert!(decoded_features(&frame, &smaller).is_err());
}

#[test]
fn bytes_of_another_format_are_named() {
    for (bytes, expected) in [
        (&b"GIF89a..."[..], "its bytes are a GIF, and only"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "its bytes are a WebP, and only"),
        (b"\0\0\0\x20ftypavif", "its bytes are an AVIF, and only"),
        (
            b"<!DOCTYPE html>",
            "its bytes are text that begins with \"<!DOCTYPE html>\", and only",
        ),
        (b"", "its bytes are none: it is empty, and only"),
        (
            b"\x01\x02",
            "its bytes are of no image format that is known, and begin with [01, 02], and only",
        ),
        (b"\x89PNG\r\n\x1a\n", "the PNG is damaged: "),
        (b"\xff\xd8\xff", "the JPEG is damaged: "),
    ] {
        let frame = df!("image" => [bytes]).unwrap();
        let error = decoded_features(&frame, &GREY).unwrap_err().to_string();
        let expected = format!("images.parquet, row 1, column \"image\": {expected}");
        assert!(error.starts_with(&expected), "{error}");
    }
}
