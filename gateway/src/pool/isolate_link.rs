//! A gateway thread's link to an isolate, and the jobs that run over it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use shared::head::RequestHeadRef;
use shared::link::Channel;
use shared::message::{CancelReason, FromRenderer, Outcome, ToRenderer};

use super::job::{End, Hold, Job};
use super::job_handle::{JobHandle, JobLink};
use super::link::{Link, LinkFault, RuleError};
use super::slot::IsolateId;
use super::thread::Thread;
use crate::metrics::Metrics;

/// The native calls that a job may have running at a time; more are answered with 503.
const MAX_CALLS_PER_JOB: usize = 64;

/// One thread's link to one isolate.
#[derive(Debug)]
pub(super) struct IsolateLink {
    pub isolate: IsolateId,
    link: Link<Channel<ToRenderer, FromRenderer>>,
    /// The jobs that the isolate has not let go of.
    jobs: RefCell<HashMap<u64, Rc<Job>>>,
    metrics: Metrics,
}

impl IsolateLink {
    pub fn new(isolate: IsolateId, channel: Channel<ToRenderer, FromRenderer>, metrics: Metrics) -> Self {
        Self { isolate, link: Link::new(channel), jobs: RefCell::default(), metrics }
    }

    pub fn is_open(&self) -> bool {
        self.link.is_open()
    }

    /// Sends a job. Its response comes to the returned handle; dropping that cancels it.
    pub fn begin(
        self: &Rc<Self>,
        id: u64,
        head: RequestHeadRef<'_>,
        headers: &HeaderMap,
        hold: Hold,
    ) -> JobHandle {
        let job = Rc::new(Job::new(id, head.request_id, hold));
        self.jobs.borrow_mut().insert(id, job.clone());
        self.link.append(|out| {
            let fields = headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
            ToRenderer::encode_job(out, id, head, fields);
        });
        JobHandle::new(job, self.clone())
    }

    /// Drives the link until it ends; then [`IsolateLink::lose_jobs`] is due.
    pub async fn run(self: &Rc<Self>, thread: &Rc<Thread>) -> Result<(), LinkFault> {
        self.link.run(|message| self.receive(message, thread)).await
    }

    /// Tells all who wait that the isolate is lost. The socket closes unless it is to outlive this thread.
    pub fn lose_jobs(&self, keep_socket: bool) {
        if keep_socket {
            self.link.abandon();
        }
        self.link.close();
        let jobs = std::mem::take(&mut *self.jobs.borrow_mut());
        jobs.into_values().for_each(|job| job.finish(End::Lost));
    }

    fn receive(self: &Rc<Self>, message: FromRenderer, thread: &Rc<Thread>) -> Result<(), RuleError> {
        match message {
            FromRenderer::Head { id, head } => self.job(id)?.on_head(head),
            FromRenderer::Body { id, bytes } => self.job(id)?.on_body(bytes),
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
        let (thread, link, request_id) = (thread.clone(), self.clone(), job.request_id.clone());
        let task = actix_web::rt::spawn(async move {
            let outcome = thread.call_for_job(name, head, input, &request_id).await;
            if let Ok(job) = link.job(id)
                && job.remove_call(call).is_some()
            {
                link.reply(id, call, outcome);
            }
        });
        job.add_call(call, task.abort_handle());
        Ok(())
    }

    fn reply(&self, id: u64, call: u32, outcome: Outcome) {
        self.link.queue(&ToRenderer::Reply { id, call, outcome });
    }
}

/// A function, and what it is called with.
struct Wanted {
    name: String,
    head: Bytes,
    input: Bytes,
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

    fn tell_late(&self, id: u64, request_id: &str) {
        self.metrics.abort_delays.inc();
        tracing::warn!(
            request_id,
            isolate = %self.isolate,
            "a request takes longer than abort_delay; its signal aborts"
        );
        self.link.queue(&ToRenderer::Cancel { id, reason: CancelReason::AbortDelay });
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
