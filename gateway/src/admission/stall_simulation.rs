//! Isolates with time to spare that stand still now and then: a collection of the whole heap, or the machine. Whoever would
//! be served in time, as things are in fact, is not refused.

use std::cell::Cell;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::class::Class;
use super::queue::{Action, Event, Queue, Release, Standing, Ticket, Wish};
use super::{AdmissionSettings, RefusalReason};
use crate::pool::dice::Dice;
use crate::pool::slot::IsolateId;

const TICK: Duration = Duration::from_micros(100);
const SECOND: u64 = 10_000;

/// How a run is made.
#[derive(Debug, Clone, Copy)]
struct Case {
    seed: u64,
    isolates: usize,
    /// Hundredths of what the isolates can do without stalls.
    load: u64,
    /// Visitors come in groups of up to so many.
    group: u64,
    /// The gateway stands still too, with all isolates; else each isolate for itself.
    is_machine: bool,
    /// The gateway has its turn every so many ticks.
    turn: u64,
}

/// What happens whatever is decided.
struct Fate {
    /// For each visitor, in order, when he comes and how many ticks his page computes.
    visitors: Vec<(u64, u64)>,
    /// From when until when each isolate stands still.
    stalls: Vec<VecDeque<(u64, u64)>>,
}

impl Fate {
    fn of(case: Case, ticks: u64) -> Self {
        let mut dice = Dice::new(case.seed);
        let (mut visitors, pages) = (Vec::new(), u64::try_from(case.isolates).unwrap());
        for tick in 0..ticks {
            // A page takes ten ticks in the mean; the mean of a group is half a visitor more than half of the most.
            if dice.below(1000 * (case.group + 1)) < 2 * case.load * pages {
                for _ in 0..=dice.below(case.group) {
                    visitors.push((tick, 5 + dice.below(11)));
                }
            }
        }
        let mut stalls = || {
            let (mut all, mut at) = (VecDeque::new(), 0);
            while at < ticks {
                let from = at + SECOND / 2 + dice.below(SECOND * 5 / 2);
                at = from + SECOND / 50 + dice.below(SECOND * 13 / 100 + 1);
                all.push_back((from, at));
            }
            all
        };
        let stalls = match case.is_machine {
            true => vec![stalls(); case.isolates],
            false => (0..case.isolates).map(|_| stalls()).collect(),
        };
        Self { visitors, stalls }
    }

    /// For each visitor how many ticks he would wait if all were let in and stood in one line.
    fn waits(&self) -> Vec<u64> {
        let mut stalls = self.stalls.clone();
        let mut free_at = vec![0; stalls.len()];
        let wait = |&(came, computes): &(u64, u64)| {
            let (isolate, free) = free_at.iter().copied().enumerate().min_by_key(|(_, free)| *free).unwrap();
            let (mut now, mut left) = (came.max(free), computes);
            let begins = now;
            while let Some(&(from, until)) = stalls[isolate].front()
                && now + left > from
            {
                left -= from.saturating_sub(now);
                now = now.max(until);
                stalls[isolate].pop_front();
            }
            free_at[isolate] = now + left;
            begins - came
        };
        self.visitors.iter().map(wait).collect()
    }
}

#[derive(Debug, Default)]
struct Seen {
    /// Visitors, by their numbers.
    refused: Vec<Ticket>,
    late: usize,
    granted: usize,
}

struct World {
    queue: Queue,
    now: Instant,
    visitors: Vec<(u64, u64)>,
    /// For each isolate what it has before it; the first of them runs.
    jobs: Vec<VecDeque<(Instant, u64)>>,
    /// What the gateway has not seen yet.
    unseen: Vec<Event>,
    seen: Seen,
}

impl World {
    fn handle(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.queue.handle(event, self.now, &mut actions);
        for action in actions {
            match action {
                Action::Grant { ticket, isolate, .. } => {
                    self.seen.granted += 1;
                    let (_, computes) = self.visitors[usize::try_from(ticket).unwrap()];
                    self.jobs[isolate.slot].push_back((self.now, computes));
                }
                Action::Wait { .. } => {}
                Action::Refuse { reason: RefusalReason::QueueTimeout, .. } => self.seen.late += 1,
                Action::Refuse { ticket, .. } => self.seen.refused.push(ticket),
            }
        }
    }

