//! The progress of a long read.

use std::cell::Cell;
use std::io::{IsTerminal, stdout};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fmt};

use serde::{Deserialize, Serialize};

use crate::text;

/// A read is reported for the first time after this long, and then each time after three times as
/// long.
const FIRST_REPORT: Duration = Duration::from_secs(3);
const BACKOFF: u32 = 3;

/// A notice is not repeated for this long.
const TOLD_AGAIN: Duration = Duration::from_secs(60);

/// The variable that evcxr sets in the process that runs a notebook's cells.
const EVCXR_VARIABLE: &str = "EVCXR_IS_RUNTIME";

/// How much of a file, or of a part of it, has been read. It prints as one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadProgress {
    /// The name of what is being read.
    pub name: String,
    /// The number of bytes read so far.
    pub bytes: u64,
    /// The total number of bytes.
    pub total: u64,
    /// The estimated time left in seconds, at the rate so far, once there is a rate.
    pub seconds_left: Option<f64>,
    /// What the read waits for, if it has been waiting for some seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
}

impl fmt::Display for ReadProgress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "reading {}: {} of {}",
            self.name,
            text::bytes(self.bytes),
            text::bytes(self.total)
        )?;
        if let Some(waiting) = &self.waiting {
            return write!(formatter, "  {waiting}");
        }
        match self.seconds_left {
            Some(seconds) => write!(formatter, "  {}", text::time_left(seconds)),
            None => Ok(()),
        }
    }
}

/// A callback for the progress of a read.
pub(crate) type OnProgress<'a> = &'a dyn Fn(ReadProgress);

/// Ignores the progress, except that the read waits, which is printed as
/// [`print_if_watched`] does.
pub(crate) fn ignore_progress(reading: ReadProgress) {
    if reading.waiting.is_some() {
        print_if_watched(reading);
    }
}

/// Prints the progress if someone is there to see it: in a notebook cell or on a terminal.
pub(crate) fn print_if_watched(reading: ReadProgress) {
    print_line(&reading.to_string());
}

fn print_line(line: &str) {
    if env::var_os(EVCXR_VARIABLE).is_some() || stdout().is_terminal() {
        println!("{line}");
    }
}

/// What the user is to know about a store while requests are under way. A read that is being
/// metered reports it with its progress. Otherwise it is printed.
#[derive(Debug, Default)]
pub(super) struct Notices {
    meters: AtomicUsize,
    board: Mutex<Board>,
}

#[derive(Debug, Default)]
struct Board {
    /// The line that no meter has reported yet.
    waiting: Option<String>,
    /// The lines of the last minute, each of which is told once.
    told: Vec<(String, Instant)>,
}

/// The notices of this process.
pub(super) fn notices() -> Arc<Notices> {
    static NOTICES: LazyLock<Arc<Notices>> = LazyLock::new(Arc::default);
    Arc::clone(&NOTICES)
}

impl Notices {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the user a line, unless it was told within the last minute.
    pub(super) fn tell(&self, line: &str) {
        let mut board = self.board();
        board.told.retain(|(_, at)| at.elapsed() < TOLD_AGAIN);
        if board.told.iter().any(|(told, _)| told == line) {
            return;
        }
        board.told.push((line.to_owned(), Instant::now()));
        if self.meters.load(Ordering::Relaxed) == 0 {
            print_line(line);
        } else {
            board.waiting = Some(line.to_owned());
        }
    }

    /// Prints a line if someone is there to see it.
    pub(super) fn print(&self, line: &str) {
        print_line(line);
    }

    /// The line that is to be reported, once.
    fn take(&self) -> Option<String> {
        self.board().waiting.take()
    }
}

/// Counts the bytes of one read, and reports them when a report is due.
pub(crate) struct Meter<'a> {
    name: &'a str,
    total: u64,
    counter: Arc<AtomicU64>,
    started: Instant,
    next: Cell<Duration>,
    on_progress: OnProgress<'a>,
    notices: Arc<Notices>,
}

impl<'a> Meter<'a> {
    /// Starts metering a read of `total` bytes.
    pub(crate) fn start(name: &'a str, total: u64, on_progress: OnProgress<'a>) -> Self {
        Meter::start_with(notices(), name, total, on_progress)
    }

