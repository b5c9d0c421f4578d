//! Whether a client moves bytes fast enough. Pure.
//!
//! Only the time counts during which the client is waited for: a page that comes slowly, or an isolate that reads
//! slowly, makes no client slow.

use std::time::Duration;

use tokio::time::Instant;

/// How fast bytes must move.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// The longest wait for the next bytes; so much waiting is free before the average counts.
    pub pause: Duration,
    /// The least average of bytes in a second of waiting; 0 sets none.
    pub bytes_per_second: u64,
}

/// What has moved, and how long it was waited for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    moved: u64,
    waited: Duration,
    since: Option<Instant>,
}

impl Pace {
    /// The client is waited for from now on, if not already.
    pub fn wait(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// Bytes have moved; nobody waits for more so far.
    pub fn moved(&mut self, bytes: usize, now: impl FnOnce() -> Instant) {
        self.moved = self.moved.saturating_add(bytes as u64);
        if let Some(since) = self.since.take() {
            self.waited += now().saturating_duration_since(since);
        }
    }

    /// Whether the client is waited for.
    pub fn is_waiting(&self) -> bool {
        self.since.is_some()
    }

    /// When the client is too slow if nothing moves until then; `None` while it is not waited for.
    pub fn deadline(&self, rate: Rate) -> Option<Instant> {
        let since = self.since?;
        // What has moved is enough for so long a wait, beside the first pause.
        let Some(enough) = self.moved.saturating_mul(1000).checked_div(rate.bytes_per_second) else {
            return Some(since + rate.pause);
        };
        let left = (rate.pause + Duration::from_millis(enough)).saturating_sub(self.waited);
        Some(since + left.min(rate.pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { pause: Duration::from_secs(30), bytes_per_second: 500 };

    /// Moves `bytes` every `seconds` of waiting until it is too slow, at most for an hour; the seconds that it took.
    fn seconds_until_too_slow(bytes: usize, seconds: u64) -> Option<u64> {
        let start = Instant::now();
        let (mut pace, mut now) = (Pace::default(), start);
        for _ in 0..3600 / seconds {
            pace.wait(now);
            let next = now + Duration::from_secs(seconds);
            if let Some(late) = pace.deadline(RATE).filter(|deadline| *deadline < next) {
                return Some((late - start).as_secs());
            }
            now = next;
            pace.moved(bytes, || now);
        }
        None
    }

    #[test]
    fn a_byte_a_second_lasts_as_long_as_a_pause() {
        assert_eq!(seconds_until_too_slow(1, 1), Some(30));
    }

    #[test]
    fn who_keeps_the_rate_may_take_forever() {
        assert_eq!(seconds_until_too_slow(500, 1), None);
        assert_eq!(seconds_until_too_slow(15_000, 29), None);
    }

    #[test]
    fn a_pause_is_never_longer_than_it_may_be() {
        assert_eq!(seconds_until_too_slow(usize::MAX / 2, 31), Some(30));
    }

    #[test]
    fn time_in_which_nobody_waits_does_not_count() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.wait(start);
        pace.moved(1, || start + Duration::from_secs(10));
        assert_eq!(pace.deadline(RATE), None);
        pace.wait(start + Duration::from_hours(1));
        let deadline = pace.deadline(RATE).unwrap();
        assert_eq!((deadline - (start + Duration::from_hours(1))).as_secs(), 20);
    }

    #[test]
    fn without_a_rate_only_pauses_count() {
        let start = Instant::now();
        let mut pace = Pace { waited: Duration::from_hours(9), ..Pace::default() };
        pace.wait(start);
        assert_eq!(pace.deadline(Rate { bytes_per_second: 0, ..RATE }), Some(start + RATE.pause));
    }
}
