//! A confusion matrix as a heat map.

use ndarray::Array2;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::picture::{Area, FAINT, INK, Picture, failed, fitting, text_style};
use crate::text::grouped;
use crate::{Error, Result, error::Cause};

const NAME: &str = "the confusion matrix";
/// The side of the whole matrix, in units (two per pixel). It grows with the number of classes so
/// that a cell is not smaller than `CELL`, until the side is `LONGEST`.
const SIDE: i32 = 1040;
const CELL: i32 = 36;
const LONGEST: i32 = 2400;
/// The space above, to the right of and below the matrix, in units.
const TOP: i32 = 110;
const RIGHT: i32 = 150;
const BOTTOM: i32 = 30;

/// The full colours of a class that is always predicted correctly, and of the most frequent
/// mistake.
const CORRECT: RGBColor = RGBColor(33, 102, 172);
const MISTAKE: RGBColor = RGBColor(203, 72, 20);

/// Draws how often each label (row) was predicted as each class (column), with each label's recall
/// at the right.
///
/// Correct predictions are blue, in proportion to their share of the row. Mistakes are orange, in
/// proportion to the most frequent mistake, so that rare mistakes are visible next to thousands of
/// correct predictions. Without `class_names` (an empty slice), classes are named 0, 1, 2 and so
/// on.
///
/// # Errors
/// - [`Error::ShapeMismatch`] unless the matrix is square and there is one name per class.
/// - [`Error::Drawing`] if the matrix has no classes.
///
/// ```
/// use mnist_support::display::confusion_matrix;
///
/// # fn main() -> mnist_support::Result<()> {
/// let counts = ndarray::arr2(&[[980, 2], [5, 1130]]);
/// let picture = confusion_matrix(&counts, &["zero", "one"])?;
/// assert!(picture.svg().contains("1,130"));
/// # Ok(())
/// # }
/// ```
pub fn confusion_matrix(counts: &Array2<u64>, class_names: &[&str]) -> Result<Picture> {
    let names = names_of_classes(counts, class_names)?;
    let map = HeatMap::new(counts, names);
    let picture = Picture::draw(NAME, map.size(), |area| {
        for (cell, &count) in counts.indexed_iter() {
            map.draw_cell(area, cell, count)?;
        }
        for class in 0..counts.nrows() {
            map.draw_class(area, class)?;
        }
        map.draw_titles(area)
    })?;
    Ok(picture.describe(format!(
        "confusion matrix of {} classes: {} of {} right",
        counts.nrows(),
        grouped(counts.diag().sum()),
        grouped(counts.sum())
    )))
}

/// Returns a name for each class, after checking that the matrix can be drawn.
fn names_of_classes(counts: &Array2<u64>, class_names: &[&str]) -> Result<Vec<String>> {
    let classes = counts.nrows();
    if counts.ncols() != classes {
        return Err(Error::ShapeMismatch {
            what: NAME.to_owned(),
            found: vec![classes as i64, counts.ncols() as i64],
            expected: "a square matrix".to_owned(),
        });
    }
    if classes == 0 {
        return Err(failed(NAME, "there are no classes"));
    }
    if class_names.is_empty() {
        return Ok((0..classes).map(|class| class.to_string()).collect());
    }
    if class_names.len() != classes {
        return Err(Error::ShapeMismatch {
            what: "the list of class names".to_owned(),
            found: vec![class_names.len() as i64],
            expected: format!("one name for each of the {classes} classes"),
        });
    }
    Ok(class_names.iter().map(|&name| name.to_owned()).collect())
}

/// A matrix, and its position in the picture in units.
struct HeatMap<'a> {
    counts: &'a Array2<u64>,
    /// The count of the most frequent mistake, at least 1.
    most_mistakes: u64,
    names: Vec<String>,
    /// The width of the names at the left.
    name_width: i32,
    /// The left edge of the matrix, the side of the matrix, and the side of a cell.
    left: i32,
    side: i32,
    cell: i32,
    /// The centre of the column of recalls.
    recalls: i32,
    /// The largest font size at which text in and beside a cell is no higher than the cell.
    largest: i32,
}

