//! The connection to a Spark Connect server: one client, used by blocking calls from any thread.

use std::{
    collections::HashMap,
    future::Future,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::{Duration, SystemTime},
};

use spark_connect_core::{
    ChannelBuilder, RetryPolicy, SparkConnectClient, SparkError as ConnectError,
    channel::PARAM_USER_ID,
};
use spark_connect_proto as proto;
use tokio::time::{sleep, timeout};

use super::failure;
use crate::{Error, Result, error::SparkError, interrupt, runtime::wait};

/// Waits before the retries of a call that found no server.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(250),
    Duration::from_millis(750),
    Duration::from_millis(2000),
];

/// How long to wait for a server to give a session back when nobody needs it any more.
const GOODBYE: Duration = Duration::from_secs(2);

pub(super) struct Connection {
    state: Mutex<State>,
    /// Without the parameters, among which a token may be.
    pub(super) url: String,
    /// The executors' Python, once known.
    pub(super) python: Mutex<Option<String>>,
    /// Whether the server was seen to report an execution's progress.
    pub(super) reports_progress: AtomicBool,
    /// What was sent in this session of the server.
    pub(super) sent: Mutex<SentFiles>,
}

/// The names under which files were sent, by path, size and time of their last change.
pub(super) type SentFiles = HashMap<(PathBuf, u64, SystemTime), String>;

struct State {
    /// Names the session. It is another one after the server has closed the session.
    client: Arc<SparkConnectClient>,
    /// What the server itself calls the session: another name is another session, without our files.
    known_as: Option<String>,
}

impl Connection {
    /// Reads the URL, connects, and asks the server who it is.
    pub(super) fn open(url: &str) -> Result<Connection> {
        let shown = url.split([';', '?']).next().unwrap_or_default();
        let shown = shown.trim_end_matches('/').to_owned();
        let invalid = |reason: String| Error::InvalidSetting {
            setting: "SPARK_REMOTE",
            value: shown.clone(),
            reason,
        };
        let builder = ChannelBuilder::parse(url).map_err(|_| {
            invalid("must be of the form sc://HOST:PORT or sc://HOST:PORT/;NAME=VALUE".into())
        })?;
        if builder.get(PARAM_USER_ID).is_some() {
            return Err(invalid(
                "must not have a user_id: files that are sent to the server would go to another session".into(),
            ));
        }
        let client = wait("connecting to", &shown, async move {
            let mut client = SparkConnectClient::connect(&builder).await?;
            // Retries are made here, where an error can say how many there were.
            client.set_retry_policy(RetryPolicy::no_retries());
            Ok::<_, ConnectError>(client)
        })?
        .map_err(|error| invalid(format!("cannot be used: {}", error.message())))?;
        Ok(Connection {
            state: Mutex::new(State {
                client: Arc::new(client),
                known_as: None,
            }),
            url: shown,
            python: Mutex::new(None),
            reports_progress: AtomicBool::new(false),
            sent: Mutex::new(HashMap::new()),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client for one request, or for one execution and all that belongs to it.
    pub(super) fn client(&self) -> Arc<SparkConnectClient> {
        Arc::clone(&self.state().client)
    }

    /// Asks the server something about a plan, or about itself.
    ///
    /// The answer also tells whether the server still has the session: one that nobody used for long (an hour
    /// by default) is closed, and a server that was started anew has none of our files. They are sent again.
    pub(super) fn analyze(
        self: &Arc<Self>,
        operation: &'static str,
        question: proto::analyze_plan_request::Analyze,
    ) -> Result<proto::analyze_plan_response::Result> {
        let connection = Arc::clone(self);
        let response = wait(operation, &self.url, async move {
            let ask = |client: Arc<SparkConnectClient>| {
                let request = proto::AnalyzePlanRequest {
                    session_id: client.session_id().to_owned(),
                    user_context: Some(proto::UserContext::default()),
                    analyze: Some(question.clone()),
                    ..Default::default()
                };
                async move { client.analyze_plan(request).await }
            };
            connection.retried(operation, ask).await
        })??;
        self.recognise(&response.server_side_session_id);
        response.result.ok_or_else(|| {
            Error::Spark(SparkError::Failed {
                operation,
                url: self.url.clone(),
                reason: "the server's answer is empty".to_owned(),
            })
        })
    }

    /// Forgets what was sent if the server knows the session by another name than before.
    fn recognise(&self, known_as: &str) {
        let before = self.state().known_as.replace(known_as.to_owned());
        if before.is_some_and(|before| before != known_as) {
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            sent.clear();
        }
    }

    /// Takes a new session, unless another thread has done so since `client` was in use.
    fn begin_anew(&self, client: &Arc<SparkConnectClient>) {
        let mut state = self.state();
        if Arc::ptr_eq(&state.client, client) {
            state.client = Arc::new(client.with_new_session_id());
        }
    }

    /// Makes a call again while there is no server, or once in a new session where the server has closed
    /// ours, and turns what remains into an error of this crate.
    pub(super) async fn retried<T, Call, Response>(
        &self,
        operation: &'static str,
        call: Call,
    ) -> Result<T>
    where
        Call: Fn(Arc<SparkConnectClient>) -> Response,
        Response: Future<Output = Result<T, ConnectError>>,
    {
        let (mut pauses, mut anew) = (PAUSES.iter(), false);
        loop {
            let client = self.client();
            let error = match call(Arc::clone(&client)).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            if failure::is_closed_session(&error) && !anew {
                anew = true;
                self.begin_anew(&client);
                continue;
            }
            match pauses.next() {
                Some(pause) if failure::is_unavailable(&error) => sleep(*pause).await,
                _ => {
                    let retries = PAUSES.len();
                    return Err(
                        failure::explain(&client, &self.url, operation, error, retries).await,
                    );
                }
            }
        }
    }
}

impl Drop for Connection {
    /// Gives the session back: the server forgets its files and ends what still runs in it.
    fn drop(&mut self) {
        let client = self.client();
        // A server that is gone, or has no time, forgets the session by itself later.
        let _shield = interrupt::shield();
        let _ = wait("leaving", &self.url, async move {
            timeout(GOODBYE, client.release_session()).await
        });
    }
}
