//! Grids of images, such as MNIST's digits.

use ndarray::{Array2, ArrayView1, Axis};
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::picture::{Area, FAINT, INK, Picture, failed, fitting, text_style};
use super::png;
use crate::data::FeaturesView;
use crate::text::grouped;
use crate::{Error, Result, error::Cause};

/// The width of a grid, in pixels.
const WIDTH: u32 = 720;
/// The height of the title and of a caption, in pixels.
const TITLE_HEIGHT: i32 = 34;
const CAPTION_HEIGHT: i32 = 24;
/// The distance between an image and the edge of its cell, in pixels.
const MARGIN: i32 = 6;

const RIGHT: RGBColor = RGBColor(46, 125, 50);
const WRONG: RGBColor = RGBColor(198, 40, 40);

/// Shows the first images in a grid of `columns` x `rows`, with dark strokes on white and each
/// label below its image.
///
/// With `predictions`, a caption is green if the prediction equals the label, and otherwise red, as
/// in "4 read as 9". Images are square and given as rows of features, with values from 0 to 255,
/// or, as `f32`, from the smallest to the largest value shown.
///
/// # Errors
/// - [`Error::ShapeMismatch`] unless there is one label and one prediction per image, and images
///   are square.
/// - [`Error::InvalidSetting`] if the grid has no columns or no rows.
/// - [`Error::Drawing`] if there are no images.
///
/// ```
/// use mnist_support::display::sample_digits;
/// use ndarray::{Array1, Array2};
///
/// # fn main() -> mnist_support::Result<()> {
/// let images = Array2::<u8>::zeros((20, 784));
/// let labels = Array1::from_iter((0..20).map(|row| row % 10));
/// let picture = sample_digits(&images, &labels, None, (10, 2))?;
/// assert_eq!(picture.svg().matches("<image").count(), 20);
/// # Ok(())
/// # }
/// ```
pub fn sample_digits<'a>(
    images: impl Into<FeaturesView<'a>>,
    labels: impl Into<ArrayView1<'a, i64>>,
    predictions: Option<ArrayView1<'a, i64>>,
    grid: (usize, usize),
) -> Result<Picture> {
    let (images, labels) = (images.into(), labels.into());
    check_count(&images, &labels, "the array of labels")?;
    if let Some(predictions) = &predictions {
        check_count(&images, predictions, "the array of predictions")?;
    }
    let shown = images.rows().min(grid.0.saturating_mul(grid.1));
    let digits = (0..shown)
        .map(|row| Digit::new(row, labels[row], predictions.map(|read| read[row])))
        .collect::<Vec<_>>();
    draw("a sample of the images", None, &images, &digits, grid)
}

/// Shows the first misread images in a grid of at most `columns` x `rows`, with captions such as
/// "4 read as 9", below a title that counts all of them. See [`sample_digits`] for the images.
///
/// # Errors
/// - [`Error::ShapeMismatch`] unless there is one label and one prediction per image, and images
///   are square.
/// - [`Error::InvalidSetting`] if the grid has no columns or no rows.
/// - [`Error::Drawing`] if there are no images. (It is not an error if none was misread.)
pub fn misread_digits<'a>(
    images: impl Into<FeaturesView<'a>>,
    labels: impl Into<ArrayView1<'a, i64>>,
    predictions: impl Into<ArrayView1<'a, i64>>,
    grid: (usize, usize),
) -> Result<Picture> {
    let (images, labels, predictions) = (images.into(), labels.into(), predictions.into());
    check_count(&images, &labels, "the array of labels")?;
    check_count(&images, &predictions, "the array of predictions")?;
    let mut digits: Vec<Digit> = labels
        .iter()
        .zip(&predictions)
        .enumerate()
        .filter(|(_, (label, read))| label != read)
        .map(|(row, (label, read))| Digit::new(row, *label, Some(*read)))
        .collect();
    let (misread, places) = (digits.len(), grid.0.saturating_mul(grid.1));
    digits.truncate(places);
    let mut title = format!(
        "{} of {} misread",
        grouped(misread as u64),
        grouped(images.rows() as u64)
    );
    if misread > places {
        title.push_str(&format!(", the first {places}"));
    }
    draw("the misread images", Some(title), &images, &digits, grid)
}

