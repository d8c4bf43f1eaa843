//! The number of task slots of a cluster.

use std::{thread::sleep, time::Duration};

use proto::{
    analyze_plan_request::{Analyze, Explain, explain::ExplainMode},
    analyze_plan_response,
};
use spark_connect_proto as proto;

use super::{SparkSession, plan};
use crate::{Error, Result, error::SparkError};

/// The executors of a cluster that has just started may not have registered yet.
const ATTEMPTS: usize = 6;
const PAUSE: Duration = Duration::from_millis(500);

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
        for attempt in 1.. {
            match self.slots()? {
                Some(found) if found < needed && attempt < ATTEMPTS => sleep(PAUSE),
                Some(found) if found < needed => {
                    return Err(Error::Spark(SparkError::TooFewSlots {
                        url: self.url().to_owned(),
                        needed,
                        found,
                    }));
                }
                _ => break,
            }
        }
        Ok(())
    }
}

/// Returns the number of partitions in `Range (0, 9, step=1, splits=4)`.
fn splits(plan: &str) -> Option<usize> {
    let (_, rest) = plan.split_once("splits=")?;
    let digits = rest.split(|character: char| !character.is_ascii_digit());
    digits.into_iter().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_of_a_range_tells_how_many_cores_there_are() {
        assert_eq!(
            splits("== Physical Plan ==\n*(1) Range (0, 9, step=1, splits=16)\n"),
            Some(16)
        );
        assert_eq!(splits("== Physical Plan ==\nLocalTableScan\n"), None);
    }
}
