//! The way of a request's body to who answers it: as fast as the upload's window allows. While the client sends little, its
//! job takes no place of the isolate.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use shared::window::MAX_CHUNK_BYTES;
use tokio::time::{Instant, Sleep};

use super::error::RequestBodyError;
use super::job::{CLIENT_LOOK, Job, SLOW_BYTES, Side};
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
    let mut upload = Upload { body, pending: Bytes::new(), job, link, waits_since: None, pace: None };
    actix_web::rt::spawn(std::future::poll_fn(move |cx| upload.poll(cx)));
}

struct Upload {
    body: RequestBody,
    /// What has come from the client and waits for the window.
    pending: Bytes,
    job: Rc<Job>,
    link: Rc<dyn JobLink>,
    /// Since when the client is waited for.
    waits_since: Option<Instant>,
    /// There once the client was waited for: most bodies come with their heads.
    pace: Option<Pace>,
}

/// What the client sends.
struct Pace {
    next_look: Pin<Box<Sleep>>,
    /// Since the last look.
    bytes: u64,
}

impl Upload {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.job.is_wanted() {
            if self.pending.is_empty() {
                let Poll::Ready(next) = self.body.as_mut().poll_next(cx) else {
                    self.waits_since.get_or_insert_with(Instant::now);
                    break;
                };
                self.has_come();
                match next {
                    Some(Ok(bytes)) => {
                        if let Some(pace) = &mut self.pace {
                            pace.bytes += bytes.len() as u64;
                        }
                        self.pending = bytes;
                    }
                    Some(Err(error)) => {
                        self.link.tell_body_failed(self.job.id);
                        self.job.fail_upload(error);
                        return Poll::Ready(());
                    }
                    None => {
                        self.job.set_slow(Side::Uploader, false);
                        self.link.send_body_end(self.job.id);
                        return Poll::Ready(());
                    }
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
        self.look_at_client(cx);
        self.job.park_uploader(cx);
        Poll::Pending
    }

    /// The client is not waited for any more.
    fn has_come(&mut self) {
        if let Some(since) = self.waits_since.take() {
            self.job.waited_for_body(since.elapsed());
        }
    }

    /// Looks, from time to time, whether the client keeps its job waiting.
    fn look_at_client(&mut self, cx: &mut Context<'_>) {
        let is_waited_for = self.waits_since.is_some();
        if self.pace.is_none() && !is_waited_for {
            return;
        }
        let pace = self
            .pace
            .get_or_insert_with(|| Pace { next_look: Box::pin(tokio::time::sleep(CLIENT_LOOK)), bytes: 0 });
        while pace.next_look.as_mut().poll(cx).is_ready() {
            self.job.set_slow(Side::Uploader, is_waited_for && pace.bytes < SLOW_BYTES);
            pace.bytes = 0;
            pace.next_look.as_mut().reset(Instant::now() + CLIENT_LOOK);
        }
    }
}