/// Shows the first `columns` images, and below each what an autoencoder made of it. Both are drawn
/// from their own smallest to their own largest value. See [`sample_digits`] for the images.
///
/// # Errors
/// - [`Error::ShapeMismatch`] unless there is a reconstruction of the same size for each image, and
///   images are square.
/// - [`Error::InvalidSetting`] if there are no columns.
/// - [`Error::Drawing`] if there are no images.
///
/// ```
/// use mnist_support::display::reconstructed_digits;
/// use ndarray::Array2;
///
/// let images = Array2::<u8>::zeros((20, 784));
/// let reconstructions = Array2::<f32>::zeros((20, 784));
/// let picture = reconstructed_digits(&images, &reconstructions, 10)?;
/// assert_eq!(picture.svg().matches("<image").count(), 20);
/// # Ok::<(), mnist_support::Error>(())
/// ```
pub fn reconstructed_digits<'a>(
    images: impl Into<FeaturesView<'a>>,
    reconstructions: impl Into<FeaturesView<'a>>,
    columns: usize,
) -> Result<Picture> {
    let (images, reconstructions) = (images.into(), reconstructions.into());
    let expected = (images.rows(), images.width());
    if (reconstructions.rows(), reconstructions.width()) != expected {
        return Err(Error::ShapeMismatch {
            what: "the matrix of reconstructions".to_owned(),
            found: vec![
                reconstructions.rows() as i64,
                reconstructions.width() as i64,
            ],
            expected: format!("[{}, {}], as the images have,", expected.0, expected.1),
        });
    }
    check_size((columns, 2))?;
    let name = "the reconstructions";
    if images.rows() == 0 {
        return Err(failed(name, "there is no image"));
    }
    let rows: Vec<usize> = (0..images.rows().min(columns)).collect();
    let mut pixels = greys(&images, &rows);
    pixels.extend(greys(&reconstructions, &rows));
    let captions = ["image", "reconstruction"];
    let digits: Vec<Digit> = captions
        .iter()
        .flat_map(|caption| rows.iter().map(|&row| Digit::captioned(row, caption)))
        .collect();
    let side = side(&images)?;
    draw_pixels(name, None, side, &pixels, &digits, (rows.len(), 2))
}

/// An image to draw, and its caption.
struct Digit {
    row: usize,
    caption: String,
    colour: RGBColor,
}

impl Digit {
    fn captioned(row: usize, caption: &str) -> Digit {
        Digit {
            row,
            caption: caption.to_owned(),
            colour: INK,
        }
    }

    fn new(row: usize, label: i64, read: Option<i64>) -> Digit {
        let (caption, colour) = match read {
            None => (label.to_string(), INK),
            Some(read) if read == label => (label.to_string(), RIGHT),
            Some(read) => (format!("{label} read as {read}"), WRONG),
        };
        Digit {
            row,
            caption,
            colour,
        }
    }
}

fn draw(
    name: &'static str,
    title: Option<String>,
    images: &FeaturesView,
    digits: &[Digit],
    size: (usize, usize),
) -> Result<Picture> {
    check_size(size)?;
    if images.rows() == 0 {
        return Err(failed(name, "there is no image"));
    }
    let side = side(images)?;
    let rows: Vec<usize> = digits.iter().map(|digit| digit.row).collect();
    draw_pixels(name, title, side, &greys(images, &rows), digits, size)
}

/// Draws square images from their pixels, one after the other.
fn draw_pixels(
    name: &'static str,
    title: Option<String>,
    side: usize,
    pixels: &[u8],
    digits: &[Digit],
    size: (usize, usize),
) -> Result<Picture> {
    let grid = Grid::new(size.0, side, title.is_some());
    let mut picture = Picture::draw(name, (WIDTH, grid.height(digits.len())), |area| {
        if let Some(title) = &title {
            let style = text_style(36, &INK, HPos::Left);
            area.draw_text(title, &style, (grid.margin, TITLE_HEIGHT + 4))?;
        }
        for (index, digit) in digits.iter().enumerate() {
            grid.draw_frame(area, index, digit)?;
        }
        Ok(())
    })?;
    for (index, grey) in pixels.chunks_exact(side * side).enumerate() {
        let png = png::encode(grey, side as u32).map_err(|error| failed(name, error))?;
        picture.lay_image(grid.corner(index), (grid.square, grid.square), &png);
    }
    let captions: Vec<&str> = digits.iter().map(|digit| digit.caption.as_str()).collect();
    let title = title.unwrap_or_else(|| name.to_owned());
    Ok(picture.describe(format!("{title}: {}", captions.join(", "))))
}

/// The layout of a grid, in units (two per pixel).
struct Grid {
    columns: usize,
    /// The height of the title, if there is one.
    top: i32,
    /// The height of a row (an image with its caption) and the width of a column.
    row: i32,
    column: i32,
    /// The side of an image, and the space to its left and right.
    square: i32,
    margin: i32,
}

