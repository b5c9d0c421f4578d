//! How long a wait may be expected to be for somebody to be let into the queue. Pure.
//!
//! A queue is there for bursts: a second's visitors who come within a tenth of it all get their pages, a little later. A
//! queue that does not end is no burst, and serves nobody: as many pages leave an isolate behind fifty milliseconds of work
//! as behind two hundred, only later; and when the isolates slow down, those who were let in for almost all of their time
//! learn at its end that it was in vain. So a queue that stands is let run down to three tenths (the idea of CoDel, RFC 8289,
//! where the packet is a visitor and is turned away at the door rather than dropped at the head). A moment without anybody
//! in it does not make a burst of it again.

use std::time::{Duration, Instant};

/// What part of its time one who comes may be expected to wait, in a burst: the rest is for what the estimate does not know.
const BURST: f64 = 0.7;

/// The same in a queue that stands.
const STANDING: f64 = 0.3;

/// After so many times the time to wait, a queue stands.
const STANDS_AFTER: u32 = 2;

/// Since when somebody has been waiting.
#[derive(Debug)]
pub(super) struct Hope {
    queue_wait: Duration,
    since: Option<Instant>,
    /// Nobody waits since then.
    empty: Option<Instant>,
}

impl Hope {
    /// For a queue in which one waits so long at most.
    pub fn new(queue_wait: Duration) -> Self {
        Self { queue_wait, since: None, empty: None }
    }

    /// Somebody waits.
    pub fn waits(&mut self, now: Instant) {
        let was_empty = self.empty.take();
        if was_empty.is_some_and(|empty| now.saturating_duration_since(empty) >= self.queue_wait) {
            self.since = None;
        }
        self.since.get_or_insert(now);
    }

    /// Nobody waits any more.
    pub fn is_empty(&mut self, now: Instant) {
        self.empty.get_or_insert(now);
    }

    /// What part of its time one who comes now may be expected to wait. A queue that `is_short`, with no more in it than run
    /// at a time, is none that stands: else a few clients who ask again at once would keep each other out, as refusing them
    /// takes the time in which they would be served.
    pub fn part(&self, is_short: bool, now: Instant) -> f64 {
        match self.since {
            _ if is_short => BURST,
            Some(since) if now.saturating_duration_since(since) >= self.queue_wait * STANDS_AFTER => STANDING,
            _ => BURST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_stands_gives_less_hope_until_it_was_empty() {
        let (mut hope, start) = (Hope::new(Duration::from_millis(250)), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(hope.part(false, at(0)), BURST);
        hope.waits(at(0));
        hope.waits(at(400));
        assert_eq!(hope.part(false, at(499)), BURST);
        assert_eq!(hope.part(false, at(500)), STANDING);
        assert_eq!(hope.part(true, at(500)), BURST);
        hope.is_empty(at(600));
        hope.is_empty(at(700));
        hope.waits(at(800));
        assert_eq!(hope.part(false, at(800)), STANDING, "that was a moment");
        hope.is_empty(at(900));
        hope.waits(at(1150));
        assert_eq!(hope.part(false, at(1649)), BURST);
        assert_eq!(hope.part(false, at(1650)), STANDING);
    }
}
