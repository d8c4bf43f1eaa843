//! Looks for the executors' libtorch.

use std::sync::PoisonError;

use super::{
    SparkSession, execution,
    job::{Job, SOURCE},
    plan,
    types::SparkType,
};
use crate::Result;

impl SparkSession {
    /// Runs one task that looks for the libtorch that `job` needs, once per session: its error
    /// comes before a barrier holds cores, and before rows are read. Each rank looks for itself
    /// again.
    pub(super) fn check_libtorch(&self, job: &Job, python: &str) -> Result<()> {
        let Some(libtorch) = job.libtorch else {
            return Ok(());
        };
        let checked = || self.connection.libtorch.lock();
        if checked()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(libtorch)
        {
            return Ok(());
        }
        let alone = job.clone().without_barrier();
        let question = plan::map_partitions(
            plan::range(1, Some(1)),
            &["id".to_owned()],
            plan::PythonFunction {
                source: SOURCE,
                function: "check",
                job: &alone.json(),
                python,
                result: &[("id", SparkType::named("long"))],
            },
            false,
        );
        execution::collect(
            &self.connection,
            "looking for libtorch at",
            plan::root(question),
            None,
            1,
        )?;
        checked()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(libtorch.to_owned());
        Ok(())
    }
}
