//! Native calls: from a client or from a job, to the least loaded fn worker. They never wait for a render permit:
//! the job that calls holds one.

use std::time::Duration;

use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use prometheus::IntCounterVec;
use shared::head::RequestHeadRef;
use shared::message::{Caller, CancelReason, MAX_CALL_BYTES, NativeCall, Outcome, Target};
use tokio::time::Instant;

use super::body::{Rendered, RenderedBody};
use super::error::NativeError;
use super::in_flight::Place;
use super::job::{End, Hold, Part};
use super::thread::Thread;
use super::upload::{self, RequestBody};
use super::worker_link::Opening;

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
        };
        self.calls.with_label_values(&[caller, self.outcome]).inc();
    }
}

impl Thread {
    /// A call that a job makes.
    pub async fn call_for_job(&self, name: String, head: Bytes, input: Bytes, request_id: &str) -> Outcome {
        let request_id = request_id.to_owned();
        self.call(NativeCall {
            name,
            caller: Caller::Isolate,
            deadline_ms: u32::MAX,
            request_id,
            head,
            input,
        })
        .await
    }

    /// Calls a native function.
    pub async fn call(&self, call: NativeCall) -> Outcome {
        let calls = self.pool.metrics.native_calls.clone();
        let mut tally = Tally { calls, caller: call.caller, outcome: "cancelled" };
        let (label, outcome) = match self.forward(call).await {
            Ok(Outcome::Value(value)) if value.len() > MAX_CALL_BYTES => {
                ("failed", Outcome::failed(502, "the function's value is too large"))
            }
            Ok(outcome @ (Outcome::Value(_) | Outcome::Answer { .. })) => ("value", outcome),
            Ok(outcome @ Outcome::Failed { .. }) => ("failed", outcome),
            Err(refusal) => refusal,
        };
        tally.outcome = label;
        outcome
    }

    /// Sends the call to a worker, and to another when the first is lost and the function says that it may.
    async fn forward(&self, mut call: NativeCall) -> Result<Outcome, (&'static str, Outcome)> {
        if call.input.len() > MAX_CALL_BYTES {
            return Err(("refused", Outcome::failed(413, "the function's input is too large")));
        }
        if call.name.len() + call.request_id.len() > MAX_NAMES_BYTES {
            return Err(("refused", Outcome::failed(400, "the function's name is too long")));
        }
        let asked = Duration::from_millis(call.deadline_ms.into());
        let deadline = asked.min(self.pool.settings.native_call_timeout);
        call.deadline_ms = u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX);
        let again = self.pool.catalog.load().is_idempotent(&call.name).then(|| call.clone());
        let until = Instant::now() + deadline;
        match (self.attempt_call(call, until, false).await, again) {
            (Err(("lost", _)), Some(mut again)) => {
                self.pool.metrics.native_retries.inc();
                let left = until.saturating_duration_since(Instant::now());
                again.deadline_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
                self.attempt_call(again, until, true).await
            }
            (outcome, _) => outcome,
        }
    }

    async fn attempt_call(
        &self,
        call: NativeCall,
        until: Instant,
        again: bool,
    ) -> Result<Outcome, (&'static str, Outcome)> {
        let target = Target::Function(call.name.clone());
        let Some((worker, way)) = self.way_to(&target, "", again) else {
            return Err(self.nobody_for(&call.name));
        };
        let Some(place) = worker.enter() else {
            return Err(("refused", Outcome::failed(503, "the function workers are busy")));
        };
        let id = self.next_id();
        let entry = self.pool.in_flight.enter(id, Place::Worker(worker.slot.id));
        let mut pending = worker.begin(id, &way, call, place, entry);
        match tokio::time::timeout_at(until, pending.outcome()).await {
            Ok(Some(outcome)) => Ok(outcome),
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
