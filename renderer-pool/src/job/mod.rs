//! The jobs of one isolate: what the gateway's links say, turned into events for JavaScript, and what JavaScript
//! answers, turned into frames under each job's windows.
//!
//! A job is named by a `key`, a number that JavaScript can hold; on the wire it is named by the link it came
//! over and the gateway's id. Keys start at 1: 0 means "no job".

mod gathered;
mod label;
mod wire_ids;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use shared::head::{RequestHead, ResponseHead};
use shared::link::{Channel, LinkError};
use shared::message::renderer::MAX_EARLY_HINTS_PER_JOB;
use shared::message::{
    AnswerKind, CallInput, CancelReason, EarlyHints, Failure, FailureKind, FromRenderer, HintPhase,
    MAX_CALL_BYTES, Outcome, ToRenderer,
};
use shared::window::{MAX_CHUNK_BYTES, ReceiveWindow, SendWindow, WindowError};

use gathered::{Gathered, Origin, Pieces};
pub use label::JobLabel;
pub use wire_ids::WireIds;

/// The isolate's side of a link.
pub type Link = Channel<FromRenderer, ToRenderer>;

/// The most native calls that one job has under way.
const MAX_CALLS_PER_JOB: usize = 64;

/// The most messages taken off one link before JavaScript runs and answers leave.
const MESSAGES_PER_TURN: usize = 64;

/// What JavaScript is told.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A new job.
    Start {
        /// The job.
        key: u32,
        /// Its request.
        head: RequestHead,
    },
    /// A piece of a request's body.
    Body {
        /// The job.
        key: u32,
        /// The piece.
        bytes: Bytes,
    },
    /// A request's body is complete.
    BodyEnd {
        /// The job.
        key: u32,
    },
    /// A request's body will not be complete.
    BodyFailed {
        /// The job.
        key: u32,
    },
    /// A job should come to its end; it goes on until it does.
    Abort {
        /// The job.
        key: u32,
    },
    /// A job is given up; its key means nothing any more.
    Cancel {
        /// The job.
        key: u32,
        /// Why.
        reason: CancelReason,
    },
    /// A job that was told to wait may write again.
    Writable {
        /// The job.
        key: u32,
    },
    /// A native call has ended.
    Reply {
        /// The job.
        key: u32,
        /// Which of its calls.
        call: u32,
        /// How.
        outcome: Outcome,
    },
    /// A native call's answer begins, and comes piece by piece.
    ReplyBegins {
        /// The job.
        key: u32,
        /// Which of its calls.
        call: u32,
        /// What comes.
        kind: AnswerKind,
        /// What belongs to it.
        head: ResponseHead,
    },
    /// A piece of a native call's answer.
    ReplyBody {
        /// The job.
        key: u32,
        /// Which of its calls.
        call: u32,
        /// The piece.
        bytes: Bytes,
    },
    /// A native call's answer has ended.
    ReplyEnds {
        /// The job.
        key: u32,
        /// Which of its calls.
        call: u32,
        /// Whether it came whole.
        whole: bool,
    },
}

/// The gateway has closed every link: nobody is left to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the gateway has closed every link")]
pub struct AllLinksEnded;

