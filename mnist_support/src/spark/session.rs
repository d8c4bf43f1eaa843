//! A session of a Spark Connect server.

use std::{fmt, sync::Arc};

use proto::analyze_plan_request::{Analyze, SparkVersion};
use spark_connect_core::SparkConnectClient;
use spark_connect_proto as proto;

use super::connection::Connection;
use crate::{Result, interrupt, runtime::wait};

/// A session of a Spark Connect server. Clones share the session, and every call blocks.
///
/// When the last clone and the last frame are dropped, the session ends, and with it whatever still
/// runs in it.
#[derive(Clone)]
pub struct SparkSession {
    pub(super) connection: Arc<Connection>,
}

impl fmt::Debug for SparkSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SparkSession({})", self.url())
    }
}

impl SparkSession {
    /// Connects to `sc://HOST:PORT`, optionally with parameters:
    /// `sc://HOST:PORT/;use_ssl=true;token=...`.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`](crate::Error::InvalidSetting) for any other form of URL, for one
    /// with a `user_id` (files would be sent to another session), and for a token without
    /// `use_ssl`; [`SparkError::Unreachable`](crate::error::SparkError::Unreachable) if no server
    /// answers.
    pub fn connect(url: &str) -> Result<SparkSession> {
        let session = SparkSession {
            connection: Arc::new(Connection::open(url)?),
        };
        session
            .connection
            .analyze("connecting to", Analyze::SparkVersion(SparkVersion {}))?;
        Ok(session)
    }

    /// The server's address, without the URL's parameters.
    pub fn url(&self) -> &str {
        &self.connection.url
    }

    /// Interrupts everything that runs in this session, from another thread than the waiting one,
    /// whose call then returns [`Error::Interrupted`](crate::Error::Interrupted). Workers exit
    /// within a few seconds.
    pub fn interrupt(&self) -> Result<()> {
        self.interrupt_some(None)
    }

    /// Like [`interrupt`](Self::interrupt), for the workers whose command has this
    /// [tag](super::WorkerCommand::tag).
    pub fn interrupt_tag(&self, tag: &str) -> Result<()> {
        self.interrupt_some(Some(tag.to_owned()))
    }

    fn interrupt_some(&self, tag: Option<String>) -> Result<()> {
        let connection = Arc::clone(&self.connection);
        // The caller has usually been asked to stop itself.
        let _shield = interrupt::shield();
        wait("interrupting", self.url(), async move {
            let interrupt = |client: Arc<SparkConnectClient>| {
                let tag = tag.clone();
                async move {
                    match tag {
                        Some(tag) => client.interrupt_tag(&tag).await,
                        None => client.interrupt_all().await,
                    }
                }
            };
            connection.retried("interrupting", interrupt).await
        })?
        .map(|_| ())
    }
}
