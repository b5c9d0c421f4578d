//! How long the pool is below its strength. Pure: how many isolates are ready and a clock in, a time out.

use std::time::{Duration, Instant};

/// Watches the number of ready isolates.
#[derive(Debug)]
pub(super) struct Strength {
    full: usize,
    /// Before the first time of full strength nothing is missing.
    reached: bool,
    below_since: Option<Instant>,
}

impl Strength {
    /// A pool that is whole with `full` isolates.
    pub fn new(full: usize) -> Self {
        Self { full, reached: false, below_since: None }
    }

    /// So many are ready now. Returns how long there were too few, when there are enough again.
    pub fn observe(&mut self, ready: usize, now: Instant) -> Option<Duration> {
        if ready >= self.full {
            self.reached = true;
            return self.below_since.take().map(|since| now.saturating_duration_since(since));
        }
        if self.reached {
            self.below_since.get_or_insert(now);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_counts_from_the_first_loss_to_the_last_return() {
        let mut strength = Strength::new(2);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(strength.observe(1, at(0)), None);
        assert_eq!(strength.observe(2, at(10)), None, "a start is no recovery");
        assert_eq!(strength.observe(1, at(20)), None);
        assert_eq!(strength.observe(0, at(25)), None);
        assert_eq!(strength.observe(1, at(30)), None);
        assert_eq!(strength.observe(3, at(45)), Some(Duration::from_millis(25)));
        assert_eq!(strength.observe(2, at(50)), None);
    }
}
