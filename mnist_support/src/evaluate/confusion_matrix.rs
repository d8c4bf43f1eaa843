//! The confusion matrix of a classification.

use std::fmt;

use ndarray::Array2;

use super::accuracy::check_lengths;
use super::class_counts::ClassCounts;
use crate::{Error, Result, error::TableError};

/// The number of rows of each class that were predicted as each class.
///
/// It prints as a table with a row for each label and a column for each prediction.
///
/// ```
/// use mnist_support::evaluate::ConfusionMatrix;
///
/// let matrix = ConfusionMatrix::new(&[0, 0, 1, 2], &[0, 2, 1, 2], 3)?;
/// assert_eq!(matrix.counts[[0, 2]], 1);
/// assert_eq!(matrix.accuracy(), 0.75);
/// assert_eq!(matrix.recall(), [0.5, 1.0, 1.0]);
/// # Ok::<(), mnist_support::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    /// `counts[[label, prediction]]`, of shape (classes, classes).
    pub counts: Array2<u64>,
}

impl ConfusionMatrix {
    /// Counts labels and predictions from 0 to `classes` - 1.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] for fewer than one class; [`Error::ShapeMismatch`] for no labels,
    /// or different numbers of labels and predictions; [`TableError::LabelOutOfRange`] for a label
    /// or prediction that is not a class.
    pub fn new(labels: &[i64], predictions: &[i64], classes: i64) -> Result<Self> {
        let size = usize::try_from(classes)
            .ok()
            .filter(|&size| size > 0 && size <= 1 << 14);
        let Some(size) = size else {
            return Err(Error::InvalidSetting {
                setting: "classes",
                value: classes.to_string(),
                reason: "must be from 1 to 16384".to_owned(),
            });
        };
        check_lengths(labels, predictions)?;
        let class = |values: &'static str, index: usize, value: i64| {
            usize::try_from(value)
                .ok()
                .filter(|&value| value < size)
                .ok_or_else(|| {
                    Error::Table(TableError::LabelOutOfRange {
                        table: "the confusion matrix".to_owned(),
                        row: index as u64 + 1,
                        column: values.to_owned(),
                        label: value as f64,
                        last_class: classes - 1,
                    })
                })
        };
        let mut counts = Array2::zeros((size, size));
        for (index, (&label, &prediction)) in labels.iter().zip(predictions).enumerate() {
            let place = [
                class("label", index, label)?,
                class("prediction", index, prediction)?,
            ];
            counts[place] += 1;
        }
        Ok(Self { counts })
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.counts.nrows()
    }

    /// The fraction of rows on the diagonal.
    pub fn accuracy(&self) -> f64 {
        let all = self.counts.sum();
        if all == 0 {
            0.0
        } else {
            self.counts.diag().sum() as f64 / all as f64
        }
    }

    /// The precision of each class: the fraction of its predictions that are correct; 0 if it is
    /// never predicted.
    pub fn precision(&self) -> Vec<f64> {
        self.classes_with(ClassCounts::precision)
    }

    /// The recall of each class: the fraction of its rows that are predicted as it; 0 if there are
    /// none.
    pub fn recall(&self) -> Vec<f64> {
        self.classes_with(ClassCounts::recall)
    }

    /// The F1 of each class: the harmonic mean of precision and recall; 0 if both are 0.
    pub fn f1(&self) -> Vec<f64> {
        self.classes_with(ClassCounts::f1)
    }

    fn classes_with(&self, measure: fn(ClassCounts) -> f64) -> Vec<f64> {
        let rows = self.counts.rows().into_iter();
        let counts = rows
            .zip(self.counts.columns())
            .enumerate()
            .map(|(class, (row, column))| ClassCounts {
                true_positives: self.counts[[class, class]] as f64,
                labels: row.sum() as f64,
                predictions: column.sum() as f64,
            });
        counts.map(measure).collect()
    }
}

impl fmt::Display for ConfusionMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let largest = self.counts.iter().copied().max().unwrap_or_default();
        let width = largest
            .to_string()
            .len()
            .max(self.classes().to_string().len())
            + 2;
        let recall = "recall";
        write!(f, "{:>18}", "label \\ prediction")?;
        for class in 0..self.classes() {
            write!(f, "{class:>width$}")?;
        }
        writeln!(f, "{recall:>10}")?;
        for ((class, row), recall) in self
            .counts
            .rows()
            .into_iter()
            .enumerate()
            .zip(self.recall())
        {
            write!(f, "{class:>18}")?;
            for count in row {
                write!(f, "{count:>width$}")?;
            }
            writeln!(f, "{:>9.2}%", 100.0 * recall)?;
        }
        write!(f, "accuracy {:.2}%", 100.0 * self.accuracy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    const LABELS: [i64; 10] = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2];
    const PREDICTIONS: [i64; 10] = [0, 0, 0, 1, 1, 1, 0, 2, 1, 0];

    #[test]
    fn rows_are_labels_and_columns_are_predictions() {
        let matrix = ConfusionMatrix::new(&LABELS, &PREDICTIONS, 4).unwrap();
        assert_eq!(
            matrix.counts,
            array![[3, 1, 0, 0], [1, 2, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]]
        );
        assert_eq!(matrix.classes(), 4);
    }

    #[test]
    fn measures_are_those_computed_by_hand() {
        let matrix = ConfusionMatrix::new(&LABELS, &PREDICTIONS, 4).unwrap();
        assert_eq!(matrix.accuracy(), 0.6);
        assert_eq!(matrix.precision(), [3.0 / 5.0, 2.0 / 4.0, 1.0, 0.0]);
        assert_eq!(matrix.recall(), [3.0 / 4.0, 2.0 / 3.0, 1.0 / 3.0, 0.0]);
        assert_eq!(matrix.f1(), [6.0 / 9.0, 4.0 / 7.0, 2.0 / 4.0, 0.0]);
    }

    #[test]
    fn it_prints_as_a_table() {
        let matrix = ConfusionMatrix::new(&[0, 1, 1], &[0, 1, 0], 2).unwrap();
        let expected = "\
label \\ prediction  0  1    recall
                 0  1  0   100.00%
                 1  1  1    50.00%
accuracy 66.67%";
        assert_eq!(matrix.to_string(), expected);
    }

    #[test]
    fn a_label_or_prediction_out_of_range_is_named_with_its_row() {
        for (labels, predictions, expected) in [
            ([0, 1, 3], [0, 1, 2], "label"),
            ([0, 1, 2], [0, 1, -1], "prediction"),
        ] {
            match ConfusionMatrix::new(&labels, &predictions, 3) {
                Err(Error::Table(TableError::LabelOutOfRange {
                    row,
                    column,
                    last_class,
                    ..
                })) => {
                    assert_eq!((row, column.as_str(), last_class), (3, expected, 2));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn no_rows_no_classes_and_unequal_lists_are_refused() {
        for result in [
            ConfusionMatrix::new(&[], &[], 2),
            ConfusionMatrix::new(&[1], &[1, 0], 2),
        ] {
            assert!(
                matches!(result, Err(Error::ShapeMismatch { .. })),
                "{result:?}"
            );
        }
        for classes in [0, -3, i64::MAX] {
            let result = ConfusionMatrix::new(&[0], &[0], classes);
            assert!(
                matches!(result, Err(Error::InvalidSetting { .. })),
                "{result:?}"
            );
        }
    }
}