    fn start_with(
        notices: Arc<Notices>,
        name: &'a str,
        total: u64,
        on_progress: OnProgress<'a>,
    ) -> Self {
        notices.meters.fetch_add(1, Ordering::Relaxed);
        Meter {
            name,
            total,
            counter: Arc::default(),
            started: Instant::now(),
            next: Cell::new(FIRST_REPORT),
            on_progress,
            notices,
        }
    }

    /// The counter to add the bytes to as they arrive.
    pub(crate) fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.counter)
    }

    /// Reports the progress if a report is due.
    pub(crate) fn report_if_due(&self) {
        self.report_if_due_at(self.started.elapsed());
    }

    fn report_if_due_at(&self, elapsed: Duration) {
        let bytes = self.counter.load(Ordering::Relaxed).min(self.total);
        if let Some(line) = self.notices.take() {
            self.report(bytes, None, Some(line));
        }
        if elapsed < self.next.get() || bytes == self.total {
            return;
        }
        while self.next.get() <= elapsed {
            self.next.set(self.next.get() * BACKOFF);
        }
        let rate = bytes as f64 / elapsed.as_secs_f64();
        let seconds_left = (bytes > 0).then(|| (self.total - bytes) as f64 / rate);
        self.report(bytes, seconds_left, None);
    }

    fn report(&self, bytes: u64, seconds_left: Option<f64>, waiting: Option<String>) {
        (self.on_progress)(ReadProgress {
            name: self.name.to_owned(),
            bytes,
            total: self.total,
            seconds_left,
            waiting,
        });
    }
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        if self.notices.meters.fetch_sub(1, Ordering::Relaxed) == 1
            && let Some(line) = self.notices.take()
        {
            print_line(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn a_long_read_reports_at_growing_intervals_and_a_short_one_never() {
        let lines = RefCell::new(Vec::new());
        let on_progress = |reading: ReadProgress| lines.borrow_mut().push(reading.to_string());
        let meter = Meter::start("train.csv", 100_000_000, &on_progress);
        let counter = meter.counter();
        for tenths in 0..=400 {
            let seconds = f64::from(tenths) / 10.0;
            counter.store((2e6 * seconds) as u64, Ordering::Relaxed);
            meter.report_if_due_at(Duration::from_secs_f64(seconds));
        }
        assert_eq!(
            *lines.borrow(),
            [
                "reading train.csv: 6 MB of 100 MB  47 s left",
                "reading train.csv: 18 MB of 100 MB  41 s left",
                "reading train.csv: 54 MB of 100 MB  23 s left",
            ]
        );
        lines.borrow_mut().clear();
        let meter = Meter::start("test.csv", 100, &on_progress);
        meter.report_if_due_at(Duration::from_millis(2900));
        assert!(lines.borrow().is_empty());
    }

    #[test]
    fn a_read_without_any_bytes_yet_has_no_estimate() {
        let lines = RefCell::new(Vec::new());
        let on_progress = |reading: ReadProgress| lines.borrow_mut().push(reading.to_string());
        Meter::start("train.csv", 2_500_000_000, &on_progress)
            .report_if_due_at(Duration::from_secs(4));
        assert_eq!(*lines.borrow(), ["reading train.csv: 0 bytes of 2.5 GB"]);
    }

    #[test]
    fn a_notice_is_told_once_by_the_read_that_is_under_way() {
        let lines = RefCell::new(Vec::new());
        let on_progress = |reading: ReadProgress| lines.borrow_mut().push(reading.to_string());
        let notices = Arc::new(Notices::default());
        let meter = Meter::start_with(notices.clone(), "train.csv", 100_000_000, &on_progress);
        meter.counter().store(6_000_000, Ordering::Relaxed);
        for _ in 0..3 {
            notices.tell("mylake.blob.core.windows.net is busy");
            meter.report_if_due_at(Duration::from_secs(1));
        }
        let told = "reading train.csv: 6 MB of 100 MB  mylake.blob.core.windows.net is busy";
        assert_eq!(*lines.borrow(), [told]);
        drop(meter);
        assert_eq!(notices.meters.load(Ordering::Relaxed), 0);
    }
}
