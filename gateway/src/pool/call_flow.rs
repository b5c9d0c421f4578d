//! The bodies of one native call of a job: what the job sends beyond its input, and what comes back piece by piece.
//! Each way has a window; does no I/O.

use std::cell::RefCell;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use shared::window::{ReceiveWindow, SendWindow, WindowError};
use tokio::sync::mpsc;

/// The windows of a call, and what has come of its body.
#[derive(Debug, Default)]
pub(super) struct CallFlow {
    /// Where the call's body goes; `None` when it has none, or all of it has come.
    body: RefCell<Option<mpsc::UnboundedSender<Bytes>>>,
    received: RefCell<ReceiveWindow>,
    sent: RefCell<SendWindow>,
    /// Who waits for room in the job's window.
    sender: RefCell<Option<Waker>>,
}

impl CallFlow {
    /// The flow of a call whose body follows, and the body.
    pub fn with_body() -> (Self, mpsc::UnboundedReceiver<Bytes>) {
        // The job keeps to its window, which is checked: the channel holds no more than that.
        let (sender, body) = mpsc::unbounded_channel();
        (Self { body: RefCell::new(Some(sender)), ..Self::default() }, body)
    }

    /// A piece of the call's body has come.
    pub fn on_body(&self, bytes: Bytes) -> Result<(), WindowError> {
        self.received.borrow_mut().received(bytes.len())?;
        if let Some(body) = self.body.borrow().as_ref().filter(|_| !bytes.is_empty()) {
            // Nobody wants it any more: the call has ended.
            let _ = body.send(bytes);
        }
        Ok(())
    }

    /// The call's body is complete.
    pub fn on_body_end(&self) {
        self.body.borrow_mut().take();
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
