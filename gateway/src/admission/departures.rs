//! How many jobs leave the isolates in a second while others wait for their places. Pure.
//!
//! An isolate that stands still for a moment (a collection of the whole heap, or the machine was elsewhere) is as quick
//! before and after as it was: the longest pauses are not counted. And a look that was short does not make it slow that was
//! quick a moment ago: of both rates the better one counts.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Departures that are looked back at, and how far back. Jobs leave in bursts: a short look sees a burst as a rate.
const MOST: usize = 1024;
const LOOK_BACK: Duration = Duration::from_secs(1);

/// Departures that say something, and the time that they must have taken: a gateway thread that comes to its link hears of
/// many at once.
const ENOUGH: usize = 8;
const LONG_ENOUGH: Duration = Duration::from_millis(20);

/// What has been looked at for so long is the case, whatever was known before.
const SURE: Duration = Duration::from_millis(150);

/// How long a rate is good for once nobody waits, in times of [`LOOK_BACK`].
const REMEMBERED: u32 = 5;

/// So many of the longest pauses of a look do not count, if they last so long, so many times as long as departures are
/// apart otherwise, and more than twice as long as the next one: pages that each compute for as long are no pause, nor is
/// it one when many wait for the same time and leave together.
const PAUSES: usize = 2;
const PAUSE: Duration = Duration::from_millis(20);
const TIMES_AS_LONG: f64 = 5.0;
const TWICE: u32 = 2;

/// What is beyond this counts: nobody who waits is served in time.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// The last departures since somebody began to wait, and what was known before.
#[derive(Debug, Default)]
pub(super) struct Departures {
    times: VecDeque<Instant>,
    /// Of [`PAUSE`] or longer between those: when each ended, and how long it was.
    pauses: VecDeque<(Instant, Duration)>,
    /// A rate, and when it was one.
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
        let Some(last) = self.times.back() else { return };
        let gap = now.saturating_duration_since(*last);
        if gap >= PAUSE {
            self.pauses.push_back((now, gap));
        }
        let is_old = |first: &Instant| now.saturating_duration_since(*first) > LOOK_BACK;
        while self.times.len() >= MOST
            || (self.times.len() > ENOUGH && self.times.front().is_some_and(is_old))
        {
            self.times.pop_front();
        }
        self.times.push_back(now);
        if let Some(first) = self.times.front() {
            while self.pauses.pop_front_if(|(end, _)| *end <= *first).is_some() {}
        }
    }

    /// Nobody waits any more: what leaves from now on is not all that could. What was known is kept for a while: under a
    /// lasting overload somebody waits again in a moment, and without a rate all who come would be let in.
    pub fn pause(&mut self, now: Instant) {
        if let Some(look) = self.measured(now)
            && (look.is_sure || self.remembered(now).is_none_or(|before| before <= look.rate))
        {
            self.before = Some((look.rate, now));
        }
        self.times.clear();
        self.pauses.clear();
    }

    /// How many leave in a second; `None` while too few have.
    pub fn per_second(&self, now: Instant) -> Option<f64> {
        match self.measured(now) {
            Some(Look { rate, is_sure: true }) => Some(rate),
            Some(Look { rate, .. }) => Some(self.remembered(now).map_or(rate, |before| before.max(rate))),
            None => self.remembered(now),
        }
    }

    fn remembered(&self, now: Instant) -> Option<f64> {
        let (rate, at) = self.before?;
        (now.saturating_duration_since(at) <= LOOK_BACK * REMEMBERED).then_some(rate)
    }

    fn measured(&self, now: Instant) -> Option<Look> {
        let (first, last) = (self.times.front()?, self.times.back()?);
        let departures = self.times.len() - 1;
        let mut took = now.saturating_duration_since(*first);
        let since_last = now.saturating_duration_since(*last);
        let all = || self.pauses.iter().map(|(_, long)| *long).chain([since_last]);
        let mut longest = [Duration::ZERO; PAUSES + 1];
        for pause in all() {
            // The shortest of those that are kept makes room.
            if let Some(least) = longest.iter_mut().min().filter(|least| **least < pause) {
                *least = pause;
            }
        }
        longest.sort_unstable();
        let [usual, longest @ ..] = longest;
        for pause in longest.into_iter().rev().filter(|pause| *pause >= PAUSE && *pause > usual * TWICE) {
            let rest = took.saturating_sub(pause);
            let apart = rest.as_secs_f64() / departures.max(1) as f64;
            if pause.as_secs_f64() > apart * TIMES_AS_LONG {
                took = took.saturating_sub(pause.min(LONGEST_PAUSE));
            }
        }
        (departures >= ENOUGH && took >= LONG_ENOUGH)
            .then(|| Look { rate: departures as f64 / took.as_secs_f64(), is_sure: took >= SURE })
    }
}

/// What a look back has shown.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// Departures in a second.
    rate: f64,
    /// It was long.
    is_sure: bool,
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

    #[test]
    fn a_rate_is_that_of_an_isolate_at_work_and_not_of_one_that_stands_still() {
        let (mut departures, start) = (Departures::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        departures.begin(at(0));
        (70..100).for_each(|millis| departures.note(at(millis)));
        let rate = departures.per_second(at(100)).unwrap();
        assert!((900.0..1001.0).contains(&rate), "{rate} after one of 70 ms");
        (100..300).for_each(|millis| departures.note(at(millis)));
        let stands = departures.per_second(at(450)).unwrap();
        assert!((900.0..1010.0).contains(&stands), "{stands} in one of 150 ms");
        assert!(departures.per_second(at(1000)).unwrap() < 350.0, "nobody is served behind one of 700 ms");
    }

    #[test]
    fn pages_that_compute_for_long_are_no_pauses() {
        let (mut departures, start) = (Departures::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        departures.begin(at(0));
        (1..=10).for_each(|page| departures.note(at(page * 100)));
        let rate = departures.per_second(at(1000)).unwrap();
        assert!((9.9..10.1).contains(&rate), "{rate} pages of 100 ms");
    }

    #[test]
    fn jobs_that_leave_together_time_and_again_do_not_stall() {
        let (mut departures, start) = (Departures::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        departures.begin(at(0));
        (1..=5).for_each(|wave| (0..10).for_each(|job| departures.note(at(wave * 190 + job))));
        let rate = departures.per_second(at(960)).unwrap();
        assert!((49.0..54.0).contains(&rate), "{rate}, ten every 190 ms");
    }

    #[test]
    fn a_short_look_does_not_make_slow_what_was_quick() {
        let (mut departures, start) = (Departures::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        departures.begin(at(0));
        (1..=400).for_each(|millis| departures.note(at(millis)));
        departures.pause(at(400));
        departures.begin(at(1000));
        (1..15).for_each(|departure| departures.note(at(1000 + departure * 10)));
        assert!(departures.per_second(at(1140)).unwrap() > 990.0);
        departures.pause(at(1140));
        departures.begin(at(1200));
        (1..30).for_each(|departure| departures.note(at(1200 + departure * 10)));
        assert!(departures.per_second(at(1490)).unwrap() < 110.0, "a long one does");
    }
}
