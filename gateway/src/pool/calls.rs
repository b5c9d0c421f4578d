//! Native calls: from a client or from a job, to the least loaded fn worker. They never wait for a render permit:
//! the job that calls holds one.

use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use prometheus::{IntCounter, IntCounterVec};
use shared::head::{RequestHeadRef, ResponseHead};
use shared::message::worker::MAX_INLINE_BODY_BYTES;
use shared::message::{Caller, CancelReason, MAX_CALL_BYTES, NativeCall, Outcome, Target};
use tokio::time::Instant;

use super::body::{Rendered, RenderedBody};
use super::error::{NativeError, RequestBodyError};
use super::fields::Fields;
use super::in_flight::Place;
use super::job::{End, Hold, Part};
use super::thread::Thread;
use super::upload::{self, RequestBody};
use super::worker_link::{CallAnswer, Opening, PendingCall};

/// How long after a request's deadline the worker's own answer about it may still come.
const DEADLINE_GRACE: Duration = Duration::from_millis(500);

/// A client's request for an fn worker.
pub struct NativeRequest<'a> {
    /// Whom it is for.
    pub target: Target,
    /// The request's first part.
    pub head: RequestHeadRef<'a>,
    /// Its header fields, without those that concern the client's connection alone.
    pub headers: Fields<'a>,
    /// Its body; [`RequestHeadRef::has_body`] says the same.
    pub body: Option<RequestBody>,
    /// The body's length in bytes, where the client says it: a short one is waited for and goes with the request.
    pub body_length: Option<usize>,
    /// Until the head of the response must have come.
    pub timeout: Duration,
}

/// What a call came to.
#[derive(Debug)]
pub(super) enum Answered {
    /// Its end.
    Outcome(Outcome),
    /// An answer that comes piece by piece; the call holds its place until then.
    Stream(ResponseHead, RenderedBody, PendingCall),
}

/// The longest name of a function together with a request's id, in bytes; they share a frame with the input.
const MAX_NAMES_BYTES: usize = 8 * 1024;

/// The outcome of most calls.
const VALUE: &str = "value";

/// Native calls, counted by caller and outcome.
#[derive(Debug)]
pub(super) struct NativeCounters {
    all: IntCounterVec,
    /// Those that came to a value: clients' and isolates'.
    values: [IntCounter; 2],
}

impl NativeCounters {
    pub fn new(all: IntCounterVec) -> Self {
        let values =
            [Caller::Client, Caller::Isolate].map(|caller| all.with_label_values(&[label(caller), VALUE]));
        Self { all, values }
    }
}

fn label(caller: Caller) -> &'static str {
    match caller {
        Caller::Client => "client",
        Caller::Isolate => "isolate",
        Caller::Function { .. } => "function",
    }
}

/// Counts a call by its outcome when dropped; one that never came to an outcome was cancelled.
struct Tally<'t> {
    counters: &'t NativeCounters,
    caller: Caller,
    outcome: &'static str,
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        let Self { counters: NativeCounters { all, values: [client, isolate] }, caller, outcome } = self;
        match (caller, *outcome) {
            (Caller::Client, VALUE) => client.inc(),
            (Caller::Isolate, VALUE) => isolate.inc(),
            (caller, outcome) => all.with_label_values(&[label(*caller), outcome]).inc(),
        }
    }
}

/// When a request is sent to a worker.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    now: Instant,
    /// When the head of the response must have come.
    until: Instant,
    /// To another worker than the first time.
    again: bool,
}

