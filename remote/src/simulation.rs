//! Callers and workers on a network that drops messages and on which workers die. A failure prints its seed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use shared::head::ResponseHead;
use shared::message::{Caller as Who, FromWorker, Message, NativeCall, Outcome, ToWorker};

use crate::answerer::{Answerer, GATEWAY_SILENCE};
use crate::caller::{Caller, Limits, LossCause};
use crate::subject::{DEFAULT_PREFIX, Subjects};

const LIMITS: Limits = Limits {
    accept_timeout: Duration::from_secs(2),
    ping_interval: Duration::from_millis(500),
    worker_silence: Duration::from_secs(2),
};

/// Numbers from a seed (Knuth's multiplier).
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

struct Node {
    core: Answerer,
    alive: bool,
    /// Calls that its functions are at, by its own ids: the gateway's number of the call, and the pieces left.
    running: HashMap<u64, (u32, u32)>,
}

struct World {
    dice: Dice,
    now: Instant,
    subjects: Subjects,
    caller: Caller,
    workers: Vec<Node>,
    /// One message in so many is dropped; none when 0.
    drops: u64,
    network: VecDeque<crate::Packet>,
    /// How often each call began, by its number.
    begun: HashMap<u32, u32>,
    ended: HashMap<u64, FromWorker>,
    next: u64,
}

impl World {
    fn new(seed: u64, drops: u64) -> Self {
        let subjects = Subjects::new(DEFAULT_PREFIX).unwrap();
        let node = |name: u32| Node {
            core: Answerer::new(format!("worker{name}")),
            alive: true,
            running: HashMap::new(),
        };
        let mut caller = Caller::new(subjects.clone(), subjects.inbox("here"), LIMITS);
        caller.set_max_payload(64);
        let mut workers: Vec<_> = (0..3).map(node).collect();
        workers.iter_mut().for_each(|node| node.core.set_max_payload(64));
        Self {
            dice: Dice(seed),
            now: Instant::now(),
            subjects,
            caller,
            workers,
            drops,
            network: VecDeque::new(),
            begun: HashMap::new(),
            ended: HashMap::new(),
            next: 1,
        }
    }

    fn call(&mut self) {
        let id = self.next;
        self.caller.open(id, self.subjects.function("f"));
        self.send_call(id);
    }

    /// One that is for this worker first.
    fn call_at(&mut self, worker: u64) {
        let id = self.next;
        self.caller.open_at(id, &format!("worker{worker}"), self.subjects.function("f"));
        self.send_call(id);
    }

    fn send_call(&mut self, id: u64) {
        self.next = id + 1;
        let mut frames = BytesMut::new();
        let call = NativeCall {
            name: "f".into(),
            caller: Who::Client,
            deadline_ms: 1,
            request_id: id.to_string(),
            head: Bytes::new(),
            input: vec![b'a'; usize::try_from(self.dice.throw(300)).unwrap()].into(),
        };
        ToWorker::Call { id, call }.encode(&mut frames);
        self.caller.send(&mut frames);
        self.caller.flush(self.now);
    }

    fn cancel(&mut self) {
        let id = 1 + self.dice.throw(self.next);
        let mut frames = BytesMut::new();
        ToWorker::Cancel { id }.encode(&mut frames);
        self.caller.send(&mut frames);
        self.caller.flush(self.now);
        // Nobody waits for it any more.
        self.ended.entry(id).or_insert(FromWorker::Lost { id });
    }

    fn work(&mut self) {
        let at = usize::try_from(self.dice.throw(3)).unwrap();
        let answer = usize::try_from(self.dice.throw(400)).unwrap();
        let node = &mut self.workers[at];
        let Some(id) = node.running.keys().next().copied().filter(|_| node.alive) else { return };
        node.running.remove(&id);
        let mut frames = BytesMut::new();
        FromWorker::Reply { id, outcome: Outcome::Value(vec![b'1'; answer].into()) }.encode(&mut frames);
        node.core.send(&mut frames);
    }

    /// Hands every message on, or drops it.
    fn deliver(&mut self) {
        while let Some(packet) = self.caller.next_packet() {
            self.network.push_back(packet);
        }
        for node in self.workers.iter_mut().filter(|node| node.alive) {
            while let Some(packet) = node.core.next_packet() {
                self.network.push_back(packet);
            }
        }
        while let Some(packet) = self.network.pop_front() {
            if self.drops > 0 && self.dice.throw(self.drops) == 0 {
                continue;
            }
            self.hand_over(packet);
        }
        self.take_in();
    }

    fn hand_over(&mut self, packet: crate::Packet) {
        if let Some(tail) = packet.subject.strip_prefix("isopod.to.here.") {
            return self.caller.receive(tail, packet.payload, self.now);
        }
        let alive: Vec<usize> = (0..3).filter(|at| self.workers[*at].alive).collect();
        let to = match packet.subject.strip_prefix("isopod.at.worker") {
            Some(number) => number.parse().ok().filter(|at| alive.contains(at)),
            None if alive.is_empty() => None,
            None => Some(alive[usize::try_from(self.dice.throw(alive.len() as u64)).unwrap()]),
        };
        let reply = packet.reply.unwrap();
        match to {
            Some(at) => self.workers[at].core.receive(&reply, packet.payload, self.now).unwrap(),
            None => self.caller.nobody_there(reply.strip_prefix("isopod.to.here.").unwrap(), self.now),
        }
    }

