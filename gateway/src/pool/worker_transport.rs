//! The transports of native calls: a socket to one worker of this machine, memory to the functions of this process, and
//! NATS to all workers of other machines.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use futures_util::StreamExt;
use futures_util::stream::LocalBoxStream;
use remote::caller::Caller;
use remote::connection::{Connection, Inbox, Incoming, Outbox, Status};
use remote::subject::Subjects;
use shared::link::{Channel, LinkError, Transport};
use shared::local::LocalChannel;
use shared::message::{FromWorker, ToWorker};
use tokio::time::{Sleep, sleep};

use super::slot::WorkerSlot;
use super::way::Way;
use crate::metrics::Metrics;

/// How often late calls and silent workers are looked for.
const TICK: Duration = Duration::from_millis(50);

/// What carries calls to workers.
#[derive(Debug)]
pub(super) enum WorkerTransport {
    /// A socket.
    Unix(Channel<ToWorker, FromWorker>),
    /// Memory.
    Local(LocalChannel<ToWorker, FromWorker>),
    /// Messages.
    Nats(Box<NatsTransport>),
}

impl WorkerTransport {
    /// A call begins, whose frames follow.
    pub fn open(&mut self, id: u64, way: &Way) {
        if let Self::Nats(nats) = self {
            nats.open(id, way);
        }
    }
}

impl Transport for WorkerTransport {
    type Out = ToWorker;
    type In = FromWorker;

    fn outbound(&mut self) -> &mut BytesMut {
        match self {
            Self::Unix(channel) => channel.outbound(),
            Self::Local(channel) => channel.outbound(),
            Self::Nats(nats) => &mut nats.outbound,
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        match self {
            Self::Unix(channel) => channel.poll_flush(cx),
            Self::Local(channel) => channel.poll_flush(cx),
            Self::Nats(nats) => nats.poll_flush(cx).map(Ok),
        }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<FromWorker>, LinkError>> {
        match self {
            Self::Unix(channel) => channel.poll_receive(cx),
            Self::Local(channel) => channel.poll_receive(cx),
            Self::Nats(nats) => nats.poll_receive(cx).map(Ok),
        }
    }

    fn end_violator(&mut self, id: u64) -> bool {
        match self {
            Self::Unix(_) | Self::Local(_) => false,
            Self::Nats(nats) => {
                nats.core.end_violator(id);
                true
            }
        }
    }
}

/// A gateway thread's side of NATS.
#[derive(Debug)]
pub(super) struct NatsTransport {
    core: Caller,
    subjects: Subjects,
    connection: Connection,
    outbox: Outbox,
    outbound: BytesMut,
    inbox: Inbox,
    /// The length of the inbox's subject, and of the dot behind it.
    inbox_length: usize,
    changes: Changes,
    slot: Arc<WorkerSlot>,
    known: Status,
    tick: Pin<Box<Sleep>>,
    metrics: Metrics,
}

/// Changes of the connection's state.
struct Changes(LocalBoxStream<'static, Status>);

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Changes")
    }
}

impl NatsTransport {
    /// Takes a connection over whose answers come to `inbox`, a subscription of everything below `name`.
    pub fn new(
        connection: Connection,
        subjects: Subjects,
        core: Caller,
        (name, inbox): (&str, Inbox),
        slot: Arc<WorkerSlot>,
        metrics: Metrics,
    ) -> Self {
        let mut status = connection.status.clone();
        status.mark_changed();
        let changes = futures_util::stream::unfold(status, |mut status| async move {
            status.changed().await.ok()?;
            let now = *status.borrow_and_update();
            Some((now, status))
        });
        Self {
            core,
            subjects,
            outbox: Outbox::new(&connection),
            connection,
            outbound: BytesMut::new(),
            inbox,
            inbox_length: name.len() + 1,
            changes: Changes(changes.boxed_local()),
            slot,
            known: Status::default(),
            tick: Box::pin(sleep(TICK)),
            metrics,
        }
    }

    fn open(&mut self, id: u64, way: &Way) {
        match way {
            Way::Direct => {}
            Way::Route(pattern) => self.core.open(id, self.subjects.route(pattern)),
            Way::Function { name, rather } => {
                let (now, subject) = (Instant::now(), self.subjects.function(name));
                match rather.iter().find(|instance| !self.core.suspects(instance, now)) {
                    Some(instance) => self.core.open_at(id, instance, subject),
                    None => self.core.open(id, subject),
                }
            }
        }
    }

    fn take_status(&mut self, status: Status) {
        if status.losses != self.known.losses {
            self.metrics.nats_disconnects.inc_by(status.losses - self.known.losses);
            self.core.disconnected();
            self.outbox.clear();
        }
        self.metrics.nats_slow.inc_by(status.slow - self.known.slow);
        if status.connected != self.known.connected {
            self.metrics.nats_connections.add(if status.connected { 1 } else { -1 });
        }
        if status.connected {
            self.core.set_max_payload(self.connection.max_payload());
        }
        self.slot.set_ready(status.connected);
        self.known = status;
    }

    fn take(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Message { subject, payload, .. } => {
                let Some(tail) = subject.get(self.inbox_length..) else { return };
                self.core.receive(tail, payload, Instant::now());
            }
            Incoming::NobodyThere { subject } => {
                let Some(tail) = subject.get(self.inbox_length..) else { return };
                self.core.nobody_there(tail, Instant::now());
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.core.send(&mut self.outbound);
        self.core.flush(Instant::now());
        let core = &mut self.core;
        self.outbox.poll_publish(cx, || core.next_packet())
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<FromWorker>> {
        while let Poll::Ready(change) = self.changes.0.poll_next_unpin(cx) {
            match change {
                Some(status) => self.take_status(status),
                // The client has ended.
                None => return Poll::Ready(None),
            }
        }
        while self.tick.as_mut().poll(cx).is_ready() {
            self.core.tick(Instant::now());
            self.tick.as_mut().reset(tokio::time::Instant::now() + TICK);
        }
        loop {
            for cause in self.core.take_losses() {
                self.metrics.nats_lost_calls.with_label_values(&[cause.label()]).inc();
            }
            if let Some(message) = self.core.next_delivery() {
                return Poll::Ready(Some(message));
            }
            match std::task::ready!(self.inbox.poll_next(cx)) {
                Some(incoming) => self.take(incoming),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl Drop for NatsTransport {
    fn drop(&mut self) {
        if self.known.connected {
            self.metrics.nats_connections.dec();
        }
    }
}
