//! How many jobs one isolate runs at a time, found out by measuring. Pure.
//!
//! An isolate is one thread of JavaScript. Pages that only compute are not done sooner when many run at a time: each
//! takes longer, and whoever is refused learns it too late. Pages that wait for a database are. So the limit follows
//! the time that jobs hold their places, to the last byte: the head of a streamed page comes at once however long the
//! rest waits, and would tell nothing.
//!
//! ```text
//!   each window (200 ms or more, 32 answers or more), while as many run as may:
//!     about as quick as with few jobs   ->  the limit grows
//!     slower than TOLERANCE times that  ->  a probe
//!   a probe, every 10 s too: half the limit for one window
//!     as many answers as before         ->  the other half only waited: the lower limit stays, and its time is the
//!                                           new measure of quick; probe again
//!     fewer                             ->  the limit was of use: back
//!     far fewer                         ->  back, and no probe for a minute: each refuses visitors
//! ```
//!
//! Without the probe a lasting overload would become the measure of what is quick.
//!
//! Neither goes below what an isolate does in [`FEED`], or did lately. With fewer jobs it runs dry before the gateway has taken
//! its answers and sent the next ones: each handful of jobs then costs a change of processes and cold caches (with two at a
//! time, a page of 0.6 ms took 45 % more). A probe alone does not see that: a loss at each step that is small enough to pass
//! adds up.

use std::time::{Duration, Instant};

/// How much slower than alone a job may become.
const TOLERANCE: f64 = 2.0;

/// The shortest window.
const WINDOW: Duration = Duration::from_millis(200);

/// The longest one that waits for answers.
const LONG_WINDOW: Duration = Duration::from_secs(2);

/// Answers that a window needs.
const SAMPLES: u32 = 32;

/// The time between probes, and until the first one.
const PROBE_EVERY: Duration = Duration::from_secs(10);
const FIRST_PROBE: Duration = Duration::from_secs(1);

/// The time until the next probe after one with half the jobs of which at most [`WAITING`] of the answers came: what runs
/// waits for something else than its isolate, and each probe of it refuses visitors. It comes at once when pages take so much
/// longer or shorter than then that they must be others.
const SELDOM_PROBE: Duration = Duration::from_secs(60);
const WAITING: f64 = 0.7;
const SLOWER: f64 = 1.5;
const QUICKER: f64 = 0.8;

/// How many jobs may run at first. More may once that has shown to be of use, which takes a few seconds.
const FIRST_LIMIT: usize = 64;

/// What part of the answers must remain for a lower limit to be enough, however many probes it took to get there.
const ENOUGH: f64 = 0.85;

/// The work that an isolate has at hand at least: about a time slice of the kernel's, so that whoever shares its core
/// finds it at work when he has done his own.
const FEED: Duration = Duration::from_millis(10);

/// What is kept of that from one window to the next when less is done: an isolate whose core was taken from it for a second
/// is soon as quick as before, and would have nothing to do until the limit has followed.
const KEPT_FEED: f64 = 0.97;

/// The bounds of the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The least, at least 1.
    pub min: usize,
    /// The most, at least the least.
    pub max: usize,
}

/// The limit of one isolate.
#[derive(Debug)]
pub(super) struct Limiter {
    bounds: Bounds,
    limit: f64,
    /// As many as are done in [`FEED`], and were lately, within the bounds.
    floor: f64,
    /// Seconds that a job held its place with few jobs.
    quick: Option<f64>,
    window: Window,
    /// Answers of jobs that began before say nothing of the present limit.
    since: Instant,
    probe_at: Option<Instant>,
    probe: Option<Probe>,
    /// Under which jobs were found to wait.
    waiting: Option<Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    began: Instant,
    /// When the first answer came that counts: with many jobs that is long after.
    first: Option<Instant>,
    samples: u32,
    seconds: f64,
    /// As many ran as might.
    was_full: bool,
}

/// What was before the limit was halved.
#[derive(Debug, Clone, Copy)]
struct Probe {
    limit: f64,
    answers_per_second: f64,
    seconds: f64,
}

impl Probe {
    /// As a window showed it.
    fn seen(self) -> Seen {
        Seen { answers_per_second: self.answers_per_second, seconds: self.seconds, was_full: true }
    }
}

