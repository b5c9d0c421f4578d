use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use super::*;
use crate::frame::HEADER_BYTES;
use crate::message::{FromRenderer, ToRenderer};
use crate::window::MAX_CHUNK_BYTES;

type Gateway = LocalChannel<ToRenderer, FromRenderer>;
type Isolate = LocalChannel<FromRenderer, ToRenderer>;

/// Counts how often a task is woken.
#[derive(Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A task that polls an end.
struct Poller {
    task: Arc<Task>,
    waker: Waker,
}

impl Poller {
    fn new() -> Self {
        let task = Arc::new(Task::default());
        Self { waker: task.clone().into(), task }
    }

    fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }

    fn was_woken(&self) -> bool {
        self.task.0.swap(0, Ordering::Relaxed) > 0
    }
}

fn chunk(id: u64, length: usize) -> ToRenderer {
    ToRenderer::Body { id, bytes: vec![7; length].into() }
}

fn queue(end: &mut Gateway, message: &ToRenderer) {
    message.encode(end.outbound());
}

fn received(end: &mut Isolate, task: &Poller) -> Option<ToRenderer> {
    match end.poll_receive(&mut task.context()) {
        Poll::Ready(message) => message.unwrap(),
        Poll::Pending => None,
    }
}

#[test]
fn messages_arrive_in_order_with_a_flush_and_not_before() {
    let (mut gateway, mut isolate) = Gateway::pair();
    let (sends, receives) = (Poller::new(), Poller::new());
    assert!(received(&mut isolate, &receives).is_none());
    for id in 0..10 {
        queue(&mut gateway, &chunk(id, 100));
    }
    assert!(!receives.was_woken());
    assert!(received(&mut isolate, &receives).is_none());
    assert!(gateway.poll_flush(&mut sends.context()).is_ready());
    assert!(receives.was_woken());
    // A second flush before the first was taken.
    queue(&mut gateway, &chunk(10, 0));
    assert!(gateway.poll_flush(&mut sends.context()).is_ready());
    for id in 0..10 {
        assert_eq!(received(&mut isolate, &receives), Some(chunk(id, 100)));
    }
    assert_eq!(received(&mut isolate, &receives), Some(chunk(10, 0)));
    assert!(received(&mut isolate, &receives).is_none());
}

#[test]
fn a_flush_waits_while_the_peer_has_not_taken_what_it_was_handed() {
    let (mut gateway, mut isolate) = Gateway::pair();
    let (sends, receives) = (Poller::new(), Poller::new());
    let mut flushes = 0;
    loop {
        queue(&mut gateway, &chunk(flushes, MAX_CHUNK_BYTES));
        if gateway.poll_flush(&mut sends.context()).is_pending() {
            break;
        }
        flushes += 1;
    }
    let most = MAX_WAITING_BYTES / (MAX_CHUNK_BYTES + HEADER_BYTES) + 1;
    assert_eq!(usize::try_from(flushes).unwrap(), most);
    assert!(!sends.was_woken());
    assert_eq!(received(&mut isolate, &receives), Some(chunk(0, MAX_CHUNK_BYTES)));
    assert!(sends.was_woken());
    assert!(gateway.poll_flush(&mut sends.context()).is_ready());
    for id in 1..=flushes {
        assert_eq!(received(&mut isolate, &receives), Some(chunk(id, MAX_CHUNK_BYTES)));
    }
}

