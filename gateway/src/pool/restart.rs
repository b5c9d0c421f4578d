//! When a child that has ended is started again. Pure: events and a clock in, a time out.
//!
//! Each start that does not last doubles the pause before the next one, up to a cap; one that has lasted
//! `stable_after` from its readiness sets the pause back. Over any minute there are at most
//! `restarts_per_minute` starts.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How starts are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartPolicy {
    /// The pause before the first restart; 100 ms by default.
    pub initial_backoff: Duration,
    /// The longest pause; 10 s by default.
    pub max_backoff: Duration,
    /// The most restarts of one child over any minute; 30 by default, at least 1.
    pub restarts_per_minute: usize,
    /// How long a child must be ready for its next end to count as the first one; 10 s by default.
    pub stable_after: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            initial_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(10),
            restarts_per_minute: 30,
            stable_after: Duration::from_secs(10),
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// What happens to a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// It has loaded and works.
    Ready,
    /// It has ended, or must be replaced.
    Ended,
}

/// The restarts of one place in the pool.
#[derive(Debug)]
pub(super) struct Restart {
    policy: RestartPolicy,
    backoff: Duration,
    ready_since: Option<Instant>,
    /// When the last restarts were due, at most `restarts_per_minute` of them.
    recent: VecDeque<Instant>,
}

impl Restart {
    pub fn new(policy: RestartPolicy) -> Self {
        Self { policy, backoff: policy.initial_backoff, ready_since: None, recent: VecDeque::new() }
    }

    /// Takes an event in; the answer is when to start the child again.
    pub fn handle(&mut self, event: Event, now: Instant) -> Option<Instant> {
        match event {
            Event::Ready => {
                self.ready_since = Some(now);
                None
            }
            Event::Ended => Some(self.next_start(now)),
        }
    }

    fn next_start(&mut self, now: Instant) -> Instant {
        let stable = |since| now.saturating_duration_since(since) >= self.policy.stable_after;
        if self.ready_since.take().is_some_and(stable) {
            self.backoff = self.policy.initial_backoff;
        }
        let mut start = now + self.backoff;
        self.backoff = (self.backoff * 2).min(self.policy.max_backoff);
        let limit = self.policy.restarts_per_minute.max(1);
        if self.recent.len() >= limit
            && let Some(oldest) = self.recent.pop_front()
        {
            start = start.max(oldest + MINUTE);
        }
        self.recent.push_back(start);
        start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::dice::Dice;

    #[test]
    fn pauses_double_up_to_the_cap() {
        let mut restart = Restart::new(RestartPolicy::default());
        let now = Instant::now();
        let pauses: Vec<_> =
            (0..9).map(|_| (restart.handle(Event::Ended, now).unwrap() - now).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    }

    #[test]
    fn a_child_that_lasted_starts_afresh_and_one_that_did_not_goes_on() {
        let policy = RestartPolicy::default();
        let mut restart = Restart::new(policy);
        let mut now = Instant::now();
        restart.handle(Event::Ended, now);
        restart.handle(Event::Ready, now);
        now += policy.stable_after - Duration::from_millis(1);
        assert_eq!(restart.handle(Event::Ended, now), Some(now + 2 * policy.initial_backoff));
        restart.handle(Event::Ready, now);
        now += policy.stable_after;
        assert_eq!(restart.handle(Event::Ended, now), Some(now + policy.initial_backoff));
    }

    fn simulate(seed: u64) {
        let mut dice = Dice::new(seed);
        let policy = RestartPolicy {
            initial_backoff: Duration::from_millis(1 + dice.below(200)),
            max_backoff: Duration::from_millis(200 + dice.below(5000)),
            restarts_per_minute: 1 + usize::try_from(dice.below(12)).unwrap(),
            stable_after: Duration::from_millis(dice.below(20_000)),
        };
        let mut restart = Restart::new(policy);
        let mut now = Instant::now();
        let mut starts: Vec<Instant> = Vec::new();
        for _ in 0..200 {
            now += Duration::from_millis(dice.below(500));
            if dice.below(3) > 0 {
                restart.handle(Event::Ready, now);
                now += Duration::from_millis(dice.below(30_000));
            }
            let start = restart.handle(Event::Ended, now).unwrap();
            assert!(start >= now + policy.initial_backoff, "no pause");
            assert!(start <= now + policy.max_backoff.max(MINUTE), "a pause beyond all bounds");
            starts.push(start);
            let limit = policy.restarts_per_minute;
            if starts.len() > limit {
                let before = starts[starts.len() - 1 - limit];
                assert!(start - before >= MINUTE, "more than {limit} restarts in a minute");
            }
            now = start;
        }
    }

    #[test]
    fn whatever_happens_restarts_are_spaced_and_counted() {
        for seed in 0..300 {
            let run = std::panic::catch_unwind(|| simulate(seed));
            assert!(run.is_ok(), "the simulation fails with seed {seed}");
        }
    }
}
