//! A line of the log that is due again and again, and is written now and then. Pure.

use std::time::{Duration, Instant};

/// When such a line was written last.
#[derive(Debug)]
pub struct Notice {
    every: Duration,
    written: Option<Instant>,
}

impl Notice {
    /// At most one line in each `every`.
    pub fn new(every: Duration) -> Self {
        Self { every, written: None }
    }

    /// Whether a line that is due at `now` is written.
    pub fn is_written(&mut self, now: Instant) -> bool {
        let is_early = self.written.is_some_and(|last| now.saturating_duration_since(last) < self.every);
        if !is_early {
            self.written = Some(now);
        }
        !is_early
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_written_at_once_and_then_once_in_each_interval() {
        let start = Instant::now();
        let mut notice = Notice::new(Duration::from_secs(10));
        let written = [0, 1, 9, 10, 11, 19, 45, 46]
            .map(|seconds| notice.is_written(start + Duration::from_secs(seconds)));
        assert_eq!(written, [true, false, false, true, false, false, true, false]);
    }
}
