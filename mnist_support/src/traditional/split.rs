//! scikit-learn's train_test_split.

use ndarray::{Array1, Array2, Axis};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::{Error, Result};

/// Features and labels split into two disjoint parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Split<F, L> {
    /// The features to train on, usually the larger part.
    pub train_features: Array2<F>,
    /// The features held out.
    pub test_features: Array2<F>,
    /// The labels of `train_features`.
    pub train_labels: Array1<L>,
    /// The labels of `test_features`.
    pub test_labels: Array1<L>,
}

/// Shuffles the rows and holds out the fraction `test_size` of them, like scikit-learn's function
/// of the same name.
///
/// The number of rows held out is rounded up. The same `random_state` gives the same split again,
/// but not scikit-learn's, which uses other random numbers.
///
/// # Errors
/// - [`Error::InvalidSetting`] unless `test_size` is between 0 and 1 (exclusive) and leaves at
///   least one row on either side.
/// - [`Error::ShapeMismatch`] unless there is one label per row of features.
///
/// ```
/// use mnist_support::traditional::train_test_split;
/// use ndarray::{Array1, Array2};
///
/// # fn main() -> mnist_support::Result<()> {
/// let features = Array2::<f32>::zeros((10, 784));
/// let labels = Array1::<i64>::zeros(10);
/// let split = train_test_split(&features, &labels, 0.3, 42)?;
/// assert_eq!(split.train_features.dim(), (7, 784));
/// assert_eq!(split.test_labels.len(), 3);
/// # Ok(())
/// # }
/// ```
pub fn train_test_split<F: Clone, L: Clone>(
    features: &Array2<F>,
    labels: &Array1<L>,
    test_size: f64,
    random_state: u64,
) -> Result<Split<F, L>> {
    let rows = features.nrows();
    if labels.len() != rows {
        return Err(Error::ShapeMismatch {
            what: "the array of labels".to_owned(),
            found: vec![labels.len() as i64],
            expected: format!("one label for each of the {rows} rows of features"),
        });
    }
    let refused = |reason: String| Error::InvalidSetting {
        setting: "test_size",
        value: test_size.to_string(),
        reason,
    };
    if !(test_size > 0.0 && test_size < 1.0) {
        return Err(refused("must be above 0 and below 1".to_owned()));
    }
    let test_rows = (test_size * rows as f64).ceil() as usize;
    if test_rows == 0 || test_rows >= rows {
        return Err(refused(format!(
            "splits {rows} rows into {} and {test_rows}: both parts need at least one",
            rows.saturating_sub(test_rows)
        )));
    }
    let mut indices: Vec<usize> = (0..rows).collect();
    indices.shuffle(&mut ChaCha8Rng::seed_from_u64(random_state));
    let (test, train) = indices.split_at(test_rows);
    Ok(Split {
        train_features: features.select(Axis(0), train),
        test_features: features.select(Axis(0), test),
        train_labels: labels.select(Axis(0), train),
        test_labels: labels.select(Axis(0), test),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distinguishable rows, with labels that belong to them.
    fn rows(count: usize) -> (Array2<f32>, Array1<i64>) {
        let features =
            Array2::from_shape_fn((count, 3), |(row, column)| (10 * row + column) as f32);
        (features, Array1::from_iter(0..count as i64))
    }

    #[test]
    fn every_row_lands_in_one_part_with_its_label() {
        let (features, labels) = rows(101);
        let split = train_test_split(&features, &labels, 0.3, 42).unwrap();
        assert_eq!(split.test_features.dim(), (31, 3), "rounded up");
        assert_eq!(split.train_features.dim(), (70, 3));
        let mut seen: Vec<i64> = Vec::new();
        for (features, labels) in [
            (&split.train_features, &split.train_labels),
            (&split.test_features, &split.test_labels),
        ] {
            for (row, &label) in features.rows().into_iter().zip(labels) {
                assert_eq!(row[1], (10 * label + 1) as f32);
                seen.push(label);
            }
        }
        assert_ne!(seen, labels.to_vec(), "not shuffled");
        seen.sort_unstable();
        assert_eq!(seen, labels.to_vec());
    }

    #[test]
    fn the_seed_decides_the_split() {
        let (features, labels) = rows(50);
        let split = |seed| train_test_split(&features, &labels, 0.2, seed).unwrap();
        assert_eq!(split(7), split(7));
        assert_ne!(split(7).test_labels, split(8).test_labels);
    }

    #[test]
    fn thirty_percent_of_mnist_are_18000_rows() {
        let features = Array2::<u8>::zeros((60_000, 1));
        let labels = Array1::<u8>::zeros(60_000);
        let split = train_test_split(&features, &labels, 0.3, 42).unwrap();
        assert_eq!(split.test_labels.len(), 18_000);
        assert_eq!(split.train_labels.len(), 42_000);
    }

    #[test]
    fn a_fraction_outside_0_to_1_is_refused() {
        let (features, labels) = rows(10);
        for test_size in [0.0, 1.0, -0.1, 1.5, f64::NAN] {
            let error = train_test_split(&features, &labels, test_size, 1).unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::InvalidSetting {
                        setting: "test_size",
                        ..
                    }
                ),
                "{error}"
            );
        }
    }

    #[test]
    fn a_fraction_that_leaves_a_part_without_rows_is_refused() {
        let (features, labels) = rows(2);
        let error = train_test_split(&features, &labels, 0.9, 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "test_size = 0.9 splits 2 rows into 0 and 2: both parts need at least one"
        );
        let (features, labels) = rows(0);
        assert!(train_test_split(&features, &labels, 0.5, 1).is_err());
    }

    #[test]
    fn labels_of_another_count_are_refused() {
        let (features, _) = rows(10);
        let error = train_test_split(&features, &Array1::from_elem(9, 0i64), 0.3, 1).unwrap_err();
        assert!(
            matches!(&error, Error::ShapeMismatch { found, .. } if found == &[9]),
            "{error}"
        );
    }
}