/// Why one link cannot go on.
#[derive(Debug, thiserror::Error)]
enum LinkEnd {
    /// The gateway's thread closed it.
    #[error("closed")]
    Closed,
    #[error("broken")]
    Broken(#[from] LinkError),
    #[error("the gateway broke the rules of a window")]
    Window(#[from] WindowError),
}

#[derive(Debug)]
struct Job {
    link: usize,
    id: u64,
    /// Its request: native calls learn of it. Shares the memory of the frame that it came in.
    head: RequestHead,
    send: SendWindow,
    /// What JavaScript wrote in this turn within the window.
    pieces: Pieces,
    /// What JavaScript wrote beyond the window: at most one of its chunks.
    beyond: VecDeque<Bytes>,
    upload: ReceiveWindow,
    head_sent: bool,
    ended: bool,
    /// Its native calls, by their numbers.
    calls: HashMap<u32, Call>,
    /// So many reports of early hints may still be sent.
    early_hints_left: usize,
    /// Another isolate may run it again as long as its head is not sent (RFC 9110, section 9.2.1: safe methods).
    is_safe: bool,
}

impl Job {
    fn origin(&self, key: u32) -> Origin {
        Origin { key, link: self.link, id: self.id }
    }
}

/// A native call that is under way.
#[derive(Debug, Default)]
struct Call {
    upload: SendWindow,
    /// What is left of the input that leaves as a body; `None` once all of it has.
    body: Option<Bytes>,
    reply: ReceiveWindow,
}

impl Call {
    /// Sends of the body what the window lets through.
    fn send(&mut self, link: &mut Link, id: u64, call: u32) {
        let Some(body) = &mut self.body else { return };
        while !body.is_empty() {
            let length = self.upload.take(body.len().min(MAX_CHUNK_BYTES));
            if length == 0 {
                return;
            }
            link.queue(&FromRenderer::CallBody { id, call, bytes: body.split_to(length) });
        }
        self.body = None;
        link.queue(&FromRenderer::CallBodyEnd { id, call });
    }
}

/// A native call that is to begin.
struct NewCall<'a> {
    number: u32,
    name: &'a str,
    input: Bytes,
}

/// The jobs of one isolate and the links that they came over.
#[derive(Debug)]
pub struct JobTable {
    /// One for each gateway thread; a thread may go while the others stay.
    links: Vec<Option<Link>>,
    jobs: HashMap<u32, Job>,
    keys: HashMap<(usize, u64), u32>,
    next_key: u32,
    wire_ids: Arc<WireIds>,
    gathered: Gathered,
    max_jobs: usize,
    started: u64,
    draining: bool,
}

impl JobTable {
    /// A table without jobs that takes at most `max_jobs` at a time from `links`.
    pub fn new(links: Vec<Link>, max_jobs: usize) -> Self {
        Self {
            links: links.into_iter().map(Some).collect(),
            jobs: HashMap::new(),
            keys: HashMap::new(),
            next_key: 1,
            wire_ids: Arc::default(),
            gathered: Gathered::default(),
            max_jobs,
            started: 0,
            draining: false,
        }
    }

    /// Under which ids the gateway knows its jobs.
    pub fn wire_ids(&self) -> Arc<WireIds> {
        self.wire_ids.clone()
    }

    /// Whether no job runs.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Jobs that were started so far.
    pub fn started(&self) -> u64 {
        self.started
    }

