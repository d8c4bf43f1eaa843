//! The mean and the spread of every column.

use super::FeaturesView;
use crate::{Error, Result};

/// The number of rows, and of every column the mean and the sum of the squared distances from it.
///
/// Those of parts of a table merge into those of the whole, so that one pass is enough. A sum of
/// squares instead would lose precision where the mean is large compared with the spread.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Moments {
    rows: f64,
    sums: Vec<f64>,
    squares: Vec<f64>,
}

impl Moments {
    /// Those of no rows.
    pub(crate) fn empty(width: usize) -> Moments {
        Moments {
            rows: 0.0,
            sums: vec![0.0; width],
            squares: vec![0.0; width],
        }
    }

    /// Computes them for these rows.
    pub(crate) fn of<'a>(features: impl Into<FeaturesView<'a>>) -> Moments {
        let values = features.into().to_f64();
        let mut moments = Moments::empty(values.ncols());
        moments.rows = values.nrows() as f64;
        for row in values.rows() {
            for (sum, value) in moments.sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
        let mean: Vec<f64> = (0..moments.width()).map(|c| moments.mean(c)).collect();
        for row in values.rows() {
            for ((square, value), mean) in moments.squares.iter_mut().zip(row).zip(&mean) {
                *square += (value - mean).powi(2);
            }
        }
        moments
    }

    pub(crate) fn width(&self) -> usize {
        self.sums.len()
    }

    /// The number of rows.
    pub(crate) fn rows(&self) -> f64 {
        self.rows
    }

    /// The sum of every column.
    pub(crate) fn sums(&self) -> &[f64] {
        &self.sums
    }

    /// The mean of a column; 0 without rows.
    fn mean(&self, column: usize) -> f64 {
        self.sums[column] / self.rows.max(1.0)
    }

    /// Of every column the sum of the squared distances from `centre`.
    pub(crate) fn squares_about(&self, centre: &[f64]) -> Vec<f64> {
        let columns = self.squares.iter().zip(centre).enumerate();
        columns
            .map(|(column, (squares, centre))| {
                squares + self.rows * (self.mean(column) - centre).powi(2)
            })
            .collect()
    }

    /// Merges others into these (Chan, Golub and LeVeque, "Updating formulae and a pairwise
    /// algorithm for computing sample variances", 1979).
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] if the others have a different number of columns.
    pub(crate) fn merge(&mut self, other: &Moments) -> Result<()> {
        if self.width() != other.width() {
            return Err(Error::ShapeMismatch {
                what: "the other mean".to_owned(),
                found: vec![other.width() as i64],
                expected: format!("[{}]", self.width()),
            });
        }
        let rows = self.rows + other.rows;
        if other.rows == 0.0 {
            return Ok(());
        }
        for column in 0..self.width() {
            let distance = other.mean(column) - self.mean(column);
            let between = distance.powi(2) * self.rows * (other.rows / rows);
            self.squares[column] += other.squares[column] + between;
        }
        for (sum, other) in self.sums.iter_mut().zip(&other.sums) {
            *sum += other;
        }
        self.rows = rows;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use super::*;

    #[test]
    fn those_of_parts_merge_into_those_of_the_whole() {
        // The second column's mean is large compared with its spread.
        let values = Array2::from_shape_fn((1000, 2), |(row, column)| {
            let spread = ((row * 7919) % 1009) as f64 / 100.0;
            spread + column as f64 * 1e9
        });
        let whole = Moments::of(&values);
        for cuts in [&[0, 500, 1000][..], &[0, 0, 1, 999, 1000, 1000]] {
            let mut merged = Moments::empty(2);
            for ends in cuts.windows(2) {
                let part = values.slice(s![ends[0]..ends[1], ..]);
                merged.merge(&Moments::of(part)).unwrap();
            }
            assert_eq!(merged.rows(), 1000.0);
            for column in 0..2 {
                let (own, expected) = (merged.squares[column], whole.squares[column]);
                assert!(
                    (own - expected).abs() <= 1e-9 * expected,
                    "{own} {expected}"
                );
                let (own, expected) = (merged.sums[column], whole.sums[column]);
                assert!(
                    (own - expected).abs() <= 1e-12 * expected,
                    "{own} {expected}"
                );
            }
        }
        assert!(Moments::empty(2).merge(&Moments::empty(3)).is_err());
    }

    #[test]
    fn distances_are_taken_from_any_centre() {
        let moments = Moments::of(&ndarray::arr2(&[[1_u8], [3]]));
        assert_eq!(moments.squares_about(&[2.0]), [2.0]);
        assert_eq!(moments.squares_about(&[0.0]), [10.0]);
        assert_eq!(Moments::empty(1).squares_about(&[5.0]), [0.0]);
    }
}
