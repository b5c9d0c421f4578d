//! The bodies of one native call of a job: what the job sends beyond its input, and what comes back piece by piece.
//! Each way has a window; does no I/O.

use std::cell::RefCell;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use shared::pieces::Pieces;
use shared::window::{ReceiveWindow, SendWindow, WindowError};

/// The windows of a call, and what has come of its body.
#[derive(Debug, Default)]
pub(super) struct CallFlow {
    body: RefCell<Body>,
    received: RefCell<ReceiveWindow>,
    sent: RefCell<SendWindow>,
    /// Who waits for room in the job's window.
    sender: RefCell<Option<Waker>>,
}

/// The body of a call, as far as it has come. The job keeps to its window, which is checked.
#[derive(Debug, Default)]
struct Body {
    pieces: Pieces,
    /// More may come.
    is_open: bool,
    reader: Option<Waker>,
}

impl Body {
    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl CallFlow {
    /// The flow of a call whose body follows.
    pub fn with_body() -> Self {
        Self { body: RefCell::new(Body { is_open: true, ..Body::default() }), ..Self::default() }
    }

    /// A piece of the call's body has come.
    pub fn on_body(&self, bytes: Bytes) -> Result<(), WindowError> {
        self.received.borrow_mut().received(bytes.len())?;
        let mut body = self.body.borrow_mut();
        if body.is_open {
            body.pieces.push(bytes);
            body.wake();
        }
        Ok(())
    }

    /// The call's body is complete.
    pub fn on_body_end(&self) {
        let mut body = self.body.borrow_mut();
        body.is_open = false;
        body.wake();
    }

    /// The next piece of the call's body; `None` at its end.
    pub fn poll_body(&self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut body = self.body.borrow_mut();
        if let Some(bytes) = body.pieces.pop() {
            return Poll::Ready(Some(bytes));
        }
        if !body.is_open {
            return Poll::Ready(None);
        }
        body.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The worker takes so much of the body; the credit that is due to the job.
    pub fn consumed(&self, bytes: usize) -> Option<u32> {
        let credit = self.received.borrow_mut().consumed(bytes)?;
        Some(u32::try_from(credit).unwrap_or(u32::MAX))
    }

    /// The job has read so much of the answer.
    pub fn on_credit(&self, bytes: u32) -> Result<(), WindowError> {
        self.sent.borrow_mut().credit(bytes as usize)?;
        if let Some(sender) = self.sender.borrow_mut().take() {
            sender.wake();
        }
        Ok(())
    }

    /// Takes up to `wanted` bytes off the window of the answer, at least one.
    pub fn poll_take(&self, wanted: usize, cx: &mut Context<'_>) -> Poll<usize> {
        let taken = self.sent.borrow_mut().take(wanted);
        if taken == 0 {
            *self.sender.borrow_mut() = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(taken)
    }
}
