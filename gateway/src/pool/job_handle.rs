//! The gateway's side of a running job, whoever runs it: an isolate, or an fn worker that answers a request.

use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use shared::message::CancelReason;

use super::job::Job;

/// How a job's peer is told. Each appends to the link and returns at once.
pub(super) trait JobLink: fmt::Debug {
    /// A piece of the request's body.
    fn send_body(&self, id: u64, bytes: Bytes);

    /// The request's body is complete.
    fn send_body_end(&self, id: u64);

    /// The request's body broke off. The job goes on until its reader gives it up.
    fn tell_body_failed(&self, id: u64);

    /// The job has taken longer than it should: its signal aborts, and it goes on.
    fn tell_late(&self, _job: &Job) {}

    /// The job is given up.
    fn tell_cancelled(&self, id: u64, reason: CancelReason);

    /// The reader has taken so much of the response.
    fn give_credit(&self, id: u64, bytes: u32);

    /// Counts a job without a whole response, by cause.
    fn count_failure(&self, cause: &str);
}

/// A running job. Dropping it cancels the job unless it has ended.
#[derive(Debug)]
pub(super) struct JobHandle {
    pub job: Rc<Job>,
    link: Rc<dyn JobLink>,
}

impl JobHandle {
    pub fn new(job: Rc<Job>, link: Rc<dyn JobLink>) -> Self {
        Self { job, link }
    }

    /// The sender's view of the same job.
    pub fn upload(&self) -> (Rc<Job>, Rc<dyn JobLink>) {
        (self.job.clone(), self.link.clone())
    }

    /// The reader has taken `bytes` of the response.
    pub fn credit(&self, bytes: usize) {
        self.link.give_credit(self.job.id, u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// The job should come to its end: its signal aborts, and it goes on.
    pub fn abort(&self) {
        self.link.tell_late(&self.job);
    }

    /// Gives the job up; says whether it was still running and wanted. Its place frees when its peer has let go
    /// of it.
    pub fn cancel(&self, reason: CancelReason) -> bool {
        let running = self.job.abandon();
        if running {
            if reason == CancelReason::ClientGone {
                self.job.note_left();
            }
            self.link.tell_cancelled(self.job.id, reason);
        }
        running
    }

    /// Counts a job without a whole response, by cause.
    pub fn count_failure(&self, cause: &str) {
        self.link.count_failure(cause);
    }
}

impl Drop for JobHandle {
    fn drop(&mut self) {
        if self.cancel(CancelReason::ClientGone) {
            self.count_failure("client_gone");
        }
    }
}
