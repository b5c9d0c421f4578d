//! The calls that one gateway thread makes over one connection. Pure: frames, messages and a clock in; messages and
//! frames out.
//!
//! ```text
//!          open             accepted              head                 last frame
//!   (new) ------> sent ----------------> accepted -----> streaming ------------------> done
//!                  |  \                     |               |
//!                  |   cancelled: the worker is told as soon as it is known who it is
//!                  |                        |               |
//!                  +--- nobody accepts      +---------------+--- the worker is gone, a message is missing,
//!                  |    in time             |                    the connection is lost
//!                  v                        v
//!                 lost                     lost
//! ```
//!
//! A worker is gone when the server says that nobody listens at its name, or when it answers no ping for
//! [`Limits::worker_silence`]. What was handed to the server may have run, whatever comes back: a call is sent once,
//! and who learns that it is lost decides whether to make it again.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use shared::frame::{Decoder, HEADER_BYTES};
use shared::head::ResponseHead;
use shared::message::worker::{CALL_KIND, CANCEL_KIND};
use shared::message::{FromWorker, Message, Outcome, ToWorker};

use crate::Packet;
use crate::envelope::{Envelope, Kind, Listed, MAX_LISTED, MAX_PIECE_BYTES, Ping, UNKNOWN, encode, list_of};
use crate::subject::Subjects;

/// How long a lost worker is passed over when a call is made again.
const SUSPECT_FOR: Duration = Duration::from_secs(30);

/// The most lost workers that are remembered.
const MAX_SUSPECTS: usize = 256;

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Until a worker must have accepted a call.
    pub accept_timeout: Duration,
    /// Between pings to a worker that runs calls.
    pub ping_interval: Duration,
    /// Without a pong until a worker counts as gone.
    pub worker_silence: Duration,
}

/// Why a call was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LossCause {
    /// No worker accepted it in time.
    NotAccepted,
    /// Its worker is gone.
    WorkerGone,
    /// A message is missing, or is none.
    Broken,
    /// The connection to the server is lost.
    Disconnected,
}

impl LossCause {
    /// The value of the metrics' `cause` label.
    pub fn label(self) -> &'static str {
        match self {
            Self::NotAccepted => "not_accepted",
            Self::WorkerGone => "worker_gone",
            Self::Broken => "broken",
            Self::Disconnected => "disconnected",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// Frames are being put together; nothing has left.
    New,
    /// The opening has left.
    Sent { accept_by: Instant },
    /// A worker runs it.
    Accepted { worker: Arc<str> },
    /// Its response has begun.
    Streaming { worker: Arc<str> },
}

/// A call that is for one worker first.
#[derive(Debug)]
struct Choice {
    worker: Arc<str>,
    /// Where it goes when that one is gone.
    otherwise: String,
    /// What opens it, from when it has left until somebody accepts it.
    opening: Bytes,
}

#[derive(Debug)]
struct Call {
    subject: String,
    choice: Option<Choice>,
    stage: Stage,
    /// A call in one piece, which a cancel ends at once; else a request, which the worker ends.
    in_one_piece: bool,
    cancelled: bool,
    pending: BytesMut,
    sent: u32,
    received: u32,
    inbound: BytesMut,
}

impl Call {
    fn worker(&self) -> Option<&Arc<str>> {
        match &self.stage {
            Stage::New | Stage::Sent { .. } => None,
            Stage::Accepted { worker } | Stage::Streaming { worker } => Some(worker),
        }
    }
}

#[derive(Debug)]
struct Peer {
    calls: usize,
    heard: Instant,
}

/// All calls of a gateway thread.
#[derive(Debug)]
pub struct Caller {
    subjects: Subjects,
    inbox: String,
    limits: Limits,
    max_piece: usize,
    calls: HashMap<u64, Call>,
    newest: u64,
    dirty: HashSet<u64>,
    /// Workers that run calls of this thread.
    peers: HashMap<Arc<str>, Peer>,
    suspects: HashMap<Arc<str>, Instant>,
    next_ping: Option<Instant>,
    out: VecDeque<Packet>,
    delivered: VecDeque<FromWorker>,
    losses: Vec<LossCause>,
}

impl Caller {
    /// A thread without calls, whose answers come to subjects below `inbox`.
    pub fn new(subjects: Subjects, inbox: String, limits: Limits) -> Self {
        Self {
            subjects,
            inbox,
            limits,
            max_piece: MAX_PIECE_BYTES,
            calls: HashMap::new(),
            newest: 0,
            dirty: HashSet::new(),
            peers: HashMap::new(),
            suspects: HashMap::new(),
            next_ping: None,
            out: VecDeque::new(),
            delivered: VecDeque::new(),
            losses: Vec::new(),
        }
    }

