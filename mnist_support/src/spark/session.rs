//! A session of a Spark Connect server.

use std::{fmt, sync::Arc};

use proto::analyze_plan_request::{Analyze, SparkVersion};
use spark_connect_proto as proto;

use super::{SparkFrame, connection::Connection, plan};
use crate::{Error, Result, interrupt, lake::runtime::wait};

/// A session of a Spark Connect server. Clones are the same session; each call blocks.
///
/// When the last clone and the last frame are dropped, the session ends, and with it what still runs in it.
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
    /// Connects to `sc://HOST:PORT`, optionally with parameters: `sc://HOST:PORT/;use_ssl=true;token=...`.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] for another kind of URL, for one with a `user_id` (files that are sent would go
    /// to another session), and for a token without `use_ssl`; [`Error::Unreachable`] where no server answers.
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

    /// The rows of a query. A statement that returns none, such as `CREATE TABLE`, runs on
    /// [`collect`](SparkFrame::collect).
    pub fn sql(&self, query: &str) -> SparkFrame {
        let mut shown: String = query.chars().take(60).collect();
        if shown.len() < query.len() {
            shown.push('…');
        }
        self.frame(plan::sql(query), format!("the query {shown:?}"), None)
    }

    /// The rows of a table or view, named as in SQL: `t`, `database.t`, `` `a table` ``.
    pub fn table(&self, name: &str) -> SparkFrame {
        self.frame(plan::table(name), format!("the table {name:?}"), None)
    }

    /// A frame with one row for each of `copies` workers, in a partition of its own: the column `id`, from 0.
    /// For programs that find their rows by themselves.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] for 0 copies and for more than 2³¹ − 1.
    pub fn range(&self, copies: usize) -> Result<SparkFrame> {
        let partitions = partition_count(copies)?;
        Ok(self.frame(
            plan::range(partitions.into(), Some(partitions)),
            format!("the numbers below {copies}"),
            Some(copies),
        ))
    }

    fn frame(
        &self,
        relation: proto::Relation,
        name: String,
        partitions: Option<usize>,
    ) -> SparkFrame {
        SparkFrame {
            session: self.clone(),
            relation,
            name,
            partitions,
        }
    }

    /// Ends everything that runs in this session, from another thread than the one that waits for it; there,
    /// the call ends in [`Error::Interrupted`]. Workers are gone within a few seconds.
    pub fn interrupt(&self) -> Result<()> {
        let connection = Arc::clone(&self.connection);
        // Who interrupts has mostly been asked to stop.
        let _shield = interrupt::shield();
        wait("interrupting", self.url(), async move {
            connection
                .retried("interrupting", || connection.client.interrupt_all())
                .await
        })?
        .map(|_| ())
    }
}

/// As a number of partitions for Spark.
pub(super) fn partition_count(copies: usize) -> Result<i32> {
    i32::try_from(copies)
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| Error::InvalidSetting {
            setting: "partitions",
            value: copies.to_string(),
            reason: format!("must be from 1 to {}", i32::MAX),
        })
}
