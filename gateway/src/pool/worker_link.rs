//! A gateway thread's link to an fn worker, or to all those of other machines: the native calls that run over it and
//! the clients' requests that are answered over it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use prometheus::IntCounterVec;
use shared::head::{RequestHeadRef, ResponseHead};
use shared::ids::ById;
use shared::link::Transport;
use shared::message::{
    CancelReason, Failure, FailureKind, FromWorker, NativeCall, Outcome, Target, ToWorker,
};
use tokio::sync::oneshot;

use super::fields::Fields;
use super::function_calls::FunctionCalls;
use super::in_flight::Entry;
use super::job::{End, Hold, Job};
use super::job_handle::{JobHandle, JobLink};
use super::lateness::{self, Watch, Watched};
use super::link::{Link, LinkFault, RuleError};
use super::slot::{WorkerPlace, WorkerSlot};
use super::thread::Thread;
use super::upload::{self, RequestBody};
use super::way::Way;
use super::worker_transport::WorkerTransport;

/// The calls that a worker may have running at a time, over all gateway threads; more are answered with 503.
pub(super) const MAX_CALLS_PER_WORKER: usize = 1024;

/// Who waits for the end of a call.
#[derive(Debug)]
struct Caller {
    answer: oneshot::Sender<CallAnswer>,
    request_id: String,
}

/// What a call comes to.
#[derive(Debug)]
pub(super) enum CallAnswer {
    /// Its end.
    Outcome(Outcome),
    /// The head of an answer that comes piece by piece.
    Stream(ResponseHead, JobHandle),
}

/// How a request begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening<'a> {
    /// Its id.
    pub id: u64,
    /// Where on the link it opens.
    pub way: &'a Way,
    /// Whom it is for.
    pub target: &'a Target,
    /// Milliseconds until the head of the response must have come.
    pub deadline_ms: u32,
    /// When the worker has not even said that its time is over.
    pub due: Instant,
    /// Its whole body; empty where it has none, and where that follows.
    pub body: &'a [u8],
}

/// One gateway thread's link to one thread of an fn worker, or to all workers of other machines.
#[derive(Debug)]
pub(super) struct WorkerLink {
    pub slot: Arc<WorkerSlot>,
    /// Which of the worker's lanes it is.
    lane: usize,
    link: Link<WorkerTransport>,
    /// The calls that it may have running at a time.
    most: usize,
    calls: RefCell<ById<Caller>>,
    /// The requests that the worker has not let go of.
    jobs: RefCell<ById<Rc<Job>>>,
    failures: IntCounterVec,
    watch: Watch,
    /// What functions of the worker have called elsewhere.
    pub function_calls: FunctionCalls,
}

impl WorkerLink {
    pub fn new(
        (slot, lane): (Arc<WorkerSlot>, usize),
        transport: WorkerTransport,
        most: usize,
        failures: IntCounterVec,
    ) -> Self {
        let (calls, jobs) = (RefCell::default(), RefCell::default());
        let function_calls = FunctionCalls::default();
        let watch = Watch::default();
        let link = Link::new(transport);
        Self { slot, lane, link, most, calls, jobs, failures, watch, function_calls }
    }

    /// How many calls run on the thread that it leads to, over all gateway threads.
    pub fn load(&self) -> usize {
        self.slot.load(self.lane)
    }

    /// Whether it takes calls.
    pub fn is_ready(&self) -> bool {
        self.slot.is_ready() && self.is_open()
    }

    pub fn is_open(&self) -> bool {
        self.link.is_open()
    }

    /// Takes a place for a call or a request; `None` when the worker has as many as it may.
    pub fn enter(&self) -> Option<WorkerPlace> {
        self.slot.enter(self.lane, self.most)
    }

    /// Sends a call, by `way` if the link leads to several workers. Dropping the returned value cancels it.
    pub fn begin(
        self: &Rc<Self>,
        id: u64,
        way: &Way,
        call: NativeCall,
        place: WorkerPlace,
        entry: Entry,
    ) -> PendingCall {
        let (answer, outcome) = oneshot::channel();
        let request_id = call.request_id.clone();
        self.calls.borrow_mut().insert(id, Caller { answer, request_id });
        self.link.with_transport(|transport| transport.open(id, way));
        self.link.queue(&ToWorker::Call { id, call });
        PendingCall { id, link: self.clone(), outcome, upload: None, _place: place, _entry: entry }
    }

    /// The streams of a call: its body, and an answer that comes piece by piece.
    fn streams(&self, id: u64, request_id: &str) -> Rc<Job> {
        let open = || Rc::new(Job::of_call(id, request_id));
        self.jobs.borrow_mut().entry(id).or_insert_with(open).clone()
    }

