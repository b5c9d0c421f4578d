//! The queue under whatever may happen, against a model of what an outside observer knows.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use super::AdmissionSettings;
use super::queue::{Action, Event, Queue, Ticket};
use crate::pool::dice::Dice;
use crate::pool::slot::IsolateId;

const SETTINGS: AdmissionSettings =
    AdmissionSettings { max_jobs_per_isolate: 2, queue_wait: Duration::from_millis(250), queue_limit: 3 };

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

/// What an outside observer knows; checked against the queue after each step.
#[derive(Default)]
struct Model {
    running: HashMap<Ticket, IsolateId>,
    waiting: BTreeMap<Ticket, Instant>,
    open: HashSet<IsolateId>,
}

impl Model {
    fn apply(&mut self, actions: &[Action], now: Instant) {
        for action in actions {
            match *action {
                Action::Grant { ticket, isolate, .. } => {
                    assert!(self.open.contains(&isolate), "granted a closed isolate");
                    let overtaken = self.waiting.keys().next().is_some_and(|first| *first < ticket);
                    assert!(!overtaken, "{ticket} overtook one who came before");
                    self.waiting.remove(&ticket);
                    assert!(self.running.insert(ticket, isolate).is_none(), "granted twice");
                }
                Action::Wait { ticket, until } => {
                    assert!(until > now);
                    self.waiting.insert(ticket, until);
                }
                Action::Refuse { ticket, .. } => {
                    self.waiting.remove(&ticket);
                }
            }
        }
    }

    fn load(&self, isolate: IsolateId) -> usize {
        self.running.values().filter(|at| **at == isolate).count()
    }

    fn check(&self, queue: &Queue, now: Instant) {
        assert_eq!(queue.waiting(), self.waiting.len());
        assert!(queue.waiting() <= SETTINGS.queue_limit);
        for isolate in &self.open {
            let load = self.load(*isolate);
            assert_eq!(queue.in_flight(*isolate), load);
            assert!(load <= SETTINGS.max_jobs_per_isolate);
            let busy = load == SETTINGS.max_jobs_per_isolate;
            assert!(busy || self.waiting.is_empty(), "somebody waits beside a free place");
        }
        assert!(self.waiting.values().all(|until| *until > now), "somebody waits beyond his deadline");
    }
}

fn simulate(seed: u64) {
    let mut dice = Dice::new(seed);
    let mut bench = Bench { queue: Queue::new(SETTINGS), now: Instant::now() };
    let mut model = Model::default();
    let mut generation = 0;
    for ticket in 0..400 {
        bench.now += Duration::from_millis(dice.below(60));
        let actions = bench.handle(Event::Ticked);
        model.apply(&actions, bench.now);
        let event = match dice.below(10) {
            0 => {
                generation += 1;
                let id = IsolateId { slot: 0, generation, isolate: 0 };
                model.open.insert(id);
                Event::Opened(id)
            }
            1 if model.open.len() > 1 => {
                let id = *dice.pick(&model.open.iter().copied().collect::<Vec<_>>());
                model.open.remove(&id);
                Event::Closed(id)
            }
            2 if !model.waiting.is_empty() => {
                let gone = *dice.pick(&model.waiting.keys().copied().collect::<Vec<_>>());
                model.waiting.remove(&gone);
                Event::Abandoned(gone)
            }
            3..=6 if !model.running.is_empty() => {
                let mut tickets: Vec<_> = model.running.keys().copied().collect();
                tickets.sort_unstable();
                let done = model.running.remove(dice.pick(&tickets)).unwrap();
                Event::Released(done)
            }
            _ => Event::Wanted { ticket, avoid: None },
        };
        let actions = bench.handle(event);
        model.apply(&actions, bench.now);
        model.check(&bench.queue, bench.now);
    }
}

#[test]
fn whatever_happens_the_places_are_kept_and_nobody_waits_in_vain() {
    for seed in 0..300 {
        let run = std::panic::catch_unwind(|| simulate(seed));
        assert!(run.is_ok(), "the simulation fails with seed {seed}");
    }
}
