//! The queue under whatever may happen, against a model of what an outside observer knows.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use super::class::Class;
use super::queue::{Action, Event, Queue, Release, Standing, Ticket, Wish};
use super::{AdmissionSettings, RefusalReason};
use crate::pool::dice::Dice;
use crate::pool::slot::IsolateId;

const SETTINGS: AdmissionSettings = AdmissionSettings {
    max_jobs_per_isolate: 6,
    min_jobs_per_isolate: 1,
    max_event_streams_per_isolate: 2,
    max_slow_clients_per_isolate: 3,
    queue_limit: 4,
    ..AdmissionSettings::DEFAULT
};

struct Bench {
    queue: Queue,
    now: Instant,
}

impl Bench {
    fn handle(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        self.queue.handle(event, self.now, &mut actions);
        actions
    }
}

/// One who runs.
#[derive(Debug, Clone, Copy)]
struct Running {
    isolate: IsolateId,
    since: Instant,
    standing: Standing,
}

/// What an outside observer knows; checked against the queue after each step.
#[derive(Default)]
struct Model {
    running: BTreeMap<Ticket, Running>,
    waiting: BTreeMap<Ticket, (Class, Instant)>,
    open: HashSet<IsolateId>,
    refused: HashMap<RefusalReason, usize>,
}

impl Model {
    fn apply(&mut self, wished: Option<Class>, actions: &[Action], now: Instant) {
        for action in actions {
            match *action {
                Action::Grant { ticket, isolate, .. } => {
                    assert!(self.open.contains(&isolate), "granted a closed isolate");
                    if let Some((class, deadline)) = self.waiting.remove(&ticket) {
                        let overtaken =
                            self.waiting.values().any(|(other, until)| *other == class && *until < deadline);
                        assert!(!overtaken, "{ticket} overtook one whose deadline comes first");
                    }
                    let running = Running { isolate, since: now, standing: Standing::Place };
                    assert!(self.running.insert(ticket, running).is_none(), "granted twice");
                }
                Action::Wait { ticket, until } => {
                    assert!(until > now);
                    self.waiting.insert(ticket, (wished.unwrap(), until));
                }
                Action::Refuse { ticket, reason } => {
                    let waited = self.waiting.remove(&ticket);
                    if reason == RefusalReason::Shed {
                        assert!(waited.unwrap().0 > wished.unwrap(), "only a lower class is shed");
                    }
                    *self.refused.entry(reason).or_default() += 1;
                }
            }
        }
    }

    fn check(&self, queue: &Queue, now: Instant) {
        assert_eq!(queue.waiting(), self.waiting.len());
        assert!(queue.waiting() <= SETTINGS.queue_limit);
        for isolate in &self.open {
            let load = self.running.values().filter(|job| job.isolate == *isolate).count();
            assert_eq!(queue.in_flight(*isolate), load);
        }
        let open = || self.running.values().filter(|job| self.open.contains(&job.isolate));
        let jobs = open().filter(|job| job.standing == Standing::Place).count();
        assert!(jobs >= queue.limit() || self.waiting.is_empty(), "somebody waits beside a free place");
        // Whoever went on again has a place beyond the others', but was one of so many before.
        let slow = open().filter(|job| job.standing == Standing::Slow).count();
        let most = SETTINGS.max_jobs_per_isolate + SETTINGS.max_slow_clients_per_isolate;
        assert!(jobs + slow <= most * self.open.len());
        assert!(self.waiting.values().all(|(_, until)| *until > now), "somebody waits beyond his deadline");
    }
}

/// What may happen next.
fn chance(ticket: Ticket, dice: &mut Dice, bench: &Bench, model: &mut Model, generation: &mut u64) -> Event {
    let pick = |dice: &mut Dice, tickets: Vec<Ticket>| (!tickets.is_empty()).then(|| *dice.pick(&tickets));
    let wish = |dice: &mut Dice| {
        let wait = *dice.pick(&[Duration::from_millis(250), Duration::from_millis(80)]);
        Event::Wanted(Wish { ticket, avoid: None, class: *dice.pick(&Class::ALL), wait })
    };
    match dice.below(16) {
        0 => {
            *generation += 1;
            let id = IsolateId { slot: 0, generation: *generation, isolate: 0 };
            model.open.insert(id);
            Event::Opened(id)
        }
        1 if model.open.len() > 1 => {
            let id = *dice.pick(&model.open.iter().copied().collect::<Vec<_>>());
            model.open.remove(&id);
            Event::Closed(id)
        }
        2 => match pick(dice, model.waiting.keys().copied().collect()) {
            Some(ticket) => {
                let (class, deadline) = model.waiting.remove(&ticket).unwrap();
                Event::Abandoned { ticket, class, deadline }
            }
            None => wish(dice),
        },
        3 => match pick(dice, model.running.keys().copied().collect())
            .and_then(|job| model.running.get_mut(&job))
        {
            Some(job) => {
                let to = *dice.pick(&[Standing::Place, Standing::Stream, Standing::Slow, Standing::Slow]);
                if to == job.standing || !bench.queue.may_move(job.isolate, to) {
                    return wish(dice);
                }
                let from = std::mem::replace(&mut job.standing, to);
                Event::Moved { isolate: job.isolate, from, to }
            }
            None => wish(dice),
        },
        4..=8 => match pick(dice, model.running.keys().copied().collect())
            .and_then(|job| model.running.remove(&job))
        {
            Some(Running { isolate, since, standing }) => {
                let held = bench.now - since;
                let is_answered = dice.below(4) > 0;
                Event::Released(Release { isolate, standing, held, is_answered })
            }
            None => wish(dice),
        },
        _ => wish(dice),
    }
}

fn simulate(seed: u64) -> HashMap<RefusalReason, usize> {
    let mut dice = Dice::new(seed);
    let mut bench = Bench { queue: Queue::new(SETTINGS), now: Instant::now() };
    let (mut model, mut generation) = (Model::default(), 0);
    for ticket in 0..600 {
        bench.now += Duration::from_millis(dice.below(20));
        let actions = bench.handle(Event::Ticked);
        model.apply(None, &actions, bench.now);
        let event = chance(ticket, &mut dice, &bench, &mut model, &mut generation);
        let wished = if let Event::Wanted(wish) = &event { Some(wish.class) } else { None };
        let actions = bench.handle(event);
        model.apply(wished, &actions, bench.now);
        model.check(&bench.queue, bench.now);
    }
    model.refused
}

#[test]
fn whatever_happens_the_places_are_kept_and_nobody_waits_in_vain() {
    let mut refused = HashSet::new();
    for seed in 0..300 {
        match std::panic::catch_unwind(|| simulate(seed)) {
            Ok(reasons) => refused.extend(reasons.into_keys()),
            Err(_) => panic!("the simulation fails with seed {seed}"),
        }
    }
    for reason in
        [RefusalReason::QueueFull, RefusalReason::QueueTimeout, RefusalReason::WouldWait, RefusalReason::Shed]
    {
        assert!(refused.contains(&reason), "{reason:?} never came up");
    }
}
