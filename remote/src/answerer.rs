//! The calls that came to one worker, from all gateways. Pure: messages, frames and a clock in; frames and messages
//! out.
//!
//! Gateways choose their ids apart from each other: here each call has an id of its own, and where its answers go
//! tells one gateway's call from another's.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use shared::frame::Decoder;
use shared::message::worker::{CALL_KIND, REQUEST_KIND};
use shared::message::{FromWorker, Message, ToWorker};

use crate::Packet;
use crate::caller::take_frame;
use crate::envelope::{Envelope, Kind, Listed, MAX_PIECE_BYTES, Ping, UNKNOWN, encode, encode_list};

/// The most calls that a worker has from all gateways; more are refused with 503.
pub const MAX_CALLS: usize = 1024;

/// How long a gateway with calls here may say nothing until they are cancelled. It pings several times in between.
pub const GATEWAY_SILENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Call {
    /// Where answers go; unique.
    reply: Arc<str>,
    gateway: Arc<str>,
    /// Its id at its gateway.
    remote: u64,
    in_one_piece: bool,
    opened: bool,
    inbound: BytesMut,
    pending: BytesMut,
    received: u32,
    sent: u32,
    is_over: bool,
}

#[derive(Debug)]
struct Gateway {
    calls: usize,
    heard: Instant,
}

/// All calls of a worker.
#[derive(Debug)]
pub struct Answerer {
    instance: String,
    max_piece: usize,
    calls: HashMap<u64, Call>,
    by_reply: HashMap<Arc<str>, u64>,
    gateways: HashMap<Arc<str>, Gateway>,
    next_id: u64,
    dirty: Vec<u64>,
    is_leaving: bool,
    out: VecDeque<Packet>,
    delivered: VecDeque<ToWorker>,
}

impl Answerer {
    /// A worker of this name without calls.
    pub fn new(instance: String) -> Self {
        Self {
            instance,
            max_piece: MAX_PIECE_BYTES,
            calls: HashMap::new(),
            by_reply: HashMap::new(),
            gateways: HashMap::new(),
            next_id: 1,
            dirty: Vec::new(),
            is_leaving: false,
            out: VecDeque::new(),
            delivered: VecDeque::new(),
        }
    }

    /// The server lets one message carry so much.
    pub fn set_max_payload(&mut self, bytes: usize) {
        self.max_piece = bytes.saturating_sub(crate::envelope::HEADER_BYTES).clamp(1, MAX_PIECE_BYTES);
    }

    /// Refuses all calls from now on.
    pub fn leave(&mut self) {
        self.is_leaving = true;
    }

    /// A message has come. One without an answer's subject, or that is none, is of no call.
    ///
    /// # Errors
    /// What is wrong with it, for the log.
    pub fn receive(&mut self, reply: &str, payload: Bytes, now: Instant) -> Result<(), Unusable> {
        let Some((gateway, tail)) = reply.rsplit_once('.') else { return Err(Unusable::NoReply) };
        let envelope = match Envelope::decode(payload) {
            Ok(envelope) => envelope,
            Err(error) => {
                // The caller need not wait for its deadline.
                self.publish(reply, Kind::Refused, 0, b"the function worker is of another release");
                return Err(error.into());
            }
        };
        match envelope.kind {
            Kind::Open => {
                let remote = u64::from_str_radix(tail, 16).map_err(|_| Unusable::NoReply)?;
                self.open(reply, gateway, remote, envelope.bytes, now);
            }
            Kind::More => self.more(reply, envelope.number, envelope.bytes),
            Kind::Ping => {
                let ping = Ping::decode(envelope.bytes)?;
                self.ping(reply, gateway, &ping, now);
            }
            _ => return Err(Unusable::Direction),
        }
        Ok(())
    }

    fn open(&mut self, reply: &str, gateway: &str, remote: u64, bytes: Bytes, now: Instant) {
        if self.by_reply.contains_key(reply) {
            return;
        }
        if self.is_leaving {
            return self.publish(reply, Kind::Refused, 0, b"the function worker is ending");
        }
        if self.calls.len() >= MAX_CALLS {
            return self.publish(reply, Kind::Refused, 0, b"the function workers are busy");
        }
        let gateway: Arc<str> = match self.gateways.get_key_value(gateway) {
            Some((known, _)) => known.clone(),
            None => gateway.into(),
        };
        let known = self.gateways.entry(gateway.clone()).or_insert(Gateway { calls: 0, heard: now });
        known.calls += 1;
        known.heard = now;
        let id = self.next_id;
        self.next_id += 1;
        let reply: Arc<str> = reply.into();
        let call = Call {
            reply: reply.clone(),
            gateway,
            remote,
            in_one_piece: false,
            opened: false,
            inbound: BytesMut::new(),
            pending: BytesMut::new(),
            received: 1,
            sent: 1,
            is_over: false,
        };
        self.calls.insert(id, call);
        self.by_reply.insert(reply.clone(), id);
        let instance = self.instance.clone();
        self.publish(&reply, Kind::Accepted, 0, instance.as_bytes());
        self.take_in(id, bytes);
    }

    fn more(&mut self, reply: &str, number: u32, bytes: Bytes) {
        // What concerns a call that is over has crossed its end.
        let Some(&id) = self.by_reply.get(reply) else { return };
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.received != number {
            return self.break_off(id);
        }
        call.received += 1;
        self.take_in(id, bytes);
    }

