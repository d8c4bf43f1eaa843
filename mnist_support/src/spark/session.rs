//! A session of a Spark Connect server.

use std::{fmt, sync::Arc};

use proto::{
    analyze_plan_request::{Analyze, SparkVersion},
    analyze_plan_response,
};
use spark_connect_core::SparkConnectClient;
use spark_connect_proto as proto;

use super::connection::Connection;
use crate::{Error, Result, error::SparkError, interrupt, runtime::wait};

/// The oldest version that runs a barrier stage of a function over Arrow, resumes the stream of an
/// execution and takes files.
const OLDEST: (u32, u32) = (3, 5);

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
    /// `sc://HOST:443/;token=…;x-databricks-cluster-id=…`.
    ///
    /// - `token` is sent as `Authorization: Bearer`, over TLS unless the host is `localhost`. The
    ///   variable `SPARK_CONNECT_AUTHENTICATE_TOKEN` is read where there is none.
    /// - `use_ssl=true` turns TLS on without a token. The authorities that the machine trusts are
    ///   trusted, or those in the file that `SSL_CERT_FILE` names.
    /// - `user_agent`, `session_id` and `grpc_keepalive_…` are those of PySpark.
    /// - All others are sent as headers with each call.
    ///
    /// A connection that is cut while nobody uses it, or while a long job runs, is made anew.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] for any other form of URL, for one with a `user_id` (files would
    /// be sent to another session), and for a token with `use_ssl=false`;
    /// [`SparkError::Unreachable`] if no server answers; [`SparkError::UntrustedCertificate`],
    /// [`SparkError::NoTls`], [`SparkError::NoHttp2`], [`SparkError::TokenRefused`],
    /// [`SparkError::TokenMissing`] or [`SparkError::NotSparkConnect`] if what answers can't be
    /// used; [`SparkError::TooOld`] before Spark 3.5.
    pub fn connect(url: &str) -> Result<SparkSession> {
        let session = SparkSession {
            connection: Arc::new(Connection::open(url)?),
        };
        let answer = session
            .connection
            .analyze("connecting to", Analyze::SparkVersion(SparkVersion {}))?;
        if let analyze_plan_response::Result::SparkVersion(answer) = answer
            && is_too_old(&answer.version)
        {
            return Err(Error::Spark(SparkError::TooOld {
                url: session.url().to_owned(),
                found: answer.version,
                needed: format!("{}.{}", OLDEST.0, OLDEST.1),
            }));
        }
        Ok(session)
    }

    /// The server's address, without the URL's parameters.
    pub fn url(&self) -> &str {
        &self.connection.address.url
    }

    /// Interrupts everything that runs in this session, from another thread than the waiting one,
    /// whose call then returns [`Error::Interrupted`]. Workers exit
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

/// Whether a version is older than [`OLDEST`]. One that is written in another way is given a try.
fn is_too_old(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>());
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < OLDEST,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_before_3_5_are_too_old_and_unknown_ones_are_tried() {
        for (version, expected) in [
            ("3.4.4", true),
            ("3.5.0", false),
            ("3.5.2-databricks", false),
            ("4.0.1", false),
            ("10.0.0", false),
            ("next", false),
        ] {
            assert_eq!(is_too_old(version), expected, "{version}");
        }
    }
}