    fn run(&mut self, slot: usize) {
        let Some((began, left)) = self.jobs[slot].front_mut() else { return };
        *left -= 1;
        if *left == 0 {
            let held = self.now - *began;
            self.jobs[slot].pop_front();
            let release =
                Release { isolate: isolate(slot), standing: Standing::Place, held, is_answered: true };
            self.unseen.push(Event::Released(release));
        }
    }
}

fn isolate(slot: usize) -> IsolateId {
    IsolateId { slot, generation: 1, isolate: 0 }
}

/// So many seconds, with what is refused and what would have been.
fn simulate(case: Case, seconds: u64) -> Seen {
    let ticks = seconds * SECOND;
    let Fate { visitors, mut stalls } = Fate::of(case, ticks);
    let mut world = World {
        queue: Queue::new(AdmissionSettings::DEFAULT),
        now: Instant::now(),
        visitors,
        jobs: vec![VecDeque::new(); case.isolates],
        unseen: Vec::new(),
        seen: Seen::default(),
    };
    (0..case.isolates).for_each(|slot| world.handle(Event::Opened(isolate(slot))));
    let mut next = 0;
    for tick in 0..ticks {
        world.now += TICK;
        while let Some((came, _)) = world.visitors.get(next)
            && *came <= tick
        {
            let wait = AdmissionSettings::DEFAULT.queue_wait;
            let ticket = Ticket::try_from(next).unwrap();
            world.unseen.push(Event::Wanted(Wish { ticket, avoid: None, class: Class::Document, wait }));
            next += 1;
        }
        let mut stands = false;
        for (slot, stalls) in stalls.iter_mut().enumerate() {
            stalls.pop_front_if(|(_, until)| *until <= tick);
            stands = stalls.front().is_some_and(|(from, _)| *from <= tick);
            if !stands {
                world.run(slot);
            }
        }
        if tick % case.turn == 0 && !(case.is_machine && stands) {
            let unseen = std::mem::take(&mut world.unseen);
            unseen.into_iter().chain([Event::Ticked]).for_each(|event| world.handle(event));
        }
    }
    world.seen
}

fn for_each_case(loads: &[u64], check: impl Fn(Case)) {
    for seed in 0..3 {
        for (isolates, load) in loads.iter().flat_map(|load| [(1, *load), (3, *load)]) {
            for (group, is_machine, turn) in [(1, false, 1), (1, true, 30), (40, false, 30), (40, true, 1)] {
                check(Case { seed, isolates, load, group, is_machine, turn });
            }
        }
    }
}

fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_micros() / TICK.as_micros()).unwrap()
}

#[test]
fn isolates_that_stall_at_half_their_load_refuse_nobody_who_would_be_served() {
    let queue_wait = AdmissionSettings::DEFAULT.queue_wait;
    let (served, in_vain) = (Cell::new(0), Cell::new(0));
    for_each_case(&[40, 60], |case| {
        let waits = Fate::of(case, 20 * SECOND).waits();
        let Seen { refused, late, granted } = simulate(case, 20);
        let of = |ticket: &Ticket| waits[usize::try_from(*ticket).unwrap()];
        let within = |time: Duration| refused.iter().filter(|ticket| of(ticket) < ticks(time)).count();
        let told = format!("{case:?}: {} refused, {late} late, {granted} served", refused.len());
        assert_eq!(within(queue_wait * 7 / 10), 0, "would have been served soon: {told}");
        if case.group == 1 {
            assert_eq!((refused.len(), late), (0, 0), "{told}");
        }
        served.set(served.get() + granted);
        in_vain.set(in_vain.get() + within(queue_wait));
    });
    // Groups for whom it was close: the estimate keeps three tenths of the time for what it does not know.
    let (served, in_vain) = (served.get(), in_vain.get());
    assert!(in_vain * 10_000 < served, "{in_vain} were refused who would have been served; {served} were");
}

#[test]
fn isolates_that_stall_under_an_overload_refuse_at_once() {
    for_each_case(&[200], |case| {
        let Seen { refused, late, granted } = simulate(case, 20);
        let told = format!("{case:?}: {} refused, {late} late, {granted} served", refused.len());
        assert!(late * 100 < refused.len(), "too many waited in vain: {told}");
        // Stalls take a twentieth of the time.
        assert!(granted > 18_000 * case.isolates, "the isolates had nothing to do: {told}");
    });
}
