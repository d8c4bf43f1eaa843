//! Translates a server's errors into this crate's.

use std::time::Duration;

use spark_connect_core::{SparkConnectClient, SparkError as ConnectError};
use spark_connect_proto as proto;
use tokio::time::timeout;

use super::{
    address::Address,
    refusal::{UNAVAILABLE, is_handshake, reason, refusal},
    report::report,
};
use crate::{
    Error,
    error::{JobError, SparkError},
};

/// gRPC status codes.
const CANCELLED: i32 = 1;
const UNKNOWN: i32 = 2;
const INTERNAL: i32 = 13;

/// How long to wait for the full text of an error.
const DETAILS_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether there was no server at the time, or the connection broke, so that a retry may succeed.
/// Spark's own errors come with details. An unknown or internal error without any comes from the
/// connection, and so does a call that is cancelled although nobody asked for that: its connection
/// was closed before the call was sent.
pub(super) fn is_unavailable(error: &ConnectError) -> bool {
    match error.grpc_code() {
        Some(UNAVAILABLE) => !is_handshake(error),
        Some(UNKNOWN | INTERNAL) => error.grpc_details().is_none(),
        Some(CANCELLED) => {
            error.grpc_details().is_none() && error.message().contains("operation was canceled")
        }
        _ => false,
    }
}

/// Returns the error of a server that does not answer.
pub(super) fn unavailable(reason: &str) -> ConnectError {
    ConnectError {
        grpc_code: Some(UNAVAILABLE),
        ..ConnectError::connect_msg(reason)
    }
}

/// Whether the stream broke, rather than the execution.
pub(super) fn is_disconnection(error: &ConnectError) -> bool {
    is_unavailable(error) || error.message().contains("INVALID_CURSOR.DISCONNECTED")
}

/// Whether the server does not know the execution: it never received it, or was restarted.
pub(super) fn is_unknown_execution(error: &ConnectError) -> bool {
    let text = error.message();
    text.contains("INVALID_HANDLE.OPERATION_NOT_FOUND")
        || text.contains("INVALID_HANDLE.SESSION_NOT_FOUND")
}

/// Whether the server has closed the session because it was idle for too long.
pub(super) fn is_closed_session(error: &ConnectError) -> bool {
    let text = error.message();
    text.contains("INVALID_HANDLE.SESSION_CLOSED")
        || text.contains("INVALID_HANDLE.SESSION_CHANGED")
        || text.contains("INVALID_HANDLE.SESSION_NOT_FOUND")
}

/// Converts a server's error to one of this crate, using its full text.
pub(super) async fn explain(
    client: &SparkConnectClient,
    address: &Address,
    operation: &'static str,
    error: ConnectError,
    retries: usize,
) -> Error {
    let url = address.url.clone();
    if let Some(refusal) = refusal(address, &error) {
        return Error::Spark(refusal);
    }
    if is_unavailable(&error) {
        return unreachable(address, retries, &address.redact(&reason(&error)));
    }
    if is_unknown_execution(&error) {
        return Error::Spark(SparkError::Failed {
            operation,
            url,
            reason: "the server does not know the execution, so it has been restarted: connect and run it again"
                .to_owned(),
        });
    }
    let text = match details(client, &error).await {
        Some(whole) => whole,
        None => error.message(),
    };
    classify(url, operation, error.grpc_code(), address.redact(&text))
}

fn unreachable(address: &Address, retries: usize, reason: &str) -> Error {
    // A server that wants TLS closes a connection without it, and says nothing.
    let tls = if address.tls {
        ""
    } else {
        " Does it want TLS (/;use_ssl=true)?"
    };
    Error::Spark(SparkError::Unreachable {
        url: address.url.clone(),
        retries,
        reason: format!(
            "no Spark Connect server answers ({reason}). Is it running, and is SPARK_REMOTE its address?{tls} On this \
             machine `make spark-up` starts one"
        ),
    })
}

fn classify(url: String, operation: &'static str, code: Option<i32>, text: String) -> Error {
    if let Some(report) = report(&text) {
        if let Some(other) = report.libtorch {
            return Error::Spark(SparkError::LibtorchMismatch {
                url,
                host: other.host,
                folder: other.folder,
                found: other.found,
                needed: other.needed,
            });
        }
        if let Some(other) = report.system {
            return Error::Spark(SparkError::SystemMismatch {
                url,
                host: other.host,
                found: other.found,
                needed: other.needed,
            });
        }
        if let Some(message) = report.message {
            return Error::Job(JobError::InRank {
                rank: report.rank,
                world_size: report.world_size,
                message,
                wider_value: false,
            });
        }
        return Error::Job(JobError::RankFailed {
            rank: report.rank,
            world_size: report.world_size,
            reason: report.reason,
        });
    }
    if let Some((executors, given)) = python_versions(&text) {
        return Error::Spark(SparkError::PythonMismatch {
            url,
            executors,
            given,
        });
    }
    if let Some(reason) = lost_executor(&text) {
        return Error::Spark(SparkError::ExecutorLost { url, reason });
    }
    if code == Some(CANCELLED) || text.contains("OPERATION_CANCELED") {
        return Error::Interrupted { operation, url };
    }
    Error::Spark(SparkError::Failed {
        operation,
        url,
        reason: text,
    })
}

/// Extracts what Spark says about a lost executor, the cause of a job's failure.
fn lost_executor(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("ExecutorLostFailure ")?;
    let line = rest.lines().next()?.trim();
    Some(line.trim_start_matches('(').replacen(") Reason", "", 1))
}

