//! The number of task slots of a cluster.

use std::{
    collections::BTreeSet,
    thread::sleep,
    time::{Duration, Instant},
};

use arrow_array::{RecordBatch, cast::AsArray, types::Float64Type};
use proto::{
    analyze_plan_request::{Analyze, Explain, explain::ExplainMode},
    analyze_plan_response,
};
use spark_connect_proto as proto;

use super::{SparkSession, plan, types::SparkType};
use crate::{Error, Result, error::SparkError, interrupt};

/// The executors of a cluster that has just started may not have registered yet.
const START: Duration = Duration::from_millis(2500);
const PAUSE: Duration = Duration::from_millis(500);

/// How long a cluster that has lost an executor may take to replace it.
pub(super) const REPLACEMENT: Duration = Duration::from_secs(40);

/// A task that is in nobody's way, and says where and when it ran.
const TASK: &str = "\
import os, socket, time
import pyarrow

def run(batches):
    start = time.time()
    time.sleep(0.5)
    for batch in batches:
        # The parent is the executor's own.
        executor = '%s %d' % (socket.gethostname(), os.getppid())
        yield pyarrow.RecordBatch.from_arrays(
            [pyarrow.array([value]) for value in (executor, start, time.time())], ['executor', 'start', 'end'])
";

impl SparkSession {
    /// Returns how many tasks the cluster can run at the same time; `None` if its settings hide
    /// that.
    ///
    /// Spark Connect has no request for it. But Spark splits a range into as many partitions as its
    /// executors have cores (at least 2), unless `spark.default.parallelism` is set, and shows that
    /// in the plan.
    ///
    /// # Errors
    /// [`SparkError::Unreachable`] for a server that is gone.
    pub fn slots(&self) -> Result<Option<usize>> {
        let answer = self.connection.analyze(
            "asking for free cores at",
            Analyze::Explain(Explain {
                plan: Some(plan::root(plan::range(i64::MAX, None))),
                explain_mode: ExplainMode::Simple.into(),
            }),
        )?;
        Ok(match answer {
            analyze_plan_response::Result::Explain(explained) => splits(&explained.explain_string),
            _ => None,
        })
    }

    /// Returns an error if fewer than `needed` tasks can run at the same time. Spark itself would
    /// retry for 10 minutes.
    pub(super) fn check_slots(&self, needed: usize) -> Result<()> {
        self.await_slots(needed, START)
    }

    /// Waits until a cluster that has lost an executor can run `needed` tasks at the same time
    /// again.
    ///
    /// # Errors
    /// [`SparkError::TooFewSlots`] if it cannot within 40 seconds.
    pub(crate) fn wait_for_slots(&self, needed: usize) -> Result<()> {
        self.await_slots(needed, REPLACEMENT)
    }

    fn await_slots(&self, needed: usize, limit: Duration) -> Result<()> {
        let start = Instant::now();
        loop {
            let Some(found) = self.slots()?.filter(|found| *found < needed) else {
                return Ok(());
            };
            if start.elapsed() >= limit {
                return Err(Error::Spark(SparkError::TooFewSlots {
                    url: self.url().to_owned(),
                    needed,
                    found,
                }));
            }
            interrupt::check("waiting for free cores at", self.url())?;
            sleep(PAUSE);
        }
    }
}

/// A plan of `count` short tasks, whose rows [`at_once`] counts.
pub(super) fn tasks(count: usize, python: &str) -> Result<proto::Relation> {
    let partitions = super::frame::partition_count(count)?;
    Ok(plan::map_partitions(
        plan::range(partitions.into(), Some(partitions)),
        &["id".to_owned()],
        plan::PythonFunction {
            source: TASK,
            function: "run",
            job: "",
            python,
            result: &[
                ("executor", SparkType::named("string")),
                ("start", SparkType::named("double")),
                ("end", SparkType::named("double")),
            ],
        },
        false,
    ))
}

/// Returns how many of the tasks have been seen to run at the same time, or could have, being on
/// different executors.
pub(super) fn at_once(rows: &[RecordBatch]) -> usize {
    let mut executors = BTreeSet::new();
    let (mut starts, mut ends) = (Vec::new(), Vec::new());
    for batch in rows {
        executors.extend(batch["executor"].as_string::<i32>().iter().flatten());
        starts.extend(batch["start"].as_primitive::<Float64Type>().values());
        ends.extend(batch["end"].as_primitive::<Float64Type>().values());
    }
    let overlap = starts.iter().map(|moment| {
        let ran = |(start, end): &(&f64, &f64)| *start <= moment && moment < *end;
        starts.iter().zip(&ends).filter(ran).count()
    });
    overlap.max().unwrap_or(0).max(executors.len())
}

/// Returns the number of partitions in `Range (0, 9, step=1, splits=4)`.
fn splits(plan: &str) -> Option<usize> {
    let (_, rest) = plan.split_once("splits=")?;
    let digits = rest.split(|character: char| !character.is_ascii_digit());
    digits.into_iter().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float64Array, StringArray};

    use super::*;

    #[test]
    fn tasks_run_at_once_where_their_times_overlap_or_their_executors_differ() {
        let found = |tasks: &[(&str, f64, f64)]| {
            let executors = StringArray::from_iter_values(tasks.iter().map(|task| task.0));
            let starts = Float64Array::from_iter_values(tasks.iter().map(|task| task.1));
            let ends = Float64Array::from_iter_values(tasks.iter().map(|task| task.2));
            let columns: [(_, ArrayRef); 3] = [
                ("executor", Arc::new(executors)),
                ("start", Arc::new(starts)),
                ("end", Arc::new(ends)),
            ];
            at_once(&[RecordBatch::try_from_iter(columns).unwrap()])
        };
        assert_eq!(found(&[("a", 0.0, 1.0), ("a", 1.0, 2.0)]), 1);
        assert_eq!(
            found(&[("a", 0.0, 1.0), ("a", 0.5, 1.5), ("a", 2.0, 3.0)]),
            2
        );
        assert_eq!(found(&[("a", 0.0, 1.0), ("b", 5.0, 6.0)]), 2);
        assert_eq!(at_once(&[]), 0);
    }

    #[test]
    fn the_plan_of_a_range_tells_how_many_cores_there_are() {
        assert_eq!(
            splits("== Physical Plan ==\n*(1) Range (0, 9, step=1, splits=16)\n"),
            Some(16)
        );
        assert_eq!(splits("== Physical Plan ==\nLocalTableScan\n"), None);
    }
}
