//! Native calls: from a client or from a job, to the least loaded fn worker. They never wait for a render permit:
//! the job that calls holds one.

use std::time::Duration;

use actix_web::http::header::HeaderMap;
use prometheus::IntCounterVec;
use shared::head::{RequestHeadRef, ResponseHead};
use shared::message::{Caller, CancelReason, MAX_CALL_BYTES, NativeCall, Outcome, Target};
use tokio::time::Instant;

use super::body::{Rendered, RenderedBody};
use super::error::NativeError;
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
    pub headers: &'a HeaderMap,
    /// Its body; [`RequestHeadRef::has_body`] says the same.
    pub body: Option<RequestBody>,
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

/// Counts a call by its outcome when dropped; one that never came to an outcome was cancelled.
struct Tally {
    calls: IntCounterVec,
    caller: Caller,
    outcome: &'static str,
}

impl Drop for Tally {
    fn drop(&mut self) {
        let caller = match self.caller {
            Caller::Client => "client",
            Caller::Isolate => "isolate",
            Caller::Function { .. } => "function",
        };
        self.calls.with_label_values(&[caller, self.outcome]).inc();
    }
}

impl Thread {
    /// Calls a native function, for one who takes an answer in one piece alone.
    pub async fn call(&self, call: NativeCall) -> Outcome {
        match self.call_for_job(call, None).await {
            Answered::Outcome(outcome) => outcome,
            Answered::Stream(..) => Outcome::failed(502, "the function answers with a stream"),
        }
    }

    /// A call that a job makes, with a body where its input says that one follows.
    pub(super) async fn call_for_job(&self, call: NativeCall, body: Option<RequestBody>) -> Answered {
        let calls = self.pool.metrics.native_calls.clone();
        let mut tally = Tally { calls, caller: call.caller, outcome: "cancelled" };
        let (label, answered) = match self.forward(call, body).await {
            Ok(Answered::Outcome(Outcome::Value(value))) if value.len() > MAX_CALL_BYTES => {
                let refusal = Outcome::failed(502, "the function's value is too large");
                ("failed", Answered::Outcome(refusal))
            }
            Ok(Answered::Outcome(outcome @ Outcome::Failed { .. })) => ("failed", Answered::Outcome(outcome)),
            Ok(answered) => ("value", answered),
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
        let calls = self.pool.metrics.native_calls.clone();
        let mut tally = Tally { calls, caller: Caller::Client, outcome: "cancelled" };
        let NativeRequest { target, head, headers, mut body, timeout } = request;
        let may_retry = body.is_none() && head.method == "GET";
        let timeout = timeout.min(self.pool.settings.native_call_timeout);
        let until = Instant::now() + timeout;
        let mut answered = self.attempt_request(&target, head, headers, body.take(), (until, false)).await;
        if may_retry && matches!(answered, Err(NativeError::Lost)) {
            self.pool.metrics.native_retries.inc();
            answered = self.attempt_request(&target, head, headers, None, (until, true)).await;
        }
        tally.outcome = match &answered {
            Ok(_) => "value",
            Err(error) => error.label(),
        };
        answered
    }

    async fn attempt_request(
        &self,
        target: &Target,
        head: RequestHeadRef<'_>,
        headers: &HeaderMap,
        body: Option<RequestBody>,
        (until, again): (Instant, bool),
    ) -> Result<Rendered, NativeError> {
        let path = path_of(head.url);
        let (worker, way) = self.way_to(target, path, again).ok_or(NativeError::Unavailable)?;
        let place = worker.enter().ok_or(NativeError::Busy)?;
        let id = self.next_id();
        let entry = self.pool.in_flight.enter(id, Place::Worker(worker.slot.id));
        let left = until.saturating_duration_since(Instant::now());
        let deadline_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
        let hold = Hold::on_worker(place, entry);
        let handle =
            worker.begin_request(Opening { id, way: &way, target, deadline_ms }, head, headers, hold);
        if let Some(body) = body {
            upload::spawn(body, &handle);
        }
        // The worker answers by itself when its time is over; this is for one that does not even do that.
        let head = std::future::poll_fn(|cx| handle.job.poll_head(cx));
        match tokio::time::timeout_at(until + DEADLINE_GRACE, head).await {
            Ok(Part::Next(head)) => Ok(Rendered {
                status: head.status,
                headers: head.headers,
                body: RenderedBody::new(handle, None),
            }),
            Ok(Part::BodyFailed(error)) => {
                handle.cancel(CancelReason::ClientGone);
                Err(NativeError::Body(error))
            }
            Ok(Part::Ended(End::Lost)) => Err(NativeError::Lost),
            Ok(Part::Ended(End::Failed(_) | End::Complete)) => Err(NativeError::Failed),
            Err(_) => {
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
fn path_of(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let rest = &url[after_scheme..];
    let path = rest.find('/').map_or("/", |at| &rest[at..]);
    path.split(['?', '#']).next().unwrap_or(path)
}
