//! Executes a plan to its end, however often the server ends the stream of its responses.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use futures::{Stream, TryStreamExt};
use proto::execute_plan_response::{ArrowBatch, ExecutionProgress, ResponseType};
use spark_connect_core::{
    ExecutePlanResponseReattachableIterator as Execution, SparkConnectClient,
    SparkError as ConnectError,
};
use spark_connect_proto as proto;
use tokio::time::{sleep, timeout};

use super::{connection::Connection, failure, plan};
use crate::{Error, Result, error::SparkError, interrupt, runtime::wait};

/// How often to reattach to a broken stream, and the first delay, which doubles each time.
const REATTACH_ATTEMPTS: u32 = 6;
const FIRST_DELAY: Duration = Duration::from_millis(250);

/// How long the server may take to open a stream.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a stream may be silent before it is reattached. The server itself ends it after 2
/// minutes, so the connection must be broken.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(180);

/// How often to check the time while nothing arrives.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// How long to wait for an execution's first stage. If there are too few cores for a barrier stage,
/// Spark does not start it, and says nothing about it for 10 minutes.
const FIRST_STAGE_TIMEOUT: Duration = Duration::from_secs(120);

/// How long to wait for a task: the cluster may be busy, or have lost its executors.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);

/// Executes a plan and returns its rows.
///
/// The server ends a stream after a while (2 minutes by default) although the execution continues.
/// Only the message ResultComplete means that it is complete.
///
/// Another thread can interrupt it by its `tag`.
pub(super) fn collect(
    connection: &Arc<Connection>,
    operation: &'static str,
    relation: proto::Relation,
    tag: Option<&str>,
) -> Result<Vec<RecordBatch>> {
    let client = connection.client();
    let execution = Execution::new(proto::ExecutePlanRequest {
        session_id: client.session_id().to_owned(),
        user_context: Some(proto::UserContext::default()),
        plan: Some(plan::root(relation)),
        tags: tag.map(str::to_owned).into_iter().collect(),
        ..Default::default()
    });
    let id = execution.operation_id().to_owned();
    let own = (Arc::clone(connection), Arc::clone(&client));
    let result = wait(operation, &connection.url, async move {
        run(&own.0, &own.1, operation, execution).await
    });
    if matches!(result, Err(Error::Interrupted { .. })) {
        end(client, &connection.url, id)?;
    }
    result?
}

/// Interrupts an execution that nobody is waiting for any more.
fn end(client: Arc<SparkConnectClient>, url: &str, id: String) -> Result<()> {
    let _shield = interrupt::shield();
    wait("interrupting", url, async move {
        // An execution that cannot be interrupted has ended.
        let _ = client.interrupt_operation(&id).await;
    })
}

/// A message of a stream, or the error that broke it.
type Message = Result<proto::ExecutePlanResponse, ConnectError>;

async fn run(
    connection: &Connection,
    client: &SparkConnectClient,
    operation: &'static str,
    execution: Execution,
) -> Result<Vec<RecordBatch>> {
    let mut run = Run {
        connection,
        client,
        operation,
        execution,
        begun: false,
        tries: 0,
        watch: Watch::new(),
        rows: Rows::default(),
    };
    let mut begin = true;
    loop {
        let error = match run.open(begin).await {
            Ok(stream) => run.listen(stream).await?,
            Err(error) => Some(error),
        };
        if run.execution.is_completed().await {
            run.release().await;
            return Ok(run.rows.batches);
        }
        run.watch.listen();
        // If nothing has arrived yet, the server may never have received the plan.
        begin = !run.begun && error.as_ref().is_some_and(failure::is_unknown_execution);
        if let Some(error) = error {
            run.pause(error, begin).await?;
        }
    }
}

/// A plan that is being executed, and its results so far.
struct Run<'a> {
    connection: &'a Connection,
    client: &'a SparkConnectClient,
    operation: &'static str,
    execution: Execution,
    begun: bool,
    /// How often in a row the stream has broken.
    tries: u32,
    watch: Watch,
    rows: Rows,
}

