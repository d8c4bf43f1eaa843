//! The connection to a Spark Connect server: one client, used by blocking calls from any thread.

use std::{
    collections::{BTreeSet, HashMap},
    future::Future,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize},
    },
    time::{Duration, SystemTime},
};

use spark_connect_core::{RetryPolicy, SparkConnectClient, SparkError as ConnectError};
use spark_connect_proto as proto;
use tokio::time::{sleep, timeout};

use super::{address::Address, failure};
use crate::{Error, Result, error::SparkError, interrupt, runtime::wait};

/// Delays before each retry of a call when no server answered.
const RETRY_DELAYS: [Duration; 3] = [
    Duration::from_millis(250),
    Duration::from_millis(750),
    Duration::from_millis(2000),
];

/// How long to wait for a server to release a session that is no longer needed.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct Connection {
    state: Mutex<State>,
    pub(super) address: Address,
    /// The executors' Python, once known.
    pub(super) python: Mutex<Option<String>>,
    /// The settings of libtorch that the executors have been seen to satisfy.
    pub(super) libtorch: Mutex<BTreeSet<String>>,
    /// Whether the server has been seen to report the progress of an execution.
    pub(super) reports_progress: AtomicBool,
    /// How many executions of this session have running tasks.
    pub(super) busy: AtomicUsize,
    /// The files sent in this session of the server.
    pub(super) sent: Mutex<SentFiles>,
}

/// The names under which files were sent, by path, size and modification time.
pub(super) type SentFiles = HashMap<(PathBuf, u64, SystemTime), String>;

struct State {
    /// Identifies the session. Replaced when the server has closed the session.
    client: Arc<SparkConnectClient>,
    /// The server's own name for the session. A different name is a different session, without our
    /// files.
    server_session_id: Option<String>,
}

/// Returns a request about a plan or about the server. Like all of this crate's, it names no user:
/// the server knows the token's.
pub(super) fn analyze_request(
    client: &SparkConnectClient,
    question: proto::analyze_plan_request::Analyze,
) -> proto::AnalyzePlanRequest {
    proto::AnalyzePlanRequest {
        session_id: client.session_id().to_owned(),
        user_context: Some(proto::UserContext::default()),
        analyze: Some(question),
        ..Default::default()
    }
}

impl Connection {
    /// Parses the URL. The first call connects.
    pub(super) fn open(url: &str) -> Result<Connection> {
        let (address, builder) = Address::parse(url)?;
        let client = wait("connecting to", &address.url, async move {
            let mut client = SparkConnectClient::connect(&builder).await?;
            // This crate retries itself, so that an error can state the number of retries.
            client.set_retry_policy(RetryPolicy::no_retries());
            Ok::<_, ConnectError>(client)
        })?
        .map_err(|error| Error::InvalidSetting {
            setting: "SPARK_REMOTE",
            value: address.url.clone(),
            reason: format!("cannot be used: {}", address.redact(&error.message())),
        })?;
        Ok(Connection {
            state: Mutex::new(State {
                client: Arc::new(client),
                server_session_id: None,
            }),
            address,
            python: Mutex::new(None),
            libtorch: Mutex::default(),
            reports_progress: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
            sent: Mutex::new(HashMap::new()),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the client for one request, or for one execution and everything that belongs to it.
    pub(super) fn client(&self) -> Arc<SparkConnectClient> {
        Arc::clone(&self.state().client)
    }

    /// Sends an analyze request, about a plan or about the server itself.
    ///
    /// The response also shows whether the server still has the session. A session that is idle for
    /// long (an hour by default) is closed, and a restarted server has none of our files. They are
    /// sent again.
    pub(super) fn analyze(
        self: &Arc<Self>,
        operation: &'static str,
        question: proto::analyze_plan_request::Analyze,
    ) -> Result<proto::analyze_plan_response::Result> {
        let connection = Arc::clone(self);
        let response = wait(operation, &self.address.url, async move {
            let ask = |client: Arc<SparkConnectClient>| {
                let request = analyze_request(&client, question.clone());
                async move { client.analyze_plan(request).await }
            };
            connection.retried(operation, ask).await
        })??;
        self.check_session(&response.server_side_session_id);
        response.result.ok_or_else(|| {
            Error::Spark(SparkError::Failed {
                operation,
                url: self.address.url.clone(),
                reason: "the server's answer is empty".to_owned(),
            })
        })
    }

    /// Forgets the sent files if the server's name for the session has changed.
    fn check_session(&self, server_session_id: &str) {
        let before = self
            .state()
            .server_session_id
            .replace(server_session_id.to_owned());
        if before.is_some_and(|before| before != server_session_id) {
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            sent.clear();
        }
    }

    /// Switches to a new session, unless another thread has done so since it returned `client`.
    fn renew_session(&self, client: &Arc<SparkConnectClient>) {
        let mut state = self.state();
        if Arc::ptr_eq(&state.client, client) {
            state.client = Arc::new(client.with_new_session_id());
        }
    }

    /// Retries a call while there is no server, and once in a new session if the server has closed
    /// ours. Converts the final error to one of this crate.
    pub(super) async fn retried<T, Call, Response>(
        &self,
        operation: &'static str,
        call: Call,
    ) -> Result<T>
    where
        Call: Fn(Arc<SparkConnectClient>) -> Response,
        Response: Future<Output = Result<T, ConnectError>>,
    {
        let (mut delays, mut renewed) = (RETRY_DELAYS.iter(), false);
        loop {
            let client = self.client();
            let error = match call(Arc::clone(&client)).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            if failure::is_closed_session(&error) && !renewed {
                renewed = true;
                self.renew_session(&client);
                continue;
            }
            match delays.next() {
                Some(delay) if failure::is_unavailable(&error) => sleep(*delay).await,
                _ => {
                    let retries = RETRY_DELAYS.len();
                    return Err(failure::explain(
                        &client,
                        &self.address,
                        operation,
                        error,
                        retries,
                    )
                    .await);
                }
            }
        }
    }
}

impl Drop for Connection {
    /// Releases the session: the server forgets its files and ends whatever still runs in it.
    fn drop(&mut self) {
        let client = self.client();
        // A server that is gone or busy forgets the session by itself later.
        let _shield = interrupt::shield();
        let _ = wait("leaving", &self.address.url, async move {
            timeout(RELEASE_TIMEOUT, client.release_session()).await
        });
    }
}
