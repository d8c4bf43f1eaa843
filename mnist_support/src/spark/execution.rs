//! Executes a plan to its end, however often the server ends the stream of its responses.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use futures::{Stream, TryStreamExt};
use proto::{
    analyze_plan_request::{Analyze, SparkVersion},
    execute_plan_response::{ArrowBatch, ResponseType},
};
use spark_connect_core::{
    ExecutePlanResponseReattachableIterator as Execution, SparkConnectClient,
    SparkError as ConnectError,
};
use spark_connect_proto as proto;
use tokio::time::{sleep, timeout};

use super::{
    connection::{Connection, analyze_request},
    failure, plan, slots,
    watch::Watch,
};
use crate::{Error, Result, error::SparkError, interrupt, runtime::wait};

/// How often to reattach to a broken stream, and the first delay, which doubles each time.
const REATTACH_ATTEMPTS: u32 = 6;
const FIRST_DELAY: Duration = Duration::from_millis(250);

/// How long the server may take to open a stream. Over gRPC it sends nothing at all before its
/// first response, so this is no sign of a server that is gone.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// A stream that lasted this long was not refused, but cut: by a proxy that ends silent or long
/// streams, for one.
const NOT_REFUSED: Duration = Duration::from_secs(2);

/// How long the server may take to answer a short question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How often to check the time while nothing arrives.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// How often to count the cores for tasks that wait, and how long a count may take.
const COUNT_INTERVAL: Duration = Duration::from_secs(8);
const COUNT_TIMEOUT: Duration = Duration::from_secs(15);

/// Executes a plan and returns its rows; a command has none.
///
/// The server ends a stream after a while (2 minutes by default) although the execution continues.
/// Only the message ResultComplete means that it is complete.
///
/// Another thread can interrupt it by its `tag`. `at_once` is how many of its tasks have to run at
/// the same time.
pub(super) fn collect(
    connection: &Arc<Connection>,
    operation: &'static str,
    plan: proto::Plan,
    tag: Option<&str>,
    at_once: usize,
) -> Result<Vec<RecordBatch>> {
    let client = connection.client();
    let execution = execution(&client, plan, tag);
    let id = execution.operation_id().to_owned();
    let own = (Arc::clone(connection), Arc::clone(&client));
    let result = wait(operation, &connection.address.url, async move {
        run(&own.0, &own.1, operation, execution, at_once).await
    });
    if matches!(result, Err(Error::Interrupted { .. })) {
        end(client, &connection.address.url, id)?;
    }
    result?
}

