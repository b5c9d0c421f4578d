//! When a client resets too many of its own requests (CVE-2023-44487). Pure.
//!
//! h2 limits resets of requests that were not accepted yet. A reset after that costs an admission and a job, and is
//! counted here: a bucket that each reset fills and time drains.

use std::time::Instant;

/// Resets that leave the bucket in a second.
const PER_SECOND: f64 = 50.0;

/// The resets of one connection.
#[derive(Debug, Clone, Copy)]
pub struct Resets {
    level: f64,
    capacity: f64,
    since: Instant,
}

impl Resets {
    /// As a browser may give up a whole page, all of its streams may be reset twice at once.
    pub fn new(max_streams: u32, now: Instant) -> Self {
        Self { level: 0.0, capacity: 2.0 * f64::from(max_streams) + 100.0, since: now }
    }

    /// Counts a reset; says whether it is one too many.
    pub fn count(&mut self, now: Instant) -> bool {
        let drained = now.saturating_duration_since(self.since).as_secs_f64() * PER_SECOND;
        self.level = (self.level - drained).max(0.0) + 1.0;
        self.since = now;
        self.level > self.capacity
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn survives(resets: u32, pause: Duration) -> bool {
        let start = Instant::now();
        let mut counted = Resets::new(128, start);
        (0..resets).all(|number| !counted.count(start + pause * number))
    }

    #[test]
    fn a_page_given_up_is_fine_and_a_flood_is_not() {
        assert!(survives(356, Duration::ZERO));
        assert!(!survives(358, Duration::ZERO));
        assert!(!survives(2000, Duration::from_millis(1)));
        assert!(survives(100_000, Duration::from_millis(21)));
    }
}