/// All of a body, which must have come by `until`.
async fn collect(mut body: RequestBody, until: Instant) -> Result<Bytes, NativeError> {
    let whole = async {
        let (mut first, mut joined) = (Bytes::new(), BytesMut::new());
        while let Some(piece) = std::future::poll_fn(|cx| body.as_mut().poll_next(cx)).await {
            let piece = piece.map_err(NativeError::Body)?;
            if first.len().max(joined.len()) + piece.len() > MAX_INLINE_BODY_BYTES {
                return Err(NativeError::Body(RequestBodyError::TooLarge));
            }
            if first.is_empty() {
                first = piece;
                continue;
            }
            if joined.is_empty() {
                joined.extend_from_slice(&first);
            }
            joined.extend_from_slice(&piece);
        }
        Ok(if joined.is_empty() { first } else { joined.freeze() })
    };
    let (mut whole, mut timeout) = (std::pin::pin!(whole), None);
    let mut has_looked = false;
    std::future::poll_fn(|cx| {
        if let Poll::Ready(whole) = whole.as_mut().poll(cx) {
            return Poll::Ready(whole);
        }
        if !std::mem::replace(&mut has_looked, true) {
            // Most bodies are there at the second look, so that no timer is made for them.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let timeout = timeout.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        timeout.as_mut().poll(cx).map(|()| Err(NativeError::Timeout))
    })
    .await
}

impl Thread {
    fn tally(&self, caller: Caller) -> Tally<'_> {
        Tally { counters: &self.native_calls, caller, outcome: "cancelled" }
    }

    /// Calls a native function, for one who takes an answer in one piece alone.
    pub async fn call(&self, call: NativeCall) -> Outcome {
        match self.call_for_job(call, None).await {
            Answered::Outcome(outcome) => outcome,
            Answered::Stream(..) => Outcome::failed(502, "the function answers with a stream"),
        }
    }

    /// A call that a job makes, with a body where its input says that one follows.
    pub(super) async fn call_for_job(&self, call: NativeCall, body: Option<RequestBody>) -> Answered {
        let mut tally = self.tally(call.caller);
        let (label, answered) = match self.forward(call, body).await {
            Ok(Answered::Outcome(Outcome::Value(value))) if value.len() > MAX_CALL_BYTES => {
                let refusal = Outcome::failed(502, "the function's value is too large");
                ("failed", Answered::Outcome(refusal))
            }
            Ok(Answered::Outcome(outcome @ Outcome::Failed { .. })) => ("failed", Answered::Outcome(outcome)),
            Ok(answered) => (VALUE, answered),
            Err((label, refusal)) => (label, Answered::Outcome(refusal)),
        };
        tally.outcome = label;
        answered
    }

    /// Sends the call to a worker, and to another when the first is lost and the function says that it may.
    async fn forward(
        &self,
        mut call: NativeCall,
        body: Option<RequestBody>,
    ) -> Result<Answered, (&'static str, Outcome)> {
        if call.input.len() > MAX_CALL_BYTES {
            return Err(("refused", Outcome::failed(413, "the function's input is too large")));
        }
        if call.name.len() + call.request_id.len() > MAX_NAMES_BYTES {
            return Err(("refused", Outcome::failed(400, "the function's name is too long")));
        }
        let asked = Duration::from_millis(call.deadline_ms.into());
        let deadline = asked.min(self.pool.settings.native_call_timeout);
        call.deadline_ms = u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX);
        // A body is gone with the worker that read it.
        let may_repeat = body.is_none() && self.pool.catalog.load().is_idempotent(&call.name);
        let again = may_repeat.then(|| call.clone());
        let until = Instant::now() + deadline;
        match (self.attempt_call(call, body, until, false).await, again) {
            (Err(("lost", _)), Some(mut again)) => {
                self.pool.metrics.native_retries.inc();
                let left = until.saturating_duration_since(Instant::now());
                again.deadline_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
                self.attempt_call(again, None, until, true).await
            }
            (outcome, _) => outcome,
        }
    }

    async fn attempt_call(
        &self,
        call: NativeCall,
        body: Option<RequestBody>,
        until: Instant,
        again: bool,
    ) -> Result<Answered, (&'static str, Outcome)> {
        let target = Target::Function(call.name.clone());
        let Some((worker, way)) = self.way_to(&target, "", again) else {
            return Err(self.nobody_for(&call.name));
        };
        let Some(place) = worker.enter() else {
            return Err(("refused", Outcome::failed(503, "the function workers are busy")));
        };
        let id = self.next_id();
        let entry = self.pool.in_flight.enter(id, Place::Worker(worker.slot.id));
        let request_id = call.request_id.clone();
        let mut pending = worker.begin(id, &way, call, place, entry);
        if let Some(body) = body {
            pending.upload(body, &request_id);
        }
        match tokio::time::timeout_at(until, pending.outcome()).await {
            Ok(Some(CallAnswer::Outcome(outcome))) => Ok(Answered::Outcome(outcome)),
            Ok(Some(CallAnswer::Stream(head, handle))) => {
                Ok(Answered::Stream(head, RenderedBody::new(handle, None), pending))
            }
            Ok(None) => Err(("lost", Outcome::failed(502, "the function's worker was lost"))),
            Err(_) => Err(("timeout", Outcome::failed(504, "the function took too long"))),
        }
    }

    /// Lets a worker answer a client's request, and waits for the head of its response. A request without a body
    /// that only reads is sent to a second worker when the first is lost before that.
    pub async fn answer_natively(&self, request: NativeRequest<'_>) -> Result<Rendered, NativeError> {
        let mut tally = self.tally(Caller::Client);
        let NativeRequest { target, mut head, headers, body, body_length, timeout } = request;
        let may_retry = body.is_none() && head.method == "GET";
        let timeout = timeout.min(self.pool.settings.native_call_timeout);
        let now = Instant::now();
        let until = now + timeout;
        let is_short = body_length.is_some_and(|length| length <= MAX_INLINE_BODY_BYTES);
        let (body, answered) = match body {
            Some(body) if is_short => {
                head.has_body = false;
                (None, collect(body, until).await)
            }
            body => (body, Ok(Bytes::new())),
        };
        let answered = match answered {
            Ok(whole) => {
                // Without a body nothing was waited for.
                let now = if whole.is_empty() { now } else { Instant::now() };
                let first = Attempt { now, until, again: false };
                let first = self.attempt_request(&target, (head, headers), body, &whole, first).await;
                if may_retry && matches!(first, Err(NativeError::Lost)) {
                    self.pool.metrics.native_retries.inc();
                    let second = Attempt { now: Instant::now(), until, again: true };
                    self.attempt_request(&target, (head, headers), None, &[], second).await
                } else {
                    first
                }
            }
            Err(error) => Err(error),
        };
        tally.outcome = match &answered {
            Ok(_) => VALUE,
            Err(error) => error.label(),
        };
        answered
    }

    async fn attempt_request(
        &self,
        target: &Target,
        (head, headers): (RequestHeadRef<'_>, Fields<'_>),
        body: Option<RequestBody>,
        whole: &[u8],
        Attempt { now, until, again }: Attempt,
    ) -> Result<Rendered, NativeError> {
        let (worker, way) = self.way_to(target, head.url, again).ok_or(NativeError::Unavailable)?;
        let place = worker.enter().ok_or(NativeError::Busy)?;
        let id = self.next_id();
        let entry = self.pool.in_flight.enter_at(id, Place::Worker(worker.slot.id), now.into_std());
        let left = until.saturating_duration_since(now);
        let deadline_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
        let hold = Hold::on_worker(place, entry);
        // The worker answers by itself when its time is over; this is for one that does not even do that.
        let due = (until + DEADLINE_GRACE).into_std();
        let opening = Opening { id, way: &way, target, deadline_ms, due, body: whole };
        let handle = worker.begin_request(opening, head, headers, hold);
        if let Some(body) = body {
            upload::spawn(body, &handle);
        }
        match std::future::poll_fn(|cx| handle.job.poll_due_head(cx)).await {
            Some(Part::Next(head)) => Ok(Rendered {
                status: head.status,
                headers: head.headers,
                body: RenderedBody::new(handle, None),
            }),
            Some(Part::BodyFailed(error)) => {
                handle.cancel(CancelReason::ClientGone);
                Err(NativeError::Body(error))
            }
            Some(Part::Ended(End::Lost)) => Err(NativeError::Lost),
            Some(Part::Ended(End::Failed(_) | End::Complete)) => Err(NativeError::Failed),
            None => {
                handle.cancel(CancelReason::Timeout);
                Err(NativeError::Timeout)
            }
        }
    }

    /// What a call is told that no worker can take.
    fn nobody_for(&self, name: &str) -> (&'static str, Outcome) {
        let catalog = self.pool.catalog.load();
        if catalog.has_elsewhere() && catalog.function(name).is_none() {
            let message = format!("there is no native function `{name}`");
            return ("failed", Outcome::failed(404, message));
        }
        ("unavailable", Outcome::failed(503, "no function worker is ready"))
    }
}

/// The path of a URL with scheme and authority.
pub(super) fn path_of(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let rest = &url[after_scheme..];
    let path = rest.find('/').map_or("/", |at| &rest[at..]);
    path.split(['?', '#']).next().unwrap_or(path)
}
