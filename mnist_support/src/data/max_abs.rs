//! The largest absolute value of every column.

use super::FeaturesView;

/// The largest absolute value of every column, NaN left out; below 0 for a column without values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MaxAbs(Vec<f64>);

impl MaxAbs {
    /// Those of no rows.
    pub(crate) fn empty(width: usize) -> MaxAbs {
        MaxAbs(vec![-1.0; width])
    }

    /// Adds rows of as many columns.
    pub(crate) fn add<'a>(&mut self, rows: impl Into<FeaturesView<'a>>) {
        for row in rows.into().to_f64().rows() {
            for (largest, value) in self.0.iter_mut().zip(row) {
                *largest = largest.max(value.abs());
            }
        }
    }

    /// A value for each column.
    pub(crate) fn values(&self) -> &[f64] {
        &self.0
    }
}
