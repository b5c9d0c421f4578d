//! A token bucket as one number: the generic cell rate algorithm (ITU-T I.371), by its virtual schedule. Pure.
//!
//! The number is the time at which the bucket is full again. A request moves it on by one interval; it is refused
//! when that would lead further ahead of now than a whole burst.

/// How fast a bucket fills and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Microseconds for one token; at least 1.
    pub interval: u64,
    /// Tokens of a full bucket; at least 1.
    pub burst: u64,
}

/// A bucket after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether the request had a token.
    pub allowed: bool,
    /// Tokens that are left.
    pub remaining: u64,
    /// Microseconds until the bucket is full.
    pub reset: u64,
    /// Microseconds until there is a token; 0 when the request had one.
    pub retry: u64,
}

impl Bucket {
    /// A bucket that gives `limit` tokens in `window` microseconds, and `burst` at once.
    pub fn new(limit: u32, window: u64, burst: u32) -> Self {
        Self { interval: (window / u64::from(limit.max(1))).max(1), burst: u64::from(burst.max(1)) }
    }

    /// Takes a token at the time `now` from the bucket that is full at `full_at`, both in microseconds. Says how it
    /// stands and when it is full now.
    pub fn take(self, full_at: u64, now: u64) -> (Standing, u64) {
        let ahead = full_at.saturating_sub(now);
        let after = ahead.saturating_add(self.interval);
        if after > self.capacity() {
            return (self.standing(false, ahead), full_at);
        }
        (self.standing(true, after), now.saturating_add(after))
    }

    /// How it stands when it is full in `ahead` microseconds.
    pub fn standing(self, allowed: bool, ahead: u64) -> Standing {
        let retry = if allowed { 0 } else { (ahead + self.interval).saturating_sub(self.capacity()) };
        let remaining = self.capacity().saturating_sub(ahead) / self.interval;
        Standing { allowed, remaining, reset: ahead, retry }
    }

    fn capacity(self) -> u64 {
        self.interval.saturating_mul(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_each_interval() {
        let bucket = Bucket::new(60, 60_000_000, 3);
        let (mut full_at, mut now) = (0, 1_000_000_000);
        for remaining in [2, 1, 0] {
            let (standing, next) = bucket.take(full_at, now);
            assert_eq!((standing.allowed, standing.remaining), (true, remaining));
            full_at = next;
        }
        let (refused, same) = bucket.take(full_at, now);
        assert_eq!((refused.allowed, refused.retry, same), (false, 1_000_000, full_at));
        now += refused.retry;
        assert!(bucket.take(full_at, now).0.allowed);
    }

    proptest! {
        #[test]
        fn no_window_lets_more_through_than_burst_and_rate(
            limit in 1u32..50,
            burst in 1u32..50,
            pauses in prop::collection::vec(0u64..3_000_000, 1..200),
        ) {
            let window = 10_000_000;
            let bucket = Bucket::new(limit, window, burst);
            let (mut now, mut full_at, mut passed) = (5_000_000u64, 0, Vec::new());
            for pause in pauses {
                now += pause;
                let (standing, next) = bucket.take(full_at, now);
                prop_assert!(standing.remaining < u64::from(burst).max(1));
                if standing.allowed {
                    passed.push(now);
                } else {
                    // The promise is kept: at the time that it names there is a token.
                    prop_assert!(bucket.take(full_at, now + standing.retry).0.allowed);
                }
                full_at = next;
            }
            for (index, start) in passed.iter().enumerate() {
                let within = passed[index..].iter().filter(|time| **time - start < window).count() as u64;
                prop_assert!(within <= u64::from(burst) + window / bucket.interval + 1);
            }
        }
    }
}
