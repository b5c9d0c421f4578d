//! The way of a request's body to who answers it: as fast as the upload's window allows.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use shared::window::MAX_CHUNK_BYTES;

use super::error::RequestBodyError;
use super::job::Job;
use super::job_handle::{JobHandle, JobLink};

/// A request's body as it comes from the client. Its error ends it.
pub type RequestBody = Pin<Box<dyn Stream<Item = Result<Bytes, RequestBodyError>>>>;

/// Sends `body` in a local task, which ends with the body, or when the job has ended or is given up.
pub(super) fn spawn(body: RequestBody, handle: &JobHandle) {
    let (job, link) = handle.upload();
    spawn_for(body, job, link);
}

/// As [`spawn`], for a job that has no handle yet.
pub(super) fn spawn_for(body: RequestBody, job: Rc<Job>, link: Rc<dyn JobLink>) {
    let mut upload = Upload { body, pending: Bytes::new(), job, link };
    actix_web::rt::spawn(std::future::poll_fn(move |cx| upload.poll(cx)));
}

struct Upload {
    body: RequestBody,
    /// What has come from the client and waits for the window.
    pending: Bytes,
    job: Rc<Job>,
    link: Rc<dyn JobLink>,
}

impl Upload {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.job.is_wanted() {
            if self.pending.is_empty() {
                match self.body.as_mut().poll_next(cx) {
                    Poll::Ready(Some(Ok(bytes))) => self.pending = bytes,
                    Poll::Ready(Some(Err(error))) => {
                        self.link.tell_body_failed(self.job.id);
                        self.job.fail_upload(error);
                        return Poll::Ready(());
                    }
                    Poll::Ready(None) => {
                        self.link.send_body_end(self.job.id);
                        return Poll::Ready(());
                    }
                    Poll::Pending => break,
                }
                continue;
            }
            let taken = self.job.take_upload_window(self.pending.len().min(MAX_CHUNK_BYTES));
            if taken == 0 {
                break;
            }
            let bytes = self.pending.split_to(taken);
            self.link.send_body(self.job.id, bytes);
        }
        if !self.job.is_wanted() {
            return Poll::Ready(());
        }
        self.job.park_uploader(cx);
        Poll::Pending
    }
}
