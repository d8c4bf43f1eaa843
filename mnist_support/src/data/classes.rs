//! The number of classes in a table's labels.

use polars::prelude::DataFrame;

use super::{columns::TableRows, labels::labels_from_frame};
use crate::lake::LakeFrame;
use crate::{Error, Result, error::TableError};

/// With more classes than this, the column does not hold labels.
const MOST_CLASSES: i64 = 1 << 14;
/// A file is read in partitions of about this many bytes.
const PART_BYTES: u64 = 32 << 20;

/// A table whose classes can be counted.
///
/// ```
/// use mnist_support::data::NumClasses;
/// use polars::prelude::*;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let letters = df!("label" => [0u8, 25, 3])?;
/// assert_eq!(letters.num_classes("label")?, 26);
/// # Ok(())
/// # }
/// ```
pub trait NumClasses {
    /// Returns the number of classes: the largest label in `column` plus one, since classes count
    /// from 0.
    ///
    /// This looks at all rows. A file in a lake is read once, one partition after the other, in
    /// constant memory.
    ///
    /// # Errors
    /// - The errors of [`labels_from_frame`], with the row in the table. Labels are integers from 0
    ///   to 16383.
    /// - [`TableError::EmptyFile`] for a table without rows.
    /// - The errors of reading the file.
    fn num_classes(&self, column: &str) -> Result<i64>;
}

impl NumClasses for DataFrame {
    fn num_classes(&self, column: &str) -> Result<i64> {
        classes_in_parts(column, "the frame", std::iter::once(Ok(self)))
    }
}

impl NumClasses for LakeFrame {
    fn num_classes(&self, column: &str) -> Result<i64> {
        let whole = self.partitions(1)?;
        let bytes: u64 = whole.iter().map(|part| part.file_size).sum();
        let parts = match bytes / PART_BYTES {
            0 => whole,
            more => self.partitions(more as usize + 1)?,
        };
        classes_in_parts(
            column,
            self.name(),
            parts.iter().map(|part| self.read(part)),
        )
    }
}

/// The largest label in the frames plus one. The frames are consecutive parts of a table.
fn classes_in_parts(
    column: &str,
    table: &str,
    parts: impl Iterator<Item = Result<impl std::borrow::Borrow<DataFrame>>>,
) -> Result<i64> {
    let (mut last, mut rows) = (None, 0);
    for part in parts {
        let part = part?;
        let frame: &DataFrame = part.borrow();
        let labels = labels_from_frame(frame, column, MOST_CLASSES, TableRows::after(rows, table))?;
        last = last.max(labels.iter().copied().max());
        rows += frame.height() as u64;
    }
    let last = last.ok_or_else(|| {
        Error::Table(TableError::EmptyFile {
            file: table.into(),
            reason: "it has no labels".into(),
        })
    })?;
    Ok(last + 1)
}

#[cfg(test)]
mod tests {
    use polars::prelude::*;

    use super::*;
    use crate::lake::{Credentials, Lake};

    #[test]
    fn the_classes_of_a_frame_and_of_a_file_end_at_the_largest_label() {
        let frame = df!("pixel1" => [200u8, 0, 3], "label" => [3u8, 46, 0]).unwrap();
        assert_eq!(frame.num_classes("label").unwrap(), 47);
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(folder.path().to_str().unwrap(), &Credentials::local()).unwrap();
        let text = "pixel1,label\n200,3\n0,46\n3,0\n";
        lake.put("train.csv", text.into()).unwrap();
        assert_eq!(
            lake.csv("train.csv").unwrap().num_classes("label").unwrap(),
            47
        );
    }

    #[test]
    fn parts_are_one_table_and_an_error_names_the_row_in_it() {
        let part = |labels: &[f64]| df!("label" => labels).map_err(|_| unreachable!());
        let parts = [part(&[1.0, 25.0]), part(&[2.0])];
        assert_eq!(
            classes_in_parts("label", "train.csv", parts.into_iter()).unwrap(),
            26
        );
        let parts = [part(&[1.0, 2.0]), part(&[0.0, 0.5])];
        let error = classes_in_parts("label", "train.csv", parts.into_iter()).unwrap_err();
        assert!(
            matches!(&error, Error::Table(TableError::LabelOutOfRange { row: 4, label, .. }) if *label == 0.5),
            "{error}"
        );
    }

    #[test]
    fn a_table_without_rows_has_no_classes() {
        let frame = df!("label" => Vec::<u8>::new()).unwrap();
        let error = frame.num_classes("label").unwrap_err();
        assert!(
            matches!(error, Error::Table(TableError::EmptyFile { .. })),
            "{error}"
        );
    }
}