#[test]
fn what_was_flushed_is_taken_after_the_close_and_then_it_is_told() {
    let (mut gateway, mut isolate) = Gateway::pair();
    let (sends, receives) = (Poller::new(), Poller::new());
    assert!(received(&mut isolate, &receives).is_none());
    queue(&mut gateway, &chunk(1, 10));
    assert!(gateway.poll_flush(&mut sends.context()).is_ready());
    queue(&mut gateway, &chunk(2, 10));
    receives.was_woken();
    drop(gateway);
    assert_eq!(received(&mut isolate, &receives), Some(chunk(1, 10)));
    assert!(matches!(isolate.poll_receive(&mut receives.context()), Poll::Ready(Ok(None))));
    isolate.outbound().extend_from_slice(&[0; HEADER_BYTES]);
    let Poll::Ready(Err(LinkError::Io(error))) = isolate.poll_flush(&mut receives.context()) else {
        panic!("nobody is there to take it");
    };
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn a_close_wakes_who_waits_for_frames_and_who_waits_for_room() {
    let (gateway, mut isolate) = Gateway::pair();
    let (sends, receives) = (Poller::new(), Poller::new());
    assert!(received(&mut isolate, &receives).is_none());
    drop(gateway);
    assert!(receives.was_woken());
    let (mut gateway, isolate) = Gateway::pair();
    for _ in 0..2 {
        gateway.outbound().resize(MAX_WAITING_BYTES, 0);
        let _full = gateway.poll_flush(&mut sends.context());
    }
    assert!(!sends.was_woken());
    drop(isolate);
    assert!(sends.was_woken());
    assert!(matches!(gateway.poll_flush(&mut sends.context()), Poll::Ready(Err(_))));
}

#[test]
fn what_is_short_keeps_nothing_of_what_is_long() {
    let (mut gateway, mut isolate) = Gateway::pair();
    let (sends, receives) = (Poller::new(), Poller::new());
    queue(&mut gateway, &chunk(1, 2 * LONG_BYTES));
    queue(&mut gateway, &chunk(2, 10));
    assert!(gateway.poll_flush(&mut sends.context()).is_ready());
    assert!(received(&mut isolate, &receives).is_some());
    let Some(ToRenderer::Body { bytes, .. }) = received(&mut isolate, &receives) else {
        panic!("the short one has come too");
    };
    assert!(bytes.is_unique());
}

#[test]
fn buffers_go_back_and_forth_and_a_burst_leaves_nothing_behind() {
    let (mut gateway, mut isolate) = Gateway::pair();
    let (sends, receives) = (Poller::new(), Poller::new());
    let mut turn = |length: usize| {
        queue(&mut gateway, &chunk(1, length));
        let from = gateway.outbound.as_ptr();
        assert!(gateway.poll_flush(&mut sends.context()).is_ready());
        while received(&mut isolate, &receives).is_some() {}
        (from, [&gateway.outbound, &isolate.inbound].map(BytesMut::capacity))
    };
    let usual: Vec<_> = (0..12).map(|_| turn(1000).0).collect();
    let mut places = usual[6..].to_vec();
    places.sort_unstable();
    places.dedup();
    assert!(places.len() <= 3, "a call needs memory of its own: {places:?}");
    turn(16 * MAX_CHUNK_BYTES - 64);
    let after = (0..12).map(|_| turn(1000).1).last().unwrap();
    assert!(after.iter().all(|capacity| *capacity <= crate::room::KEEP_BYTES), "{after:?}");
}

/// Numbers that a seed decides (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// Sends, flushes and takes in any order, and at the end closes: everything arrives once and in order, nobody who waits
/// is forgotten, and no more waits than may.
fn simulate(seed: u64) {
    let mut dice = Dice(seed);
    let (mut gateway, mut isolate) = Gateway::pair();
    let (sends, receives) = (Poller::new(), Poller::new());
    let (mut queued, mut handed) = (VecDeque::new(), VecDeque::new());
    let (mut next, mut wants_room, mut wants_frames) = (0, false, false);
    for _ in 0..400 {
        match dice.below(3) {
            0 => {
                let lengths = [0, 1, 100, 5000, 70_000];
                let length = lengths[usize::try_from(dice.below(5)).unwrap()];
                queue(&mut gateway, &chunk(next, length));
                queued.push_back((next, length));
                next += 1;
            }
            1 => {
                let before = handed.is_empty();
                wants_room = gateway.poll_flush(&mut sends.context()).is_pending();
                if wants_room {
                    assert!(!before, "a flush waits for an empty peer");
                    sends.was_woken();
                } else {
                    let came = !queued.is_empty();
                    handed.append(&mut queued);
                    assert!(!(came && wants_frames) || receives.was_woken(), "the reader is forgotten");
                    wants_frames &= !came;
                }
                let waiting = gateway.away.borrow().waiting.len();
                assert!(gateway.outbound.is_empty() || waiting >= MAX_WAITING_BYTES);
            }
            _ => {
                let room_before = gateway.away.borrow().waiting.len();
                match received(&mut isolate, &receives) {
                    Some(message) => {
                        let (id, length) = handed.pop_front().expect("nothing comes that was not flushed");
                        assert_eq!(message, chunk(id, length));
                    }
                    None => {
                        assert!(handed.is_empty(), "a flushed message does not come");
                        wants_frames = true;
                        receives.was_woken();
                    }
                }
                if wants_room && gateway.away.borrow().waiting.len() < room_before {
                    assert!(sends.was_woken(), "the writer is forgotten");
                    wants_room = false;
                }
            }
        }
    }
    drop(gateway);
    while let Some(message) = received(&mut isolate, &receives) {
        let (id, length) = handed.pop_front().unwrap();
        assert_eq!(message, chunk(id, length));
    }
    assert!(handed.is_empty());
}

#[test]
fn whatever_the_order_everything_flushed_arrives_once_and_nobody_is_forgotten() {
    for seed in 0..300 {
        let run = std::panic::catch_unwind(|| simulate(seed));
        assert!(run.is_ok(), "the simulation fails with seed {seed}");
    }
}
