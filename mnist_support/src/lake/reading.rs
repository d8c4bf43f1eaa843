//! How far a long read has come.

use std::cell::Cell;
use std::io::{IsTerminal, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, fmt};

use serde::{Deserialize, Serialize};

use crate::text;

/// A read that takes longer says so first after this time, and then after three times as long each time.
const FIRST_AFTER: Duration = Duration::from_secs(3);
const LATER_BY: u32 = 3;

/// What evcxr sets in the process of a notebook's cells.
const IN_A_CELL: &str = "EVCXR_IS_RUNTIME";

/// How much of a file, or of a part of it, has come. It prints as a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// What is read.
    pub name: String,
    /// How many bytes have come.
    pub bytes: u64,
    /// How many there are.
    pub total: u64,
    /// The time that the rest will take at the rate so far, in seconds, if there is a rate yet.
    pub seconds_left: Option<f64>,
}

impl fmt::Display for Reading {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "reading {}: {} of {}",
            self.name,
            text::bytes(self.bytes),
            text::bytes(self.total)
        )?;
        match self.seconds_left {
            Some(seconds) => write!(formatter, "  {}", text::time_left(seconds)),
            None => Ok(()),
        }
    }
}

/// Where the progress of a read goes.
pub(crate) type Tell<'a> = &'a dyn Fn(Reading);

/// Tells nobody.
pub(crate) fn tell_nobody(_reading: Reading) {}

/// Prints where a person looks at what is printed: in a notebook's cell, or a terminal.
pub(crate) fn tell_who_looks(reading: Reading) {
    if env::var_os(IN_A_CELL).is_some() || stdout().is_terminal() {
        println!("{reading}");
    }
}

/// Counts the bytes of one read, and tells of them when it is time.
pub(crate) struct Meter<'a> {
    name: &'a str,
    total: u64,
    counter: Arc<AtomicU64>,
    started: Instant,
    next: Cell<Duration>,
    tell: Tell<'a>,
}

impl<'a> Meter<'a> {
    /// A read of `total` bytes that begins now.
    pub(super) fn start(name: &'a str, total: u64, tell: Tell<'a>) -> Self {
        Meter {
            name,
            total,
            counter: Arc::default(),
            started: Instant::now(),
            next: Cell::new(FIRST_AFTER),
            tell,
        }
    }

    /// Where the bytes are counted as they come.
    pub(super) fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.counter)
    }

    /// Tells of the read if it is time.
    pub(super) fn look(&self) {
        self.look_after(self.started.elapsed());
    }

    fn look_after(&self, elapsed: Duration) {
        let bytes = self.counter.load(Ordering::Relaxed).min(self.total);
        if elapsed < self.next.get() || bytes == self.total {
            return;
        }
        while self.next.get() <= elapsed {
            self.next.set(self.next.get() * LATER_BY);
        }
        let rate = bytes as f64 / elapsed.as_secs_f64();
        (self.tell)(Reading {
            name: self.name.to_owned(),
            bytes,
            total: self.total,
            seconds_left: (bytes > 0).then(|| (self.total - bytes) as f64 / rate),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn a_long_read_tells_of_itself_at_growing_intervals_and_a_short_one_never() {
        let lines = RefCell::new(Vec::new());
        let tell = |reading: Reading| lines.borrow_mut().push(reading.to_string());
        let meter = Meter::start("train.csv", 100_000_000, &tell);
        let counter = meter.counter();
        for tenths in 0..=400 {
            let seconds = f64::from(tenths) / 10.0;
            counter.store((2e6 * seconds) as u64, Ordering::Relaxed);
            meter.look_after(Duration::from_secs_f64(seconds));
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
        let meter = Meter::start("test.csv", 100, &tell);
        meter.look_after(Duration::from_millis(2900));
        assert!(lines.borrow().is_empty());
    }

    #[test]
    fn of_a_read_of_which_nothing_has_come_nobody_knows_how_long_it_takes() {
        let lines = RefCell::new(Vec::new());
        let tell = |reading: Reading| lines.borrow_mut().push(reading.to_string());
        Meter::start("train.csv", 2_500_000_000, &tell).look_after(Duration::from_secs(4));
        assert_eq!(*lines.borrow(), ["reading train.csv: 0 bytes of 2.5 GB"]);
    }
}
