//! The time from a CSV file to scaled features.

use super::{Comparison, RUNS};
use crate::{
    Result, children::Program, messages::Request, mixed, pairs::Better, paths, results::Entry,
};

const PANDAS: &str = "pandas and scikit-learn";

/// Against the best of pandas, with its own parser, and scikit-learn. Both are given the columns'
/// types.
pub(super) fn csv() -> Result<Entry> {
    Ok(comparison("csv", PANDAS, "told", &[], |_| true)?
        .measure()?
        .target(4.0))
}

/// As it is usually written: both infer the types.
pub(super) fn csv_default() -> Result<Entry> {
    comparison("csv-default", PANDAS, "found", &[], |variant| {
        variant == "default"
    })?
    .measure()
}

/// Against pandas with pyarrow's parser.
pub(super) fn csv_pyarrow() -> Result<Entry> {
    comparison(
        "csv-pyarrow",
        "pandas on pyarrow and scikit-learn",
        "told",
        &["pyarrow"],
        |_| true,
    )?
    .measure()
}

/// Columns of all types, some of which are read, against polars' own reader. Both are given the
/// types, and both go on in the same way from its frame to the matrix.
pub(super) fn csv_mixed() -> Result<Entry> {
    mixed::write(&paths::mixed())?;
    // The file has as many rows as it has.
    let request = Request::images(0);
    let comparison = Comparison {
        name: "csv-mixed",
        ours: Program::ours(&["csv-mixed", "ours"])?,
        peer: Program::ours(&["csv-mixed", "polars"])?,
        called: "polars",
        variants: |_| true,
        trial: request.clone(),
        request,
        runs: RUNS,
        better: Better::Lower,
        unit: "s",
    };
    Ok(comparison.measure()?.target(1.5))
}

fn comparison(
    name: &'static str,
    called: &'static str,
    types: &str,
    engine: &[&str],
    variants: fn(&str) -> bool,
) -> Result<Comparison> {
    let request = Request::images(60_000);
    Ok(Comparison {
        name,
        ours: Program::ours(&["csv", types])?,
        peer: Program::peer("csv_features.py", engine),
        called,
        variants,
        trial: request.clone(),
        request,
        runs: RUNS,
        better: Better::Lower,
        unit: "s",
    })
}