    /// The server lets one message carry so much.
    pub fn set_max_payload(&mut self, bytes: usize) {
        self.max_piece = bytes.saturating_sub(crate::envelope::HEADER_BYTES).clamp(1, MAX_PIECE_BYTES);
    }

    /// A call opens at `subject`. Its frames follow with [`Caller::send`].
    pub fn open(&mut self, id: u64, subject: String) {
        self.begin(id, subject, None);
    }

    /// A call opens at one worker, or `otherwise` when nobody listens there any more.
    pub fn open_at(&mut self, id: u64, worker: &str, otherwise: String) {
        let choice = Choice { worker: worker.into(), otherwise, opening: Bytes::new() };
        self.begin(id, self.subjects.worker(worker), Some(choice));
    }

    fn begin(&mut self, id: u64, subject: String, choice: Option<Choice>) {
        let call = Call {
            subject,
            choice,
            stage: Stage::New,
            in_one_piece: false,
            cancelled: false,
            pending: BytesMut::new(),
            sent: 0,
            received: 0,
            inbound: BytesMut::new(),
        };
        self.newest = self.newest.max(id);
        self.calls.insert(id, call);
    }

    /// Takes whole frames off the front of `frames`. They leave with the next [`Caller::flush`].
    pub fn send(&mut self, frames: &mut BytesMut) {
        while let Some((kind, id, frame)) = take_frame(frames) {
            // What concerns a call that is over has crossed its end.
            let Some(call) = self.calls.get_mut(&id) else { continue };
            call.in_one_piece |= kind == CALL_KIND;
            call.cancelled |= kind == CANCEL_KIND;
            if call.stage == Stage::New && call.cancelled {
                // Nothing has left: nobody need know.
                self.calls.remove(&id);
                continue;
            }
            if call.pending.is_empty() {
                call.pending = frame
            } else {
                call.pending.unsplit(frame)
            }
            self.dirty.insert(id);
        }
    }

    /// Makes messages of what was sent.
    pub fn flush(&mut self, now: Instant) {
        for id in std::mem::take(&mut self.dirty) {
            self.flush_call(id, now);
        }
    }

    fn flush_call(&mut self, id: u64, now: Instant) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let reply = Some(format!("{}.{id:x}", self.inbox));
        match &call.stage {
            Stage::New => {
                let piece = call.pending.split_to(call.pending.len().min(self.max_piece));
                let payload = encode(Kind::Open, 0, &piece);
                call.sent = 1;
                call.stage = Stage::Sent { accept_by: now + self.limits.accept_timeout };
                if let Some(choice) = &mut call.choice {
                    choice.opening = payload.clone();
                }
                self.out.push_back(Packet { subject: call.subject.clone(), reply, payload });
            }
            // It waits for somebody to go to; its windows bound what waits.
            Stage::Sent { .. } => {}
            Stage::Accepted { worker } | Stage::Streaming { worker } => {
                let subject = self.subjects.worker(worker);
                while !call.pending.is_empty() {
                    let piece = call.pending.split_to(call.pending.len().min(self.max_piece));
                    let payload = encode(Kind::More, call.sent, &piece);
                    call.sent += 1;
                    let (subject, reply) = (subject.clone(), reply.clone());
                    self.out.push_back(Packet { subject, reply, payload });
                }
                if call.cancelled && call.in_one_piece {
                    self.forget(id);
                }
            }
        }
    }

