//! Watches an execution: whether anything arrives, and whether any task is running.

use std::time::{Duration, Instant};

use spark_connect_proto::execute_plan_response::ExecutionProgress;

/// How long a stream may be silent before it is reattached. The server itself ends it after 2
/// minutes, so the connection must be broken.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(180);

/// How long to wait for the first report of an execution.
const FIRST_REPORT_TIMEOUT: Duration = Duration::from_secs(120);

/// How long to wait for a task: the cluster may be busy, or have lost its executors.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);

/// Watches whether anything arrives, and whether any task is running.
pub(super) struct Watch {
    heard: Instant,
    begun: bool,
    /// Whether a stage has been accepted, though its tasks may still wait for cores.
    accepted: bool,
    idle_since: Option<Instant>,
}

impl Watch {
    pub(super) fn new() -> Watch {
        Watch {
            heard: Instant::now(),
            begun: false,
            accepted: false,
            idle_since: Some(Instant::now()),
        }
    }

    pub(super) fn listen(&mut self) {
        self.heard = Instant::now();
    }

    pub(super) fn is_silent(&self) -> bool {
        self.heard.elapsed() > SILENCE_TIMEOUT
    }

    pub(super) fn note(&mut self, progress: &ExecutionProgress) {
        self.begun = true;
        self.accepted |= !progress.stages.is_empty() || progress.num_inflight_tasks > 0;
        if progress.num_inflight_tasks > 0 {
            self.idle_since = None;
        } else {
            self.idle_since.get_or_insert_with(Instant::now);
        }
    }

    /// Whether the server reports progress, but of no stage: Spark does not accept a barrier stage
    /// for which there are too few cores.
    pub(super) fn waits_for_stage(&self) -> bool {
        self.begun && !self.accepted
    }

    /// Whether a task is running.
    pub(super) fn runs(&self) -> bool {
        self.idle_since.is_none()
    }

    /// Starts to wait anew: others of the session had the cores so far.
    pub(super) fn wait_anew(&mut self) {
        if let Some(since) = &mut self.idle_since {
            *since = Instant::now();
        }
    }

    /// Returns the time limit that has passed without a running task, if any.
    pub(super) fn exceeded(&self) -> Option<Duration> {
        let limit = if self.begun {
            IDLE_TIMEOUT
        } else {
            FIRST_REPORT_TIMEOUT
        };
        (self.idle_since?.elapsed() > limit).then_some(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(num_inflight_tasks: i64) -> ExecutionProgress {
        ExecutionProgress {
            num_inflight_tasks,
            ..Default::default()
        }
    }

    #[test]
    fn waiting_ends_except_while_tasks_run_or_others_have_the_cores() {
        let mut watch = Watch::new();
        let long_ago = Instant::now().checked_sub(FIRST_REPORT_TIMEOUT + IDLE_TIMEOUT);
        // A machine that has just booted has no time that long ago.
        let Some(long_ago) = long_ago else { return };
        watch.idle_since = Some(long_ago);
        assert_eq!(watch.exceeded(), Some(FIRST_REPORT_TIMEOUT));
        watch.wait_anew();
        assert!(watch.exceeded().is_none() && !watch.waits_for_stage() && !watch.runs());

        watch.note(&progress(0));
        assert!(watch.waits_for_stage());
        watch.idle_since = Some(long_ago);
        assert_eq!(watch.exceeded(), Some(IDLE_TIMEOUT));
        watch.note(&progress(2));
        watch.wait_anew();
        assert!(watch.exceeded().is_none() && !watch.waits_for_stage() && watch.runs());
    }
}