impl Window {
    fn new(now: Instant) -> Self {
        Self { began: now, first: None, samples: 0, seconds: 0.0, was_full: false }
    }
}

/// What a window has shown.
#[derive(Debug, Clone, Copy)]
struct Seen {
    answers_per_second: f64,
    seconds: f64,
    was_full: bool,
}

impl Seen {
    /// Whether it is no longer the same pages, or no longer as many of them, that are asked for.
    fn differs_from(self, other: Self) -> bool {
        self.seconds > other.seconds * SLOWER || self.seconds < other.seconds * QUICKER
    }
}

impl Limiter {
    /// Begins with [`FIRST_LIMIT`]: the first seconds show whether it is too much, or too little.
    pub fn new(bounds: Bounds, now: Instant) -> Self {
        let limit = FIRST_LIMIT.clamp(bounds.min, bounds.max) as f64;
        let window = Window::new(now);
        let floor = bounds.min as f64;
        Self {
            bounds,
            limit,
            floor,
            quick: None,
            window,
            since: now,
            probe_at: None,
            probe: None,
            waiting: None,
        }
    }

    /// How many jobs may run.
    pub fn limit(&self) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between bounds that are numbers of jobs"
        )]
        let limit = self.limit as usize;
        limit.clamp(self.bounds.min, self.bounds.max)
    }

    /// So many run now.
    pub fn runs(&mut self, jobs: usize) {
        self.window.was_full |= jobs >= self.limit();
    }

    /// A job that was answered is over at `now`, which it began `held` before.
    pub fn answered(&mut self, held: Duration, now: Instant) {
        if now.checked_sub(held).is_none_or(|began| began < self.since) {
            return;
        }
        let first = *self.window.first.get_or_insert(now);
        self.window.samples += 1;
        self.window.seconds += held.as_secs_f64();
        let elapsed = now.saturating_duration_since(first);
        let is_long = now.saturating_duration_since(self.window.began) >= LONG_WINDOW;
        if (elapsed >= WINDOW && self.window.samples >= SAMPLES) || is_long {
            let elapsed = elapsed.max(WINDOW).as_secs_f64();
            let seen = Seen {
                answers_per_second: f64::from(self.window.samples) / elapsed,
                seconds: self.window.seconds / f64::from(self.window.samples),
                was_full: self.window.was_full,
            };
            self.window = Window::new(now);
            self.decide(seen, now);
        }
    }

    fn decide(&mut self, seen: Seen, now: Instant) {
        if seen.was_full {
            let (min, max) = (self.bounds.min as f64, self.bounds.max as f64);
            let feed = (seen.answers_per_second * FEED.as_secs_f64()).ceil();
            self.floor = feed.max(self.floor * KEPT_FEED).clamp(min, max);
        }
        match self.probe.take() {
            Some(probe) => self.end_probe(probe, seen, now),
            None if seen.was_full => self.adapt(seen, now),
            // With room to spare, what comes is what is quick.
            None => {
                let quick = self
                    .quick
                    .map_or(seen.seconds, |quick| (quick * 0.9 + seen.seconds * 0.1).min(seen.seconds));
                self.quick = Some(quick);
            }
        }
    }

    fn adapt(&mut self, seen: Seen, now: Instant) {
        let probe_at = *self.probe_at.get_or_insert(now + FIRST_PROBE);
        let quick = *self.quick.get_or_insert(seen.seconds);
        let probe_at = if self.waiting.is_some_and(|waiting| seen.differs_from(waiting)) {
            self.waiting = None;
            now
        } else {
            probe_at
        };
        if now >= probe_at && self.limit > self.floor {
            return self.begin_probe(seen, now);
        }
        let slowness = seen.seconds / quick.max(f64::EPSILON);
        if slowness <= TOLERANCE {
            let growth = if slowness <= 1.2 { 0.5 } else { 0.1 };
            self.set(self.limit + (self.limit * growth).max(1.0), now);
        } else if self.limit > self.floor {
            // Fewer will show whether it is their number that makes them slow.
            self.begin_probe(seen, now);
        } else {
            // With the fewest jobs nothing here makes it slow: it takes longer than it did.
            self.quick = Some(seen.seconds);
        }
    }

    fn begin_probe(&mut self, seen: Seen, now: Instant) {
        let Seen { answers_per_second, seconds, .. } = seen;
        self.begin_probe_after(Probe { limit: self.limit, answers_per_second, seconds }, now);
    }

    fn begin_probe_after(&mut self, before: Probe, now: Instant) {
        self.probe = Some(before);
        self.set(self.limit / 2.0, now);
    }

    fn end_probe(&mut self, probe: Probe, seen: Seen, now: Instant) {
        let is_waiting = seen.was_full && seen.answers_per_second <= probe.answers_per_second * WAITING;
        self.waiting = is_waiting.then(|| probe.seen());
        self.probe_at = Some(now + if is_waiting { SELDOM_PROBE } else { PROBE_EVERY });
        // With room to spare it was the visitors who became fewer.
        let was_useless = seen.was_full && seen.answers_per_second >= probe.answers_per_second * ENOUGH;
        if !was_useless {
            self.quick = Some(seen.seconds);
            return self.set(probe.limit, now);
        }
        self.quick = Some(seen.seconds);
        if self.limit > self.floor && seen.seconds < probe.seconds * 0.8 {
            // Measured against where it began, so that small losses do not add up.
            let before = Probe { limit: self.limit, seconds: seen.seconds, ..probe };
            self.begin_probe_after(before, now);
        }
    }

    fn set(&mut self, limit: f64, now: Instant) {
        self.limit = limit.clamp(self.floor, self.bounds.max as f64);
        self.since = now;
        self.window = Window::new(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::dice::Dice;

    const BOUNDS: Bounds = Bounds { min: 2, max: 64 };
    /// The defaults.
    const WIDE: Bounds = Bounds { min: 2, max: 512 };
    const TICK: Duration = Duration::from_micros(100);

    /// What a page costs, in ticks: it waits, computes, and streams.
    #[derive(Clone, Copy)]
    struct Page {
        waits: u64,
        computes: u64,
        streams: u64,
    }

    /// 1 ms of computing.
    const COMPUTES: Page = Page { waits: 0, computes: 10, streams: 0 };
    /// 0.5 ms of computing and 100 ms of waiting.
    const WAITS: Page = Page { waits: 1000, computes: 5, streams: 0 };

    struct Job {
        began: Instant,
        waits_until: Instant,
        computes: u64,
        streams: u64,
    }

    /// One thread that computes one job after the other, and a queue before it that is never empty. It shares its core
    /// with the gateway: what has left is replaced when it has nothing to do or its time slice is over, and that takes
    /// `handover` ticks.
    struct Isolate {
        bounds: Bounds,
        limiter: Limiter,
        now: Instant,
        jobs: Vec<Job>,
        dice: Dice,
        limits: Vec<usize>,
        handover: u32,
        /// For each tick of the isolate, so many of the gateway, which refuses others meanwhile.
        refusing: u32,
        slice_left: u32,
    }

    /// Ticks that the isolate has before the gateway has its turn.
    const SLICE: u32 = 30;

    impl Isolate {
        fn new(seed: u64) -> Self {
            Self::within(BOUNDS, seed)
        }

        fn within(bounds: Bounds, seed: u64) -> Self {
            let now = Instant::now();
            let limiter = Limiter::new(bounds, now);
            let dice = Dice::new(seed);
            Self {
                bounds,
                limiter,
                now,
                jobs: Vec::new(),
                dice,
                limits: Vec::new(),
                handover: 0,
                refusing: 0,
                slice_left: SLICE,
            }
        }

        /// The gateway's turn, if it is: says whether jobs may come now.
        fn hands_over(&mut self) -> bool {
            let can_run = self.jobs.iter().any(|job| job.waits_until <= self.now);
            if can_run && self.slice_left > 0 {
                self.slice_left -= 1;
                return self.handover == 0;
            }
            let ran = SLICE - std::mem::replace(&mut self.slice_left, SLICE);
            self.now += TICK * (self.handover + ran * self.refusing);
            true
        }

        /// Runs for so long, fully loaded or with at most `visitors` at a time; the jobs done in a second.
        fn run(&mut self, seconds: u32, visitors: usize, page: impl Fn(&mut Dice) -> Page) -> f64 {
            let (end, mut done) = (self.now + Duration::from_secs(seconds.into()), 0u32);
            while self.now < end {
                let may_come = self.hands_over();
                while may_come && self.jobs.len() < self.limiter.limit().min(visitors) {
                    let Page { waits, computes, streams } = page(&mut self.dice);
                    let spread = |ticks: u64, dice: &mut Dice| ticks / 2 + dice.below(ticks + 1);
                    let waits = spread(waits, &mut self.dice);
                    let waits_until = self.now + TICK * u32::try_from(waits).unwrap();
                    let computes = spread(computes, &mut self.dice).max(1);
                    let streams = spread(streams, &mut self.dice);
                    self.jobs.push(Job { began: self.now, waits_until, computes, streams });
                    self.limiter.runs(self.jobs.len());
                }
                self.now += TICK;
                let now = self.now;
                if let Some(index) = self.jobs.iter().position(|job| job.waits_until <= now) {
                    let job = &mut self.jobs[index];
                    job.computes -= 1;
                    if job.computes == 0 && job.streams > 0 {
                        // The end of a stream is little work, but work.
                        job.waits_until = now + TICK * u32::try_from(job.streams).unwrap();
                        (job.computes, job.streams) = (1, 0);
                    } else if job.computes == 0 {
                        let took = now - job.began;
                        self.jobs.remove(index);
                        self.limiter.answered(took, now);
                        done += 1;
                    }
                }
                let limit = self.limiter.limit();
                assert!((self.bounds.min..=self.bounds.max).contains(&limit));
                self.limits.push(limit);
            }
            f64::from(done) / f64::from(seconds)
        }

        /// The middle one of the limits of the last so many seconds.
        fn settled(&self, seconds: usize) -> usize {
            let mut last: Vec<_> = self.limits.iter().rev().take(seconds * 10_000).copied().collect();
            last.sort_unstable();
            last[last.len() / 2]
        }
    }

    fn for_each_seed(simulate: impl Fn(u64) + std::panic::RefUnwindSafe) {
        for seed in 0..8 {
            let run = std::panic::catch_unwind(|| simulate(seed));
            assert!(run.is_ok(), "the simulation fails with seed {seed}");
        }
    }

    #[test]
    fn pages_that_compute_run_few_at_a_time_and_no_less_in_all() {
        for_each_seed(|seed| {
            let mut isolate = Isolate::new(seed);
            isolate.run(5, usize::MAX, |_| COMPUTES);
            let rate = isolate.run(30, usize::MAX, |_| COMPUTES);
            assert!(isolate.settled(30) <= 24, "{} at a time", isolate.settled(30));
            assert!(rate > 900.0, "{rate} pages a second of 950");
        });
    }

    /// 0.45 ms of computing, 0.8 ms for each change to the gateway and back, and the gateway refuses others for as long as
    /// the isolate computes. That makes pages slower than those of a quiet site, and is no reason to let few run.
    #[test]
    fn an_isolate_that_shares_its_core_is_not_left_without_work() {
        for_each_seed(|seed| {
            let mut isolate = Isolate::new(seed);
            (isolate.handover, isolate.refusing) = (8, 1);
            let page = Page { waits: 0, computes: 5, streams: 0 };
            isolate.run(5, 2, |_| page);
            isolate.run(15, usize::MAX, |_| page);
            let rate = isolate.run(30, usize::MAX, |_| page);
            let most = 1.0 / (0.000_45 * (2.0 + f64::from(isolate.handover) / f64::from(SLICE)));
            assert!(rate > 0.98 * most, "{rate} of {most} pages a second, {} at a time", isolate.settled(30));
        });
    }

    #[test]
    fn slow_pages_still_run_few_at_a_time() {
        for_each_seed(|seed| {
            let mut isolate = Isolate::new(seed);
            isolate.run(60, usize::MAX, |_| Page { waits: 0, computes: 200, streams: 0 });
            assert!(isolate.settled(10) <= 8, "{} at a time, 20 ms each", isolate.settled(10));
        });
    }

    #[test]
    fn pages_that_wait_run_many_at_a_time() {
        for_each_seed(|seed| {
            let mut isolate = Isolate::new(seed);
            isolate.run(5, usize::MAX, |_| WAITS);
            let rate = isolate.run(30, usize::MAX, |_| WAITS);
            assert!(isolate.settled(30) >= 48, "{} at a time", isolate.settled(30));
            assert!(rate > 500.0, "{rate} pages a second of 630");
        });
    }

    #[test]
    fn it_follows_pages_that_change() {
        for_each_seed(|seed| {
            let mut isolate = Isolate::new(seed);
            isolate.run(10, usize::MAX, |_| COMPUTES);
            isolate.run(15, usize::MAX, |_| WAITS);
            assert!(isolate.settled(5) >= 40, "{} at a time when pages wait", isolate.settled(5));
            isolate.run(25, usize::MAX, |_| COMPUTES);
            assert!(isolate.settled(5) <= 24, "{} at a time when they compute", isolate.settled(5));
        });
    }

    #[test]
    fn a_quiet_site_is_ready_for_many_visitors() {
        for_each_seed(|seed| {
            let mut isolate = Isolate::new(seed);
            isolate.run(10, 4, |_| WAITS);
            assert_eq!(isolate.limiter.limit(), BOUNDS.max);
        });
    }

    #[test]
    fn mixed_pages_do_not_starve_those_that_wait() {
        for_each_seed(|seed| {
            let mut isolate = Isolate::new(seed);
            let mixed = |dice: &mut Dice| if dice.below(2) == 0 { COMPUTES } else { WAITS };
            isolate.run(10, usize::MAX, mixed);
            let rate = isolate.run(20, usize::MAX, mixed);
            assert!(rate > 700.0, "{rate} pages a second");
        });
    }

    /// 0.5 ms of computing and 200 ms of waiting: one isolate can do 2,000 in a second, with 400 at a time.
    const WAITS_LONG: Page = Page { waits: 2000, computes: 5, streams: 0 };

    #[test]
    fn hundreds_run_at_a_time_when_they_wait_and_few_are_refused_for_a_probe() {
        for_each_seed(|seed| {
            let mut isolate = Isolate::within(WIDE, seed);
            isolate.run(5, 512, |_| WAITS_LONG);
            assert!(isolate.settled(1) >= 300, "{} at a time after five seconds", isolate.settled(1));
            let rate = isolate.run(30, 512, |_| WAITS_LONG);
            assert!(isolate.settled(30) >= 350, "{} at a time", isolate.settled(30));
            assert!(rate > 1500.0, "{rate} pages a second of 1700");
        });
    }

    /// Its head comes after 0.5 ms of computing, its last part 300 ms later.
    const STREAMS: Page = Page { waits: 0, computes: 5, streams: 3000 };

    #[test]
    fn hundreds_of_streams_run_at_a_time() {
        for_each_seed(|seed| {
            let mut isolate = Isolate::within(WIDE, seed);
            isolate.run(8, 512, |_| STREAMS);
            let rate = isolate.run(30, 512, |_| STREAMS);
            assert!(isolate.settled(30) >= 400, "{} at a time", isolate.settled(30));
            assert!(rate > 1400.0, "{rate} streams a second of 1700");
        });
    }

    #[test]
    fn few_run_at_a_time_when_they_compute_however_many_might() {
        for_each_seed(|seed| {
            let mut isolate = Isolate::within(WIDE, seed);
            isolate.run(5, usize::MAX, |_| COMPUTES);
            let rate = isolate.run(30, usize::MAX, |_| COMPUTES);
            assert!(isolate.settled(30) <= 24, "{} at a time", isolate.settled(30));
            assert!(rate > 900.0, "{rate} pages a second of 950");
        });
    }

    #[test]
    fn a_crowd_that_waits_is_followed_by_one_that_computes_and_back() {
        for_each_seed(|seed| {
            let mut isolate = Isolate::within(WIDE, seed);
            isolate.run(15, 512, |_| WAITS_LONG);
            isolate.run(10, usize::MAX, |_| COMPUTES);
            assert!(isolate.settled(5) <= 32, "{} at a time when they compute", isolate.settled(5));
            isolate.run(20, 512, |_| WAITS_LONG);
            assert!(isolate.settled(3) >= 300, "{} at a time when they wait", isolate.settled(3));
        });
    }
}
