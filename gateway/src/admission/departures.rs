//! How many jobs leave the isolates in a second while others wait for their places. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Departures that are looked back at, and how far back. Jobs leave in bursts: a short look sees a burst as a rate.
const MOST: usize = 1024;
const LOOK_BACK: Duration = Duration::from_secs(1);

/// Departures that say something.
const ENOUGH: usize = 8;

/// The last departures since somebody began to wait.
#[derive(Debug, Default)]
pub(super) struct Departures {
    times: VecDeque<Instant>,
}

impl Departures {
    /// A job has left.
    pub fn note(&mut self, now: Instant) {
        let is_old = |first: &Instant| now.saturating_duration_since(*first) > LOOK_BACK;
        while self.times.len() >= MOST
            || (self.times.len() > ENOUGH && self.times.front().is_some_and(is_old))
        {
            self.times.pop_front();
        }
        self.times.push_back(now);
    }

    /// Nobody waits any more: what leaves from now on is not all that could.
    pub fn forget(&mut self) {
        self.times.clear();
    }

    /// How many leave in a second; `None` while too few have.
    pub fn per_second(&self, now: Instant) -> Option<f64> {
        let first = self.times.front().filter(|_| self.times.len() >= ENOUGH)?;
        let seconds = now.saturating_duration_since(*first).as_secs_f64();
        (seconds > 0.0).then(|| (self.times.len() - 1) as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_needs_some_departures_and_falls_when_they_cease() {
        let (mut departures, start) = (Departures::default(), Instant::now());
        let at = |number: u32| start + Duration::from_millis(10) * number;
        for number in 0..200 {
            assert_eq!(departures.per_second(at(number)).is_some(), number > 7, "{number}");
            departures.note(at(number));
        }
        let steady = departures.per_second(at(199)).unwrap();
        assert!((99.0..101.0).contains(&steady), "{steady}");
        assert!(departures.per_second(at(400)).unwrap() < 40.0);
        departures.forget();
        assert_eq!(departures.per_second(at(401)), None);
    }
}
