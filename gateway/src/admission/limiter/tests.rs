//! Isolates whose limit is found out, tick by tick.

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
    /// For each tick of the isolate, so many of the gateway while there are visitors to refuse.
    refusing: u32,
    slice_left: u32,
    /// Whether it tells how long it was idle.
    tells: bool,
    told: Instant,
    idle: Duration,
    /// Something else than a want of jobs lets it be idle for half of the time that it tells of.
    is_held_up: bool,
}

/// How often it does.
const TELL_EVERY: Duration = Duration::from_millis(100);

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
            tells: seed >= SILENT,
            told: now,
            idle: Duration::ZERO,
            is_held_up: false,
        }
    }

    /// The gateway's turn, if it is: says whether jobs may come now.
    fn hands_over(&mut self, refuses: bool) -> bool {
        let can_run = self.jobs.iter().any(|job| job.waits_until <= self.now);
        if can_run && self.slice_left > 0 {
            self.slice_left -= 1;
            return self.handover == 0;
        }
        let ran = SLICE - std::mem::replace(&mut self.slice_left, SLICE);
        let took = TICK * (self.handover + if refuses { ran * self.refusing } else { 0 });
        self.now += took;
        if !can_run {
            self.idle += took;
        }
        true
    }

    fn tell(&mut self) {
        let passed = self.now - self.told;
        if self.tells && passed >= TELL_EVERY {
            let idle = std::mem::take(&mut self.idle);
            self.limiter.told(if self.is_held_up { passed / 2 } else { idle }, passed, self.now);
            self.told = self.now;
        }
    }

    /// Runs for so long, fully loaded or with at most `visitors` at a time; the jobs done in a second.
    fn run(&mut self, seconds: u32, visitors: usize, page: impl Fn(&mut Dice) -> Page) -> f64 {
        let (end, mut done) = (self.now + Duration::from_secs(seconds.into()), 0u32);
        while self.now < end {
            let may_come = self.hands_over(self.limiter.limit() < visitors);
            while may_come && self.jobs.len() < self.limiter.limit().min(visitors) {
                let Page { waits, computes, streams } = page(&mut self.dice);
                let spread = |ticks: u64, dice: &mut Dice| ticks / 2 + dice.below(ticks + 1);
                let waits = spread(waits, &mut self.dice);
                let waits_until = self.now + TICK * u32::try_from(waits).unwrap();
                let computes = spread(computes, &mut self.dice).max(1);
                let streams = spread(streams, &mut self.dice);
                self.jobs.push(Job { began: self.now, waits_until, computes, streams });
                self.limiter.runs(self.jobs.len(), self.now);
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
                    self.limiter.runs(self.jobs.len(), now);
                    self.limiter.answered(took, now);
                    done += 1;
                }
            } else {
                self.idle += TICK;
            }
            self.tell();
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

/// Seeds below do not tell how long they were idle.
const SILENT: u64 = 8;

fn for_each_seed(simulate: impl Fn(u64) + std::panic::RefUnwindSafe) {
    for_seeds(0..SILENT + 4, simulate);
}

fn for_seeds(seeds: std::ops::Range<u64>, simulate: impl Fn(u64) + std::panic::RefUnwindSafe) {
    for seed in seeds {
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

/// An isolate can do 2,000 in a second, which takes 6,000 at a time.
#[test]
fn pages_that_wait_for_seconds_run_by_the_hundred() {
    for_seeds(SILENT - 2..SILENT + 2, |seed| {
        let mut isolate = Isolate::within(WIDE, seed);
        let slow = |_: &mut Dice| Page { waits: 30_000, computes: 5, streams: 0 };
        isolate.run(30, 512, slow);
        assert!(isolate.settled(1) >= 400, "{} at a time after thirty seconds", isolate.settled(1));
        let rate = isolate.run(20, 512, slow);
        assert!(rate > 150.0, "{rate} pages a second of 170");
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

#[test]
fn an_isolate_that_is_idle_for_another_reason_does_not_get_more_and_more() {
    for_seeds(SILENT..SILENT + 8, |seed| {
        let mut isolate = Isolate::within(WIDE, seed);
        isolate.is_held_up = true;
        isolate.run(5, usize::MAX, |_| COMPUTES);
        isolate.run(30, usize::MAX, |_| COMPUTES);
        assert!(isolate.settled(30) <= 48, "{} at a time", isolate.settled(30));
    });
}

/// 7 ms of computing.
const HEAVY: Page = Page { waits: 0, computes: 70, streams: 0 };

/// After pages of which few are enough comes a crowd for pages that wait, with its next request at once after each refusal:
/// that takes more than half of the isolate's core, until all have a place. The pages done in a second.
fn after_heavy(seed: u64, page: impl Fn(&mut Dice) -> Page) -> f64 {
    let mut isolate = Isolate::within(WIDE, seed);
    (isolate.handover, isolate.refusing) = (8, 1);
    isolate.run(15, 400, |_| HEAVY);
    assert!(isolate.settled(5) <= 8, "{} at a time, 7 ms each", isolate.settled(5));
    isolate.run(4, 400, &page);
    isolate.run(8, 400, page)
}

#[test]
fn a_limit_that_was_low_rises_within_seconds() {
    for_seeds(SILENT..SILENT + 8, |seed| {
        let rate = after_heavy(seed, |_| WAITS_LONG);
        assert!(rate > 850.0, "{rate} pages a second of 980 while others are refused; 16 without a word");
    });
}

/// 2 ms of computing before a stream's last part.
#[test]
fn pages_that_wait_and_compute_keep_the_isolate_at_work() {
    for_seeds(SILENT..SILENT + 8, |seed| {
        let rate = after_heavy(seed, |_| Page { waits: 0, computes: 20, streams: 3000 });
        assert!(rate > 180.0, "{rate} pages a second of 220 while others are refused; 10 without a word");
    });
}

#[test]
fn a_mix_of_pages_keeps_the_isolate_at_work() {
    let mixed = |dice: &mut Dice| if dice.below(2) == 0 { COMPUTES } else { WAITS_LONG };
    let rates: Vec<_> = (SILENT..SILENT + 8).map(|seed| after_heavy(seed, mixed)).collect();
    let mean = rates.iter().sum::<f64>() / 8.0;
    assert!(mean > 400.0, "{rates:?} pages a second of 580 while others are refused; 146 without a word");
}