    /// A message has come to `<inbox>.<tail>`. Those that are none end the call that they came to.
    pub fn receive(&mut self, tail: &str, payload: Bytes, now: Instant) {
        let envelope = Envelope::decode(payload);
        if let Some(instance) = tail.strip_prefix('w') {
            if let Ok(Envelope { kind: Kind::Pong, bytes, .. }) = envelope {
                self.pong(instance, bytes, now);
            }
            return;
        }
        let Ok(id) = u64::from_str_radix(tail, 16) else { return };
        match envelope {
            Ok(Envelope { kind: Kind::Accepted, bytes, .. }) => self.accepted(id, &bytes, now),
            Ok(Envelope { kind: Kind::Refused, bytes, .. }) => {
                let reason = String::from_utf8_lossy(&bytes).into_owned();
                self.refused(id, &reason);
            }
            Ok(Envelope { kind: Kind::More, number, bytes }) => self.more(id, number, bytes),
            Ok(Envelope { kind: Kind::Broken, .. }) | Err(_) => self.lose(id, LossCause::Broken),
            Ok(_) => {}
        }
    }

    /// The server says that nobody listens where the message with this answer's subject went.
    pub fn nobody_there(&mut self, tail: &str, now: Instant) {
        if let Some(instance) = tail.strip_prefix('w') {
            return self.gone(instance, now);
        }
        let Ok(id) = u64::from_str_radix(tail, 16) else { return };
        let Some(call) = self.calls.get_mut(&id) else { return };
        if let Some(worker) = call.worker().cloned() {
            return self.gone(&worker, now);
        }
        // It never reached the worker that was chosen, so that another may run it.
        let Some(Choice { worker, otherwise, opening }) = call.choice.take() else {
            return self.refused(id, "no function worker is ready");
        };
        call.stage = Stage::Sent { accept_by: now + self.limits.accept_timeout };
        let reply = Some(self.reply(id));
        self.out.push_back(Packet { subject: otherwise, reply, payload: opening });
        self.gone(&worker, now);
    }

    fn accepted(&mut self, id: u64, instance: &[u8], now: Instant) {
        let Ok(instance) = std::str::from_utf8(instance) else { return };
        let Some(call) = self.calls.get_mut(&id) else {
            // It was given up meanwhile.
            return self.cancel_at(instance, id, 1);
        };
        if !matches!(call.stage, Stage::Sent { .. }) || call.received != 0 {
            return;
        }
        let worker: Arc<str> = match self.peers.get_key_value(instance) {
            Some((known, _)) => known.clone(),
            None => instance.into(),
        };
        call.received = 1;
        // It will not be opened anywhere else.
        call.choice = None;
        call.stage = Stage::Accepted { worker: worker.clone() };
        let peer = self.peers.entry(worker).or_insert(Peer { calls: 0, heard: now });
        if peer.calls == 0 {
            peer.heard = now;
        }
        peer.calls += 1;
        self.next_ping.get_or_insert(now + self.limits.ping_interval);
        self.flush_call(id, now);
    }

