//! Images with their labels.

use std::path::Path;

use super::find::Set;
use super::idx::{IdxImages, read_images, read_labels};
use crate::error::IdxError;
use crate::text::grouped;
use crate::{Error, Result, error::MnistError};

/// Images with their labels.
#[derive(Clone, Debug)]
pub struct Digits {
    /// The images.
    pub images: IdxImages,
    /// The class of each image: 0 to 9 for digits.
    pub labels: Vec<u8>,
}

impl Digits {
    /// Reads a file of images and a file of labels, each plain or gzipped.
    ///
    /// # Errors
    /// The errors of [`read_images`] and [`read_labels`], and [`MnistError::InvalidIdx`] if the two
    /// counts differ.
    pub fn read(images: &Path, labels: &Path) -> Result<Digits> {
        let digits = Digits {
            images: read_images(images)?,
            labels: read_labels(labels)?,
        };
        let (count, found) = (digits.images.count, digits.labels.len());
        if count != found {
            let source = IdxError::Counts {
                labels: found as u64,
                file: images.into(),
                images: count as u64,
            };
            return Err(invalid(labels, source));
        }
        Ok(digits)
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Swaps the rows and columns of every image.
    pub fn transpose(&mut self) {
        let (rows, columns) = (self.images.rows, self.images.columns);
        let mut image = vec![0; rows * columns];
        for pixels in self.images.pixels.chunks_exact_mut(rows * columns) {
            image.copy_from_slice(pixels);
            for (at, pixel) in pixels.iter_mut().enumerate() {
                *pixel = image[at % rows * columns + at / rows];
            }
        }
        (self.images.rows, self.images.columns) = (columns, rows);
    }

    /// The height and width of the images.
    fn size(&self) -> (usize, usize) {
        (self.images.rows, self.images.columns)
    }
}

/// Reads and normalises the training and test images of a set: all images have one size and are
/// upright, and classes start at 0. `report` receives what was found and changed.
pub(super) fn read_set(
    set: &Set,
    transposed: bool,
    report: &mut dyn FnMut(&str),
) -> Result<[Digits; 2]> {
    let [train_images, train_labels, test_images, test_labels] = &set.files;
    let mut train = Digits::read(train_images, train_labels)?;
    let mut test = Digits::read(test_images, test_labels)?;
    if train.size() != test.size() {
        let source = IdxError::ImageSize {
            found: test.size(),
            file: train_images.clone(),
            expected: train.size(),
        };
        return Err(invalid(test_images, source));
    }
    start_classes_at_0(&mut train.labels, &mut test.labels, report);
    check_classes(&train.labels, train_labels, &test.labels, test_labels)?;
    if transposed {
        report(
            "transposing the images, which are stored column by column like EMNIST's (if not, set MNIST_TRANSPOSED=0)",
        );
        train.transpose();
        test.transpose();
    }
    report(&format!(
        "found {} + {} images of {} x {} pixels, {} classes",
        grouped(train.len() as u64),
        grouped(test.len() as u64),
        train.images.rows,
        train.images.columns,
        classes_of(&train)
    ));
    if train.images.rows != train.images.columns {
        report(
            "the images are not square: the notebooks cannot show them, nor train on them as they are",
        );
    }
    Ok([train, test])
}

/// The number of classes: the largest label plus one.
pub(super) fn classes_of(digits: &Digits) -> u32 {
    digits
        .labels
        .iter()
        .max()
        .map_or(0, |last| u32::from(*last) + 1)
}

/// EMNIST's letters have labels from 1, but classes start at 0.
fn start_classes_at_0(train: &mut [u8], test: &mut [u8], report: &mut dyn FnMut(&str)) {
    if train.iter().chain(test.iter()).min() != Some(&1) {
        return;
    }
    report("the labels start at 1, but classes start at 0: class 0 is label 1");
    for label in train.iter_mut().chain(test) {
        *label -= 1;
    }
}

/// Checks that every test label is at most the largest training label.
fn check_classes(train: &[u8], train_file: &Path, test: &[u8], test_file: &Path) -> Result<()> {
    let last = train.iter().copied().max().unwrap_or_default();
    match test.iter().position(|label| *label > last) {
        None => Ok(()),
        Some(index) => Err(invalid(
            test_file,
            IdxError::UnknownClass {
                row: index as u64 + 1,
                class: test[index],
                file: train_file.into(),
                last,
            },
        )),
    }
}

fn invalid(path: &Path, source: IdxError) -> Error {
    Error::Mnist(MnistError::InvalidIdx {
        path: path.into(),
        source,
    })
}
