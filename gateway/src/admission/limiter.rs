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
//!     the isolate is idle               ->  the limit grows to what keeps it at work, at most fourfold
//!   a probe, every 10 s too: half the limit for one window
//!     as many answers as before         ->  the other half only waited: the lower limit stays, and its time is the
//!                                           new measure of quick; probe again
//!     fewer                             ->  the limit was of use: back
//!     far fewer                         ->  back, and no probe for a minute: each refuses visitors
//! ```
//!
//! Without the probe a lasting overload would become the measure of what is quick.
//!
//! A probe guesses whether jobs wait or compute, refuses visitors, and those who come again at once take the core from
//! what it measures. Where the isolate tells how much of the time its thread was idle (neither ran nor waited for its
//! core), there is nothing to guess: one that is idle while as many jobs run as may waits for something else, or for its
//! next job, and has room for as many more as keep it at work. No probe is made then, and one that shows it has ended.
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

/// An isolate whose thread was idle for more than this part of the time has too few jobs, while as many ran as might for at
/// least the other part.
const IDLE: f64 = 0.25;
const MOSTLY_FULL: f64 = 0.8;

/// Nor does it get fewer when it was idle for more than this with half of them.
const IDLE_WITH_HALF: f64 = 0.1;

/// While it is idle for more than this, jobs hold their places for as long as few do: they do not wait for each other.
const MOSTLY_IDLE: f64 = 0.5;

/// The part of the time that it is to be at work then, and how many times as many may run for it after one window: what
/// comes next may be other pages.
const AT_WORK: f64 = 0.95;
const MOST_GROWTH: f64 = 4.0;

/// If it is idle still, and twice in turn answers have not grown by this part of what places have, it was not for want of
/// jobs (the gateway is slow to take what it answers): back, and no more of that for a while. When they have fallen below
/// [`OTHERS`], pages are others than before, and nothing is known of them.
const OF_USE: f64 = 0.25;
const OTHERS: f64 = 0.7;
const SATED: Duration = Duration::from_secs(3);

/// Reports of idle time are waited for as long as the last one is not older.
const REPORTED: Duration = Duration::from_secs(1);

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
    /// How the limit grew last for an idle isolate.
    growth: Option<Growth>,
    /// Until then an idle isolate gets no more.
    sated_until: Option<Instant>,
    /// Since when as many run as may, and for how long they did before, since it last told.
    full_since: Option<Instant>,
    full: Duration,
    /// When the isolate last told of its idle time.
    reported: Option<Instant>,
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
    /// The isolate has told of its idle time since the first answer.
    was_told: bool,
    /// Time of that in which as many ran as might, and how much of it the isolate's thread was idle.
    told: Duration,
    idle: Duration,
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
        let Self { answers_per_second, seconds, .. } = self;
        Seen { answers_per_second, seconds, was_full: true, idle: None }
    }
}

/// How the limit grew for an idle isolate.
#[derive(Debug, Clone, Copy)]
struct Growth {
    from: f64,
    answers_per_second: f64,
    /// The limit before the last growth that was of use.
    back_to: f64,
    /// The one before was of no use either.
    disappointed: bool,
}

impl Growth {
    /// Whether the isolate, idle still with the limit that it has now, answers no more than it did.
    fn disappoints(self, limit: f64, seen: Seen) -> bool {
        let gain = seen.answers_per_second / self.answers_per_second.max(f64::EPSILON);
        gain >= OTHERS && gain < 1.0 + (limit / self.from - 1.0) * OF_USE
    }
}

impl Window {
    fn new(now: Instant) -> Self {
        let (was_told, told, idle) = Default::default();
        Self { began: now, first: None, samples: 0, seconds: 0.0, was_full: false, was_told, told, idle }
    }

    /// The part of the time that the isolate's thread was idle, if it told.
    fn idle_share(&self) -> Option<f64> {
        (!self.told.is_zero()).then(|| self.idle.as_secs_f64() / self.told.as_secs_f64())
    }
}

/// What a window has shown.
#[derive(Debug, Clone, Copy)]
struct Seen {
    answers_per_second: f64,
    seconds: f64,
    was_full: bool,
    /// The part of the time that the isolate was idle though as many ran as might, if it told.
    idle: Option<f64>,
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
            growth: None,
            sated_until: None,
            full_since: None,
            full: Duration::ZERO,
            reported: None,
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