    fn take_in(&mut self) {
        for node in self.workers.iter_mut().filter(|node| node.alive) {
            while let Some(message) = node.core.next_delivery() {
                match message {
                    ToWorker::Call { id, call } => {
                        let number = call.request_id.parse().unwrap();
                        *self.begun.entry(number).or_default() += 1;
                        node.running.insert(id, (number, 0));
                    }
                    ToWorker::Cancel { id } => {
                        node.running.remove(&id);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        while let Some(message) = self.caller.next_delivery() {
            let id = match &message {
                FromWorker::Reply { id, .. } | FromWorker::Lost { id } => *id,
                other => panic!("{other:?}"),
            };
            let first = self.ended.insert(id, message);
            assert!(matches!(first, None | Some(FromWorker::Lost { .. })), "call {id} ended twice");
        }
    }

    /// Delivers until nobody says anything more.
    fn settle(&mut self) {
        (0..8).for_each(|_| self.deliver());
    }

    fn step(&mut self, by: Duration) {
        self.deliver();
        self.now += by;
        self.caller.tick(self.now);
        self.workers.iter_mut().filter(|node| node.alive).for_each(|node| node.core.tick(self.now));
        self.deliver();
    }
}

#[test]
fn every_call_ends_once_runs_at_most_once_and_leaves_nothing_behind() {
    for seed in 0..200 {
        let result = std::panic::catch_unwind(|| run(seed));
        assert!(result.is_ok(), "seed {seed}");
    }
}

fn run(seed: u64) {
    let mut world = World::new(seed, [0, 50, 8][usize::try_from(seed % 3).unwrap()]);
    for _ in 0..400 {
        match world.dice.throw(10) {
            0..3 => world.call(),
            // As calls that are made again are; the worker may be gone.
            3 => {
                let worker = world.dice.throw(3);
                world.call_at(worker);
            }
            4..8 => world.work(),
            8 => world.cancel(),
            _ if world.dice.throw(60) == 0 => {
                let at = usize::try_from(world.dice.throw(3)).unwrap();
                world.workers[at].alive = false;
            }
            _ => {}
        }
        let by = world.dice.throw(20);
        world.step(Duration::from_millis(by));
    }
    // Those who wait get their answers or learn that there will be none.
    for _ in 0..400 {
        world.work();
        world.step(Duration::from_millis(100));
    }
    let unanswered: HashSet<_> = (1..world.next).filter(|id| !world.ended.contains_key(id)).collect();
    assert!(unanswered.is_empty(), "{unanswered:?}");
    assert!(world.begun.values().all(|times| *times == 1), "a call began twice");
    assert_eq!(world.caller.open_calls(), 0);
    assert_eq!(world.caller.next_tick(), None);
    world.step(GATEWAY_SILENCE);
    for node in world.workers.iter().filter(|node| node.alive) {
        assert_eq!((node.core.open_calls(), node.running.len()), (0, 0));
    }
}

#[test]
fn a_worker_that_says_nothing_is_lost_and_passed_over() {
    let mut world = World::new(1, 0);
    world.call();
    world.settle();
    let at = world.workers.iter().position(|node| !node.running.is_empty()).unwrap();
    // It freezes: messages to it vanish.
    let start = world.now;
    while world.ended.is_empty() {
        world.now += Duration::from_millis(50);
        world.caller.tick(world.now);
        while world.caller.next_packet().is_some() {}
        world.take_in();
    }
    assert!(world.now - start <= LIMITS.worker_silence + Duration::from_millis(50));
    assert_eq!(world.ended[&1], FromWorker::Lost { id: 1 });
    assert_eq!(world.caller.take_losses(), [LossCause::WorkerGone]);
    assert!(world.caller.suspects(&format!("worker{at}"), world.now));
    assert!(!world.caller.suspects("another", world.now));
}

#[test]
fn a_call_for_a_worker_that_is_gone_runs_on_another() {
    let mut world = World::new(1, 0);
    world.workers[1].alive = false;
    world.call_at(1);
    world.settle();
    assert_eq!(world.begun[&1], 1);
    assert!(world.caller.suspects("worker1", world.now));
    while world.ended.is_empty() {
        world.work();
        world.settle();
    }
    assert!(matches!(world.ended[&1], FromWorker::Reply { outcome: Outcome::Value(_), .. }));
    // With nobody left it is refused, once.
    world.workers.iter_mut().for_each(|node| node.alive = false);
    world.call_at(2);
    world.settle();
    assert!(matches!(
        world.ended[&2],
        FromWorker::Reply { outcome: Outcome::Failed { status: 503, .. }, .. }
    ));
    assert_eq!(world.caller.open_calls(), 0);
}

#[test]
fn a_lost_connection_ends_what_was_under_way() {
    let mut world = World::new(1, 0);
    world.call();
    world.settle();
    world.call();
    world.caller.disconnected();
    assert_eq!(world.caller.next_packet(), None);
    world.take_in();
    assert_eq!(world.ended.len(), 2);
    assert_eq!(world.caller.take_losses(), [LossCause::Disconnected; 2]);
}

#[test]
fn a_stream_with_a_hole_is_lost_and_its_worker_told() {
    let mut world = World::new(1, 0);
    world.call();
    world.settle();
    let at = world.workers.iter().position(|node| !node.running.is_empty()).unwrap();
    let id = *world.workers[at].running.keys().next().unwrap();
    let mut frames = BytesMut::new();
    let head = ResponseHead { status: 200, headers: vec![("a".into(), "b".repeat(200).into())] };
    FromWorker::Head { id, head }.encode(&mut frames);
    world.workers[at].core.send(&mut frames);
    world.workers[at].core.next_packet().unwrap();
    world.settle();
    assert_eq!(world.ended[&1], FromWorker::Lost { id: 1 });
    assert_eq!(world.caller.take_losses(), [LossCause::Broken]);
    assert!(world.workers[at].running.is_empty(), "the worker still runs it");
}