    /// Sends a request, by `way` if the link leads to several workers. Its response comes to the returned handle; dropping
    /// that cancels it.
    pub fn begin_request(
        self: &Rc<Self>,
        Opening { id, way, target, deadline_ms, due, body }: Opening<'_>,
        head: RequestHeadRef<'_>,
        fields: Fields<'_>,
        hold: Hold,
    ) -> JobHandle {
        let job = Rc::new(Job::on_worker(id, head.request_id, hold, due));
        self.jobs.borrow_mut().insert(id, job.clone());
        lateness::watch(self);
        self.link.with_transport(|transport| transport.open(id, way));
        self.link.append(|out| {
            ToWorker::encode_request(out, id, target, deadline_ms, head, fields.iter(), body);
        });
        JobHandle::new(job, self.clone())
    }

    /// Whether the worker runs this call or request.
    pub fn is_running(&self, id: u64) -> bool {
        self.calls.borrow().contains_key(&id) || self.jobs.borrow().contains_key(&id)
    }

    /// Sends a message of a call or request that is open.
    pub fn send(&self, message: &ToWorker) {
        self.link.queue(message);
    }

    /// Drives the link until it ends.
    pub async fn run(self: &Rc<Self>, thread: &Rc<Thread>) -> Result<(), LinkFault> {
        self.link
            .run(|message| match self.receive(message, thread) {
                Err(error) if self.ends_violator(error.id()) => {
                    tracing::warn!(%error, "a worker of another machine broke the protocol; its call was ended");
                    Ok(())
                }
                received => received,
            })
            .await
    }

    /// Tells all who wait that the worker is lost. The socket closes unless it is to outlive this thread.
    pub fn lose_calls(&self, keep_socket: bool) {
        if keep_socket {
            self.link.abandon();
        }
        self.link.close();
        self.function_calls.end_all();
        self.calls.borrow_mut().clear();
        let jobs = std::mem::take(&mut *self.jobs.borrow_mut());
        jobs.into_values().for_each(|job| job.finish(End::Lost));
    }

    /// Whether a broken rule ends one call alone.
    fn ends_violator(&self, id: u64) -> bool {
        self.link.with_transport(|transport| transport.end_violator(id)).unwrap_or(false)
    }

    fn receive(self: &Rc<Self>, message: FromWorker, thread: &Rc<Thread>) -> Result<(), RuleError> {
        let (FromWorker::Reply { id, .. }
        | FromWorker::Whole { id, .. }
        | FromWorker::Head { id, .. }
        | FromWorker::Body { id, .. }
        | FromWorker::End { id }
        | FromWorker::Failed { id, .. }
        | FromWorker::Credit { id, .. }
        | FromWorker::Call { id, .. }
        | FromWorker::CallCancel { id, .. }
        | FromWorker::Lost { id }) = message;
        if let FromWorker::Whole { head, body, .. } = message {
            self.function_calls.end_of(id);
            return self.take_whole(id, head, body, thread);
        }
        if let FromWorker::Call { number, call, .. } = message {
            return self.call_for_function((id, number), call, thread);
        }
        if let FromWorker::CallCancel { number, .. } = message {
            self.withdraw_for_function(id, number);
            return Ok(());
        }
        if matches!(
            message,
            FromWorker::Reply { .. }
                | FromWorker::End { .. }
                | FromWorker::Failed { .. }
                | FromWorker::Lost { .. }
        ) {
            self.function_calls.end_of(id);
        }
        if let FromWorker::Reply { outcome, .. } = message {
            return self.take_reply(id, outcome, thread);
        }
        if let FromWorker::Head { head, .. } = message {
            return self.take_head(id, head, thread);
        }
        if let FromWorker::Lost { .. } = message {
            // Who waits for a call learns it by the end of the channel.
            self.calls.borrow_mut().remove(&id);
            if let Some(job) = self.jobs.borrow_mut().remove(&id) {
                job.finish(End::Lost);
            }
            return Ok(());
        }
        let Some(job) = self.job(id) else {
            // It crossed a call's cancel.
            return thread.was_issued(id).then_some(()).ok_or(RuleError::UnknownId(id));
        };
        match message {
            FromWorker::Reply { .. }
            | FromWorker::Whole { .. }
            | FromWorker::Head { .. }
            | FromWorker::Lost { .. }
            | FromWorker::Call { .. }
            | FromWorker::CallCancel { .. } => Ok(()),
            FromWorker::Body { bytes, .. } => job.on_body(bytes),
            FromWorker::End { .. } => {
                job.on_end()?;
                self.forget(id);
                Ok(())
            }
            FromWorker::Failed { detail, .. } => {
                // The worker has logged why, with the request's id.
                job.on_failed(&Failure { kind: FailureKind::Threw, detail });
                self.forget(id);
                Ok(())
            }
            FromWorker::Credit { bytes, .. } => job.on_credit(bytes),
        }
    }

