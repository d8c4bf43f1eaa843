//! The time from a CSV file to scaled features.

use super::{Comparison, RUNS};
use crate::{Result, children::Program, messages::Request, pairs::Better, results::Entry};

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
