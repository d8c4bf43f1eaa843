//! Errors of a Spark cluster.

/// What a Spark cluster lacks or reports.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SparkError {
    /// The server did not answer, even after the retries.
    #[error("{url} could not be reached after {retries} retries: {reason}")]
    Unreachable {
        url: String,
        retries: usize,
        reason: String,
    },
    /// The barrier stage needs more task slots than the cluster has.
    #[error(
        "{needed} ranks have to run at the same time, and the cluster at {url} has cores for {found}: ask for fewer \
         ranks (partitions), or add executors"
    )]
    TooFewSlots {
        url: String,
        needed: usize,
        found: usize,
    },
    /// The executors run a different version of Python from the one that was set.
    #[error(
        "an executor of {url} runs Python {executors}, where Python {given} was expected: all executors need the same \
         version of Python, and a version that is set must be theirs"
    )]
    PythonMismatch {
        url: String,
        executors: String,
        given: String,
    },
    /// Any other error that Spark reports.
    #[error("{operation} {url} failed: {reason}")]
    Failed {
        operation: &'static str,
        url: String,
        reason: String,
    },
}