/// Extracts the executors' Python version and the one that was named from Spark's error that they
/// differ.
fn python_versions(text: &str) -> Option<(String, String)> {
    let (_, rest) = text.split_once("[PYTHON_VERSION_MISMATCH]")?;
    let (_, rest) = rest.split_once("different version")?;
    let (executors, given) = rest.split_once("than that in driver")?;
    Some((first_version(executors)?, first_version(given)?))
}

/// Returns the first version in a text: "3.11" of `3.11` and of `(3, 11)`, as Spark 3.5 writes it.
fn first_version(text: &str) -> Option<String> {
    let mut numbers = text
        .split(|character: char| !character.is_ascii_digit())
        .filter(|number| !number.is_empty());
    Some(format!("{}.{}", numbers.next()?, numbers.next()?))
}

/// Returns the full message of an error and of its causes. The one that comes with a call is cut at
/// 2 kB.
async fn details(client: &SparkConnectClient, error: &ConnectError) -> Option<String> {
    let request = proto::FetchErrorDetailsRequest {
        session_id: client.session_id().to_owned(),
        user_context: Some(proto::UserContext::default()),
        error_id: error.params.get("errorId")?.clone(),
        ..Default::default()
    };
    let response = timeout(DETAILS_TIMEOUT, client.fetch_error_details(request))
        .await
        .ok()?
        .ok()?;
    let mut messages: Vec<&str> = Vec::new();
    let mut next = response.root_error_idx;
    // At most as many steps as there are errors, so that a cycle of causes terminates.
    for _ in 0..response.errors.len() {
        let Some(error) = next.and_then(|index| response.errors.get(usize::try_from(index).ok()?))
        else {
            break;
        };
        let message = error.message.trim();
        if !message.is_empty() && !messages.iter().any(|known| known.contains(message)) {
            messages.push(message);
        }
        next = error.cause_idx;
    }
    (!messages.is_empty()).then(|| messages.join("\ncaused by: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classified(text: &str) -> Error {
        classify(
            "sc://spark:15002".to_owned(),
            "running workers at",
            Some(13),
            text.to_owned(),
        )
    }

    #[test]
    fn a_worker_s_report_is_found_in_whatever_spark_wraps_around_it() {
        let error = classified(
            "Job aborted: Traceback (most recent call last):\n  raise rank.failed(x)\nRuntimeError: \
             mnist-worker-failed {\"rank\": 1, \"world_size\": 2, \"reason\": \"on a, the worker ended with \
             exit status 3.\\nlast {words}\"}\n\tat org.apache.spark.X\n\nDriver stacktrace:",
        );
        match error {
            Error::Job(JobError::RankFailed {
                rank: 1,
                world_size: 2,
                reason,
            }) => assert_eq!(
                reason,
                "on a, the worker ended with exit status 3.\nlast {words}"
            ),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_report_that_is_cut_still_names_the_rank() {
        for cut in [
            "on a, the worker ended with exit status 3.\\nlast gr",
            "on a, gr\\u00",
            "on a, gr\\",
        ] {
            let error = classified(&format!(
                "Job aborted: RuntimeError: mnist-worker-failed {{\"rank\": 1, \"world_size\": 2, \"reason\": \"{cut}"
            ));
            assert!(
                matches!(&error, Error::Job(JobError::RankFailed { rank: 1, world_size: 2, reason }) if reason.ends_with("gr…")),
                "{error}"
            );
        }
    }

    #[test]
    fn another_libtorch_is_named_with_the_version_that_is_needed() {
        let error = classified(
            "Job aborted: RuntimeError: mnist-worker-failed {\"rank\": 0, \"world_size\": 2, \"reason\": \"on a, \
             libtorch 2.6.0+cu124 is in /torch/lib\", \"libtorch\": {\"host\": \"a\", \"folder\": \"/torch/lib\", \
             \"found\": \"2.6.0+cu124\", \"needed\": \"2.13\"}}",
        );
        assert!(matches!(
            error,
            Error::Spark(SparkError::LibtorchMismatch { .. })
        ));
        let text = error.to_string();
        for part in [
            "a, an executor",
            "2.6.0+cu124",
            "/torch/lib",
            "torch==2.13.*",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_python_mismatch_names_both_versions_whichever_spark_reports_it() {
        for text in [
            "different version: 3.11 than that in driver: 3.9, PySpark cannot run with different minor versions.",
            "different version (3, 11) than that in driver 3.9, PySpark cannot run with different minor versions.",
        ] {
            let error = classified(&format!(
                "PySparkRuntimeError: [PYTHON_VERSION_MISMATCH] Python in worker has {text}"
            ));
            assert!(
                matches!(&error, Error::Spark(SparkError::PythonMismatch { executors, given, .. }) if executors == "3.11" && given == "3.9"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_lost_executor_is_told_from_a_failed_rank() {
        let error = classified(
            "Job aborted due to stage failure: Could not recover from a failed barrier ResultStage. Most recent failure \
             reason: Stage failed because barrier task ResultTask(0, 1) finished unsuccessfully.\nExecutorLostFailure \
             (executor 1 exited unrelated to the running tasks) Reason: worker lost: 10.0.0.2:40575 got disassociated\n\
             Driver stacktrace:",
        );
        assert!(
            matches!(&error, Error::Spark(SparkError::ExecutorLost { reason, .. })
                if reason == "executor 1 exited unrelated to the running tasks: worker lost: 10.0.0.2:40575 got disassociated"),
            "{error:?}"
        );
    }

    #[test]
    fn any_other_error_keeps_its_whole_text() {
        let error = classified("[TABLE_OR_VIEW_NOT_FOUND] The table `t` cannot be found.");
        assert_eq!(
            error.to_string(),
            "running workers at sc://spark:15002 failed: [TABLE_OR_VIEW_NOT_FOUND] The table `t` cannot be found."
        );
    }
}
