//! Tables and queries on a server.

use std::fmt;

use arrow_array::RecordBatch;
use proto::{
    analyze_plan_request::{Analyze, Schema},
    analyze_plan_response, data_type,
};
use spark_connect_proto as proto;

use super::{SparkSession, execution, plan};
use crate::{Error, Result};

/// A table or a query on a Spark cluster: a plan, of which nothing has run yet.
///
/// Each use runs it anew.
#[derive(Clone)]
pub struct SparkFrame {
    pub(super) session: SparkSession,
    pub(super) relation: proto::Relation,
    pub(super) name: String,
    /// Into how many partitions it falls by its nature, where that is known.
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
    /// What errors call it: `the table "t"`, `the query "SELECT ..."`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The session that it belongs to.
    pub fn session(&self) -> &SparkSession {
        &self.session
    }

    /// The names of its columns. The server looks at the tables' descriptions, and reads no rows.
    ///
    /// # Errors
    /// [`Error::Spark`] for a table that is not there and a query that is wrong, [`Error::Unreachable`] for a
    /// server that is gone.
    pub fn columns(&self) -> Result<Vec<String>> {
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
            return Ok(columns.fields.into_iter().map(|field| field.name).collect());
        }
        Err(Error::Spark {
            operation: OPERATION,
            url: self.session.url().to_owned(),
            reason: format!("the server's answer describes no columns of {}", self.name),
        })
    }

    /// Runs the plan and brings all of its rows here.
    ///
    /// # Errors
    /// As [`columns`](Self::columns), and whatever fails while it runs.
    pub fn collect(&self) -> Result<Vec<RecordBatch>> {
        execution::collect(
            &self.session.connection,
            "reading rows from",
            self.relation.clone(),
        )
    }
}
