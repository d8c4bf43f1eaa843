//! Running a plan to its end, however often the server ends the stream of its answers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use proto::execute_plan_response::{ArrowBatch, ExecutionProgress, ResponseType};
use spark_connect_core::{ExecutePlanResponseReattachableIterator as Execution, SparkError};
use spark_connect_proto as proto;
use tokio::time::{sleep, timeout};

use super::{connection::Connection, failure, plan};
use crate::{Error, Result, lake::runtime::wait};

/// How often a stream is asked for again when there is no server, and how long to wait each time.
const REATTACHES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(250);

/// A stream on which nothing came for so long is asked for again: the server itself ends it after
/// 2 minutes, so the connection must be broken.
const SILENCE: Duration = Duration::from_secs(180);

/// How often to look at the clock while nothing comes.
const TICK: Duration = Duration::from_millis(500);

/// Stops an execution that does not begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    /// How long to wait for the first task.
    pub(super) limit: Duration,
    /// How many tasks have to run at the same time.
    pub(super) slots: usize,
}

/// Runs a plan and returns its rows.
///
/// The server ends a stream after a while (2 minutes by default) although the execution goes on; only the
/// message ResultComplete says that it is done.
pub(super) fn collect(
    connection: &Arc<Connection>,
    operation: &'static str,
    relation: proto::Relation,
    start: Option<Start>,
) -> Result<Vec<RecordBatch>> {
    let connection = Arc::clone(connection);
    wait(async move { run(&connection, operation, relation, start).await })?
}

async fn run(
    connection: &Connection,
    operation: &'static str,
    relation: proto::Relation,
    start: Option<Start>,
) -> Result<Vec<RecordBatch>> {
    let execution = Execution::new(proto::ExecutePlanRequest {
        session_id: connection.client.session_id().to_owned(),
        user_context: Some(proto::UserContext::default()),
        plan: Some(plan::root(relation)),
        ..Default::default()
    });
    let mut result = Rows::default();
    let mut watch = start.map(Watch::new);
    let mut losses = 0;
    let first = connection.client.execute_plan(execution.request().clone());
    let mut stream = match first.await {
        Ok(stream) => Some(stream),
        Err(error) if failure::is_unavailable(&error) => None,
        Err(error) => return Err(failure::explain(connection, operation, error, 0).await),
    };
    while !execution.is_completed().await {
        let mut last_words = None;
        if let Some(open) = &mut stream {
            let silent_since = Instant::now();
            let message = loop {
                match timeout(TICK, open.message()).await {
                    Ok(message) => break Some(message),
                    Err(_) if silent_since.elapsed() > SILENCE => break None,
                    Err(_) => {}
                }
                if let Some(late) = watch.as_ref().filter(|watch| watch.is_late()) {
                    let late = late.error(connection);
                    // What can't be interrupted has ended.
                    let _ = connection
                        .client
                        .interrupt_operation(execution.operation_id())
                        .await;
                    return Err(late);
                }
            };
            match message {
                Some(Ok(Some(response))) => {
                    losses = 0;
                    execution.set_last_response_id(&response).await;
                    match response.response_type {
                        Some(ResponseType::ArrowBatch(batch)) => {
                            result.add(connection, operation, &batch)?
                        }
                        Some(ResponseType::ExecutionProgress(progress)) => {
                            if let Some(watch) = &mut watch {
                                watch.note(&progress);
                            }
                        }
                        _ => {}
                    }
                    continue;
                }
                Some(Ok(None)) | None => {}
                Some(Err(status)) => last_words = Some(SparkError::from_grpc_status(status)),
            }
        }
        stream = None;
        if let Some(error) = last_words.filter(|error| !is_disconnection(error)) {
            return Err(failure::explain(connection, operation, error, 0).await);
        }
        let again = connection
            .client
            .reattach_execute(execution.create_reattach_request().await);
        match again.await {
            Ok(open) => stream = Some(open),
            Err(error) if failure::is_unavailable(&error) && losses < REATTACHES => {
                sleep(PAUSE * 2_u32.pow(losses)).await;
                losses += 1;
            }
            Err(error) if failure::is_unknown_execution(&error) => {
                // Without any answer so far the server may never have got the plan.
                if execution.last_response_id().await.is_some() || losses >= REATTACHES {
                    return Err(Error::Spark {
                        operation,
                        url: connection.url.clone(),
                        reason: "the server was started anew meanwhile and knows nothing of the run: run it again"
                            .to_owned(),
                    });
                }
                losses += 1;
                let again = connection.client.execute_plan(execution.request().clone());
                stream = again.await.ok();
            }
            Err(error) => {
                return Err(failure::explain(connection, operation, error, losses as usize).await);
            }
        }
    }
    // The server keeps answers until it is told that they have come; if not, it forgets them later.
    let done = execution.create_release_request(true).await;
    let _ = connection.client.release_execute(done).await;
    Ok(result.batches)
}

/// Whether a stream broke off, rather than the execution.
fn is_disconnection(error: &SparkError) -> bool {
    failure::is_unavailable(error) || error.message().contains("INVALID_CURSOR.DISCONNECTED")
}

/// The rows that have come, in order and without a gap.
#[derive(Default)]
struct Rows {
    batches: Vec<RecordBatch>,
    count: i64,
}

impl Rows {
    fn add(
        &mut self,
        connection: &Connection,
        operation: &'static str,
        message: &ArrowBatch,
    ) -> Result<()> {
        let broken = |reason: String| Error::Spark {
            operation,
            url: connection.url.clone(),
            reason: format!("the rows of the result can't be read: {reason}"),
        };
        if let Some(start) = message.start_offset.filter(|start| *start != self.count) {
            return Err(broken(format!("row {start} came after row {}", self.count)));
        }
        let reader = StreamReader::try_new(&message.data[..], None)
            .map_err(|error| broken(error.to_string()))?;
        let before = self.count;
        for batch in reader {
            let batch = batch.map_err(|error| broken(error.to_string()))?;
            self.count += batch.num_rows() as i64;
            self.batches.push(batch);
        }
        if self.count - before != message.row_count {
            return Err(broken(format!(
                "{} rows where {} were sent",
                self.count - before,
                message.row_count
            )));
        }
        Ok(())
    }
}

/// Looks whether any task runs.
struct Watch {
    start: Start,
    idle_since: Option<Instant>,
}

impl Watch {
    fn new(start: Start) -> Watch {
        Watch {
            start,
            idle_since: Some(Instant::now()),
        }
    }

    fn note(&mut self, progress: &ExecutionProgress) {
        if progress.num_inflight_tasks > 0 {
            self.idle_since = None;
        } else if self.idle_since.is_none() {
            self.idle_since = Some(Instant::now());
        }
    }

    fn is_late(&self) -> bool {
        self.idle_since
            .is_some_and(|since| since.elapsed() > self.start.limit)
    }

    fn error(&self, connection: &Connection) -> Error {
        Error::Spark {
            operation: "running workers at",
            url: connection.url.clone(),
            reason: format!(
                "no task ran for {} seconds. {} tasks have to run at the same time: are there executors with as many \
                 free cores?",
                self.start.limit.as_secs(),
                self.start.slots
            ),
        }
    }
}
