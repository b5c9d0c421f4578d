//! A link: calls in, replies out. One gateway thread's socket, or all gateways that come by NATS.
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
use shared::head::{RequestHead, ResponseHead};
use shared::link::{LinkError, Transport};
use shared::message::{CallInput, Caller, FromWorker, Message, Outcome, Target, ToWorker};
use shared::window::{ReceiveWindow, SendWindow, WindowError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tokio_util::time::{DelayQueue, delay_queue};

use crate::actor::{Ended, Reply, Run, Work};
use crate::exchange::{LinkSide, SAID_WAITING, Said, call_streams, exchange};
use crate::outward::{Asked, MAX_ASKED, Outward};
use crate::team::Team;

/// The most calls that one link has open; more are refused with 503.
const MAX_CALLS: usize = 512;

/// Replies gather for one write up to this many bytes; beyond it the link is written before it is read.
const GATHER_BYTES: usize = 256 * 1024;

/// What tells a link when to end.
#[derive(Clone)]
pub(crate) struct Drain {
    /// Fires when no more calls are taken.
    pub(crate) begun: CancellationToken,
    /// Counts the open calls of all links, and what calls have left running.
    pub(crate) open: TaskTracker,
    /// Fires when all calls have ended: what is queued is written, then the link ends.
    pub(crate) finished: CancellationToken,
}

impl Drain {
    pub(crate) fn new(open: TaskTracker) -> Self {
        Self { begun: CancellationToken::new(), open, finished: CancellationToken::new() }
    }
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
pub(crate) enum LinkFault {
    #[error("a link to the gateway failed")]
    Link(#[from] LinkError),
    #[error("the gateway used the id {0} for two calls at a time")]
    DuplicateId(u64),
    #[error("the window of request {id} is broken")]
    Window { id: u64, source: WindowError },
}

/// A link and the calls that came by it.
pub(crate) struct Link<T> {
    transport: T,
    team: Arc<Team>,
    drain: Drain,
    open: HashMap<u64, OpenCall>,
    deadlines: DelayQueue<u64>,
    ends: mpsc::Receiver<Ended>,
    end: mpsc::Sender<Ended>,
    /// What tasks say of their exchanges; all of it is taken before an end.
    said: mpsc::Receiver<(u64, Said)>,
    say: mpsc::Sender<(u64, Said)>,
}

struct OpenCall {
    cancellation: CancellationToken,
    /// `None` once the caller was answered or has gone; the handler may still be ending.
    deadline: Option<delay_queue::Key>,
    exchange: Option<OpenExchange>,
    /// What it has called in other processes, by number.
    asked: Vec<(u32, oneshot::Sender<Outcome>)>,
    _open: TaskTrackerToken,
}

/// A request and its response.
struct OpenExchange {
    side: LinkSide,
    received: ReceiveWindow,
    sent: SendWindow,
    stage: Stage,
    /// It is a call: what answers it before it streams is a reply.
    is_call: bool,
}

impl OpenExchange {
    fn new(side: LinkSide, is_call: bool) -> Self {
        let (received, sent) = (ReceiveWindow::default(), SendWindow::default());
        Self { side, received, sent, stage: Stage::Silent, is_call }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Silent,
    Headed,
    Over,
}

enum Event {
    Message(ToWorker),
    Ended(Ended),
    Said(u64, Said),
    DeadlinePassed(u64),
    Closed,
    Finished,
}

impl<T: Transport<Out = FromWorker, In = ToWorker>> Link<T> {
    pub(crate) fn new(transport: T, team: Arc<Team>, drain: Drain) -> Self {
        // One place for each open call: reporting an end never waits and never overflows.
        let (end, ends) = mpsc::channel(MAX_CALLS);
        let (say, said) = mpsc::channel(SAID_WAITING);
        let deadlines = DelayQueue::new();
        Self { transport, team, drain, open: HashMap::new(), deadlines, ends, end, said, say }
    }

    /// Serves the link until it ends. Calls that are open then are cancelled.
    pub(crate) async fn serve(mut self) -> Result<LinkEnd, LinkFault> {
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
                Event::Message(message) => match self.receive(message) {
                    Err(LinkFault::Window { id, .. }) if self.transport.end_violator(id) => self.cancel(id),
                    received => received?,
                },
                Event::Ended((id, outcome)) => self.end(id, outcome),
                Event::Said(id, said) => self.hear(id, said),
                Event::DeadlinePassed(id) => self.expire(id),
                Event::Closed => return Ok(LinkEnd::Closed),
                Event::Finished => {
                    std::future::poll_fn(|cx| self.transport.poll_flush(cx)).await?;
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
            let may_gather = self.transport.outbound().len() < GATHER_BYTES;
            if may_gather {
                if let Poll::Ready(Some((id, said))) = self.said.poll_recv(context) {
                    return Poll::Ready(Ok(Event::Said(id, said)));
                }
                if let Poll::Ready(Some(ended)) = self.ends.poll_recv(context) {
                    // The task said everything else before its end; some of it may have come since the look above.
                    self.hear_all();
                    return Poll::Ready(Ok(Event::Ended(ended)));
                }
                if let Poll::Ready(received) = self.transport.poll_receive(context)? {
                    return Poll::Ready(Ok(received.map_or(Event::Closed, Event::Message)));
                }
            }
            match self.transport.poll_flush(context)? {
                Poll::Ready(()) if may_gather => return Poll::Pending,
                Poll::Ready(()) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn receive(&mut self, message: ToWorker) -> Result<(), LinkFault> {
        match message {
            ToWorker::Call { id, call } => {
                let time = self.team.registry().time_for(&call.name, call.deadline_ms);
                if call.caller == Caller::Client {
                    return self.accept(id, time, None, Work::Call(call, None));
                }
                let has_body = CallInput::has_body(&call.input);
                let (side, streams) = call_streams(id, has_body, self.say.clone());
                let open = OpenExchange::new(side, true);
                self.accept(id, time, Some(open), Work::Call(call, Some(streams)))
            }
            ToWorker::Request { id, target, deadline_ms, head } => {
                self.accept_request(id, target, deadline_ms, head)
            }
            ToWorker::Cancel { id } => {
                self.cancel(id);
                Ok(())
            }
            ToWorker::Body { id, bytes } => {
                let Some(exchange) = self.exchange(id) else { return Ok(()) };
                let window = |source| LinkFault::Window { id, source };
                exchange.received.received(bytes.len()).map_err(window)?;
                if let Some(upload) = &exchange.side.upload {
                    upload.send(bytes);
                }
                Ok(())
            }
            ToWorker::BodyEnd { id } => {
                if let Some(exchange) = self.exchange(id) {
                    exchange.side.upload = None;
                }
                Ok(())
            }
            ToWorker::BodyFailed { id } => {
                if let Some(upload) = self.exchange(id).and_then(|exchange| exchange.side.upload.take()) {
                    upload.fail();
                }
                Ok(())
            }
            ToWorker::Reply { id, number, outcome } => {
                self.answer_asked(id, number, outcome);
                Ok(())
            }
            ToWorker::Credit { id, bytes } => {
                let Some(exchange) = self.exchange(id) else { return Ok(()) };
                let bytes = bytes as usize;
                exchange.sent.credit(bytes).map_err(|source| LinkFault::Window { id, source })?;
                exchange.side.credit(bytes);
                Ok(())
            }
        }
    }

    /// What concerns a request that is over has crossed its end on the way.
    fn exchange(&mut self, id: u64) -> Option<&mut OpenExchange> {
        self.open.get_mut(&id)?.exchange.as_mut()
    }

    fn accept_request(
        &mut self,
        id: u64,
        target: Target,
        deadline_ms: u32,
        head: RequestHead,
    ) -> Result<(), LinkFault> {
        let name = match &target {
            Target::Function(name) => name.as_str(),
            Target::Route => "",
        };
        let time = self.team.registry().time_for(name, deadline_ms);
        let (side, exchange) = exchange(id, target, head, self.say.clone());
        let open = OpenExchange::new(side, false);
        self.accept(id, time, Some(open), Work::Exchange(exchange))
    }

    fn accept(
        &mut self,
        id: u64,
        time: Duration,
        exchange: Option<OpenExchange>,
        work: Work,
    ) -> Result<(), LinkFault> {
        if self.open.contains_key(&id) {
            return Err(LinkFault::DuplicateId(id));
        }
        let refusal = if self.drain.begun.is_cancelled() {
            Some("the function worker is ending")
        } else if self.open.len() >= MAX_CALLS {
            Some("too many calls are open")
        } else {
            None
        };
        if let Some(message) = refusal {
            match exchange {
                Some(OpenExchange { is_call: false, .. }) => self.refuse(id, 503, message),
                _ => self.reply(id, Outcome::failed(503, message)),
            }
            return Ok(());
        }
        let deadline = Instant::now() + time;
        let cancellation = CancellationToken::new();
        let open = OpenCall {
            cancellation: cancellation.clone(),
            deadline: Some(self.deadlines.insert_at(id, deadline)),
            exchange,
            asked: Vec::new(),
            _open: self.drain.open.token(),
        };
        self.open.insert(id, open);
        let reply = Reply::new(id, self.end.clone());
        let outward = Some(Outward::new(id, self.say.clone()));
        self.team.assign(Run { work, deadline, cancellation, reply, outward, load: None });
        Ok(())
    }

    /// Takes what tasks have said so far.
    fn hear_all(&mut self) {
        while let Ok((id, said)) = self.said.try_recv() {
            self.hear(id, said);
        }
    }

    /// A call has called a function that this process does not have.
    fn ask(&mut self, id: u64, Asked { number, call, answer }: Asked) {
        // Where its call has ended, the answer's end tells the task that still waits.
        let Some(open) = self.open.get_mut(&id) else { return };
        if open.asked.len() >= MAX_ASKED {
            // Nobody waits any more.
            let _ = answer.send(Outcome::failed(503, "too many native calls at a time"));
            return;
        }
        open.asked.push((number, answer));
        self.queue(&FromWorker::Call { id, number, call });
    }

    fn withdraw(&mut self, id: u64, number: u32) {
        if self.take_asked(id, number).is_some() {
            self.queue(&FromWorker::CallCancel { id, number });
        }
    }

    /// What is not open any more was withdrawn while its answer was on its way.
    fn answer_asked(&mut self, id: u64, number: u32, outcome: Outcome) {
        if let Some(answer) = self.take_asked(id, number) {
            // Its withdrawal is on its way here.
            let _ = answer.send(outcome);
        }
    }

    fn take_asked(&mut self, id: u64, number: u32) -> Option<oneshot::Sender<Outcome>> {
        let asked = &mut self.open.get_mut(&id)?.asked;
        let at = asked.iter().position(|(other, _)| *other == number)?;
        Some(asked.swap_remove(at).1)
    }

    fn hear(&mut self, id: u64, said: Said) {
        let said = match said {
            Said::Calls(asked) => return self.ask(id, *asked),
            Said::Withdraws(number) => return self.withdraw(id, number),
            said => said,
        };
        let Some(open) = self.open.get_mut(&id) else { return };
        let Some(exchange) = &mut open.exchange else { return };
        if exchange.stage == Stage::Over {
            return;
        }
        if matches!(said, Said::Whole(..) | Said::Head(_))
            && let Some(deadline) = open.deadline.take()
        {
            // From here on the response takes as long as its client reads.
            self.deadlines.remove(&deadline);
        }
        match said {
            Said::Whole(head, bytes) => {
                exchange.sent.take(bytes.len());
                exchange.stage = Stage::Over;
                self.queue(&FromWorker::Head { id, head });
                if !bytes.is_empty() {
                    self.queue(&FromWorker::Body { id, bytes });
                }
                self.queue(&FromWorker::End { id });
            }
            Said::Head(head) => {
                exchange.stage = Stage::Headed;
                self.queue(&FromWorker::Head { id, head });
            }
            Said::Body(bytes) => {
                exchange.sent.take(bytes.len());
                self.queue(&FromWorker::Body { id, bytes });
            }
            Said::End => {
                exchange.stage = Stage::Over;
                self.queue(&FromWorker::End { id });
            }
            Said::Failed(detail) => {
                exchange.stage = Stage::Over;
                self.queue(&FromWorker::Failed { id, detail });
            }
            Said::Consumed(bytes) => {
                if let Some(credit) = exchange.received.consumed(bytes) {
                    let bytes = u32::try_from(credit).unwrap_or(u32::MAX);
                    self.queue(&FromWorker::Credit { id, bytes });
                }
            }
            Said::Calls(_) | Said::Withdraws(_) => debug_assert!(false, "taken above"),
        }
    }

    /// Answers a request that nothing else has answered.
    fn refuse(&mut self, id: u64, status: u16, message: &str) {
        let json = serde_json::json!({ "error": message }).to_string();
        let headers = vec![("content-type".into(), "application/json".into())];
        self.queue(&FromWorker::Head { id, head: ResponseHead { status, headers } });
        self.queue(&FromWorker::Body { id, bytes: json.into() });
        self.queue(&FromWorker::End { id });
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
        let message = "the function did not answer in time";
        match &mut open.exchange {
            None => self.reply(id, Outcome::failed(504, message)),
            Some(exchange) if exchange.stage == Stage::Silent && exchange.is_call => {
                exchange.stage = Stage::Over;
                self.reply(id, Outcome::failed(504, message));
            }
            // The deadline ends with the head of the response.
            Some(exchange) if exchange.stage == Stage::Silent => {
                exchange.stage = Stage::Over;
                self.refuse(id, 504, message);
            }
            Some(_) => {}
        }
    }

    fn end(&mut self, id: u64, outcome: Option<Outcome>) {
        let Some(open) = self.open.remove(&id) else { return };
        let waiting = open.deadline.is_some();
        if let Some(deadline) = open.deadline {
            self.deadlines.remove(&deadline);
        }
        let stage = open.exchange.as_ref().map(|exchange| exchange.stage);
        let is_call = open.exchange.is_none_or(|exchange| exchange.is_call && stage == Some(Stage::Silent));
        match stage {
            _ if is_call && waiting => {
                let lost = || Outcome::failed(500, "the call was lost");
                self.reply(id, outcome.unwrap_or_else(lost));
            }
            _ if is_call => {}
            None | Some(Stage::Over) => {}
            Some(stage) => match outcome {
                Some(Outcome::Failed { status, message }) if stage == Stage::Silent => {
                    self.refuse(id, status, &message);
                }
                _ => {
                    let detail = "the task ended before its response".into();
                    self.queue(&FromWorker::Failed { id, detail });
                }
            },
        }
    }

    fn queue(&mut self, message: &FromWorker) {
        message.encode(self.transport.outbound());
    }

    fn reply(&mut self, id: u64, outcome: Outcome) {
        self.queue(&FromWorker::Reply { id, outcome });
    }
}

impl<T> Drop for Link<T> {
    fn drop(&mut self) {
        self.open.values().for_each(|open| open.cancellation.cancel());
    }
}
