//! What pressing Stop means, given what is running and the presses before.

use std::time::{Duration, Instant};

use super::Interrupt;

/// How long an operation may take to stop, and how long another press counts as the same request.
pub(super) const GRACE_PERIOD: Duration = Duration::from_secs(3);

/// What to do about a press.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// An operation was asked to stop. Print nothing.
    Requested,
    /// The operation is already stopping.
    Stopping,
    /// The operation has just stopped, and the user may have pressed again before seeing it.
    Stopped,
    /// Nothing is running that can be stopped, or it does not react: the next press ends the
    /// process.
    Warn,
    /// End the process.
    End,
}

/// The earlier presses that still matter.
#[derive(Debug, Default)]
pub(super) struct Presses {
    requested: Option<Instant>,
    warned: Option<Instant>,
}

impl Presses {
    /// Handles a press, and asks the running operation to stop if that is what it means.
    pub(super) fn press(&mut self, now: Instant, interrupt: &Interrupt) -> Answer {
        let recent = |press: Option<Instant>| press.is_some_and(|press| now - press < GRACE_PERIOD);
        if !interrupt.is_stopping() && interrupt.request_in_scope() {
            (self.requested, self.warned) = (Some(now), None);
            return Answer::Requested;
        }
        if recent(self.warned) {
            return Answer::End;
        }
        if recent(self.requested) {
            return match interrupt.is_stopping() {
                true => Answer::Stopping,
                false => Answer::Stopped,
            };
        }
        self.warned = Some(now);
        Answer::Warn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answers to presses at these times, in seconds.
    fn answers(interrupt: &Interrupt, seconds: &[f64]) -> Vec<Answer> {
        let (mut presses, start) = (Presses::default(), Instant::now());
        let at = |seconds: &f64| start + Duration::from_secs_f64(*seconds);
        seconds
            .iter()
            .map(|seconds| presses.press(at(seconds), interrupt))
            .collect()
    }

    #[test]
    fn impatient_presses_never_end_an_operation_that_is_stopping() {
        let interrupt = Interrupt::new();
        let _scope = interrupt.scope();
        assert_eq!(
            answers(&interrupt, &[0.0, 0.5, 1.0, 2.9]),
            [
                Answer::Requested,
                Answer::Stopping,
                Answer::Stopping,
                Answer::Stopping
            ]
        );
        assert!(interrupt.is_requested());
    }

    #[test]
    fn an_operation_that_does_not_react_can_be_ended() {
        let interrupt = Interrupt::new();
        let _scope = interrupt.scope();
        assert_eq!(
            answers(&interrupt, &[0.0, 3.5, 4.0]),
            [Answer::Requested, Answer::Warn, Answer::End]
        );
    }

    #[test]
    fn other_code_ends_at_the_second_press_within_three_seconds() {
        let interrupt = Interrupt::new();
        assert_eq!(
            answers(&interrupt, &[0.0, 2.5]),
            [Answer::Warn, Answer::End]
        );
        assert_eq!(
            answers(&interrupt, &[0.0, 3.5, 7.0]),
            [Answer::Warn, Answer::Warn, Answer::Warn]
        );
        assert!(!interrupt.is_requested());
    }

    #[test]
    fn an_extra_press_after_an_operation_has_stopped_ends_nothing() {
        let (interrupt, start) = (Interrupt::new(), Instant::now());
        let mut presses = Presses::default();
        let scope = interrupt.scope();
        assert_eq!(presses.press(start, &interrupt), Answer::Requested);
        drop(scope);
        let after = |millis| start + Duration::from_millis(millis);
        assert_eq!(presses.press(after(400), &interrupt), Answer::Stopped);
        assert_eq!(presses.press(after(800), &interrupt), Answer::Stopped);
        // The next operation starts without a request, and can be stopped at once.
        let scope = interrupt.scope();
        assert!(!scope.is_requested());
        assert_eq!(presses.press(after(1200), &interrupt), Answer::Requested);
    }
}