fn execution(client: &SparkConnectClient, plan: proto::Plan, tag: Option<&str>) -> Execution {
    Execution::new(proto::ExecutePlanRequest {
        session_id: client.session_id().to_owned(),
        user_context: Some(proto::UserContext::default()),
        plan: Some(plan),
        tags: tag.map(str::to_owned).into_iter().collect(),
        ..Default::default()
    })
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
    at_once: usize,
) -> Result<Vec<RecordBatch>> {
    let mut run = Run {
        connection,
        client,
        operation,
        execution,
        at_once,
        begun: false,
        tries: 0,
        watch: Watch::new(),
        counted: Instant::now(),
        scarce_since: None,
        rows: Rows::default(),
    };
    let mut begin = true;
    loop {
        let opened = Instant::now();
        let error = match run.open(begin).await {
            Ok(stream) => run.listen(stream).await?,
            Err(error) => Some(error),
        };
        if run.execution.is_completed().await {
            run.release().await;
            return Ok(std::mem::take(&mut run.rows.batches));
        }
        run.watch.listen();
        // If nothing has arrived yet, the server may never have received the plan.
        begin = !run.begun && error.as_ref().is_some_and(failure::is_unknown_execution);
        if let Some(error) = error {
            if opened.elapsed() >= NOT_REFUSED && run.answers().await {
                run.check_progress().await?;
                run.tries = 0;
            }
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
    /// How many tasks have to run at the same time.
    at_once: usize,
    begun: bool,
    /// How often in a row the stream has broken.
    tries: u32,
    watch: Watch,
    /// When the cores were last counted, and since when they have been too few.
    counted: Instant,
    scarce_since: Option<Instant>,
    rows: Rows,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.note_tasks(false);
    }
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

    /// Whether the server answers another call. Then the execution goes on, however often its
    /// stream is cut.
    async fn answers(&self) -> bool {
        let request = analyze_request(self.client, Analyze::SparkVersion(SparkVersion {}));
        matches!(
            timeout(ANSWER_TIMEOUT, self.client.analyze_plan(request)).await,
            Ok(Ok(_))
        )
    }

    /// Waits before the next attempt, if `error` is worth a retry.
    async fn pause(&mut self, error: ConnectError, begin: bool) -> Result<()> {
        if self.tries >= REATTACH_ATTEMPTS || !(begin || failure::is_disconnection(&error)) {
            let (address, tries) = (&self.connection.address, self.tries as usize);
            return Err(failure::explain(self.client, address, self.operation, error, tries).await);
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
                self.note_tasks(progress.num_inflight_tasks > 0);
                self.watch.note(&progress);
                let reports = &self.connection.reports_progress;
                reports.store(true, Ordering::Relaxed);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Tells the session's other executions whether tasks of this one are running.
    fn note_tasks(&self, run: bool) {
        let busy = &self.connection.busy;
        match (self.watch.runs(), run) {
            (false, true) => busy.fetch_add(1, Ordering::Relaxed),
            (true, false) => busy.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
    }

    /// Interrupts the execution, and so ends the wait for it, if no task is running. Without
    /// progress reports from the server, there is no reason to assume that.
    async fn check_progress(&mut self) -> Result<()> {
        let others = self.connection.busy.load(Ordering::Relaxed);
        if !self.connection.reports_progress.load(Ordering::Relaxed) || self.watch.runs() {
            return Ok(());
        }
        if others > 0 {
            // This one's turn comes when theirs is over.
            self.watch.wait_anew();
            return Ok(());
        }
        self.check_slots().await?;
        let Some(limit) = self.watch.exceeded() else {
            return Ok(());
        };
        self.interrupt().await;
        Err(self.failed(format!(
            "no task has run for {} seconds. Does the cluster have executors, and as many free cores as there are \
             tasks (partitions) that have to run at the same time?",
            limit.as_secs()
        )))
    }

    /// Interrupts the execution if Spark does not accept it because there are too few cores for it,
    /// and stays so. Spark tries for 10 minutes, and says nothing meanwhile. The number that
    /// [`SparkSession::slots`](super::SparkSession::slots) finds may be too high: at least 2.
    async fn check_slots(&mut self) -> Result<()> {
        let needed = self.at_once;
        if needed < 2 || !self.watch.waits_for_stage() || self.counted.elapsed() < COUNT_INTERVAL {
            return Ok(());
        }
        let found = self.count_slots().await;
        self.counted = Instant::now();
        let Some(found) = found.filter(|found| *found < needed) else {
            self.scarce_since = None;
            return Ok(());
        };
        let since = *self.scarce_since.get_or_insert_with(Instant::now);
        if since.elapsed() + COUNT_INTERVAL < slots::REPLACEMENT {
            return Ok(());
        }
        self.interrupt().await;
        Err(Error::Spark(SparkError::TooFewSlots {
            url: self.connection.address.url.clone(),
            needed,
            found,
        }))
    }

    /// Runs short tasks and counts how many run at the same time; `None` if they don't run now.
    async fn count_slots(&self) -> Option<usize> {
        let python = self.connection.python.lock();
        let python = python.unwrap_or_else(PoisonError::into_inner).clone()?;
        let tasks = slots::tasks(self.at_once, &python).ok()?;
        let execution = execution(self.client, plan::root(tasks), None);
        let id = execution.operation_id().to_owned();
        let counted = run(
            self.connection,
            self.client,
            "counting free cores at",
            execution,
            1,
        );
        match timeout(COUNT_TIMEOUT, Box::pin(counted)).await {
            Ok(rows) => rows.ok().map(|rows| slots::at_once(&rows)),
            Err(_) => {
                // Tasks that can't be interrupted have ended.
                let _ = self.client.interrupt_operation(&id).await;
                None
            }
        }
    }

    async fn interrupt(&self) {
        // An execution that cannot be interrupted has ended.
        let id = self.execution.operation_id();
        let _ = self.client.interrupt_operation(id).await;
    }

    fn failed(&self, reason: String) -> Error {
        Error::Spark(SparkError::Failed {
            operation: self.operation,
            url: self.connection.address.url.clone(),
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