impl Grid {
    /// Creates a grid for images of `side` x `side` pixels.
    fn new(columns: usize, side: usize, has_title: bool) -> Grid {
        let (column, side) = (WIDTH as i32 / columns as i32, side as i32);
        // A whole number of screen pixels per image pixel, so that all are the same size.
        let room = column - MARGIN;
        let square = if side <= room {
            room / side * side
        } else {
            room
        };
        Grid {
            columns,
            top: if has_title { 2 * TITLE_HEIGHT } else { 0 },
            row: 2 * (square + CAPTION_HEIGHT + MARGIN),
            column: 2 * column,
            square: 2 * square,
            margin: 2 * ((column - square) / 2),
        }
    }

    /// The height of a picture with this many images, in pixels.
    fn height(&self, images: usize) -> u32 {
        let rows = images.div_ceil(self.columns) as i32;
        ((self.top + self.row * rows) / 2 + MARGIN) as u32
    }

    /// The upper left corner of an image.
    fn corner(&self, index: usize) -> (i32, i32) {
        let (row, column) = ((index / self.columns) as i32, (index % self.columns) as i32);
        let top = self.top + row * self.row + 2 * MARGIN;
        (column * self.column + self.margin, top)
    }

    /// Draws an image's frame, and the caption below it.
    fn draw_frame(&self, area: &Area, index: usize, digit: &Digit) -> Result<(), Cause> {
        let (left, top) = self.corner(index);
        let (right, bottom) = (left + self.square, top + self.square);
        let frame = [(left - 2, top - 2), (right + 1, bottom + 1)];
        area.draw(&Rectangle::new(frame, FAINT.stroke_width(2)))?;
        let size = fitting(&digit.caption, self.column - 8, 32);
        let style = text_style(size, &digit.colour, HPos::Center);
        let below = (left + self.square / 2, bottom + CAPTION_HEIGHT);
        area.draw_text(&digit.caption, &style, below)?;
        Ok(())
    }
}

fn check_size((columns, rows): (usize, usize)) -> Result<()> {
    let most = WIDTH as usize / 16;
    if (1..=most).contains(&columns) && rows > 0 {
        return Ok(());
    }
    Err(Error::InvalidSetting {
        setting: "grid",
        value: format!("{columns} x {rows}"),
        reason: format!("needs 1 to {most} columns and at least 1 row"),
    })
}

fn check_count(images: &FeaturesView, labels: &ArrayView1<i64>, what: &str) -> Result<()> {
    if labels.len() == images.rows() {
        return Ok(());
    }
    Err(Error::ShapeMismatch {
        what: what.to_owned(),
        found: vec![labels.len() as i64],
        expected: format!("one for each of the {} images", images.rows()),
    })
}

/// Returns the number of pixels along each side of an image.
fn side(images: &FeaturesView) -> Result<usize> {
    let side = images.width().isqrt();
    if side > 0 && side * side == images.width() {
        return Ok(side);
    }
    Err(Error::ShapeMismatch {
        what: "the matrix of images".to_owned(),
        found: vec![images.rows() as i64, images.width() as i64],
        expected: "a square number of columns, such as 28 x 28,".to_owned(),
    })
}

/// Returns the pixels of these images, image by image, with dark strokes on white.
fn greys(images: &FeaturesView, rows: &[usize]) -> Vec<u8> {
    match images {
        FeaturesView::U8(array) => {
            let chosen = array.select(Axis(0), rows);
            chosen.iter().map(|&value| 255 - value).collect()
        }
        FeaturesView::F32(array) => dark_on_white(array.select(Axis(0), rows).mapv(f64::from)),
        FeaturesView::F64(array) => dark_on_white(array.select(Axis(0), rows)),
    }
}

