//! When a route is answered 503 for a while instead of being run: after it has failed again and again in ways that cost
//! an isolate. Pure.
//!
//! ```text
//!   closed --- too many failures --------> open for `pause` --- then ---> one job is let through
//!      ^                                     ^                               |
//!      |                                     +---- it fails: twice as long --+
//!      +------------------------ it succeeds --------------------------------+
//! ```
//!
//! An isolate that is lost takes the jobs of innocent routes with it. So a route fails at most once a second, and only a
//! route of whose jobs as many fail as succeed is given a rest.

use std::time::{Duration, Instant};

/// When a route is given a rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// So many failures within the period open it; 0 never.
    pub failures: u32,
    /// The period.
    pub period: Duration,
    /// How long it stays open at first.
    pub pause: Duration,
}

/// Failures within so short a time are one.
const APART: Duration = Duration::from_secs(1);

/// The longest rest, as a multiple of the first.
const LONGEST: u32 = 16;

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { failures: 5, period: Duration::from_secs(60), pause: Duration::from_secs(5) }
    }
}

/// How a job ended, as far as its route is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was answered.
    Good,
    /// It cost an isolate, or all of its time.
    Bad,
    /// It says nothing of the route: the client went away.
    Unknown,
}

/// The job that finds out whether a route is well again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trial(Instant);

/// Whether a job may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// It may.
    Run,
    /// It may, and finds out whether the route is well again: its end is to be told with this.
    Try(Trial),
    /// It may not, for so long yet; zero where that is not known.
    Rest(Duration),
}

/// The state of one route.
#[derive(Debug, Clone, Copy)]
pub struct Breaker {
    state: State,
    /// Failures since the period began, and successes.
    failures: u32,
    successes: u32,
    began: Instant,
    last_failure: Option<Instant>,
    rest: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open {
        until: Instant,
    },
    /// One job finds out whether it is well again. Another may from `until` on.
    Trying {
        trial: Trial,
        until: Instant,
    },
}

impl Breaker {
    /// Of a route that has not failed.
    pub fn new(now: Instant) -> Self {
        Self { state: State::Closed, failures: 0, successes: 0, began: now, last_failure: None, rest: 1 }
    }

    /// Whether a job may run.
    pub fn allows(&mut self, settings: BreakerSettings, now: Instant) -> Leave {
        match self.state {
            State::Closed => Leave::Run,
            State::Open { until } if now < until => Leave::Rest(until - now),
            State::Trying { until, .. } if now < until => Leave::Rest(Duration::ZERO),
            // A job that does not come to its end does not keep a route closed for ever.
            State::Open { .. } | State::Trying { .. } => {
                let trial = Trial(now);
                self.state = State::Trying { trial, until: now + settings.period };
                Leave::Try(trial)
            }
        }
    }

    /// The response of this trial has begun. How long it takes from now on is also its client's doing: the next one may try
    /// after `pause`, whatever becomes of it.
    pub fn begun(&mut self, begun: Trial, settings: BreakerSettings, now: Instant) {
        if let State::Trying { trial, until } = &mut self.state
            && *trial == begun
        {
            *until = (*until).min(now + settings.pause);
        }
    }

    /// A job has ended, which was this trial if any. Says whether the route has just been given a rest. While it rests, no
    /// other end than the trial's counts: those jobs began before.
    pub fn ended(
        &mut self,
        verdict: Verdict,
        ended: Option<Trial>,
        settings: BreakerSettings,
        now: Instant,
    ) -> bool {
        match (self.state, verdict) {
            (State::Closed, Verdict::Bad) => self.failed(settings, now),
            (State::Closed, Verdict::Good) => {
                self.successes = self.successes.saturating_add(1);
                false
            }
            (State::Trying { trial, .. }, verdict) if ended == Some(trial) => match verdict {
                Verdict::Good => {
                    *self = Self::new(now);
                    false
                }
                Verdict::Bad => {
                    self.rest = (self.rest * 2).min(LONGEST);
                    self.open(settings, now);
                    true
                }
                // The next one tries.
                Verdict::Unknown => {
                    self.state = State::Open { until: now };
                    false
                }
            },
            _ => false,
        }
    }

    /// Whether nothing would be lost with it: nobody has come since a rest was over, or it is long that one failed.
    pub fn is_blank(&self, settings: BreakerSettings, now: Instant) -> bool {
        let is_long = |since: Instant| now.saturating_duration_since(since) > settings.period;
        match self.state {
            State::Closed => self.failures == 0 || is_long(self.began),
            State::Open { until } | State::Trying { until, .. } => is_long(until),
        }
    }

    fn failed(&mut self, settings: BreakerSettings, now: Instant) -> bool {
        if now.saturating_duration_since(self.began) > settings.period {
            (self.began, self.failures, self.successes) = (now, 0, 0);
        }
        if self.last_failure.is_some_and(|last| now.saturating_duration_since(last) < APART) {
            return false;
        }
        self.last_failure = Some(now);
        self.failures += 1;
        let opens =
            settings.failures > 0 && self.failures >= settings.failures && self.failures >= self.successes;
        if opens {
            self.open(settings, now);
        }
        opens
    }

