//! A gateway thread's link to an isolate, and the jobs that run over it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use futures_core::Stream;
use shared::head::{RequestHeadRef, ResponseHead};
use shared::link::Channel;
use shared::message::{
    AnswerKind, CallInput, Caller, CancelReason, FailureKind, FromRenderer, KIND_FIELD, NativeCall, Outcome,
    ToRenderer,
};
use shared::window::{MAX_CHUNK_BYTES, WindowError};

use super::body::RenderedBody;
use super::call_flow::CallFlow;
use super::calls::Answered;
use super::fields::Fields;
use super::in_flight::InFlight;
use super::job::{CLIENT_LOOK, End, Hold, Job};
use super::job_handle::{JobHandle, JobLink};
use super::lateness::{self, Watch, Watched};
use super::link::{Link, LinkFault, RuleError};
use super::slot::IsolateId;
use super::thread::Thread;
use super::upload::RequestBody;
use crate::metrics::Metrics;

/// The native calls that a job may have running at a time; more are answered with 503.
const MAX_CALLS_PER_JOB: usize = 64;

/// So many of the jobs that are lost with an isolate the log names.
const NAMED_LOSSES: usize = 16;

/// One thread's link to one isolate.
#[derive(Debug)]
pub(super) struct IsolateLink {
    pub isolate: IsolateId,
    link: Link<Channel<ToRenderer, FromRenderer>>,
    /// The jobs that the isolate has not let go of.
    jobs: RefCell<HashMap<u64, Rc<Job>, foldhash::fast::RandomState>>,
    metrics: Metrics,
    watch: Watch,
}

impl IsolateLink {
    pub fn new(isolate: IsolateId, channel: Channel<ToRenderer, FromRenderer>, metrics: Metrics) -> Self {
        let (jobs, watch) = (RefCell::default(), Watch::default());
        Self { isolate, link: Link::new(channel), jobs, metrics, watch }
    }

    pub fn is_open(&self) -> bool {
        self.link.is_open()
    }

    /// Sends a job. Its response comes to the returned handle; dropping that cancels it.
    pub fn begin(
        self: &Rc<Self>,
        id: u64,
        head: RequestHeadRef<'_>,
        fields: Fields<'_>,
        hold: Hold,
    ) -> JobHandle {
        let job = Rc::new(Job::new(id, head.request_id, head.url, hold));
        self.jobs.borrow_mut().insert(id, job.clone());
        self.link.append(|out| ToRenderer::encode_job(out, id, head, fields.iter()));
        JobHandle::new(job, self.clone())
    }

    /// Drives the link until it ends; then [`IsolateLink::lose_jobs`] is due.
    pub async fn run(self: &Rc<Self>, thread: &Rc<Thread>) -> Result<(), LinkFault> {
        self.link.run(|message| self.receive(message, thread)).await
    }

    /// Tells all who wait that the isolate is lost. The socket closes unless it is to outlive this thread.
    pub fn lose_jobs(&self, in_flight: &InFlight, keep_socket: bool) {
        if keep_socket {
            self.link.abandon();
        }
        self.link.close();
        let jobs = std::mem::take(&mut *self.jobs.borrow_mut());
        if !keep_socket {
            self.tell_losses(&jobs);
        }
        for job in jobs.into_values() {
            if in_flight.is_blamed(job.id) {
                tracing::error!(
                    request_id = job.request_id(),
                    url = job.url(),
                    isolate = %self.isolate,
                    "a request could not be ended and took its process with it"
                );
                job.finish(End::Failed(FailureKind::TurnLimit));
            } else {
                job.finish(End::Lost);
            }
        }
    }

    /// Names what ran: one of these may be why the isolate is lost.
    fn tell_losses(&self, jobs: &HashMap<u64, Rc<Job>, foldhash::fast::RandomState>) {
        if jobs.is_empty() {
            return;
        }
        let some = jobs.values().take(NAMED_LOSSES);
        let some: Vec<_> = some.map(|job| format!("{} {}", job.request_id(), job.url())).collect();
        let (requests, isolate) = (jobs.len(), &self.isolate);
        tracing::warn!(%isolate, requests, "an isolate was lost with what it ran: {}", some.join(", "));
    }

