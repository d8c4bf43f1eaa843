//! The largest absolute value of every column.

use super::FeaturesView;
use crate::{Error, Result};

/// The largest absolute value of every column, NaN left out; below 0 for a column without values.
/// Those of parts of a table merge into those of the whole.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MaxAbs(Vec<f64>);

impl MaxAbs {
    /// Those of no rows.
    pub(crate) fn empty(width: usize) -> MaxAbs {
        MaxAbs(vec![-1.0; width])
    }

    /// Computes them for these rows.
    pub(crate) fn of<'a>(features: impl Into<FeaturesView<'a>>) -> MaxAbs {
        let values = features.into().to_f64();
        let mut largest = MaxAbs::empty(values.ncols());
        for row in values.rows() {
            for (largest, value) in largest.0.iter_mut().zip(row) {
                *largest = largest.max(value.abs());
            }
        }
        largest
    }

    /// A value for each column.
    pub(crate) fn values(&self) -> &[f64] {
        &self.0
    }

    /// Adds those of other rows.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] for rows of another width.
    pub(crate) fn merge(&mut self, other: &MaxAbs) -> Result<()> {
        if self.0.len() != other.0.len() {
            return Err(Error::ShapeMismatch {
                what: "the other largest values".to_owned(),
                found: vec![other.0.len() as i64],
                expected: format!("{} columns", self.0.len()),
            });
        }
        for (largest, other) in self.0.iter_mut().zip(&other.0) {
            *largest = largest.max(*other);
        }
        Ok(())
    }
}
