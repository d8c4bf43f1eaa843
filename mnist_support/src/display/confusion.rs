//! A confusion matrix as a heat map.

use ndarray::Array2;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::picture::{FAINT, FONT, INK, Picture, fitting};
use crate::text::grouped;
use crate::{Error, Result};

const NAME: &str = "the confusion matrix";
/// Units (two to a pixel) of the whole matrix's side, which is longer for many classes, so that a
/// cell is not smaller than `CELL` until the side is `LONGEST`.
const SIDE: i32 = 1040;
const CELL: i32 = 36;
const LONGEST: i32 = 2400;
/// Units above the matrix, at the right of and below it.
const TOP: i32 = 110;
const RIGHT: i32 = 150;
const BOTTOM: i32 = 30;

/// The full colour of a class that is always read right, and of the most frequent mistake.
const RIGHTLY: RGBColor = RGBColor(33, 102, 172);
const WRONGLY: RGBColor = RGBColor(203, 72, 20);

/// How often a label (row) was predicted as a class (column), with each label's recall at its
/// right.
///
/// What was read right is blue, by its part of the row; what was not is orange, by its part of the
/// most frequent mistake, so that rare mistakes can be seen beside thousands of right answers.
/// Without `class_names` (an empty slice), classes are named 0, 1, 2 and so on.
///
/// # Errors
/// - [`Error::ShapeMismatch`] unless the matrix is square and there is a name for each class.
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
    let classes = counts.nrows();
    if counts.ncols() != classes {
        return Err(Error::ShapeMismatch {
            what: "the confusion matrix".to_owned(),
            found: vec![classes as i64, counts.ncols() as i64],
            expected: "a square matrix".to_owned(),
        });
    }
    if classes == 0 {
        return Err(Error::Drawing {
            picture: NAME,
            reason: "there are no classes".into(),
        });
    }
    if !class_names.is_empty() && class_names.len() != classes {
        return Err(Error::ShapeMismatch {
            what: "the list of class names".to_owned(),
            found: vec![class_names.len() as i64],
            expected: format!("one name for each of the {classes} classes"),
        });
    }
    let name = |class: usize| match class_names.get(class) {
        Some(name) => (*name).to_owned(),
        None => class.to_string(),
    };
    let most_mistakes = counts
        .indexed_iter()
        .filter(|((label, read), _)| label != read)
        .map(|(_, &count)| count)
        .max()
        .unwrap_or(0);
    let (right, all) = (counts.diag().sum(), counts.sum());
    // Room for the longest name, within reason, and for the axis' title.
    let longest = (0..classes).map(|class| name(class).chars().count());
    let name_width = (22 * longest.max().unwrap_or(1) as i32).clamp(70, 320);
    let left_edge = 80 + name_width;
    let side = (classes as i32).saturating_mul(CELL).clamp(SIDE, LONGEST);
    let edge = |index: usize| index as i32 * side / classes as i32;
    // What stands in a cell or beside it must not be higher either.
    let cell = side / classes as i32;
    let largest = 36.min(cell.max(1));

    let size = (
        ((left_edge + side + RIGHT) / 2) as u32,
        ((TOP + side + BOTTOM) / 2) as u32,
    );
    let picture = Picture::draw(NAME, size, |area| {
        let middle = Pos::new(HPos::Center, VPos::Center);
        let text = |text: &str, size: i32, colour: &RGBColor, at: (i32, i32)| {
            let style = (FONT, size).into_font().color(colour).pos(middle);
            area.draw_text(text, &style, at)
        };
        for ((label, read), &count) in counts.indexed_iter() {
            let row: u64 = counts.row(label).sum();
            let (colour, strength) = if label == read {
                (RIGHTLY, part(count, row))
            } else {
                // The root makes single mistakes visible beside frequent ones.
                (WRONGLY, 0.9 * part(count, most_mistakes).sqrt())
            };
            let fill = blend(colour, strength);
            let (left, top) = (left_edge + edge(read), TOP + edge(label));
            let (next_left, next_top) = (left_edge + edge(read + 1), TOP + edge(label + 1));
            let corners = [(left, top), (next_left, next_top)];
            area.draw(&Rectangle::new(corners, fill.filled()))?;
            area.draw(&Rectangle::new(corners, FAINT.stroke_width(2)))?;
            if count > 0 {
                let colour = if strength > 0.7 { WHITE } else { INK };
                let number = grouped(count);
                let at = ((left + next_left) / 2, (top + next_top) / 2);
                text(&number, fitting(&number, cell, largest), &colour, at)?;
            }
        }
        for class in 0..classes {
            let name = name(class);
            let centre = (edge(class) + edge(class + 1)) / 2;
            text(
                &name,
                fitting(&name, cell, largest),
                &INK,
                (left_edge + centre, TOP - 24),
            )?;
            text(
                &name,
                fitting(&name, name_width, largest),
                &INK,
                (left_edge - 10 - name_width / 2, TOP + centre),
            )?;
            let row: u64 = counts.row(class).sum();
            if row > 0 {
                let recall = format!("{:.1}%", 100.0 * part(counts[[class, class]], row));
                let size = fitting(&recall, RIGHT - 20, largest.min(32));
                text(
                    &recall,
                    size,
                    &INK,
                    (left_edge + side + RIGHT / 2, TOP + centre),
                )?;
            }
        }
        text("predicted", 36, &INK, (left_edge + side / 2, TOP - 74))?;
        text("recall", 32, &INK, (left_edge + side + RIGHT / 2, TOP - 24))?;
        let turned = (FONT, 36).into_font().transform(FontTransform::Rotate270);
        let style = turned.color(&INK).pos(middle);
        area.draw_text("label", &style, (34, TOP + side / 2))?;
        Ok(())
    })?;
    Ok(picture.describe(format!(
        "confusion matrix of {classes} classes: {} of {} right",
        grouped(right),
        grouped(all)
    )))
}

fn part(count: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        count as f64 / whole as f64
    }
}

/// The colour on white, from none of it (0) to all of it (1).
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
        // A font's size is given for its letters without their ascents.
        let higher = sizes.filter(|rest| 1.24 * attribute(rest, "font-size") > cell + 0.5);
        assert_eq!(higher.count(), 3, "the three titles alone");
    }

    /// The number in the first attribute of this name.
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