impl HeatMap<'_> {
    fn new(counts: &Array2<u64>, names: Vec<String>) -> HeatMap<'_> {
        let mistakes = counts
            .indexed_iter()
            .filter(|((label, read), _)| label != read)
            .map(|(_, &count)| count);
        // Space for the longest name, within reason, and for the axis title.
        let longest = names.iter().map(|name| name.chars().count()).max();
        let name_width = (22 * longest.unwrap_or(1) as i32).clamp(70, 320);
        let classes = names.len() as i32;
        let side = classes.saturating_mul(CELL).clamp(SIDE, LONGEST);
        let cell = side / classes;
        let left = 80 + name_width;
        HeatMap {
            counts,
            most_mistakes: mistakes.max().unwrap_or(0).max(1),
            names,
            name_width,
            left,
            side,
            cell,
            recalls: left + side + RIGHT / 2,
            largest: 36.min(cell.max(1)),
        }
    }

    /// The size of the picture in pixels.
    fn size(&self) -> (u32, u32) {
        let (width, height) = (self.left + self.side + RIGHT, TOP + self.side + BOTTOM);
        ((width / 2) as u32, (height / 2) as u32)
    }

    /// The position of a class, relative to the edge of the matrix.
    fn edge(&self, class: usize) -> i32 {
        class as i32 * self.side / self.names.len() as i32
    }

    /// The recall of a class; `None` if it has no samples.
    fn recall(&self, class: usize) -> Option<f64> {
        let samples: u64 = self.counts.row(class).sum();
        (samples > 0).then(|| self.counts[[class, class]] as f64 / samples as f64)
    }

    fn draw_cell(
        &self,
        area: &Area,
        (label, read): (usize, usize),
        count: u64,
    ) -> Result<(), Cause> {
        let (colour, strength) = if label == read {
            (CORRECT, self.recall(label).unwrap_or(0.0))
        } else {
            // The square root makes single mistakes visible next to frequent ones.
            let part = count as f64 / self.most_mistakes as f64;
            (MISTAKE, 0.9 * part.sqrt())
        };
        let (left, top) = (self.left + self.edge(read), TOP + self.edge(label));
        let (right, bottom) = (self.left + self.edge(read + 1), TOP + self.edge(label + 1));
        let corners = [(left, top), (right, bottom)];
        area.draw(&Rectangle::new(corners, blend(colour, strength).filled()))?;
        area.draw(&Rectangle::new(corners, FAINT.stroke_width(2)))?;
        if count > 0 {
            let colour = if strength > 0.7 { WHITE } else { INK };
            let number = grouped(count);
            let size = fitting(&number, self.cell, self.largest);
            let style = text_style(size, &colour, HPos::Center);
            area.draw_text(&number, &style, ((left + right) / 2, (top + bottom) / 2))?;
        }
        Ok(())
    }

    /// Draws a class's name above its column and beside its row, and its recall.
    fn draw_class(&self, area: &Area, class: usize) -> Result<(), Cause> {
        let text = |text: &str, size: i32, at: (i32, i32)| {
            area.draw_text(text, &text_style(size, &INK, HPos::Center), at)
        };
        let name = &self.names[class];
        let centre = (self.edge(class) + self.edge(class + 1)) / 2;
        let size = fitting(name, self.cell, self.largest);
        text(name, size, (self.left + centre, TOP - 24))?;
        let size = fitting(name, self.name_width, self.largest);
        let middle = self.left - 10 - self.name_width / 2;
        text(name, size, (middle, TOP + centre))?;
        if let Some(recall) = self.recall(class) {
            let recall = format!("{:.1}%", 100.0 * recall);
            let size = fitting(&recall, RIGHT - 20, self.largest.min(32));
            text(&recall, size, (self.recalls, TOP + centre))?;
        }
        Ok(())
    }

    fn draw_titles(&self, area: &Area) -> Result<(), Cause> {
        let title = text_style(36, &INK, HPos::Center);
        area.draw_text("predicted", &title, (self.left + self.side / 2, TOP - 74))?;
        let style = text_style(32, &INK, HPos::Center);
        area.draw_text("recall", &style, (self.recalls, TOP - 24))?;
        let turned = title.transform(FontTransform::Rotate270);
        area.draw_text("label", &turned, (34, TOP + self.side / 2))?;
        Ok(())
    }
}

