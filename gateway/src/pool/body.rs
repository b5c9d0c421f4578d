//! The response of a job: its head, and its body as it comes.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use shared::head::HeaderField;
use shared::message::{CancelReason, FailureKind};
use tokio::time::{Instant, Sleep};

use super::error::RenderError;
use super::job::{End, Part};
use super::job_handle::JobHandle;
use super::patience::{Due, Patience};

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
    patience: Option<Patience>,
    /// Set while the body waits for the isolate, and as early as anything can be due.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl RenderedBody {
    /// A body that is cut when `patience` with its job ends.
    pub(super) fn new(handle: JobHandle, patience: Option<Patience>) -> Self {
        Self { handle, finished: false, patience, alarm: None }
    }

    /// The body's length if all of it has come already.
    pub fn whole(&self) -> Option<usize> {
        self.handle.job.whole()
    }

    /// Nothing has come. Ready when the job's time is over.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(patience) = &mut self.patience else { return Poll::Pending };
        loop {
            let due = match patience.wait(Instant::now().into_std()) {
                Due::Until(due) => Instant::from_std(due),
                Due::Abort => {
                    self.handle.abort();
                    continue;
                }
                Due::Close => return Poll::Ready(()),
            };
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            // An alarm that is early is set anew when it rings, and not with each piece that comes.
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            alarm.as_mut().reset(due);
        }
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
        let Poll::Ready(part) = self.handle.job.poll_body(cx) else {
            std::task::ready!(self.poll_patience(cx));
            self.handle.cancel(CancelReason::Timeout);
            return self.fail(RenderError::Timeout);
        };
        // What has come before it was waited for is taken without a look at the clock.
        if let Some(patience) = self.patience.as_mut().filter(|patience| patience.is_waiting()) {
            patience.stop(Instant::now().into_std());
        }
        match part {
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
        FailureKind::TurnLimit => RenderError::TurnLimit,
        FailureKind::HeapLimit => RenderError::HeapLimit,
        FailureKind::Displaced => RenderError::Lost,
        // Nobody here cancelled it, and an isolate that has sent a head was ready.
        FailureKind::Cancelled | FailureKind::NotReady => RenderError::Protocol,
    }
}