/// Spreads values over all greys.
fn dark_on_white(images: Array2<f64>) -> Vec<u8> {
    let low = images.iter().copied().fold(f64::INFINITY, f64::min);
    let high = images.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // An image without contrast is drawn as white.
    let scale = if high > low {
        255.0 / (high - low)
    } else {
        0.0
    };
    let greys = images.iter();
    greys
        .map(|&value| 255 - ((value - low) * scale).round() as u8)
        .collect()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2, arr1, arr2};

    use super::*;

    fn images(rows: usize) -> Array2<u8> {
        Array2::from_shape_fn((rows, 16), |(row, column)| (row * 16 + column) as u8)
    }

    fn count(picture: &Picture, part: &str) -> usize {
        picture.svg().matches(part).count()
    }

    #[test]
    fn a_sample_fills_its_grid_and_no_more() {
        let labels = Array1::from_iter(0..9);
        let picture = sample_digits(&images(9), &labels, None, (3, 2)).unwrap();
        assert_eq!(count(&picture, "<image "), 6);
        let picture = sample_digits(&images(9), &labels, None, (4, 10)).unwrap();
        assert_eq!(count(&picture, "<image "), 9);
    }

    #[test]
    fn captions_tell_right_from_wrong() {
        let (labels, read) = (arr1(&[4, 7]), arr1(&[9, 7]));
        let picture = sample_digits(&images(2), &labels, Some(read.view()), (2, 1)).unwrap();
        assert_eq!(count(&picture, "4 read as 9"), 1);
        assert_eq!(count(&picture, "\n7\n"), 1, "{}", picture.svg());
    }

    #[test]
    fn misread_digits_are_those_that_differ_and_are_counted() {
        let labels = arr1(&[1, 2, 3, 4, 5]);
        let read = arr1(&[1, 7, 3, 9, 6]);
        let picture = misread_digits(&images(5), &labels, &read, (2, 1)).unwrap();
        assert_eq!(count(&picture, "<image "), 2);
        for part in ["3 of 5 misread, the first 2", "2 read as 7", "4 read as 9"] {
            assert_eq!(count(&picture, part), 1, "{part}");
        }
    }

    #[test]
    fn no_misread_digit_is_a_picture_that_says_so() {
        let labels = arr1(&[1, 2]);
        let picture = misread_digits(&images(2), &labels, &labels, (8, 5)).unwrap();
        assert_eq!(count(&picture, "<image "), 0);
        assert_eq!(count(&picture, "0 of 2 misread"), 1);
    }

    #[test]
    fn each_reconstruction_stands_below_its_image() {
        let (given, made) = (images(5), Array2::<f32>::zeros((5, 16)));
        let picture = reconstructed_digits(&given, &made, 3).unwrap();
        assert_eq!(count(&picture, "<image "), 6);
        assert_eq!(count(&picture, "\nreconstruction\n"), 3);
        let error = reconstructed_digits(&given, &images(4), 3).unwrap_err();
        assert!(error.to_string().contains("[5, 16]"), "{error}");
        for (images, columns) in [(images(5), 0), (images(0), 3)] {
            assert!(reconstructed_digits(&images, &images, columns).is_err());
        }
    }

    #[test]
    fn strokes_are_dark_whether_bytes_or_floats() {
        let bytes = arr2(&[[0u8, 255, 51, 0]]);
        assert_eq!(greys(&(&bytes).into(), &[0]), [255, 0, 204, 255]);
        let floats = bytes.mapv(|value| f32::from(value) / 255.0);
        assert_eq!(greys(&(&floats).into(), &[0]), [255, 0, 204, 255]);
        let flat = arr2(&[[0.3f32; 4]]);
        assert_eq!(greys(&(&flat).into(), &[0]), [255; 4]);
    }

    #[test]
    fn counts_that_disagree_are_refused() {
        let error = sample_digits(&images(2), &arr1(&[1, 2, 3]), None, (2, 1)).unwrap_err();
        assert!(
            matches!(&error, Error::ShapeMismatch { found, .. } if found == &[3]),
            "{error}"
        );
        let error = misread_digits(&images(2), &arr1(&[1, 2]), &arr1(&[1]), (2, 1)).unwrap_err();
        assert!(
            matches!(&error, Error::ShapeMismatch { what, .. } if what.contains("predictions")),
            "{error}"
        );
    }

    #[test]
    fn images_that_are_not_square_are_refused() {
        let error =
            sample_digits(&Array2::<u8>::zeros((1, 15)), &arr1(&[1]), None, (1, 1)).unwrap_err();
        assert!(
            matches!(&error, Error::ShapeMismatch { found, .. } if found == &[1, 15]),
            "{error}"
        );
    }

    #[test]
    fn a_grid_without_places_and_a_set_without_images_are_refused() {
        let error = sample_digits(&images(1), &arr1(&[1]), None, (0, 5)).unwrap_err();
        assert!(matches!(error, Error::InvalidSetting { .. }), "{error}");
        let error = sample_digits(&images(0), &Array1::zeros(0), None, (5, 5)).unwrap_err();
        assert!(matches!(error, Error::Drawing { .. }), "{error}");
    }
}