/// Blends a colour with white: `strength` 0 is white, 1 the full colour.
fn blend(colour: RGBColor, strength: f64) -> RGBColor {
    let channel = |value: u8| (255.0 - (255.0 - f64::from(value)) * strength).round() as u8;
    RGBColor(channel(colour.0), channel(colour.1), channel(colour.2))
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    #[test]
    fn every_count_but_zero_stands_in_its_cell() {
        let counts = arr2(&[[980, 0, 2], [5, 1130, 0], [0, 7, 1000]]);
        let svg = confusion_matrix(&counts, &[]).unwrap().svg().to_owned();
        for part in ["980", "1,130", "1,000", "5", "7", "2"] {
            assert!(svg.contains(&format!("\n{part}\n")), "{part} in {svg}");
        }
        assert!(svg.contains("99.8%") && svg.contains("99.6%"), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 1 + 2 * 9);
        assert_eq!(svg.matches("\n0\n").count(), 2, "only the name of class 0");
    }

    #[test]
    fn classes_carry_their_names_and_the_picture_its_accuracy() {
        let picture = confusion_matrix(&arr2(&[[3, 1], [0, 4]]), &["cat", "dog & co"]).unwrap();
        assert_eq!(picture.svg().matches("\ncat\n").count(), 2);
        assert_eq!(picture.svg().matches("\ndog &amp; co\n").count(), 2);
        assert!(format!("{picture:?}").contains("2 classes: 7 of 8 right"));
    }

    #[test]
    fn what_stands_in_and_beside_the_cells_of_many_classes_is_no_higher_than_they_are() {
        let picture = confusion_matrix(&Array2::from_elem((100, 100), 1), &[]).unwrap();
        let heights = picture.svg().split("<rect").skip(2);
        let cell = heights
            .map(|rest| attribute(rest, "height"))
            .next()
            .unwrap();
        let sizes = picture.svg().split("<text").skip(1);
        // A font size does not include ascents.
        let higher = sizes.filter(|rest| 1.24 * attribute(rest, "font-size") > cell + 0.5);
        assert_eq!(higher.count(), 3, "the three titles alone");
    }

    /// Returns the numeric value of the first attribute with this name.
    fn attribute(svg: &str, name: &str) -> f64 {
        let (_, value) = svg.split_once(&format!(" {name}=\"")).unwrap();
        value.split('"').next().unwrap().parse().unwrap()
    }

    #[test]
    fn a_class_without_samples_has_no_recall() {
        let svg = confusion_matrix(&arr2(&[[3, 0], [0, 0]]), &[])
            .unwrap()
            .svg()
            .to_owned();
        assert_eq!(svg.matches('%').count(), 1, "{svg}");
        assert!(!svg.contains("NaN"), "{svg}");
    }

    #[test]
    fn a_matrix_that_is_not_square_is_refused() {
        let error = confusion_matrix(&Array2::zeros((2, 3)), &[]).unwrap_err();
        assert!(
            matches!(&error, Error::ShapeMismatch { found, .. } if found == &[2, 3]),
            "{error}"
        );
        let error = confusion_matrix(&Array2::zeros((0, 0)), &[]).unwrap_err();
        assert!(matches!(error, Error::Drawing { .. }), "{error}");
    }

    #[test]
    fn a_list_of_names_of_another_length_is_refused() {
        let error = confusion_matrix(&Array2::zeros((2, 2)), &["one"]).unwrap_err();
        assert!(
            matches!(&error, Error::ShapeMismatch { found, .. } if found == &[1]),
            "{error}"
        );
    }
}
