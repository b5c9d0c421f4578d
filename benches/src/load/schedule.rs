//! When each request begins. Pure.

use std::time::{Duration, Instant};

/// Times that are equally far apart. The number of a request fixes its time: lateness does not add up.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    start: Instant,
    rate: f64,
    next: u64,
    count: u64,
}

impl Schedule {
    /// `rate` requests in a second, as many as fit into `time`.
    pub fn new(start: Instant, rate: f64, time: Duration) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate of requests is positive, and their number small"
        )]
        let count = (rate * time.as_secs_f64()).round() as u64;
        Self { start, rate, next: 0, count }
    }
}

impl Iterator for Schedule {
    type Item = Instant;

    fn next(&mut self) -> Option<Instant> {
        if self.next == self.count {
            return None;
        }
        let due = self.start + Duration::from_secs_f64(self.next as f64 / self.rate);
        self.next += 1;
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_equally_far_apart_to_the_end() {
        let start = Instant::now();
        let times: Vec<_> = Schedule::new(start, 3000.0, Duration::from_secs(10)).collect();
        assert_eq!(times.len(), 30_000);
        assert_eq!(times[0], start);
        assert_eq!((times[15_000] - start).as_millis(), 5000);
        assert!(times.windows(2).all(|pair| (330..=340).contains(&(pair[1] - pair[0]).as_micros())));
    }
}
