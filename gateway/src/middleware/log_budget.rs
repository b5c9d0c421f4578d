//! How many lines of the access log are written for requests that are turned away for the sake of others.
//!
//! Under an overload most requests are. A line for each would cost more than the refusals themselves, and fill a disk with
//! what one number says.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

/// So many lines in each second, over all gateway threads.
#[derive(Debug)]
pub struct LogBudget {
    started: Instant,
    per_second: u32,
    /// The second that is counted, from the start on.
    second: AtomicU64,
    written: AtomicU32,
    /// Since the last line that said how many.
    skipped: AtomicU64,
}

/// Whether a request gets a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// It does.
    pub is_written: bool,
    /// So many before it did not, in seconds that are over; they are to be told of now.
    pub skipped: u64,
}

impl LogBudget {
    /// `per_second` lines in each second.
    pub fn new(per_second: u32) -> Self {
        let (second, written, skipped) = (AtomicU64::new(0), AtomicU32::new(0), AtomicU64::new(0));
        Self { started: Instant::now(), per_second, second, written, skipped }
    }

    /// A request is over at `now`. Threads that meet at the turn of a second may write a line more or less.
    pub fn take(&self, now: Instant) -> Line {
        let second = now.saturating_duration_since(self.started).as_secs();
        let mut skipped = 0;
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.written.store(0, Ordering::Relaxed);
            skipped = self.skipped.swap(0, Ordering::Relaxed);
        }
        let is_written = self.written.fetch_add(1, Ordering::Relaxed) < self.per_second;
        if !is_written {
            self.skipped.fetch_add(1, Ordering::Relaxed);
        }
        Line { is_written, skipped }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_second_has_its_lines_and_tells_of_those_before_it() {
        let budget = LogBudget::new(2);
        let at = |millis| budget.started + Duration::from_millis(millis);
        let lines: Vec<_> =
            [0, 100, 200, 999, 1000, 1001, 1002, 5000].map(|millis| budget.take(at(millis))).into();
        let (written, skipped): (Vec<_>, Vec<_>) =
            lines.iter().map(|line| (line.is_written, line.skipped)).unzip();
        assert_eq!(written, [true, true, false, false, true, true, false, true]);
        assert_eq!(skipped, [0, 0, 0, 0, 2, 0, 0, 1]);
    }

    #[test]
    fn none_may_be_written() {
        let budget = LogBudget::new(0);
        assert_eq!(budget.take(budget.started), Line { is_written: false, skipped: 0 });
        let later = budget.take(budget.started + Duration::from_secs(2));
        assert_eq!(later, Line { is_written: false, skipped: 1 });
    }
}