impl Run<'_> {
    /// Opens a stream of responses: of the plan from its beginning, or of the remaining ones.
    #[allow(clippy::result_large_err)] // the error is Spark's own type
    async fn open(
        &self,
        begin: bool,
    ) -> Result<impl Stream<Item = Message> + Unpin + use<>, ConnectError> {
        let attempt = async {
            if begin {
                let request = self.execution.request().clone();
                return self.client.execute_plan(request).await;
            }
            let request = self.execution.create_reattach_request().await;
            self.client.reattach_execute(request).await
        };
        match timeout(OPEN_TIMEOUT, attempt).await {
            Ok(opened) => opened.map(|stream| stream.map_err(ConnectError::from_grpc_status)),
            Err(_) => Err(failure::unavailable("the server does not answer")),
        }
    }

    /// Handles the responses of a stream until it ends or falls silent. Returns the error that
    /// broke it, if any.
    async fn listen(
        &mut self,
        mut stream: impl Stream<Item = Message> + Unpin,
    ) -> Result<Option<ConnectError>> {
        loop {
            match timeout(POLL_INTERVAL, stream.try_next()).await {
                Ok(Ok(Some(response))) => self.take(response).await?,
                Ok(Ok(None)) => return Ok(None),
                Ok(Err(error)) => return Ok(Some(error)),
                Err(_) if self.watch.is_silent() => return Ok(None),
                Err(_) => self.check_progress().await?,
            }
        }
    }

    /// Waits before the next attempt, if `error` is worth a retry.
    async fn pause(&mut self, error: ConnectError, begin: bool) -> Result<()> {
        if self.tries >= REATTACH_ATTEMPTS || !(begin || failure::is_disconnection(&error)) {
            let (url, tries) = (&self.connection.url, self.tries as usize);
            return Err(failure::explain(self.client, url, self.operation, error, tries).await);
        }
        sleep(FIRST_DELAY * 2_u32.pow(self.tries)).await;
        self.tries += 1;
        Ok(())
    }

    async fn take(&mut self, response: proto::ExecutePlanResponse) -> Result<()> {
        self.begun = true;
        self.tries = 0;
        self.watch.listen();
        self.execution.set_last_response_id(&response).await;
        match response.response_type {
            Some(ResponseType::ArrowBatch(batch)) => self.rows.add(&batch).map_err(|reason| {
                self.failed(format!("the rows of the result can't be read: {reason}"))
            }),
            Some(ResponseType::ExecutionProgress(progress)) => {
                self.watch.note(&progress);
                let reports = &self.connection.reports_progress;
                reports.store(true, Ordering::Relaxed);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Interrupts the execution, and so ends the wait for it, if no task is running. Without
    /// progress reports from the server, there is no reason to assume that.
    async fn check_progress(&self) -> Result<()> {
        let reports = self.connection.reports_progress.load(Ordering::Relaxed);
        let Some(limit) = self.watch.exceeded().filter(|_| reports) else {
            return Ok(());
        };
        // An execution that cannot be interrupted has ended.
        let _ = self
            .client
            .interrupt_operation(self.execution.operation_id())
            .await;
        Err(self.failed(format!(
            "no task has run for {} seconds. Does the cluster have executors, and as many free cores as there are \
             tasks (partitions) that have to run at the same time?",
            limit.as_secs()
        )))
    }

    fn failed(&self, reason: String) -> Error {
        Error::Spark(SparkError::Failed {
            operation: self.operation,
            url: self.connection.url.clone(),
            reason,
        })
    }

    /// Tells the server that the responses have arrived. Until then it keeps them for a while.
    async fn release(&self) {
        let request = self.execution.create_release_request(true).await;
        let _ = self.client.release_execute(request).await;
    }
}

/// The rows received so far, in order and without gaps.
#[derive(Default)]
struct Rows {
    batches: Vec<RecordBatch>,
    count: i64,
}

impl Rows {
    fn add(&mut self, message: &ArrowBatch) -> Result<(), String> {
        if let Some(start) = message.start_offset.filter(|start| *start != self.count) {
            return Err(format!("row {start} came after row {}", self.count));
        }
        let text = |error: arrow_schema::ArrowError| error.to_string();
        let before = self.count;
        for batch in StreamReader::try_new(&message.data[..], None).map_err(text)? {
            let batch = batch.map_err(text)?;
            self.count += batch.num_rows() as i64;
            self.batches.push(batch);
        }
        if self.count - before != message.row_count {
            let found = self.count - before;
            return Err(format!(
                "{found} rows where {} were sent",
                message.row_count
            ));
        }
        Ok(())
    }
}

/// Watches whether anything arrives, and whether any task is running.
struct Watch {
    heard: Instant,
    begun: bool,
    idle_since: Option<Instant>,
}

impl Watch {
    fn new() -> Watch {
        Watch {
            heard: Instant::now(),
            begun: false,
            idle_since: Some(Instant::now()),
        }
    }

    fn listen(&mut self) {
        self.heard = Instant::now();
    }

    fn is_silent(&self) -> bool {
        self.heard.elapsed() > SILENCE_TIMEOUT
    }

    fn note(&mut self, progress: &ExecutionProgress) {
        self.begun = true;
        if progress.num_inflight_tasks > 0 {
            self.idle_since = None;
        } else {
            self.idle_since.get_or_insert_with(Instant::now);
        }
    }

    /// Returns the time limit that has passed without a running task, if any.
    fn exceeded(&self) -> Option<Duration> {
        let limit = if self.begun {
            IDLE_TIMEOUT
        } else {
            FIRST_STAGE_TIMEOUT
        };
        (self.idle_since?.elapsed() > limit).then_some(limit)
    }
}