    fn receive(self: &Rc<Self>, message: FromRenderer, thread: &Rc<Thread>) -> Result<(), RuleError> {
        match message {
            FromRenderer::Head { id, head } => self.job(id)?.on_head(head),
            FromRenderer::Body { id, bytes } => {
                let job = self.job(id)?;
                job.on_body(bytes)?;
                if let Some(taken) = job.is_first_full() {
                    actix_web::rt::spawn(look_at_reader(Rc::downgrade(&job), taken));
                }
                Ok(())
            }
            FromRenderer::End { id } => {
                self.job(id)?.on_end()?;
                self.forget(id);
                Ok(())
            }
            FromRenderer::Failed { id, failure } => {
                // The renderer has logged what was thrown, with the request's id.
                let job = self.job(id)?;
                job.on_failed(&failure);
                if let Some(time) = job.since_left() {
                    self.metrics.abort_seconds.observe(time.as_secs_f64());
                }
                self.forget(id);
                Ok(())
            }
            // What a bundle does after its response is its own affair: these may come late.
            FromRenderer::EarlyHints { id, hints } => match self.job(id) {
                Ok(job) => job.on_early_hints(hints),
                Err(error) => thread.was_issued(id).then_some(()).ok_or(error),
            },
            FromRenderer::Credit { id, bytes } => match self.job(id) {
                Ok(job) => job.on_credit(bytes),
                Err(error) => thread.was_issued(id).then_some(()).ok_or(error),
            },
            FromRenderer::Call { id, call, name, head, input } => match self.job(id) {
                Ok(job) => self.call(&job, call, Wanted { name, head, input }, thread),
                Err(error) if !thread.was_issued(id) => Err(error),
                Err(_) => {
                    self.reply(id, call, Outcome::failed(503, "the job has ended"));
                    Ok(())
                }
            },
            FromRenderer::CallBody { id, call, bytes } => {
                self.with_flow(id, call, thread, |flow| flow.on_body(bytes))
            }
            FromRenderer::CallBodyEnd { id, call } => self.with_flow(id, call, thread, |flow| {
                flow.on_body_end();
                Ok(())
            }),
            FromRenderer::ReplyCredit { id, call, bytes } => {
                self.with_flow(id, call, thread, |flow| flow.on_credit(bytes))
            }
            FromRenderer::CallCancel { id, call } => match self.job(id) {
                Ok(job) => {
                    // The reply may have crossed the cancel.
                    if let Some(task) = job.remove_call(call) {
                        task.abort();
                    }
                    Ok(())
                }
                Err(error) => thread.was_issued(id).then_some(()).ok_or(error),
            },
        }
    }

    fn job(&self, id: u64) -> Result<Rc<Job>, RuleError> {
        self.jobs.borrow().get(&id).cloned().ok_or(RuleError::UnknownId(id))
    }

    fn forget(&self, id: u64) {
        self.jobs.borrow_mut().remove(&id);
    }

    fn call(
        self: &Rc<Self>,
        job: &Rc<Job>,
        call: u32,
        Wanted { name, head, input }: Wanted,
        thread: &Rc<Thread>,
    ) -> Result<(), RuleError> {
        let id = job.id;
        if job.has_call(call) {
            return Err(RuleError::SecondCall { id, call });
        }
        if job.calls() >= MAX_CALLS_PER_JOB {
            self.reply(id, call, Outcome::failed(503, "too many native calls at a time"));
            return Ok(());
        }
        let has_body = CallInput::has_body(&input);
        let flow = Rc::new(if has_body { CallFlow::with_body() } else { CallFlow::default() });
        let body = has_body.then(|| self.call_body(id, call, &flow));
        let native = NativeCall {
            name,
            caller: Caller::Isolate,
            deadline_ms: u32::MAX,
            request_id: job.request_id().to_owned(),
            head,
            input,
        };
        let (thread, link, windows) = (thread.clone(), self.clone(), flow.clone());
        let task = actix_web::rt::spawn(async move {
            match thread.call_for_job(native, body).await {
                Answered::Outcome(outcome) => {
                    if link.job(id).is_ok_and(|job| job.remove_call(call).is_some()) {
                        link.reply(id, call, outcome);
                    }
                }
                Answered::Stream(head, body, pending) => {
                    link.relay(id, call, head, body, &windows).await;
                    drop(pending);
                }
            }
        });
        job.add_call(call, task.abort_handle(), flow);
        Ok(())
    }

    /// A call's body on its way to the worker; what is taken of it gives the isolate credit.
    fn call_body(self: &Rc<Self>, id: u64, call: u32, flow: &Rc<CallFlow>) -> RequestBody {
        let (link, flow) = (self.clone(), flow.clone());
        Box::pin(futures_util::stream::poll_fn(move |cx| {
            let bytes = std::task::ready!(flow.poll_body(cx));
            if let Some(bytes) = bytes.as_ref().and_then(|bytes| flow.consumed(bytes.len())) {
                link.link.queue(&ToRenderer::CallCredit { id, call, bytes });
            }
            Poll::Ready(bytes.map(Ok))
        }))
    }

