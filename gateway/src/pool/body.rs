//! The response of a job: its head, and its body as it comes.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use shared::head::HeaderField;
use shared::message::{CancelReason, FailureKind};

use super::error::RenderError;
use super::job::{End, Part};
use super::job_handle::JobHandle;

/// A response whose head has come.
#[derive(Debug)]
pub struct Rendered {
    /// The status code.
    pub status: u16,
    /// The header fields in the isolate's order, names in lower case.
    pub headers: Vec<HeaderField>,
    /// The body.
    pub body: RenderedBody,
}

/// A response's body. Credit goes back to the isolate as items are taken, so a reader that stops stops the
/// isolate's stream too. Dropping it before its end cancels the job.
#[derive(Debug)]
pub struct RenderedBody {
    handle: JobHandle,
    finished: bool,
}

impl RenderedBody {
    pub(super) fn new(handle: JobHandle) -> Self {
        Self { handle, finished: false }
    }

    /// The body's length if all of it has come already.
    pub fn whole(&self) -> Option<usize> {
        self.handle.job.whole()
    }

    fn fail(&mut self, error: RenderError) -> Poll<Option<Result<Bytes, RenderError>>> {
        self.finished = true;
        self.handle.count_failure(error.label());
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for RenderedBody {
    type Item = Result<Bytes, RenderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.finished {
            return Poll::Ready(None);
        }
        match std::task::ready!(self.handle.job.poll_body(cx)) {
            Part::Next((bytes, credit)) => {
                if let Some(credit) = credit {
                    self.handle.credit(credit);
                }
                Poll::Ready(Some(Ok(bytes)))
            }
            Part::Ended(End::Complete) => {
                self.finished = true;
                Poll::Ready(None)
            }
            Part::Ended(End::Failed(kind)) => self.fail(failure(kind)),
            Part::Ended(End::Lost) => self.fail(RenderError::Lost),
            Part::BodyFailed(error) => {
                self.handle.cancel(CancelReason::ClientGone);
                self.fail(error.into())
            }
        }
    }
}

/// What a failure that the isolate reports is to the one who asked.
pub(super) fn failure(kind: FailureKind) -> RenderError {
    match kind {
        FailureKind::Threw => RenderError::Threw,
        FailureKind::Skipped => RenderError::Skipped,
        FailureKind::Dropped => RenderError::Dropped,
        // Nobody here cancelled it, and an isolate that has sent a head was ready.
        FailureKind::Cancelled | FailureKind::NotReady => RenderError::Protocol,
    }
}
