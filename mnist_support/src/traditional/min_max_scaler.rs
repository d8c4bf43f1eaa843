//! scikit-learn's MinMaxScaler.

use ndarray::Array2;

use crate::data::{Affine, FeaturesView, MinMaxStatistics};
use crate::{Error, Result};

/// Scales each column to a range, by default `[0, 1]`, like scikit-learn's `MinMaxScaler`.
///
/// A constant column is treated as if its range were 1, so its value maps to the minimum of the
/// target range (SparkML maps it to the middle). Values outside the range that the scaler was
/// fitted on are mapped outside the target range.
///
/// ```
/// use mnist_support::traditional::MinMaxScaler;
/// use ndarray::arr2;
///
/// # fn main() -> mnist_support::Result<()> {
/// let mut scaler = MinMaxScaler::new();
/// let train = scaler.fit_transform(&arr2(&[[0u8, 7], [200, 7]]))?;
/// let test = scaler.transform(&arr2(&[[50u8, 7]]))?;
/// assert_eq!(train, arr2(&[[0.0, 0.0], [1.0, 0.0]]));
/// assert_eq!(test, arr2(&[[0.25, 0.0]]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MinMaxScaler {
    feature_range: (f32, f32),
    fitted: Option<Fitted>,
}

#[derive(Clone, Debug, PartialEq)]
struct Fitted {
    statistics: MinMaxStatistics,
    affine: Affine,
    scale: Vec<f32>,
    offset: Vec<f32>,
}

impl Default for MinMaxScaler {
    fn default() -> Self {
        Self::new()
    }
}

impl MinMaxScaler {
    /// Creates an unfitted scaler to `[0, 1]`.
    pub fn new() -> MinMaxScaler {
        MinMaxScaler {
            feature_range: (0.0, 1.0),
            fitted: None,
        }
    }

    /// Sets the target range to `[minimum, maximum]`. The scaler must be fitted afterwards, which
    /// also checks the range.
    pub fn feature_range(self, minimum: f32, maximum: f32) -> MinMaxScaler {
        MinMaxScaler {
            feature_range: (minimum, maximum),
            fitted: None,
        }
    }