    /// So many run from now on.
    pub fn runs(&mut self, jobs: usize, now: Instant) {
        if jobs >= self.limit() {
            self.window.was_full = true;
            self.full_since.get_or_insert(now);
        } else if let Some(since) = self.full_since.take() {
            self.full += now.saturating_duration_since(since);
        }
    }

    /// The isolate's thread was idle for so much of the time that has `passed` since it last told: it neither ran nor waited
    /// for its core.
    pub fn told(&mut self, idle: Duration, passed: Duration, now: Instant) {
        self.reported = Some(now);
        let full = self.full_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let full = std::mem::take(&mut self.full) + full;
        self.full_since = self.full_since.map(|_| now);
        // What was before the first answer that counts is the time under another limit.
        let began = now.checked_sub(passed);
        if self.window.first.is_some_and(|first| began.is_some_and(|began| began >= first)) {
            self.window.was_told = true;
            if full.as_secs_f64() >= passed.as_secs_f64() * MOSTLY_FULL {
                self.window.told += passed;
                self.window.idle += idle.min(passed);
            }
        }
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
        if (elapsed >= WINDOW && self.window.samples >= self.samples() && !self.will_be_told(now)) || is_long
        {
            let seen = self.seen(elapsed.max(WINDOW));
            self.window = Window::new(now);
            self.decide(seen, now);
        }
    }

    /// Answers that the window needs: two of each job will do where nothing is to be learned from their times.
    fn samples(&self) -> u32 {
        match self.window.idle_share() {
            Some(idle) if idle > IDLE => SAMPLES.min(u32::try_from(2 * self.limit()).unwrap_or(SAMPLES)),
            _ => SAMPLES,
        }
    }

    /// Whether the isolate tells of its idle time, and has not yet told of this window's.
    fn will_be_told(&self, now: Instant) -> bool {
        let reports = self.reported.is_some_and(|at| now.saturating_duration_since(at) < REPORTED);
        reports && !self.window.was_told
    }

    fn seen(&self, elapsed: Duration) -> Seen {
        let Window { samples, seconds, was_full, .. } = self.window;
        let samples = f64::from(samples);
        let (answers_per_second, seconds) = (samples / elapsed.as_secs_f64(), seconds / samples);
        Seen { answers_per_second, seconds, was_full, idle: self.window.idle_share() }
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
        if let Some(idle) = self.has_too_few(seen, IDLE, now) {
            return self.fill(seen, idle, now);
        }
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

    /// What part of the time the isolate is idle for want of jobs, if it is for more than `least`.
    fn has_too_few(&self, seen: Seen, least: f64, now: Instant) -> Option<f64> {
        seen.idle.filter(|idle| *idle > least && self.sated_until.is_none_or(|until| now >= until))
    }

    /// As many as keep the isolate at work, if each brings as much as those before it. While it is idle, jobs hold their
    /// places for as long as few do.
    fn fill(&mut self, seen: Seen, idle: f64, now: Instant) {
        let growth = self.growth.take();
        let disappoints = growth.is_some_and(|growth| growth.disappoints(self.limit, seen));
        // Once may be chance, or pages that had begun to be others.
        let back_to = growth.filter(|_| disappoints).map_or(self.limit, |growth| growth.back_to);
        if disappoints && growth.is_some_and(|growth| growth.disappointed) {
            self.sated_until = Some(now + SATED);
            return self.set(back_to, now);
        }
        if idle > MOSTLY_IDLE {
            self.quick = Some(seen.seconds);
        }
        self.probe_at = self.probe_at.max(Some(now + PROBE_EVERY));
        let most = if disappoints { MOST_GROWTH / 2.0 } else { MOST_GROWTH };
        let factor = (AT_WORK / (1.0 - idle).max(f64::EPSILON)).min(most);
        let (from, answers_per_second) = (self.limit, seen.answers_per_second);
        self.set((from * factor).max(from + 1.0), now);
        self.growth = Some(Growth { from, answers_per_second, back_to, disappointed: disappoints });
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
        let is_idle = self.has_too_few(seen, IDLE_WITH_HALF, now).is_some();
        let is_waiting =
            is_idle || seen.was_full && seen.answers_per_second <= probe.answers_per_second * WAITING;
        self.waiting = is_waiting.then(|| probe.seen());
        self.probe_at = Some(now + if is_waiting { SELDOM_PROBE } else { PROBE_EVERY });
        // With room to spare it was the visitors who became fewer.
        let was_useless =
            seen.was_full && !is_idle && seen.answers_per_second >= probe.answers_per_second * ENOUGH;
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
        self.growth = None;
    }
}

#[cfg(test)]
mod tests;