    fn more(&mut self, id: u64, number: u32, bytes: Bytes) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.worker().is_none() || number != call.received {
            return self.break_off(id);
        }
        call.received += 1;
        if call.inbound.is_empty() {
            call.inbound = BytesMut::from(bytes);
        } else {
            call.inbound.extend_from_slice(&bytes);
        }
        loop {
            let Some(call) = self.calls.get_mut(&id) else { return };
            let frame = match Decoder::without_preface().decode(&mut call.inbound) {
                Ok(Some(frame)) if frame.id == id => frame,
                Ok(None) => return,
                Ok(Some(_)) | Err(_) => return self.break_off(id),
            };
            let is_last = FromWorker::is_last(frame.kind);
            match FromWorker::decode(frame) {
                // That is for this side to say.
                Ok(FromWorker::Lost { .. }) | Err(_) => return self.break_off(id),
                Ok(message) => {
                    if let (FromWorker::Head { .. }, Stage::Accepted { worker }) = (&message, &call.stage) {
                        call.stage = Stage::Streaming { worker: worker.clone() };
                    }
                    self.delivered.push_back(message);
                }
            }
            if is_last {
                return self.forget(id);
            }
        }
    }

    fn pong(&mut self, instance: &str, list: Bytes, now: Instant) {
        if let Some(peer) = self.peers.get_mut(instance) {
            peer.heard = now;
        }
        let Ok(list) = list_of(list) else { return };
        for Listed { id, messages } in list {
            let Some(call) = self.calls.get(&id) else { continue };
            // What the worker sent before its pong has come before it, or will never come.
            let is_here = call.worker().is_some_and(|worker| **worker == *instance);
            if is_here && (messages == UNKNOWN || messages > call.received) {
                self.break_off(id);
            }
        }
    }

    /// Nobody takes the call: it did not run.
    fn refused(&mut self, id: u64, reason: &str) {
        let Some(call) = self.calls.get(&id).filter(|call| call.worker().is_none()) else { return };
        if call.in_one_piece {
            self.delivered.push_back(FromWorker::Reply { id, outcome: Outcome::failed(503, reason) });
        } else {
            let fields =
                [("content-type", "application/json"), ("retry-after", "1"), ("cache-control", "no-store")];
            let headers = fields.map(|(name, value)| (name.into(), value.into())).to_vec();
            let json = serde_json::json!({ "error": reason }).to_string();
            self.delivered.push_back(FromWorker::Head { id, head: ResponseHead { status: 503, headers } });
            self.delivered.push_back(FromWorker::Body { id, bytes: json.into() });
            self.delivered.push_back(FromWorker::End { id });
        }
        self.forget(id);
    }

    /// Loses a call whose worker may still run it.
    fn break_off(&mut self, id: u64) {
        let at = self.calls.get(&id).and_then(|call| Some((call.worker()?.clone(), call.sent)));
        self.lose(id, LossCause::Broken);
        if let Some((worker, number)) = at {
            self.cancel_at(&worker, id, number);
        }
    }

    /// Ends a call whose worker broke a rule.
    pub fn end_violator(&mut self, id: u64) {
        self.break_off(id);
    }

    fn cancel_at(&mut self, instance: &str, id: u64, number: u32) {
        let mut frame = BytesMut::new();
        ToWorker::Cancel { id }.encode(&mut frame);
        let payload = encode(Kind::More, number, &frame);
        self.out.push_back(Packet {
            subject: self.subjects.worker(instance),
            reply: Some(self.reply(id)),
            payload,
        });
    }

    fn reply(&self, id: u64) -> String {
        format!("{}.{id:x}", self.inbox)
    }

    fn lose(&mut self, id: u64, cause: LossCause) {
        if self.calls.contains_key(&id) {
            self.forget(id);
            self.losses.push(cause);
            self.delivered.push_back(FromWorker::Lost { id });
        }
    }

    fn forget(&mut self, id: u64) {
        let Some(call) = self.calls.remove(&id) else { return };
        let Some(worker) = call.worker() else { return };
        if let Some(peer) = self.peers.get_mut(worker) {
            peer.calls -= 1;
            if peer.calls == 0 {
                self.peers.remove(worker);
            }
        }
        if self.peers.is_empty() {
            self.next_ping = None;
        }
    }

    fn gone(&mut self, instance: &str, now: Instant) {
        let here = |(id, call): (&u64, &Call)| {
            call.worker().is_some_and(|worker| **worker == *instance).then_some(*id)
        };
        let lost: Vec<u64> = self.calls.iter().filter_map(here).collect();
        lost.into_iter().for_each(|id| self.lose(id, LossCause::WorkerGone));
        self.suspects.retain(|_, until| *until > now);
        if self.suspects.len() < MAX_SUSPECTS {
            self.suspects.insert(instance.into(), now + SUSPECT_FOR);
        }
    }

    /// Whether a worker was lost of late.
    pub fn suspects(&self, instance: &str, now: Instant) -> bool {
        self.suspects.get(instance).is_some_and(|until| *until > now)
    }

    /// Time has passed: what is late is lost, and workers are asked whether they live.
    pub fn tick(&mut self, now: Instant) {
        let late = |(id, call): (&u64, &Call)| match call.stage {
            Stage::Sent { accept_by } if accept_by <= now => Some(*id),
            _ => None,
        };
        let late: Vec<u64> = self.calls.iter().filter_map(late).collect();
        late.into_iter().for_each(|id| self.lose(id, LossCause::NotAccepted));
        let silence = self.limits.worker_silence;
        let silent = |(name, peer): (&Arc<str>, &Peer)| (peer.heard + silence <= now).then(|| name.clone());
        let silent: Vec<_> = self.peers.iter().filter_map(silent).collect();
        silent.into_iter().for_each(|worker| self.gone(&worker, now));
        if self.next_ping.is_some_and(|due| due <= now) {
            self.next_ping = Some(now + self.limits.ping_interval);
            self.ping();
        }
    }

    /// When [`Caller::tick`] has something to do next.
    pub fn next_tick(&self) -> Option<Instant> {
        let accepts = self.calls.values().filter_map(|call| match call.stage {
            Stage::Sent { accept_by } => Some(accept_by),
            _ => None,
        });
        accepts.chain(self.next_ping).min()
    }

    fn ping(&mut self) {
        for worker in self.peers.keys() {
            let listed = |(id, call): (&u64, &Call)| match call.worker() {
                None => Some(Listed { id: *id, messages: UNKNOWN }),
                Some(other) => (other == worker).then_some(Listed { id: *id, messages: call.sent }),
            };
            let calls = self.calls.iter().filter_map(listed).take(MAX_LISTED).collect();
            // A list that is cut would let the worker end what is not on it.
            let newest = if self.calls.len() > MAX_LISTED { 0 } else { self.newest };
            let payload = encode(Kind::Ping, 0, &Ping { newest, calls }.encode());
            let reply = Some(format!("{}.w{worker}", self.inbox));
            self.out.push_back(Packet { subject: self.subjects.worker(worker), reply, payload });
        }
    }

    /// The connection is lost: what was under way may have been lost with it.
    pub fn disconnected(&mut self) {
        let ids: Vec<u64> = self.calls.keys().copied().collect();
        ids.into_iter().for_each(|id| self.lose(id, LossCause::Disconnected));
        self.out.clear();
        self.dirty.clear();
    }

    /// The next message to publish.
    pub fn next_packet(&mut self) -> Option<Packet> {
        self.out.pop_front()
    }

    /// What has come of the calls, in order.
    pub fn next_delivery(&mut self) -> Option<FromWorker> {
        self.delivered.pop_front()
    }

    /// Calls that were lost since the last look.
    pub fn take_losses(&mut self) -> Vec<LossCause> {
        std::mem::take(&mut self.losses)
    }

    /// Calls that are open.
    pub fn open_calls(&self) -> usize {
        self.calls.len()
    }
}

/// The first whole frame: its kind, its id and all of its bytes.
pub(crate) fn take_frame(frames: &mut BytesMut) -> Option<(u8, u64, BytesMut)> {
    let mut header = &frames.first_chunk::<HEADER_BYTES>()?[..];
    let length = header.get_u32_le() as usize;
    let kind = header.get_u8();
    header.advance(3);
    let id = header.get_u64_le();
    (frames.len() >= HEADER_BYTES + length).then(|| (kind, id, frames.split_to(HEADER_BYTES + length)))
}