    /// Refuses new jobs from now on.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Takes what has come over the links and appends its events. Ready when something has come. A link that
    /// ends takes its own jobs along and no others.
    ///
    /// # Errors
    /// [`AllLinksEnded`]; the isolate ends then.
    pub fn poll_events(
        &mut self,
        cx: &mut Context<'_>,
        events: &mut Vec<Event>,
    ) -> Poll<Result<(), AllLinksEnded>> {
        let mut received = false;
        for link in 0..self.links.len() {
            match self.receive_from(link, cx, events) {
                Ok(some) => received |= some,
                Err(end) => {
                    received = true;
                    self.lose(link, &end, events);
                }
            }
        }
        if self.links.iter().all(Option::is_none) {
            return Poll::Ready(Err(AllLinksEnded));
        }
        if received { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn receive_from(
        &mut self,
        link: usize,
        cx: &mut Context<'_>,
        events: &mut Vec<Event>,
    ) -> Result<bool, LinkEnd> {
        for taken in 0..MESSAGES_PER_TURN {
            let Some(open) = &mut self.links[link] else { return Ok(false) };
            match open.poll_receive(cx)? {
                Poll::Pending => return Ok(taken > 0),
                Poll::Ready(None) => return Err(LinkEnd::Closed),
                Poll::Ready(Some(message)) => events.extend(self.receive(link, message)?),
            }
        }
        cx.waker().wake_by_ref();
        Ok(true)
    }

    /// Writes what has been queued on the links. Pending while a socket takes no more.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>, events: &mut Vec<Event>) -> Poll<()> {
        let mut pending = false;
        self.settle_all();
        for link in 0..self.links.len() {
            let Some(open) = &mut self.links[link] else { continue };
            match open.poll_flush(cx) {
                Poll::Pending => pending = true,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    // The jobs that this ends are JavaScript's to hear of in a turn of their own.
                    self.lose(link, &error.into(), events);
                    cx.waker().wake_by_ref();
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Hands what jobs have written in this turn to their links.
    fn settle_all(&mut self) {
        let keys = self.gathered.end_turn();
        for key in &keys {
            let Some(job) = self.jobs.get_mut(key) else { continue };
            if let Some(link) = &mut self.links[job.link] {
                let origin = job.origin(*key);
                self.gathered.settle(link.outbound(), &mut job.pieces, origin);
            }
        }
        self.gathered.begin_turn(keys);
    }

    fn lose(&mut self, link: usize, end: &LinkEnd, events: &mut Vec<Event>) {
        if !matches!(end, LinkEnd::Closed) {
            let cause = std::error::Error::source(end).map(ToString::to_string).unwrap_or_default();
            tracing::error!(link, cause, "a link to the gateway ends: {end}");
        }
        self.links[link] = None;
        let lost: Vec<u32> =
            self.jobs.iter().filter(|(_, job)| job.link == link).map(|(key, _)| *key).collect();
        for key in lost {
            self.finish(key, |_, _| {});
            events.push(Event::Cancel { key, reason: CancelReason::ClientGone });
        }
    }

    fn receive(&mut self, link: usize, message: ToRenderer) -> Result<Option<Event>, LinkEnd> {
        let (ToRenderer::Job { id, .. }
        | ToRenderer::Body { id, .. }
        | ToRenderer::BodyEnd { id }
        | ToRenderer::Cancel { id, .. }
        | ToRenderer::Credit { id, .. }
        | ToRenderer::Reply { id, .. }
        | ToRenderer::ReplyBegins { id, .. }
        | ToRenderer::ReplyBody { id, .. }
        | ToRenderer::ReplyEnds { id, .. }
        | ToRenderer::CallCredit { id, .. }) = message;
        if let ToRenderer::Job { head, .. } = message {
            return Ok(self.start(link, id, head));
        }
        // What crosses with a job's end on the way concerns nobody any more.
        let Some(&key) = self.keys.get(&(link, id)) else { return Ok(None) };
        let Some(job) = self.jobs.get_mut(&key) else { return Ok(None) };
        Ok(match message {
            ToRenderer::Job { .. } => None,
            ToRenderer::Body { bytes, .. } => {
                job.upload.received(bytes.len())?;
                Some(Event::Body { key, bytes })
            }
            ToRenderer::BodyEnd { .. } => Some(Event::BodyEnd { key }),
            ToRenderer::Cancel { reason: CancelReason::BodyFailed, .. } => Some(Event::BodyFailed { key }),
            ToRenderer::Cancel { reason: CancelReason::AbortDelay, .. } => Some(Event::Abort { key }),
            ToRenderer::Cancel { reason, .. } => {
                self.finish(key, |link, id| {
                    let failure = Failure { kind: FailureKind::Cancelled, detail: String::new() };
                    link.queue(&FromRenderer::Failed { id, failure });
                });
                Some(Event::Cancel { key, reason })
            }
            ToRenderer::Credit { bytes, .. } => {
                job.send.credit(bytes as usize)?;
                self.credited(key)
            }
            ToRenderer::Reply { call, outcome, .. } => {
                job.calls.remove(&call).map(|_| Event::Reply { key, call, outcome })
            }
            ToRenderer::ReplyBegins { call, kind, head, .. } => {
                job.calls.contains_key(&call).then_some(Event::ReplyBegins { key, call, kind, head })
            }
            ToRenderer::ReplyBody { call, bytes, .. } => match job.calls.get_mut(&call) {
                Some(open) => {
                    open.reply.received(bytes.len())?;
                    Some(Event::ReplyBody { key, call, bytes })
                }
                // It crossed the call's cancel.
                None => None,
            },
            ToRenderer::ReplyEnds { call, whole, .. } => {
                job.calls.remove(&call).map(|_| Event::ReplyEnds { key, call, whole })
            }
            ToRenderer::CallCredit { call, bytes, .. } => {
                if let Some(open) = job.calls.get_mut(&call) {
                    open.upload.credit(bytes as usize)?;
                    if let Some(link) = &mut self.links[link] {
                        open.send(link, id, call);
                    }
                }
                None
            }
        })
    }

    fn start(&mut self, link: usize, id: u64, head: RequestHead) -> Option<Event> {
        if self.draining || self.jobs.len() >= self.max_jobs {
            let failure = Failure { kind: FailureKind::NotReady, detail: String::new() };
            if let Some(link) = &mut self.links[link] {
                link.queue(&FromRenderer::Failed { id, failure });
            }
            return None;
        }
        let key = self.next_key;
        self.next_key = self.next_key.checked_add(1).unwrap_or(1);
        let job = Job {
            link,
            id,
            head: head.clone(),
            send: SendWindow::default(),
            pieces: Pieces::default(),
            beyond: VecDeque::new(),
            upload: ReceiveWindow::default(),
            head_sent: false,
            ended: false,
            calls: HashMap::new(),
            early_hints_left: if head.options.early_hints { MAX_EARLY_HINTS_PER_JOB } else { 0 },
            is_safe: !head.has_body && matches!(&head.method[..], b"GET" | b"HEAD"),
        };
        self.started += 1;
        self.jobs.insert(key, job);
        self.keys.insert((link, id), key);
        self.wire_ids.remember(key, id);
        Some(Event::Start { key, head })
    }

    /// Sends what waited for the window.
    fn credited(&mut self, key: u32) -> Option<Event> {
        let job = self.jobs.get_mut(&key)?;
        let link = self.links[job.link].as_mut()?;
        let waited = !job.beyond.is_empty();
        let origin = job.origin(key);
        self.gathered.settle(link.outbound(), &mut job.pieces, origin);
        while let Some(mut bytes) = job.beyond.pop_front() {
            let length = job.send.take(bytes.len().min(MAX_CHUNK_BYTES));
            if length > 0 {
                FromRenderer::encode_body(link.outbound(), job.id, &bytes.split_to(length));
            }
            if !bytes.is_empty() {
                job.beyond.push_front(bytes);
            }
            if length == 0 {
                return None;
            }
        }
        if job.ended {
            self.finish(key, |link, id| link.queue(&FromRenderer::End { id }));
            return None;
        }
        waited.then_some(Event::Writable { key })
    }

    fn finish(&mut self, key: u32, last: impl FnOnce(&mut Link, u64)) {
        if let Some(mut job) = self.jobs.remove(&key) {
            self.keys.remove(&(job.link, job.id));
            self.wire_ids.forget(key);
            if let Some(link) = &mut self.links[job.link] {
                let origin = job.origin(key);
                self.gathered.settle(link.outbound(), &mut job.pieces, origin);
                last(link, job.id);
            }
        }
    }

    fn say(links: &mut [Option<Link>], job: &Job, message: &FromRenderer) {
        if let Some(link) = &mut links[job.link] {
            link.queue(message);
        }
    }

    /// The response begins. `fields` are names and values by turns, between line feeds.
    pub fn head(&mut self, key: u32, status: u16, fields: &[u8]) {
        let Some(job) = self.jobs.get_mut(&key).filter(|job| !job.head_sent) else { return };
        let Some(link) = &mut self.links[job.link] else { return };
        job.head_sent = true;
        FromRenderer::encode_head(link.outbound(), job.id, status, header_fields(fields));
    }

    /// The app says what its response will need; `links` are values of `Link` fields, between line feeds. Of no
    /// use once the head is sent, and dropped when the gateway does not ask for it or has heard enough.
    pub fn early_hints(&mut self, key: u32, phase: HintPhase, links: &str) {
        let wanted = |job: &&mut Job| !job.head_sent && job.early_hints_left > 0;
        let Some(job) = self.jobs.get_mut(&key).filter(wanted) else { return };
        job.early_hints_left -= 1;
        let hints = EarlyHints::new(phase, links);
        Self::say(&mut self.links, job, &FromRenderer::EarlyHints { id: job.id, hints });
    }

    /// A piece of the response. Returns whether the job may write on at once; else it waits for
    /// [`Event::Writable`].
    pub fn write(&mut self, key: u32, mut bytes: &[u8]) -> bool {
        let Some(job) = self.jobs.get_mut(&key).filter(|job| job.head_sent && !job.ended) else {
            return true;
        };
        let Some(link) = &mut self.links[job.link] else { return true };
        while !bytes.is_empty() && job.beyond.is_empty() {
            let length = job.send.take(bytes.len().min(MAX_CHUNK_BYTES));
            if length == 0 {
                break;
            }
            let (now, later) = bytes.split_at(length);
            let origin = job.origin(key);
            self.gathered.write(link.outbound(), &mut job.pieces, origin, now);
            bytes = later;
        }
        if !bytes.is_empty() {
            job.beyond.push_back(Bytes::copy_from_slice(bytes));
        }
        job.beyond.is_empty()
    }

    /// The response is complete.
    pub fn end(&mut self, key: u32) {
        let Some(job) = self.jobs.get_mut(&key) else { return };
        job.ended = true;
        if job.beyond.is_empty() {
            self.finish(key, |link, id| link.queue(&FromRenderer::End { id }));
        }
    }

    /// Whether a job has no response yet that could be in another's way.
    pub fn may_answer(&self, key: u32) -> bool {
        self.jobs.get(&key).is_some_and(|job| !job.head_sent)
    }

    /// There is no whole response. Says whether the job was there.
    pub fn fail(&mut self, key: u32, kind: FailureKind, detail: &str) -> bool {
        let known = self.jobs.contains_key(&key);
        self.finish(key, |link, id| {
            let failure = Failure { kind, detail: detail.into() };
            link.queue(&FromRenderer::Failed { id, failure });
        });
        known
    }

    /// The job that a fault is blamed on where it names none: the only one. 0 where there are none or several.
    pub fn only(&self) -> u32 {
        let mut keys = self.jobs.keys();
        match (keys.next(), keys.next()) {
            (Some(only), None) => *only,
            _ => 0,
        }
    }

    /// Gives up the jobs that another isolate may run again: none of their answer has left. JavaScript hears of it.
    pub fn displace(&mut self, events: &mut Vec<Event>) {
        let movable = |job: &Job| job.is_safe && !job.head_sent;
        let keys: Vec<u32> = self.jobs.iter().filter(|(_, job)| movable(job)).map(|(key, _)| *key).collect();
        for key in keys {
            self.fail(key, FailureKind::Displaced, "");
            events.push(Event::Cancel { key, reason: CancelReason::ClientGone });
        }
    }

    /// The app gives no response, for a reason that is no fault.
    pub fn decline(&mut self, key: u32, kind: FailureKind) {
        self.finish(key, |link, id| {
            link.queue(&FromRenderer::Failed { id, failure: Failure { kind, detail: String::new() } });
        });
    }

    /// JavaScript has read so much of a request's body.
    pub fn consumed(&mut self, key: u32, bytes: usize) {
        let Some(job) = self.jobs.get_mut(&key) else { return };
        let Some(credit) = job.upload.consumed(bytes) else { return };
        let bytes = u32::try_from(credit).unwrap_or(u32::MAX);
        Self::say(&mut self.links, job, &FromRenderer::Credit { id: job.id, bytes });
    }

    /// A job calls a native function.
    ///
    /// # Errors
    /// Why the call is not made, for the caller.
    pub fn call(&mut self, key: u32, call: u32, name: &str, input: &str) -> Result<(), String> {
        let Some(job) = self.jobs.get_mut(&key) else { return Err("the request is over".into()) };
        if input.len() > MAX_CALL_BYTES {
            let given = input.len();
            return Err(format!("the input has {given} bytes, {MAX_CALL_BYTES} are allowed"));
        }
        let call = NewCall { number: call, name, input: Bytes::copy_from_slice(input.as_bytes()) };
        Self::begin_call(&mut self.links, job, call, None)
    }

    /// A job calls a native function whose input is a body of this type: it leaves as fast as the worker reads it.
    ///
    /// # Errors
    /// Why the call is not made, for the caller.
    pub fn call_with_body(
        &mut self,
        key: u32,
        call: u32,
        name: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<(), String> {
        let Some(job) = self.jobs.get_mut(&key) else { return Err("the request is over".into()) };
        let call = NewCall { number: call, name, input: CallInput::encode_body(content_type) };
        Self::begin_call(&mut self.links, job, call, Some(Bytes::copy_from_slice(body)))
    }

    fn begin_call(
        links: &mut [Option<Link>],
        job: &mut Job,
        NewCall { number, name, input }: NewCall<'_>,
        body: Option<Bytes>,
    ) -> Result<(), String> {
        if job.calls.len() == MAX_CALLS_PER_JOB {
            return Err(format!(
                "{MAX_CALLS_PER_JOB} calls of this request are under way, no more are allowed"
            ));
        }
        let mut head = BytesMut::new();
        job.head.encode(&mut head);
        let (name, head) = (name.into(), head.freeze());
        let message = FromRenderer::Call { id: job.id, call: number, name, head, input };
        Self::say(links, job, &message);
        let mut open = Call { body, ..Call::default() };
        if let Some(link) = &mut links[job.link] {
            open.send(link, job.id, number);
        }
        job.calls.insert(number, open);
        Ok(())
    }

    /// JavaScript has read so much of a call's answer.
    pub fn reply_consumed(&mut self, key: u32, call: u32, bytes: usize) {
        let Some(job) = self.jobs.get_mut(&key) else { return };
        let Some(credit) = job.calls.get_mut(&call).and_then(|open| open.reply.consumed(bytes)) else {
            return;
        };
        let bytes = u32::try_from(credit).unwrap_or(u32::MAX);
        Self::say(&mut self.links, job, &FromRenderer::ReplyCredit { id: job.id, call, bytes });
    }

    /// A job does not wait for a call any more.
    pub fn cancel_call(&mut self, key: u32, call: u32) {
        let Some(job) = self.jobs.get_mut(&key) else { return };
        if job.calls.remove(&call).is_some() {
            Self::say(&mut self.links, job, &FromRenderer::CallCancel { id: job.id, call });
        }
    }

    /// What names a job in a log line; empty for a job that is over and for none.
    pub fn label(&self, key: u32) -> JobLabel {
        self.jobs.get(&key).map(|job| JobLabel::of(&job.head)).unwrap_or_default()
    }
}

fn header_fields(raw: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut parts = raw.split(|byte| *byte == b'\n');
    std::iter::from_fn(move || Some((parts.next()?, parts.next()?)))
}

#[cfg(test)]
mod tests;
