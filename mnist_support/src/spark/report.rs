//! run_worker.py's reports, within Spark's errors.

use serde::Deserialize;

/// The prefix of run_worker.py's report of a failed worker.
const REPORT_PREFIX: &str = "mnist-worker-failed ";

/// run_worker.py's report of a failed worker.
#[derive(Deserialize)]
pub(super) struct Report {
    pub(super) rank: usize,
    pub(super) world_size: usize,
    pub(super) reason: String,
    /// The worker's own error.
    pub(super) message: Option<String>,
    pub(super) libtorch: Option<OtherLibtorch>,
    pub(super) system: Option<OtherSystem>,
}

/// A libtorch that the worker cannot use.
#[derive(Deserialize)]
pub(super) struct OtherLibtorch {
    pub(super) host: String,
    pub(super) folder: String,
    pub(super) found: String,
    pub(super) needed: String,
}

/// A machine that the worker cannot start on.
#[derive(Deserialize)]
pub(super) struct OtherSystem {
    pub(super) host: String,
    pub(super) found: String,
    pub(super) needed: String,
}

/// Extracts run_worker.py's report from the text that Spark has put around it. Spark 3.5 cuts a
/// text at 2 kB, and a report in the middle of its reason.
pub(super) fn report(text: &str) -> Option<Report> {
    let (_, rest) = text.split_once(REPORT_PREFIX)?;
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Report>();
    if let Some(Ok(report)) = values.next() {
        return Some(report);
    }
    // The end may be in the middle of an escaped character.
    let ends = rest.char_indices().rev().map(|(at, _)| at);
    [rest.len()]
        .into_iter()
        .chain(ends)
        .take(8)
        .find_map(|end| {
            let closed = format!("{}…\"}}", &rest[..end]);
            serde_json::from_str(&closed).ok()
        })
}