    /// Hands an answer on that comes piece by piece, as fast as the isolate reads it.
    async fn relay(
        &self,
        id: u64,
        call: u32,
        mut head: ResponseHead,
        mut body: RenderedBody,
        flow: &CallFlow,
    ) {
        let Some(kind) = take_kind(&mut head) else {
            if self.job(id).is_ok_and(|job| job.remove_call(call).is_some()) {
                self.reply(id, call, Outcome::failed(502, "the function's answer is of no known kind"));
            }
            return;
        };
        self.link.queue(&ToRenderer::ReplyBegins { id, call, kind, head });
        let whole = loop {
            match std::future::poll_fn(|cx| Pin::new(&mut body).poll_next(cx)).await {
                None => break true,
                Some(Err(_)) => break false,
                Some(Ok(mut bytes)) => {
                    while !bytes.is_empty() {
                        let wanted = bytes.len().min(MAX_CHUNK_BYTES);
                        let taken = std::future::poll_fn(|cx| flow.poll_take(wanted, cx)).await;
                        let bytes = bytes.split_to(taken);
                        self.link.queue(&ToRenderer::ReplyBody { id, call, bytes });
                    }
                }
            }
        };
        if self.job(id).is_ok_and(|job| job.remove_call(call).is_some()) {
            self.link.queue(&ToRenderer::ReplyEnds { id, call, whole });
        }
    }

    /// What concerns a call that has ended has crossed its end on the way.
    fn with_flow(
        &self,
        id: u64,
        call: u32,
        thread: &Thread,
        then: impl FnOnce(&CallFlow) -> Result<(), WindowError>,
    ) -> Result<(), RuleError> {
        match self.job(id) {
            Ok(job) => match job.flow(call) {
                Some(flow) => then(&flow).map_err(|source| RuleError::Window { id, source }),
                None => Ok(()),
            },
            Err(error) => thread.was_issued(id).then_some(()).ok_or(error),
        }
    }

    fn reply(&self, id: u64, call: u32, outcome: Outcome) {
        self.link.queue(&ToRenderer::Reply { id, call, outcome });
    }
}

/// Looks, from time to time, whether a job's client takes what has come, for as long as there is more than it takes.
async fn look_at_reader(job: Weak<Job>, mut taken: u64) {
    loop {
        tokio::time::sleep(CLIENT_LOOK).await;
        match job.upgrade().and_then(|job| job.look_at_reader(taken)) {
            Some(more) => taken = more,
            None => return,
        }
    }
}

/// What the answer is, as the worker says among its fields.
fn take_kind(head: &mut ResponseHead) -> Option<AnswerKind> {
    let at = head.headers.iter().position(|(name, _)| &name[..] == KIND_FIELD)?;
    let (_, value) = head.headers.remove(at);
    AnswerKind::from_number(std::str::from_utf8(&value).ok()?.parse().ok()?)
}

/// A function, and what it is called with.
struct Wanted {
    name: String,
    head: Bytes,
    input: Bytes,
}

impl Watched for IsolateLink {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    fn look_for_lateness(&self, now: Instant) -> bool {
        lateness::look(self.jobs.borrow().values(), now)
    }
}

impl JobLink for IsolateLink {
    fn send_body(&self, id: u64, bytes: Bytes) {
        self.link.queue(&ToRenderer::Body { id, bytes });
    }

    fn send_body_end(&self, id: u64) {
        self.link.queue(&ToRenderer::BodyEnd { id });
    }

    fn tell_body_failed(&self, id: u64) {
        self.link.queue(&ToRenderer::Cancel { id, reason: CancelReason::BodyFailed });
    }

    fn tell_late(&self, job: &Job) {
        self.metrics.abort_delays.inc();
        tracing::warn!(
            request_id = job.request_id(),
            url = job.url(),
            isolate = %self.isolate,
            "a request takes longer than abort_delay; its signal aborts"
        );
        self.link.queue(&ToRenderer::Cancel { id: job.id, reason: CancelReason::AbortDelay });
    }

    fn tell_cancelled(&self, id: u64, reason: CancelReason) {
        self.link.queue(&ToRenderer::Cancel { id, reason });
    }

    fn give_credit(&self, id: u64, bytes: u32) {
        self.link.queue(&ToRenderer::Credit { id, bytes });
    }

    fn count_failure(&self, cause: &str) {
        self.metrics.job_failures.with_label_values(&[cause]).inc();
    }
}
