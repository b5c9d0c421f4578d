//! How long a wait may be expected to be for somebody to be let into the queue. Pure.
//!
//! A queue is there for bursts: a second's visitors who come within a tenth of it all get their pages, a little later. A
//! queue that does not end is no burst, and serves nobody: as many pages leave an isolate behind fifty milliseconds of work
//! as behind two hundred, only later; and when the isolates slow down, those who were let in for almost all of their time
//! learn at its end that it was in vain. So a queue that stands is let run down to three tenths (the idea of CoDel, RFC 8289,
//! where the packet is a visitor and is turned away at the door rather than dropped at the head). A moment without anybody
//! in it does not make a burst of it again, nor do bursts that follow each other make one that stands: it does who finds it
//! long for more of the time than not.

use std::time::{Duration, Instant};

/// What part of its time one who comes may be expected to wait, in a burst: the rest is for what the estimate does not know.
const BURST: f64 = 0.7;

/// The same in a queue that stands.
const STANDING: f64 = 0.3;

/// A queue stands when it has been long for so many times the time to wait, less the time that it was not.
const STANDS_AFTER: u32 = 3;

/// A queue is long when one who joins it waits for more than this part of his time: half of what one that stands is let run
/// down to.
const LONG: f64 = 0.15;

/// For how long the queue has been long.
#[derive(Debug)]
pub(super) struct Hope {
    queue_wait: Duration,
    /// The time that it was long, less the time that it was not; at most [`STANDS_AFTER`] times the time to wait.
    stood: Duration,
    /// Since when it is as it is.
    since: Option<Instant>,
    is_long: bool,
}

impl Hope {
    /// For a queue in which one waits so long at most.
    pub fn new(queue_wait: Duration) -> Self {
        Self { queue_wait, stood: Duration::ZERO, since: None, is_long: false }
    }

    /// One who came now would wait for so many seconds, if that is known; 0 when nobody waits.
    pub fn expects(&mut self, seconds: Option<f64>, now: Instant) {
        let passed = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.stood = match self.is_long {
            true => (self.stood + passed).min(self.queue_wait * STANDS_AFTER),
            false => self.stood.saturating_sub(passed),
        };
        self.since = Some(now);
        self.is_long = seconds.is_none_or(|seconds| seconds > self.queue_wait.as_secs_f64() * LONG);
    }

    /// What part of its time one who comes now may be expected to wait. A queue that `is_short`, with no more in it than run
    /// at a time, is none that stands: else a few clients who ask again at once would keep each other out, as refusing them
    /// takes the time in which they would be served.
    pub fn part(&self, is_short: bool) -> f64 {
        if !is_short && self.stood >= self.queue_wait * STANDS_AFTER { STANDING } else { BURST }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_stands_gives_less_hope_until_it_was_short_for_as_long() {
        let (mut hope, start) = (Hope::new(Duration::from_millis(250)), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(hope.part(false), BURST);
        hope.expects(Some(0.1), at(0));
        hope.expects(None, at(749));
        assert_eq!(hope.part(false), BURST);
        hope.expects(Some(0.07), at(800));
        assert_eq!(hope.part(false), STANDING);
        assert_eq!(hope.part(true), BURST);
        hope.expects(Some(0.0), at(900));
        assert_eq!(hope.part(false), STANDING);
        hope.expects(Some(0.07), at(1000));
        assert_eq!(hope.part(false), BURST, "it was short for a moment");
        hope.expects(Some(0.03), at(1100));
        assert_eq!(hope.part(false), STANDING, "no more than that");
        hope.expects(Some(0.07), at(1500));
        hope.expects(Some(0.07), at(1899));
        assert_eq!(hope.part(false), BURST);
        hope.expects(Some(0.07), at(1900));
        assert_eq!(hope.part(false), STANDING);
    }

    #[test]
    fn a_crowd_that_comes_and_goes_is_no_queue_that_stands() {
        let (mut hope, start) = (Hope::new(Duration::from_millis(250)), Instant::now());
        for second in 0..100 {
            let at = |millis: u64| start + Duration::from_millis(second * 1000 + millis);
            hope.expects(Some(0.15), at(0));
            hope.expects(Some(0.0), at(490));
            assert_eq!(hope.part(false), BURST);
        }
    }
}
