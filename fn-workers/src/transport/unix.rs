//! One gateway thread's link: calls in, replies out.
//!
//! Memory is bounded whatever the other side does: at most [`MAX_CALLS`] calls are open, replies gather only up
//! to [`GATHER_BYTES`] before the socket must take them, and nothing is read meanwhile. Deadlines are kept here
//! and not in the handlers, so that a handler which holds up its event loop is still answered for in time.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use shared::link::{Channel, LinkError};
use shared::message::{FromWorker, NativeCall, Outcome, ToWorker};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tokio_util::time::{DelayQueue, delay_queue};

use crate::actor::{Ended, Reply, Run};
use crate::team::Team;

/// The most calls that one link has open; more are refused with 503.
const MAX_CALLS: usize = 512;

/// Replies gather for one write up to this many bytes; beyond it the link is written before it is read.
const GATHER_BYTES: usize = 256 * 1024;

/// What tells a link when to end.
#[derive(Clone, Default)]
pub(crate) struct Drain {
    /// Fires when no more calls are taken.
    pub(crate) begun: CancellationToken,
    /// Counts the open calls of all links.
    pub(crate) open: TaskTracker,
    /// Fires when all calls have ended: what is queued is written, then the link ends.
    pub(crate) finished: CancellationToken,
}

/// Why a link has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LinkEnd {
    /// The gateway closed it.
    Closed,
    /// All of its calls are answered after a drain.
    Drained,
}

/// A broken rule of the link.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnixError {
    #[error("a link to the gateway failed")]
    Link(#[from] LinkError),
    #[error("the gateway used the id {0} for two calls at a time")]
    DuplicateId(u64),
}

/// A link and the calls that came by it.
pub(crate) struct UnixLink {
    channel: Channel<FromWorker, ToWorker>,
    team: Arc<Team>,
    drain: Drain,
    open: HashMap<u64, OpenCall>,
    deadlines: DelayQueue<u64>,
    ends: mpsc::Receiver<Ended>,
    end: mpsc::Sender<Ended>,
}

struct OpenCall {
    cancellation: CancellationToken,
    /// `None` once the caller was answered or has gone; the handler may still be ending.
    deadline: Option<delay_queue::Key>,
    _open: TaskTrackerToken,
}

enum Event {
    Message(ToWorker),
    Ended(Ended),
    DeadlinePassed(u64),
    Closed,
    Finished,
}

impl UnixLink {
    pub(crate) fn new(channel: Channel<FromWorker, ToWorker>, team: Arc<Team>, drain: Drain) -> Self {
        // One place for each open call: reporting an end never waits and never overflows.
        let (end, ends) = mpsc::channel(MAX_CALLS);
        Self { channel, team, drain, open: HashMap::new(), deadlines: DelayQueue::new(), ends, end }
    }

    /// Serves the link until it ends. Calls that are open then are cancelled.
    pub(crate) async fn serve(mut self) -> Result<LinkEnd, UnixError> {
        let drain = self.drain.clone();
        let mut finished = pin!(drain.finished.cancelled());
        loop {
            let next = std::future::poll_fn(|context| {
                if finished.poll_unpin(context).is_ready() {
                    return Poll::Ready(Ok(Event::Finished));
                }
                self.poll_event(context)
            });
            match next.await? {
                Event::Message(ToWorker::Call { id, call }) => self.accept(id, call)?,
                Event::Message(ToWorker::Cancel { id }) => self.cancel(id),
                Event::Ended((id, outcome)) => self.end(id, outcome),
                Event::DeadlinePassed(id) => self.expire(id),
                Event::Closed => return Ok(LinkEnd::Closed),
                Event::Finished => {
                    self.channel.flush().await?;
                    return Ok(LinkEnd::Drained);
                }
            }
        }
    }

    /// The next thing that happened; writes what has gathered when nothing has.
    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Result<Event, LinkError>> {
        loop {
            if let Poll::Ready(Some(passed)) = self.deadlines.poll_expired(context) {
                return Poll::Ready(Ok(Event::DeadlinePassed(passed.into_inner())));
            }
            let may_gather = self.channel.outbound().len() < GATHER_BYTES;
            if may_gather {
                if let Poll::Ready(Some(ended)) = self.ends.poll_recv(context) {
                    return Poll::Ready(Ok(Event::Ended(ended)));
                }
                if let Poll::Ready(received) = self.channel.poll_receive(context)? {
                    return Poll::Ready(Ok(received.map_or(Event::Closed, Event::Message)));
                }
            }
            match self.channel.poll_flush(context)? {
                Poll::Ready(()) if may_gather => return Poll::Pending,
                Poll::Ready(()) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn accept(&mut self, id: u64, call: NativeCall) -> Result<(), UnixError> {
        if self.open.contains_key(&id) {
            return Err(UnixError::DuplicateId(id));
        }
        if self.drain.begun.is_cancelled() {
            self.reply(id, Outcome::failed(503, "the function worker is ending"));
            return Ok(());
        }
        if self.open.len() >= MAX_CALLS {
            self.reply(id, Outcome::failed(503, "too many calls are open"));
            return Ok(());
        }
        let time: Duration = self.team.registry().time_for(&call);
        let deadline = Instant::now() + time;
        let cancellation = CancellationToken::new();
        let open = OpenCall {
            cancellation: cancellation.clone(),
            deadline: Some(self.deadlines.insert_at(id, deadline)),
            _open: self.drain.open.token(),
        };
        self.open.insert(id, open);
        let reply = Reply::new(id, self.end.clone());
        self.team.assign(Run { call, deadline, cancellation, reply, load: None });
        Ok(())
    }

    fn cancel(&mut self, id: u64) {
        // A call that is not open ended before its cancel arrived.
        if let Some(open) = self.open.get_mut(&id) {
            if let Some(deadline) = open.deadline.take() {
                self.deadlines.remove(&deadline);
            }
            open.cancellation.cancel();
        }
    }

    fn expire(&mut self, id: u64) {
        let Some(open) = self.open.get_mut(&id) else { return };
        open.deadline = None;
        open.cancellation.cancel();
        self.reply(id, Outcome::failed(504, "the function did not answer in time"));
    }

    fn end(&mut self, id: u64, outcome: Option<Outcome>) {
        let Some(open) = self.open.remove(&id) else { return };
        if let Some(deadline) = open.deadline {
            self.deadlines.remove(&deadline);
            let lost = || Outcome::failed(500, "the call was lost");
            self.reply(id, outcome.unwrap_or_else(lost));
        }
    }

    fn reply(&mut self, id: u64, outcome: Outcome) {
        self.channel.queue(&FromWorker::Reply { id, outcome });
    }
}

impl Drop for UnixLink {
    fn drop(&mut self) {
        self.open.values().for_each(|open| open.cancellation.cancel());
    }
}
