//! An isolate in front of which more want in than it can do, at a speed that changes from one second to the next.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::class::Class;
use super::queue::{Action, Event, Queue, Release, Standing, Wish};
use super::{AdmissionSettings, RefusalReason};
use crate::pool::dice::Dice;
use crate::pool::slot::IsolateId;

const ISOLATE: IsolateId = IsolateId { slot: 0, generation: 1, isolate: 0 };
const TICK: Duration = Duration::from_micros(50);

/// What a page costs, in ticks, while the machine is fast; it is so for some hundred milliseconds, then half as fast.
const PAGE: u64 = 12;

/// Ticks from one report of how long the isolate was idle to the next.
const TELL_EVERY: u64 = 2000;

#[derive(Debug, Default)]
struct Seen {
    done: u32,
    idle: u32,
    at_once: u32,
    in_vain: u32,
    waits: Vec<Duration>,
}

struct World {
    queue: Queue,
    now: Instant,
    /// What the isolate has before it; the first of them runs.
    jobs: VecDeque<(Instant, u64)>,
    /// What the gateway has not seen yet: it has its turn now and then, and takes all together.
    unseen: Vec<Event>,
    seen: Seen,
}

impl World {
    fn handle(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.queue.handle(event, self.now, &mut actions);
        for action in actions {
            match action {
                Action::Grant { waited, .. } => {
                    self.seen.waits.push(waited);
                    self.jobs.push_back((self.now, PAGE));
                }
                Action::Wait { .. } => {}
                Action::Refuse { reason: RefusalReason::QueueTimeout, .. } => self.seen.in_vain += 1,
                Action::Refuse { .. } => self.seen.at_once += 1,
            }
        }
    }

    fn run(&mut self) {
        let Some((began, left)) = self.jobs.front_mut() else {
            self.seen.idle += 1;
            return;
        };
        *left -= 1;
        if *left == 0 {
            let held = self.now - *began;
            self.jobs.pop_front();
            self.seen.done += 1;
            let release = Release { isolate: ISOLATE, standing: Standing::Place, held, is_answered: true };
            self.unseen.push(Event::Released(release));
        }
    }

    /// The gateway's turn: those who came, then what the isolate says, as it has many connections and one link.
    fn take_all(&mut self) {
        let unseen = std::mem::take(&mut self.unseen);
        let (came, left): (Vec<_>, Vec<_>) =
            unseen.into_iter().partition(|event| matches!(event, Event::Wanted(_)));
        came.into_iter().chain(left).chain([Event::Ticked]).for_each(|event| self.handle(event));
    }
}

/// Twelve seconds at `factor` times of what it can do while it is fast. The gateway has its turn every so many ticks.
fn overload(seed: u64, factor: u64, turn: u64, tells: bool) -> Seen {
    let mut dice = Dice::new(seed);
    let mut world = World {
        queue: Queue::new(AdmissionSettings::DEFAULT),
        now: Instant::now(),
        jobs: VecDeque::new(),
        unseen: Vec::new(),
        seen: Seen::default(),
    };
    world.handle(Event::Opened(ISOLATE));
    let (mut ticket, mut is_slow, mut changes_at) = (0, false, 4000);
    let mut idle_before = 0;
    for tick in 0..240_000u64 {
        world.now += TICK;
        if tick == 40_000 {
            // What the limits of the isolate become belongs to what follows.
            (world.seen, idle_before) = (Seen::default(), 0);
        }
        if tells && tick % TELL_EVERY == 0 {
            let idle = TICK * (world.seen.idle - std::mem::replace(&mut idle_before, world.seen.idle));
            world.unseen.push(Event::Told { isolate: ISOLATE, idle, passed: TICK * 2000 });
        }
        if tick == changes_at {
            is_slow = !is_slow;
            changes_at += 4000 + dice.below(16_000);
        }
        if dice.below(PAGE) < factor {
            ticket += 1;
            let wait = AdmissionSettings::DEFAULT.queue_wait;
            world.unseen.push(Event::Wanted(Wish { ticket, avoid: None, class: Class::Document, wait }));
        }
        if tick % turn == 0 {
            world.take_all();
        }
        if !is_slow || tick % 2 == 0 {
            world.run();
        }
    }
    world.seen
}

#[test]
fn an_overload_keeps_the_isolate_at_work_and_refuses_at_once() {
    for (seed, tells) in [0, 1, 2, 3].into_iter().flat_map(|seed| [(seed, false), (seed, true)]) {
        for (factor, turn) in [(2, 1), (5, 1), (10, 1), (2, 100), (5, 100), (10, 100), (10, 160)] {
            let mut seen = overload(seed, factor, turn, tells);
            let told = format!(
                "seed {seed}, tells {tells}, {factor} times, a turn every {turn} ticks: {} done, {} idle, {} refused at once, {} in vain",
                seen.done, seen.idle, seen.at_once, seen.in_vain
            );
            let busy = f64::from(seen.done) * PAGE as f64;
            assert!(f64::from(seen.idle) < busy / 20.0, "the isolate had nothing to do: {told}");
            assert!(seen.in_vain * 100 < seen.at_once, "too many waited in vain: {told}");
            seen.waits.sort_unstable();
            let late = seen.waits[seen.waits.len() * 99 / 100];
            assert!(late <= Duration::from_millis(200), "{late:?} to wait: {told}");
        }
    }
}
