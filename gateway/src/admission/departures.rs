//! How many jobs leave the isolates in a second while others wait for their places. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Departures that are looked back at, and how far back. Jobs leave in bursts: a short look sees a burst as a rate.
const MOST: usize = 1024;
const LOOK_BACK: Duration = Duration::from_secs(1);

/// Departures that say something, and the time that they must have taken: a gateway thread that comes to its link hears of
/// many at once.
const ENOUGH: usize = 8;
const LONG_ENOUGH: Duration = Duration::from_millis(20);

/// How long a rate is good for once nobody waits, in times of [`LOOK_BACK`].
const REMEMBERED: u32 = 5;

/// The last departures since somebody began to wait, and what was known before.
#[derive(Debug, Default)]
pub(super) struct Departures {
    times: VecDeque<Instant>,
    /// The rate when nobody waited any more, and when that was.
    before: Option<(f64, Instant)>,
}

impl Departures {
    /// Somebody waits, and nobody did before.
    pub fn begin(&mut self, now: Instant) {
        if self.times.is_empty() {
            // Counts from here, not from the first departure: with it may come others.
            self.times.push_back(now);
        }
    }

    /// A job has left.
    pub fn note(&mut self, now: Instant) {
        if self.times.is_empty() {
            return;
        }
        let is_old = |first: &Instant| now.saturating_duration_since(*first) > LOOK_BACK;
        while self.times.len() >= MOST
            || (self.times.len() > ENOUGH && self.times.front().is_some_and(is_old))
        {
            self.times.pop_front();
        }
        self.times.push_back(now);
    }

    /// Nobody waits any more: what leaves from now on is not all that could. What was known is kept for a while: under a
    /// lasting overload somebody waits again in a moment, and without a rate all who come would be let in.
    pub fn pause(&mut self, now: Instant) {
        if let Some(rate) = self.measured(now) {
            self.before = Some((rate, now));
        }
        self.times.clear();
    }

    /// How many leave in a second; `None` while too few have.
    pub fn per_second(&self, now: Instant) -> Option<f64> {
        self.measured(now).or_else(|| {
            let (rate, at) = self.before?;
            (now.saturating_duration_since(at) <= LOOK_BACK * REMEMBERED).then_some(rate)
        })
    }

    fn measured(&self, now: Instant) -> Option<f64> {
        let took = now.saturating_duration_since(*self.times.front()?);
        let departures = self.times.len() - 1;
        (departures >= ENOUGH && took >= LONG_ENOUGH).then(|| departures as f64 / took.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_needs_some_departures_and_falls_when_they_cease() {
        let (mut departures, start) = (Departures::default(), Instant::now());
        let at = |number: u32| start + Duration::from_millis(10) * number;
        departures.begin(at(0));
        for number in 1..200 {
            assert_eq!(departures.per_second(at(number)).is_some(), number > 8, "{number}");
            departures.note(at(number));
        }
        let steady = departures.per_second(at(199)).unwrap();
        assert!((99.0..101.0).contains(&steady), "{steady}");
        assert!(departures.per_second(at(400)).unwrap() < 40.0);
    }

    #[test]
    fn many_that_are_heard_of_together_are_no_rate() {
        let (mut departures, start) = (Departures::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        departures.begin(at(0));
        (0..30).for_each(|_| departures.note(at(15)));
        assert_eq!(departures.per_second(at(15)), None);
        let rate = departures.per_second(at(30)).unwrap();
        assert!((999.0..1001.0).contains(&rate), "{rate}");
    }

    #[test]
    fn a_rate_is_remembered_for_a_while_when_nobody_waits() {
        let (mut departures, start) = (Departures::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        departures.begin(at(0));
        (1..=100).for_each(|number| departures.note(at(number * 10)));
        departures.pause(at(1000));
        departures.note(at(1200));
        departures.pause(at(1500));
        let known = departures.per_second(at(6000)).unwrap();
        assert!((98.0..101.0).contains(&known), "{known}");
        assert_eq!(departures.per_second(at(6001)), None);
        departures.begin(at(7000));
        (0..32).for_each(|number| departures.note(at(7000 + number)));
        assert!(departures.per_second(at(7032)).unwrap() > 900.0, "what is measured anew counts");
    }
}
