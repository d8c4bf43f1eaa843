//! Determines which Python the executors run.

use super::{SparkSession, execution, plan, types::SparkType};
use crate::{Error, Result, error::SparkError};

/// A version that no Python has, so that the executors reply with theirs.
const NO_VERSION: &str = "0.0";

impl SparkSession {
    /// Returns the executors' Python version, such as "3.12", which a function that is sent to them
    /// must name. Determined once per session, unless it was [set](Self::set_python_version).
    ///
    /// Spark has no request for it. But an executor rejects a function for another version and then
    /// names its own, so one task is sent that must fail.
    ///
    /// # Errors
    /// [`SparkError::Failed`] if no executor can run Python.
    pub fn python_version(&self) -> Result<String> {
        let mut known = self
            .connection
            .python
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(version) = &*known {
            return Ok(version.clone());
        }
        const OPERATION: &str = "asking for the executors' Python at";
        let question = plan::map_partitions(
            plan::range(1, Some(1)),
            &["id".to_owned()],
            plan::PythonFunction {
                source: "def run(batches):\n    return batches\n",
                function: "run",
                job: "",
                python: NO_VERSION,
                result: &[("id", SparkType::named("long"))],
            },
            false,
        );
        match execution::collect(&self.connection, OPERATION, plan::root(question), None, 1) {
            Err(Error::Spark(SparkError::PythonMismatch { executors, .. })) => {
                *known = Some(executors.clone());
                Ok(executors)
            }
            Err(error) => Err(error),
            Ok(_) => Err(Error::Spark(SparkError::Failed {
                operation: OPERATION,
                url: self.url().to_owned(),
                reason: format!(
                    "an executor ran a function for Python {NO_VERSION}: name its version with set_python_version"
                ),
            })),
        }
    }

    /// Sets the executors' Python version, such as "3.12", so that they are not asked.
    pub fn set_python_version(&self, version: &str) {
        *self
            .connection
            .python
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(version.to_owned());
    }
}
