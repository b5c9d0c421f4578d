//! Gateways that come by NATS: all of them over one connection.
//!
//! Each function has a subject that the workers share, so that one of them takes a call; what follows comes to this
//! worker's own. Tasks of their own take messages off the shared subjects, so that a drain can let those run dry.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use remote::answerer::Answerer;
use remote::connection::{ConnectError, Connection, Inbox, Incoming, Outbox};
use remote::subject::Subjects;
use shared::link::{LinkError, Transport};
use shared::message::{FromWorker, ToWorker};
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;

use crate::registry::Registry;

/// Messages that wait between the shared subjects and the link.
const WAITING: usize = 256;

/// How often silent gateways are looked for.
const TICK: Duration = Duration::from_secs(1);

/// A worker's side of NATS.
#[derive(Debug)]
pub(crate) struct NatsTransport {
    core: Answerer,
    connection: Connection,
    outbox: Outbox,
    outbound: BytesMut,
    /// What comes to this worker alone.
    own: Inbox,
    /// What the shared subjects bring; ends when they have run dry after a drain has begun.
    shared: mpsc::Receiver<Incoming>,
    /// Fires when they have.
    dry: CancellationToken,
    tick: Pin<Box<Sleep>>,
}

impl NatsTransport {
    /// Subscribes to everything that concerns the registry's functions and routes. When `leaving` fires, no more calls
    /// open here; `dry` fires when the last that had come is taken.
    pub(crate) async fn open(
        connection: Connection,
        subjects: &Subjects,
        instance: &str,
        registry: &Registry,
        leaving: CancellationToken,
        dry: CancellationToken,
    ) -> Result<Self, ConnectError> {
        let own = connection.subscribe(subjects.worker(instance)).await?;
        let functions = registry.names().into_iter().map(|name| subjects.function(name));
        let routes = registry.routes().into_iter().map(|route| subjects.route(&route.pattern));
        let (sender, shared) = mpsc::channel(WAITING);
        for subject in functions.chain(routes) {
            let inbox = connection.share(subject, subjects.prefix().to_owned()).await?;
            tokio::task::spawn_local(pass_on(inbox, sender.clone(), leaving.clone()));
        }
        let outbox = Outbox::new(&connection);
        let core = Answerer::new(instance.to_owned());
        let tick = Box::pin(sleep(TICK));
        Ok(Self { core, connection, outbox, outbound: BytesMut::new(), own, shared, dry, tick })
    }

    fn take(&mut self, incoming: Incoming) {
        // Nobody is asked for an answer here, so that nobody can be missing.
        let Incoming::Message { reply, payload, .. } = incoming else { return };
        self.core.set_max_payload(self.connection.max_payload());
        if let Err(error) = self.core.receive(&reply, payload, Instant::now()) {
            tracing::warn!(%error, "a message from NATS is of no use");
        }
    }
}

/// Hands on what a shared subject brings, until it has run dry.
async fn pass_on(mut inbox: Inbox, to: mpsc::Sender<Incoming>, leaving: CancellationToken) {
    let mut is_leaving = false;
    loop {
        let incoming = tokio::select! {
            () = leaving.cancelled(), if !is_leaving => {
                is_leaving = true;
                inbox.close().await;
                continue;
            }
            incoming = inbox.next() => incoming,
        };
        let Some(incoming) = incoming else { return };
        if to.send(incoming).await.is_err() {
            return;
        }
    }
}

impl Transport for NatsTransport {
    type Out = FromWorker;
    type In = ToWorker;

    fn outbound(&mut self) -> &mut BytesMut {
        &mut self.outbound
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.core.send(&mut self.outbound);
        let core = &mut self.core;
        self.outbox.poll_publish(cx, || core.next_packet()).map(Ok)
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<ToWorker>, LinkError>> {
        while self.tick.as_mut().poll(cx).is_ready() {
            self.core.tick(Instant::now());
            self.tick.as_mut().reset(tokio::time::Instant::now() + TICK);
        }
        loop {
            if let Some(message) = self.core.next_delivery() {
                return Poll::Ready(Ok(Some(message)));
            }
            // What a call opens with comes before what follows: that is sent when its sender knows this worker.
            match self.shared.poll_recv(cx) {
                Poll::Ready(Some(incoming)) => {
                    self.take(incoming);
                    continue;
                }
                Poll::Ready(None) => self.dry.cancel(),
                Poll::Pending => {}
            }
            match self.own.poll_next(cx) {
                Poll::Ready(Some(incoming)) => self.take(incoming),
                // The client has ended.
                Poll::Ready(None) => return Poll::Ready(Ok(None)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn end_violator(&mut self, id: u64) -> bool {
        self.core.end_violator(id);
        true
    }
}
