//! The time from a Parquet file to features.

use super::{Comparison, RUNS};
use crate::{Result, children::Program, messages::Request, pairs::Better, results::Entry};

/// Against the fastest way from pyarrow's table to one NumPy array.
pub(super) fn parquet() -> Result<Entry> {
    let request = Request::images(60_000);
    let comparison = Comparison {
        name: "parquet",
        ours: Program::ours(&["parquet"])?,
        peer: Program::peer("parquet_features.py", &[]),
        called: "pyarrow and NumPy",
        variants: |_| true,
        trial: request.clone(),
        request,
        runs: RUNS,
        better: Better::Lower,
        unit: "s",
    };
    Ok(comparison.measure()?.target(2.0))
}
