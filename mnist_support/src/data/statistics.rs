//! What is learnt from the columns of a matrix while its rows are read.

use super::{Features, MaxAbs, MinMaxStatistics, Moments};
use crate::Result;

/// What a stage learns from a vector column in one pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statistic {
    /// The extremes of each feature.
    MinMax,
    /// The largest absolute value of each feature.
    MaxAbs,
    /// The mean and the spread of each feature.
    Moments,
}

/// The statistics that were asked for, of the rows so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Statistics {
    pub(super) min_max: Option<MinMaxStatistics>,
    pub(super) max_abs: Option<MaxAbs>,
    pub(super) moments: Option<Moments>,
}

impl Statistics {
    /// Takes one of them for further rows.
    ///
    /// # Errors
    /// Those of [`MinMaxStatistics::of`], and those of merging.
    pub(super) fn take(&mut self, statistic: Statistic, rows: &Features) -> Result<()> {
        let width = rows.width();
        match statistic {
            Statistic::MinMax => {
                let all = self
                    .min_max
                    .get_or_insert_with(|| MinMaxStatistics::empty(width));
                all.merge(&MinMaxStatistics::of(rows)?)
            }
            Statistic::MaxAbs => {
                let all = self.max_abs.get_or_insert_with(|| MaxAbs::empty(width));
                all.add(rows);
                Ok(())
            }
            Statistic::Moments => {
                let all = self.moments.get_or_insert_with(|| Moments::empty(width));
                all.merge(&Moments::of(rows))
            }
        }
    }
}
