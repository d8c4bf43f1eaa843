//! The connection to a Spark Connect server: one client, used by blocking calls from any thread.

use std::{
    collections::HashMap,
    future::Future,
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Duration,
};

use spark_connect_core::{
    ChannelBuilder, RetryPolicy, SparkConnectClient, SparkError, channel::PARAM_USER_ID,
};
use spark_connect_proto as proto;
use tokio::time::{sleep, timeout};

use super::failure;
use crate::{Error, Result, interrupt, lake::runtime::wait};

/// Waits before the retries of a call that found no server.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(250),
    Duration::from_millis(750),
    Duration::from_millis(2000),
];

/// How long to wait for a server to give a session back when nobody needs it any more.
const GOODBYE: Duration = Duration::from_secs(2);

pub(super) struct Connection {
    pub(super) client: Arc<SparkConnectClient>,
    /// Without the parameters, among which a token may be.
    pub(super) url: String,
    /// The executors' Python, once known.
    pub(super) python: Mutex<Option<String>>,
    /// Whether the server was seen to report an execution's progress.
    pub(super) reports_progress: AtomicBool,
    /// The names under which files were sent, by path, size and time of their last change.
    pub(super) sent: Mutex<HashMap<(PathBuf, u64, std::time::SystemTime), String>>,
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
            Ok::<_, SparkError>(client)
        })?
        .map_err(|error| invalid(format!("cannot be used: {}", error.message())))?;
        Ok(Connection {
            client: Arc::new(client),
            url: shown,
            python: Mutex::new(None),
            reports_progress: AtomicBool::new(false),
            sent: Mutex::new(HashMap::new()),
        })
    }

    /// Asks the server something about a plan, or about itself.
    pub(super) fn analyze(
        self: &Arc<Self>,
        operation: &'static str,
        question: proto::analyze_plan_request::Analyze,
    ) -> Result<proto::analyze_plan_response::Result> {
        let request = proto::AnalyzePlanRequest {
            session_id: self.client.session_id().to_owned(),
            user_context: Some(proto::UserContext::default()),
            analyze: Some(question),
            ..Default::default()
        };
        let connection = Arc::clone(self);
        let response = wait(operation, &self.url, async move {
            connection
                .retried(operation, || {
                    connection.client.analyze_plan(request.clone())
                })
                .await
        })??;
        response.result.ok_or_else(|| Error::Spark {
            operation,
            url: self.url.clone(),
            reason: "the server's answer is empty".to_owned(),
        })
    }

    /// Makes a call again while there is no server, and turns what remains into an error of this crate.
    pub(super) async fn retried<T, Call, Response>(
        &self,
        operation: &'static str,
        call: Call,
    ) -> Result<T>
    where
        Call: Fn() -> Response,
        Response: Future<Output = Result<T, SparkError>>,
    {
        let mut pauses = PAUSES.iter();
        loop {
            let error = match call().await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            match pauses.next() {
                Some(pause) if failure::is_unavailable(&error) => sleep(*pause).await,
                _ => return Err(failure::explain(self, operation, error, PAUSES.len()).await),
            }
        }
    }
}

impl Drop for Connection {
    /// Gives the session back: the server forgets its files and ends what still runs in it.
    fn drop(&mut self) {
        let client = Arc::clone(&self.client);
        // A server that is gone, or has no time, forgets the session by itself later.
        let _shield = interrupt::shield();
        let _ = wait("leaving", &self.url, async move {
            timeout(GOODBYE, client.release_session()).await
        });
    }
}
