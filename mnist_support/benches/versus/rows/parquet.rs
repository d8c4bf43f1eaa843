//! The time from a Parquet file to features.

use super::{Comparison, RUNS};
use crate::{
    Result,
    children::Program,
    messages::Request,
    ours::parquet::{ALL, TEN},
    pairs::Better,
    results::Entry,
};

/// Against the fastest way from pyarrow's table to one NumPy array.
pub(super) fn parquet() -> Result<Entry> {
    let peer = Program::peer("parquet_features.py", &[]);
    let comparison = comparison("parquet", ALL, peer, "pyarrow and NumPy", |_| true)?;
    Ok(comparison.measure()?.target(2.0))
}

/// Ten of the 784 pixels, against all of them.
pub(super) fn parquet_columns() -> Result<Entry> {
    let peer = Program::ours(&["parquet"])?;
    let comparison = comparison("parquet-columns", TEN, peer, "itself", |name| name == ALL)?;
    Ok(comparison.measure()?.target(20.0))
}

fn comparison(
    name: &'static str,
    columns: &str,
    peer: Program,
    called: &'static str,
    variants: fn(&str) -> bool,
) -> Result<Comparison> {
    let request = Request::images(60_000).of(columns);
    Ok(Comparison {
        name,
        ours: Program::ours(&["parquet"])?,
        peer,
        called,
        variants,
        trial: request.clone(),
        request,
        runs: RUNS,
        better: Better::Lower,
        unit: "s",
    })
}
