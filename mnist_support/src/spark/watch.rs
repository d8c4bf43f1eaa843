//! Watches an execution: whether anything arrives, and whether any task is running.

use std::time::{Duration, Instant};

use spark_connect_proto::execute_plan_response::ExecutionProgress;

/// How long a stream may be silent before it is reattached. The server itself ends it after 2
/// minutes, so the connection must be broken.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(180);

/// How long to wait for an execution's first stage. If there are too few cores for a barrier stage,
/// Spark does not start it, and says nothing about it for 10 minutes.
const FIRST_STAGE_TIMEOUT: Duration = Duration::from_secs(120);

/// How long to wait for a task: the cluster may be busy, or have lost its executors.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);

/// Watches whether anything arrives, and whether any task is running.
pub(super) struct Watch {
    heard: Instant,
    begun: bool,
    idle_since: Option<Instant>,
}

impl Watch {
    pub(super) fn new() -> Watch {
        Watch {
            heard: Instant::now(),
            begun: false,
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
        if progress.num_inflight_tasks > 0 {
            self.idle_since = None;
        } else {
            self.idle_since.get_or_insert_with(Instant::now);
        }
    }

    /// Returns the time limit that has passed without a running task, if any.
    pub(super) fn exceeded(&self) -> Option<Duration> {
        let limit = if self.begun {
            IDLE_TIMEOUT
        } else {
            FIRST_STAGE_TIMEOUT
        };
        (self.idle_since?.elapsed() > limit).then_some(limit)
    }
}