    fn take_in(&mut self, id: u64, bytes: Bytes) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.inbound.is_empty() {
            call.inbound = BytesMut::from(bytes);
        } else {
            call.inbound.extend_from_slice(&bytes);
        }
        loop {
            let Some(call) = self.calls.get_mut(&id) else { return };
            let mut frame = match Decoder::without_preface().decode(&mut call.inbound) {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(_) => return self.break_off(id),
            };
            let begins = matches!(frame.kind, CALL_KIND | REQUEST_KIND);
            // A call begins once, and with its beginning.
            if begins == call.opened {
                return self.break_off(id);
            }
            call.opened = true;
            call.in_one_piece |= frame.kind == CALL_KIND;
            let in_one_piece = call.in_one_piece;
            frame.id = id;
            let Ok(message) = ToWorker::decode(frame) else { return self.break_off(id) };
            let is_cancel = matches!(message, ToWorker::Cancel { .. });
            self.delivered.push_back(message);
            if is_cancel && in_one_piece {
                return self.forget(id);
            }
        }
    }

    fn ping(&mut self, reply: &str, gateway: &str, ping: &Ping, now: Instant) {
        if let Some(known) = self.gateways.get_mut(gateway) {
            known.heard = now;
        }
        let mut of_gateway: HashMap<u64, u64> = HashMap::new();
        for (id, call) in &self.calls {
            if *call.gateway == *gateway {
                of_gateway.insert(call.remote, *id);
            }
        }
        let mut pong = Vec::new();
        for Listed { id: remote, messages } in &ping.calls {
            let own = of_gateway.remove(remote);
            if *messages == UNKNOWN {
                continue;
            }
            let Some(call) = own.and_then(|id| self.calls.get(&id)) else {
                pong.push(Listed { id: *remote, messages: UNKNOWN });
                continue;
            };
            match own {
                Some(id) if call.received < *messages => self.break_off(id),
                _ => pong.push(Listed { id: *remote, messages: call.sent }),
            }
        }
        // What is not listed has ended there, unless it began after the list was made.
        for (remote, id) in of_gateway {
            if remote <= ping.newest {
                self.give_up(id);
            }
        }
        self.publish(reply, Kind::Pong, 0, &encode_list(&pong));
    }

    /// Takes whole frames off the front of `frames`, and makes messages of them.
    pub fn send(&mut self, frames: &mut BytesMut) {
        while let Some((kind, id, mut frame)) = take_frame(frames) {
            // Its gateway has gone meanwhile.
            let Some(call) = self.calls.get_mut(&id).filter(|call| !call.is_over) else { continue };
            frame[8..16].copy_from_slice(&call.remote.to_le_bytes());
            if call.pending.is_empty() {
                self.dirty.push(id);
                call.pending = frame;
            } else {
                call.pending.unsplit(frame);
            }
            call.is_over = FromWorker::is_last(kind);
        }
        for id in std::mem::take(&mut self.dirty) {
            self.flush_call(id);
        }
    }

    fn flush_call(&mut self, id: u64) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        while !call.pending.is_empty() {
            let piece = call.pending.split_to(call.pending.len().min(self.max_piece));
            let payload = encode(Kind::More, call.sent, &piece);
            call.sent += 1;
            self.out.push_back(Packet { subject: call.reply.to_string(), reply: None, payload });
        }
        if call.is_over {
            self.forget(id);
        }
    }

    /// Ends a call whose gateway broke a rule.
    pub fn end_violator(&mut self, id: u64) {
        self.break_off(id);
    }

    fn break_off(&mut self, id: u64) {
        if let Some(call) = self.calls.get(&id) {
            let reply = call.reply.clone();
            self.publish(&reply, Kind::Broken, 0, &[]);
        }
        self.give_up(id);
    }

    /// Nobody waits for this call any more.
    fn give_up(&mut self, id: u64) {
        if self.calls.get(&id).is_some_and(|call| call.opened) {
            self.delivered.push_back(ToWorker::Cancel { id });
        }
        self.forget(id);
    }

    fn forget(&mut self, id: u64) {
        let Some(call) = self.calls.remove(&id) else { return };
        self.by_reply.remove(&call.reply);
        if let Some(gateway) = self.gateways.get_mut(&call.gateway) {
            gateway.calls -= 1;
            if gateway.calls == 0 {
                self.gateways.remove(&call.gateway);
            }
        }
    }

    /// Time has passed: calls of gateways that have fallen silent are cancelled.
    pub fn tick(&mut self, now: Instant) {
        let silent = |(name, gateway): (&Arc<str>, &Gateway)| {
            (gateway.heard + GATEWAY_SILENCE <= now).then(|| name.clone())
        };
        let silent: Vec<_> = self.gateways.iter().filter_map(silent).collect();
        for gateway in silent {
            let of_gateway = |(id, call): (&u64, &Call)| (call.gateway == gateway).then_some(*id);
            let ids: Vec<u64> = self.calls.iter().filter_map(of_gateway).collect();
            ids.into_iter().for_each(|id| self.give_up(id));
        }
    }

    fn publish(&mut self, subject: &str, kind: Kind, number: u32, bytes: &[u8]) {
        let payload = encode(kind, number, bytes);
        self.out.push_back(Packet { subject: subject.to_owned(), reply: None, payload });
    }

    /// The next message to publish.
    pub fn next_packet(&mut self) -> Option<Packet> {
        self.out.pop_front()
    }

    /// What has come for the functions, in order.
    pub fn next_delivery(&mut self) -> Option<ToWorker> {
        self.delivered.pop_front()
    }

    /// Calls that are open.
    pub fn open_calls(&self) -> usize {
        self.calls.len()
    }
}

/// Why a message is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It does not say where its answer goes.
    #[error("a message does not say where its answer goes")]
    NoReply,
    /// It is none.
    #[error(transparent)]
    Envelope(#[from] crate::envelope::EnvelopeError),
    /// It is for a gateway.
    #[error("a message for a gateway came to a worker")]
    Direction,
}