    fn open(&mut self, settings: BreakerSettings, now: Instant) {
        self.state = State::Open { until: now + settings.pause * self.rest };
        (self.began, self.failures, self.successes) = (now, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: BreakerSettings =
        BreakerSettings { failures: 3, period: Duration::from_secs(60), pause: Duration::from_secs(5) };

    struct Bench {
        breaker: Breaker,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let now = Instant::now();
            Self { breaker: Breaker::new(now), now }
        }

        fn asks_after(&mut self, seconds: u64) -> Leave {
            self.now += Duration::from_secs(seconds);
            self.breaker.allows(SETTINGS, self.now)
        }

        fn runs_after(&mut self, seconds: u64) -> bool {
            self.asks_after(seconds) == Leave::Run
        }

        fn rests_after(&mut self, seconds: u64) -> bool {
            matches!(self.asks_after(seconds), Leave::Rest(_))
        }

        fn trial_after(&mut self, seconds: u64) -> Trial {
            match self.asks_after(seconds) {
                Leave::Try(trial) => trial,
                other => panic!("no trial: {other:?}"),
            }
        }

        fn ended(&mut self, verdict: Verdict) -> bool {
            self.breaker.ended(verdict, None, SETTINGS, self.now)
        }

        fn tried(&mut self, trial: Trial, verdict: Verdict) -> bool {
            self.breaker.ended(verdict, Some(trial), SETTINGS, self.now)
        }

        /// Fails often enough, a second apart.
        fn fails(&mut self) -> [bool; 3] {
            [(); 3].map(|()| {
                self.now += Duration::from_secs(1);
                self.ended(Verdict::Bad)
            })
        }
    }

    #[test]
    fn a_route_that_fails_again_and_again_rests_and_comes_back() {
        let mut bench = Bench::new();
        assert_eq!(bench.fails(), [false, false, true]);
        assert_eq!(bench.asks_after(4), Leave::Rest(Duration::from_secs(1)));
        let first = bench.trial_after(1);
        assert_eq!(bench.asks_after(0), Leave::Rest(Duration::ZERO), "one tries and no other");
        assert!(bench.tried(first, Verdict::Bad));
        assert!(bench.rests_after(9), "twice as long");
        let second = bench.trial_after(1);
        assert!(!bench.tried(second, Verdict::Good));
        assert!(bench.runs_after(0) && bench.runs_after(0));
    }

    #[test]
    fn failures_far_apart_do_not_add_up() {
        let mut bench = Bench::new();
        for _ in 0..10 {
            assert!(!bench.ended(Verdict::Bad));
            assert!(bench.runs_after(31));
            assert!(!bench.ended(Verdict::Bad));
            assert!(bench.runs_after(31));
        }
    }

    #[test]
    fn a_try_whose_client_goes_away_is_tried_again() {
        let mut bench = Bench::new();
        bench.fails();
        let gone = bench.trial_after(5);
        bench.tried(gone, Verdict::Unknown);
        bench.trial_after(1);
        assert!(bench.rests_after(59));
        bench.trial_after(1);
    }

    #[test]
    fn a_rest_after_which_nobody_comes_is_forgotten() {
        let mut bench = Bench::new();
        bench.fails();
        assert!(!bench.breaker.is_blank(SETTINGS, bench.now));
        let until = bench.now + SETTINGS.pause;
        assert!(!bench.breaker.is_blank(SETTINGS, until + SETTINGS.period));
        assert!(bench.breaker.is_blank(SETTINGS, until + SETTINGS.period + Duration::from_secs(1)));
    }

    #[test]
    fn a_try_that_answers_for_long_holds_nobody_up() {
        let mut bench = Bench::new();
        bench.fails();
        let long = bench.trial_after(5);
        bench.breaker.begun(long, SETTINGS, bench.now);
        assert!(bench.rests_after(4));
        let next = bench.trial_after(1);
        bench.breaker.begun(long, SETTINGS, bench.now);
        assert!(!bench.tried(long, Verdict::Bad), "another one tries now");
        assert!(bench.rests_after(6));
        bench.tried(next, Verdict::Good);
        assert!(bench.runs_after(0));
    }

    #[test]
    fn what_began_before_the_rest_does_not_decide_on_its_end() {
        let mut bench = Bench::new();
        bench.fails();
        assert!(!bench.ended(Verdict::Bad));
        let trial = bench.trial_after(5);
        assert!(!bench.ended(Verdict::Bad) && !bench.ended(Verdict::Good) && !bench.ended(Verdict::Unknown));
        assert!(bench.rests_after(0), "the trial goes on");
        bench.tried(trial, Verdict::Good);
        assert!(bench.runs_after(0));
    }

    #[test]
    fn no_number_of_failures_means_never() {
        let start = Instant::now();
        let mut breaker = Breaker::new(start);
        let never = BreakerSettings { failures: 0, ..SETTINGS };
        assert!((0..100).all(|second| !breaker.ended(
            Verdict::Bad,
            None,
            never,
            start + Duration::from_secs(second)
        )));
    }

    #[test]
    fn a_route_that_others_drag_down_is_not_to_blame() {
        let mut bench = Bench::new();
        assert!((0..100).all(|_| !bench.ended(Verdict::Bad)), "many at once are one");
        for _ in 0..10 {
            (0..20).for_each(|_| assert!(!bench.ended(Verdict::Good)));
            assert_eq!(bench.fails(), [false, false, false]);
        }
    }
}
