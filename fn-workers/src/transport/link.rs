//! A link: calls in, replies out. One gateway thread's socket, or all gateways that come by NATS.
//!
//! A turn takes what has come, runs it as far as it goes, and writes all that came of it at once. Memory is bounded
//! whatever the other side does: at most [`MAX_CALLS`] calls are open, replies gather only up to [`GATHER_BYTES`] before the
//! socket must take them, and nothing is read meanwhile. Deadlines are kept here and not in the handlers. A handler that
//! holds up its event loop holds up the links of its arbiter: the gateway, which has a clock of its own, answers for it.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use shared::head::{RequestHead, ResponseHead};
use shared::ids::ById;
use shared::link::{LinkError, Transport};
use shared::message::{CallInput, Caller, FromWorker, Message, Outcome, Target, ToWorker};
use shared::window::WindowError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::time::DelayQueue;

use super::open::{OpenCall, OpenExchange, Stage};
use crate::actor::{Desk, Ended, Reply, Run, Work};
use crate::exchange::{SAID_WAITING, Said, call_streams, exchange};
use crate::outward::{Asked, MAX_ASKED, Outward};
use crate::registry::Registry;
use crate::team::Team;

/// The most calls that one link has open; more are refused with 503.
const MAX_CALLS: usize = 512;

/// Replies gather for one write up to this many bytes; beyond it the link is written before it is read.
const GATHER_BYTES: usize = 256 * 1024;

/// Replies gather for one write for this long, looked at between two calls.
const GATHER_TIME: Duration = Duration::from_millis(1);

/// How many messages a turn takes in before other tasks of the thread have theirs.
const MESSAGES_PER_TURN: usize = 128;

/// Who runs a link's calls.
pub(crate) enum Runner {
    /// The actor of the arbiter that the link runs on.
    Own(Desk),
    /// All actors of the process, each on a thread of its own.
    Team(Arc<Team>),
}

impl Runner {
    fn registry(&self) -> &Registry {
        match self {
            Self::Own(desk) => desk.registry(),
            Self::Team(team) => team.registry(),
        }
    }

    fn run(&self, run: Run, context: &mut Context<'_>) {
        match self {
            Self::Own(desk) => desk.begin(run, context),
            Self::Team(team) => team.assign(run),
        }
    }
}

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
    #[error("the thread of a link has ended")]
    Thread,
}

/// A link and the calls that came by it.
pub(crate) struct Link<T> {
    transport: T,
    runner: Runner,
    drain: Drain,
    open: ById<OpenCall>,
    deadlines: DelayQueue<u64>,
    ends: mpsc::Receiver<Ended>,
    end: mpsc::Sender<Ended>,
    /// What tasks say of their exchanges; all of it is taken before an end.
    said: mpsc::Receiver<(u64, Said)>,
    say: mpsc::Sender<(u64, Said)>,
}

/// How much of what had come was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    All,
    Some,
    Closed,
}

impl<T: Transport<Out = FromWorker, In = ToWorker>> Link<T> {
    pub(crate) fn new(transport: T, runner: Runner, drain: Drain) -> Self {
        // One place for each open call: reporting an end never waits and never overflows.
        let (end, ends) = mpsc::channel(MAX_CALLS);
        let (say, said) = mpsc::channel(SAID_WAITING);
        let (open, deadlines) = (ById::default(), DelayQueue::new());
        Self { transport, runner, drain, open, deadlines, ends, end, said, say }
    }

