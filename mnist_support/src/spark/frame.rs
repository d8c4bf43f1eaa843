//! Tables and queries on a Spark server.

use std::fmt;

use arrow_array::RecordBatch;
use proto::{
    analyze_plan_request::{Analyze, Schema},
    analyze_plan_response, data_type,
};
use spark_connect_proto as proto;

use super::{execution, plan, session::SparkSession};
use crate::{
    Error, Result,
    error::SparkError,
    shard::{Data, Shard, Source, frame_from_batches},
};

/// A table or query on a Spark cluster: a plan that is not executed until it is used.
///
/// Each use executes it again.
#[derive(Clone)]
pub struct SparkFrame {
    pub(super) session: SparkSession,
    pub(super) relation: proto::Relation,
    pub(super) name: String,
    /// The number of partitions, if it is known from the plan.
    pub(super) partitions: Option<usize>,
}

impl fmt::Debug for SparkFrame {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "SparkFrame({} at {})",
            self.name,
            self.session.url()
        )
    }
}

impl SparkFrame {
    /// What error messages call it: `the table "t"`, `the query "SELECT ..."`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The session that it belongs to.
    pub fn session(&self) -> &SparkSession {
        &self.session
    }

    /// Returns the names of its columns. The server reads the tables' schemas, but no rows.
    ///
    /// # Errors
    /// [`SparkError::Failed`] for a table that does not exist or an invalid query,
    /// [`SparkError::Unreachable`] for a server that is gone.
    pub fn columns(&self) -> Result<Vec<String>> {
        let fields = self.fields()?.into_iter();
        Ok(fields.map(|field| field.name).collect())
    }

    /// Returns the names of the columns with dates and times that are those of no time zone.
    pub(crate) fn timestamps_without_zone(&self) -> Result<Vec<String>> {
        let without_zone = |field: &data_type::StructField| {
            let kind = field
                .data_type
                .as_ref()
                .and_then(|dtype| dtype.kind.as_ref());
            matches!(kind, Some(data_type::Kind::TimestampNtz(_)))
        };
        let fields = self.fields()?.into_iter().filter(without_zone);
        Ok(fields.map(|field| field.name).collect())
    }

    fn fields(&self) -> Result<Vec<data_type::StructField>> {
        const OPERATION: &str = "looking up the columns at";
        let answer = self.session.connection.analyze(
            OPERATION,
            Analyze::Schema(Schema {
                plan: Some(plan::root(self.relation.clone())),
            }),
        )?;
        if let analyze_plan_response::Result::Schema(schema) = answer
            && let Some(data_type::Kind::Struct(columns)) =
                schema.schema.and_then(|schema| schema.kind)
        {
            return Ok(columns.fields);
        }
        Err(Error::Spark(SparkError::Failed {
            operation: OPERATION,
            url: self.session.url().to_owned(),
            reason: format!("the server's answer describes no columns of {}", self.name),
        }))
    }

    /// Returns the same rows with these columns alone, in this order.
    pub fn select<S: Into<String>>(&self, columns: impl IntoIterator<Item = S>) -> SparkFrame {
        let columns: Vec<String> = columns.into_iter().map(Into::into).collect();
        SparkFrame {
            relation: plan::select(self.relation.clone(), &columns),
            ..self.clone()
        }
    }

    /// Returns the first `n` rows, of those that Spark finds first.
    pub fn limit(&self, n: usize) -> SparkFrame {
        SparkFrame {
            relation: plan::limit(self.relation.clone(), i32::try_from(n).unwrap_or(i32::MAX)),
            partitions: None,
            ..self.clone()
        }
    }

    /// Executes the plan and returns all of its rows.
    ///
    /// # Errors
    /// As [`columns`](Self::columns), and whatever fails during execution.
    pub fn collect(&self) -> Result<Vec<RecordBatch>> {
        execution::collect(
            &self.session.connection,
            "reading rows from",
            plan::root(self.relation.clone()),
            None,
            1,
        )
    }
}

impl SparkSession {
    /// Returns the rows of a query. A statement without a result, such as `CREATE TABLE`, is
    /// executed by [`collect`](SparkFrame::collect).
    pub fn sql(&self, query: &str) -> SparkFrame {
        let mut shown: String = query.chars().take(60).collect();
        if shown.len() < query.len() {
            shown.push('…');
        }
        self.frame(plan::sql(query), format!("the query {shown:?}"), None)
    }

    /// Returns the rows of a table or view, named as in SQL: `t`, `database.t`, `` `a table` ``.
    pub fn table(&self, name: &str) -> SparkFrame {
        self.frame(plan::table(name), format!("the table {name:?}"), None)
    }

    /// Returns a frame with one row for each of `world_size` workers, each in a partition of its
    /// own: the column `id`, from 0. For programs that find their rows by themselves.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] for 0 ranks or more than 2³¹ − 1.
    pub fn range(&self, world_size: usize) -> Result<SparkFrame> {
        let partitions = partition_count(world_size)?;
        Ok(self.frame(
            plan::range(partitions.into(), Some(partitions)),
            format!("the numbers below {world_size}"),
            Some(world_size),
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
}

/// Ranks outside the cluster receive the rows through this process.
impl Source for SparkFrame {
    fn shards(&self, parts: usize) -> Result<Vec<Shard>> {
        frame_from_batches(&self.collect()?, self.name())?.shards(parts)
    }

    fn name(&self) -> String {
        SparkFrame::name(self).to_owned()
    }

    fn columns(&self) -> Result<Option<Vec<String>>> {
        SparkFrame::columns(self).map(Some)
    }
}

impl From<&SparkFrame> for Data {
    fn from(frame: &SparkFrame) -> Self {
        Data::new(frame.clone())
    }
}

impl From<SparkFrame> for Data {
    fn from(frame: SparkFrame) -> Self {
        Data::new(frame)
    }
}

/// Converts to Spark's type for a number of partitions.
pub(super) fn partition_count(world_size: usize) -> Result<i32> {
    i32::try_from(world_size)
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| Error::InvalidSetting {
            setting: "partitions",
            value: world_size.to_string(),
            reason: format!("must be from 1 to {}", i32::MAX),
        })
}