    /// Learns the minimum and maximum of each column, replacing any previous fit.
    ///
    /// # Errors
    /// - [`TableError::InvalidValue`](crate::error::TableError::InvalidValue) for a value that is
    ///   NaN or infinite.
    /// - [`Error::ShapeMismatch`] if there are no rows.
    /// - [`Error::InvalidSetting`] unless the minimum of the range is below its maximum.
    pub fn fit<'a>(&mut self, features: impl Into<FeaturesView<'a>>) -> Result<&mut MinMaxScaler> {
        let statistics = MinMaxStatistics::of(features)?;
        let (low, high) = self.feature_range;
        let (low, high) = (f64::from(low), f64::from(high));
        let affine = statistics.factors(low, high, (high - low, low))?;
        let (scale, offset) = affine.to_f32();
        self.fitted = Some(Fitted {
            statistics,
            affine,
            scale,
            offset,
        });
        Ok(self)
    }

    /// Returns the scaled values.
    ///
    /// # Errors
    /// - [`Error::NotFitted`] before the first [`fit`](MinMaxScaler::fit).
    /// - [`Error::ShapeMismatch`] if the number of columns differs from the fit.
    pub fn transform<'a>(&self, features: impl Into<FeaturesView<'a>>) -> Result<Array2<f32>> {
        let fitted = self.fitted()?;
        features.into().scaled(&fitted.affine)
    }

    /// Fits the scaler and returns the same values scaled.
    ///
    /// # Errors
    /// Those of `fit`.
    pub fn fit_transform<'a>(
        &mut self,
        features: impl Into<FeaturesView<'a>>,
    ) -> Result<Array2<f32>> {
        let features = features.into();
        self.fit(features)?.transform(features)
    }

    /// The minimum of each column (`data_min_`).
    ///
    /// # Errors
    /// [`Error::NotFitted`] before the first [`fit`](MinMaxScaler::fit).
    pub fn data_min(&self) -> Result<&[f64]> {
        Ok(&self.fitted()?.statistics.minimum)
    }

    /// The maximum of each column (`data_max_`).
    ///
    /// # Errors
    /// [`Error::NotFitted`] before the first [`fit`](MinMaxScaler::fit).
    pub fn data_max(&self) -> Result<&[f64]> {
        Ok(&self.fitted()?.statistics.maximum)
    }

    /// The factor of each column (`scale_`).
    ///
    /// # Errors
    /// [`Error::NotFitted`] before the first [`fit`](MinMaxScaler::fit).
    pub fn scale(&self) -> Result<&[f32]> {
        Ok(&self.fitted()?.scale)
    }

    /// The offset of each column after scaling (`min_`).
    ///
    /// # Errors
    /// [`Error::NotFitted`] before the first [`fit`](MinMaxScaler::fit).
    pub fn min(&self) -> Result<&[f32]> {
        Ok(&self.fitted()?.offset)
    }

    fn fitted(&self) -> Result<&Fitted> {
        self.fitted.as_ref().ok_or(Error::NotFitted {
            what: "MinMaxScaler",
        })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;
    use crate::data::Features;

    #[test]
    fn features_of_bytes_and_of_floats_scale_alike() {
        let bytes = Features::U8(arr2(&[[0, 10], [255, 30]]));
        let floats = bytes.to_f32();
        let expected = arr2(&[[0.0, 0.0], [1.0, 1.0]]);
        for scaled in [
            MinMaxScaler::new().fit_transform(&bytes).unwrap(),
            MinMaxScaler::new().fit_transform(&floats).unwrap(),
        ] {
            assert!(
                (&scaled - &expected).iter().all(|gap| gap.abs() < 1e-6),
                "{scaled}"
            );
        }
    }

    #[test]
    fn a_constant_column_maps_to_the_minimum_of_the_range() {
        let mut scaler = MinMaxScaler::new().feature_range(-1.0, 1.0);
        let scaled = scaler.fit_transform(&arr2(&[[5.0f32], [5.0]])).unwrap();
        assert_eq!(scaled, arr2(&[[-1.0], [-1.0]]));
        // scikit-learn: scale_ = (range max - range min) / 1, so the constant plus 1 lands at +1.
        assert_eq!(
            scaler.transform(&arr2(&[[6.0f32]])).unwrap(),
            arr2(&[[1.0]])
        );
    }

    #[test]
    fn what_it_learned_can_be_read() {
        let mut scaler = MinMaxScaler::new();
        scaler.fit(&arr2(&[[2.0f32, -1.0], [4.0, 3.0]])).unwrap();
        assert_eq!(scaler.data_min().unwrap(), [2.0, -1.0]);
        assert_eq!(scaler.data_max().unwrap(), [4.0, 3.0]);
        assert_eq!(scaler.scale().unwrap(), [0.5, 0.25]);
        assert_eq!(scaler.min().unwrap(), [-1.0, 0.25]);
    }

    #[test]
    fn values_beyond_those_fitted_on_land_outside_the_range() {
        let mut scaler = MinMaxScaler::new();
        scaler.fit(&arr2(&[[0.0f32], [2.0]])).unwrap();
        let scaled = scaler.transform(&arr2(&[[3.0f32], [-1.0]])).unwrap();
        assert_eq!(scaled, arr2(&[[1.5], [-0.5]]));
    }

    #[test]
    fn a_scaler_that_was_not_fitted_says_so() {
        let error = MinMaxScaler::new()
            .transform(&arr2(&[[1.0f32]]))
            .unwrap_err();
        assert!(
            matches!(
                error,
                Error::NotFitted {
                    what: "MinMaxScaler"
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn another_number_of_columns_is_refused() {
        let mut scaler = MinMaxScaler::new();
        scaler.fit(&arr2(&[[1.0f32, 2.0]])).unwrap();
        let error = scaler.transform(&arr2(&[[1.0f32, 2.0, 3.0]])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the matrix of features has shape [1, 3], where [rows, 2] is needed"
        );
    }

    #[test]
    fn no_rows_and_an_empty_range_are_refused() {
        let error = MinMaxScaler::new()
            .fit(&Array2::<f32>::zeros((0, 2)))
            .unwrap_err();
        assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
        let error = MinMaxScaler::new()
            .feature_range(1.0, 1.0)
            .fit(&arr2(&[[1.0f32]]))
            .unwrap_err();
        assert!(matches!(error, Error::InvalidSetting { .. }), "{error}");
    }
}