    /// Serves the link until it ends. Calls that are open then are cancelled.
    pub(crate) async fn serve(mut self) -> Result<LinkEnd, LinkFault> {
        let drain = self.drain.clone();
        let mut finished = pin!(drain.finished.cancelled());
        let closed = std::future::poll_fn(|context| {
            if finished.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(LinkEnd::Drained));
            }
            self.poll_turn(context).map(|closed| closed.map(|()| LinkEnd::Closed))
        });
        let end = closed.await?;
        if end == LinkEnd::Drained {
            std::future::poll_fn(|context| {
                self.poll_reports(context);
                self.transport.poll_flush(context)
            })
            .await?;
        }
        Ok(end)
    }

    /// Takes what has happened and writes what came of it; ready when the gateway has closed the link.
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Result<(), LinkFault>> {
        let mut taken = 0;
        loop {
            let all_taken = self.poll_messages(&mut taken, context)?;
            if all_taken == Taken::Closed {
                return Poll::Ready(Ok(()));
            }
            let mut expired = false;
            while let Poll::Ready(Some(passed)) = self.deadlines.poll_expired(context) {
                self.expire(passed.into_inner());
                expired = true;
            }
            if self.transport.poll_flush(context)?.is_pending() {
                return Poll::Pending;
            }
            if all_taken == Taken::All && !expired {
                return Poll::Pending;
            }
            if taken >= MESSAGES_PER_TURN {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    /// Takes reports and messages until there are no more, or what they came to is to be written first.
    fn poll_messages(&mut self, taken: &mut usize, context: &mut Context<'_>) -> Result<Taken, LinkFault> {
        self.poll_reports(context);
        let began = Instant::now();
        while self.gathers() {
            let Poll::Ready(received) = self.transport.poll_receive(context)? else { return Ok(Taken::All) };
            let Some(message) = received else { return Ok(Taken::Closed) };
            let now = Instant::now();
            match self.receive(message, now, context) {
                Err(LinkFault::Window { id, .. }) if self.transport.end_violator(id) => self.cancel(id),
                received => received?,
            }
            *taken += 1;
            if *taken >= MESSAGES_PER_TURN || now - began > GATHER_TIME {
                break;
            }
        }
        Ok(Taken::Some)
    }

    /// Whether more may come before the link is written.
    fn gathers(&mut self) -> bool {
        self.transport.outbound().len() < GATHER_BYTES
    }

    /// Takes what tasks report, up to what may gather; they wake the link when there is more.
    fn poll_reports(&mut self, context: &mut Context<'_>) {
        while self.gathers() {
            if let Poll::Ready(Some((id, said))) = self.said.poll_recv(context) {
                self.hear(id, said);
            } else if let Poll::Ready(Some((id, outcome))) = self.ends.poll_recv(context) {
                self.take_end(id, outcome);
            } else {
                return;
            }
        }
    }

    /// Takes what is reported now.
    fn take_reports(&mut self) {
        self.hear_all();
        while let Ok((id, outcome)) = self.ends.try_recv() {
            self.take_end(id, outcome);
        }
    }

    fn take_end(&mut self, id: u64, outcome: Option<Outcome>) {
        // The task said everything else before its end; some of it may have come since the last look.
        self.hear_all();
        self.end(id, outcome);
    }

    fn receive(
        &mut self,
        message: ToWorker,
        now: Instant,
        context: &mut Context<'_>,
    ) -> Result<(), LinkFault> {
        match message {
            ToWorker::Call { id, call } => {
                let deadline = now + self.runner.registry().time_for(&call.name, call.deadline_ms);
                if call.caller == Caller::Client {
                    return self.accept(id, deadline, None, Work::Call(call, None), context);
                }
                let has_body = CallInput::has_body(&call.input);
                let (side, streams) = call_streams(id, has_body, self.say.clone());
                let open = OpenExchange::new(side, true);
                self.accept(id, deadline, Some(open), Work::Call(call, Some(streams)), context)
            }
            ToWorker::Request { id, target, deadline_ms, head, body } => {
                let time = self.runner.registry().time_for(name_of(&target), deadline_ms);
                self.accept_request(id, target, now + time, (head, body), context)
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
        deadline: Instant,
        (head, body): (RequestHead, Bytes),
        context: &mut Context<'_>,
    ) -> Result<(), LinkFault> {
        let (side, exchange) = exchange(id, target, head, body, self.say.clone());
        let open = OpenExchange::new(side, false);
        self.accept(id, deadline, Some(open), Work::Exchange(exchange), context)
    }

    fn accept(
        &mut self,
        id: u64,
        deadline: Instant,
        exchange: Option<OpenExchange>,
        work: Work,
        context: &mut Context<'_>,
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
        let cancellation = CancellationToken::new();
        let open = OpenCall {
            cancellation: cancellation.clone(),
            deadline: None,
            is_awaited: true,
            exchange,
            asked: Vec::new(),
            _open: self.drain.open.token(),
        };
        self.open.insert(id, open);
        let reply = Reply::new(id, self.end.clone());
        let outward = Some(Outward::new(id, self.say.clone()));
        let run = Run { work, deadline, cancellation, reply, outward, load: None, waits: None };
        self.runner.run(run, context);
        // Most calls have ended now: a deadline is for the others.
        self.take_reports();
        if let Some(open) = self.open.get_mut(&id).filter(|open| open.is_awaited) {
            open.deadline = Some(self.deadlines.insert_at(id, deadline));
        }
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
        if matches!(said, Said::Whole(..) | Said::Head(_)) {
            open.is_awaited = false;
            if let Some(deadline) = open.deadline.take() {
                // From here on the response takes as long as its client reads.
                self.deadlines.remove(&deadline);
            }
        }
        match said {
            Said::Whole(head, body) => {
                exchange.stage = Stage::Over;
                self.queue(&FromWorker::Whole { id, head, body });
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
        self.queue(&FromWorker::Whole { id, head: ResponseHead { status, headers }, body: json.into() });
    }

    fn cancel(&mut self, id: u64) {
        // A call that is not open ended before its cancel arrived.
        if let Some(open) = self.open.get_mut(&id) {
            open.is_awaited = false;
            if let Some(deadline) = open.deadline.take() {
                self.deadlines.remove(&deadline);
            }
            open.cancellation.cancel();
        }
    }

    fn expire(&mut self, id: u64) {
        let Some(open) = self.open.get_mut(&id) else { return };
        open.deadline = None;
        open.is_awaited = false;
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
        let waiting = open.is_awaited;
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

/// The function that a request is for; empty for a route's.
fn name_of(target: &Target) -> &str {
    match target {
        Target::Function(name) => name,
        Target::Route => "",
    }
}

impl<T> Drop for Link<T> {
    fn drop(&mut self) {
        self.open.values().for_each(|open| open.cancellation.cancel());
    }
}