    fn job(&self, id: u64) -> Option<Rc<Job>> {
        self.jobs.borrow().get(&id).cloned()
    }

    fn forget(&self, id: u64) {
        self.jobs.borrow_mut().remove(&id);
    }

    /// A whole response, to a request alone: a call is answered by a reply.
    fn take_whole(&self, id: u64, head: ResponseHead, body: Bytes, thread: &Thread) -> Result<(), RuleError> {
        if self.calls.borrow().contains_key(&id) {
            return Err(RuleError::UnknownId(id));
        }
        let job = self.jobs.borrow_mut().remove(&id);
        match job {
            Some(job) => job.on_whole(head, body),
            // It crossed a call's cancel.
            None => thread.was_issued(id).then_some(()).ok_or(RuleError::UnknownId(id)),
        }
    }

    /// A response begins, or the answer to a call that comes piece by piece.
    fn take_head(self: &Rc<Self>, id: u64, head: ResponseHead, thread: &Thread) -> Result<(), RuleError> {
        let caller = self.calls.borrow_mut().remove(&id);
        let Some(Caller { answer, request_id }) = caller else {
            return match self.job(id) {
                Some(job) => job.on_head(head),
                None => thread.was_issued(id).then_some(()).ok_or(RuleError::UnknownId(id)),
            };
        };
        let handle = JobHandle::new(self.streams(id, &request_id), self.clone());
        handle.job.on_head(ResponseHead { status: head.status, headers: Vec::new() })?;
        // The caller has gone: the handle comes back and cancels.
        drop(answer.send(CallAnswer::Stream(head, handle)));
        Ok(())
    }

    fn take_reply(&self, id: u64, outcome: Outcome, thread: &Thread) -> Result<(), RuleError> {
        let caller = self.calls.borrow_mut().remove(&id);
        if let Some(job) = self.job(id) {
            // It had a body.
            job.finish(End::Complete);
            self.forget(id);
        }
        match caller {
            Some(caller) => drop(caller.answer.send(CallAnswer::Outcome(outcome))),
            // The reply crossed a cancel.
            None if thread.was_issued(id) => {}
            None => return Err(RuleError::UnknownId(id)),
        }
        Ok(())
    }
}

impl Watched for WorkerLink {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    fn look_for_lateness(&self, now: Instant) -> bool {
        lateness::look(self.jobs.borrow().values(), now)
    }
}

impl JobLink for WorkerLink {
    fn send_body(&self, id: u64, bytes: Bytes) {
        self.link.queue(&ToWorker::Body { id, bytes });
    }

    fn send_body_end(&self, id: u64) {
        self.link.queue(&ToWorker::BodyEnd { id });
    }

    fn tell_body_failed(&self, id: u64) {
        self.link.queue(&ToWorker::BodyFailed { id });
    }

    fn tell_cancelled(&self, id: u64, _: CancelReason) {
        self.function_calls.end_of(id);
        self.link.queue(&ToWorker::Cancel { id });
    }

    fn give_credit(&self, id: u64, bytes: u32) {
        self.link.queue(&ToWorker::Credit { id, bytes });
    }

    fn count_failure(&self, cause: &str) {
        self.failures.with_label_values(&[cause]).inc();
    }
}

/// A call that runs; cancelled when dropped before its outcome.
#[derive(Debug)]
pub(super) struct PendingCall {
    id: u64,
    link: Rc<WorkerLink>,
    outcome: oneshot::Receiver<CallAnswer>,
    /// The way of the call's body, if it has one.
    upload: Option<Rc<Job>>,
    _place: WorkerPlace,
    _entry: Entry,
}

impl PendingCall {
    /// The call's outcome; `None` when the worker is lost.
    pub async fn outcome(&mut self) -> Option<CallAnswer> {
        (&mut self.outcome).await.ok()
    }

    /// Sends a body after the call.
    pub fn upload(&mut self, body: RequestBody, request_id: &str) {
        let job = self.link.streams(self.id, request_id);
        upload::spawn_for(body, job.clone(), self.link.clone());
        self.upload = Some(job);
    }
}

impl Drop for PendingCall {
    fn drop(&mut self) {
        if self.link.calls.borrow_mut().remove(&self.id).is_some() {
            self.link.function_calls.end_of(self.id);
            if let Some(job) = self.upload.take() {
                job.abandon();
                self.link.forget(self.id);
            }
            self.link.link.queue(&ToWorker::Cancel { id: self.id });
        }
    }
}
