//! One link of a gateway thread to an isolate or an fn worker: the socket, or what stands for it where workers are on
//! other machines, driven by one local task.
//!
//! Whoever has something to send appends it with [`Link::queue`] and goes on; the task is woken and hands all
//! that came together to the kernel in one write. What comes in goes to the owner's handler, message by message.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use shared::link::{LinkError, Transport};
use shared::message::Message;

/// How many messages the task takes in before other tasks of its thread have their turn: what an isolate says in one turn
/// about dozens of pages, five messages each, comes whole, so that a page is sent in one piece.
const MESSAGES_PER_TURN: usize = 1024;

/// Why a link ended other than by its peer's clean close.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkFault {
    /// The socket failed, or what came is no message.
    #[error("the link failed")]
    Link(#[from] LinkError),
    /// The peer broke a rule of the conversation.
    #[error("the peer broke a rule")]
    Rule(#[from] RuleError),
}

impl LinkFault {
    /// Whether the peer is to blame, other than by having died.
    pub fn is_violation(&self) -> bool {
        !matches!(
            self,
            Self::Link(LinkError::Io(_) | LinkError::Frame(shared::frame::FrameError::Truncated { .. }))
        )
    }
}

/// What a peer may not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RuleError {
    #[error("the id {0:x} was never given out, or has ended")]
    UnknownId(u64),
    #[error("a second head for job {0:x}")]
    SecondHead(u64),
    #[error("a body or an end before the head of job {0:x}")]
    NoHead(u64),
    #[error("more early hints for job {0:x} than a job may have")]
    EarlyHints(u64),
    #[error("the call {call} of job {id:x} is running already")]
    SecondCall { id: u64, call: u32 },
    #[error("the window of job {id:x} is broken")]
    Window { id: u64, source: shared::window::WindowError },
}

impl RuleError {
    /// The job or call that it concerns.
    pub fn id(&self) -> u64 {
        match self {
            Self::UnknownId(id) | Self::SecondHead(id) | Self::NoHead(id) | Self::EarlyHints(id) => *id,
            Self::SecondCall { id, .. } | Self::Window { id, .. } => *id,
        }
    }
}

/// A transport with its outbound buffer. Not shared between threads.
#[derive(Debug)]
pub(super) struct Link<T> {
    /// `None` once the link has ended.
    channel: RefCell<Option<T>>,
    task: RefCell<Option<Waker>>,
    /// The task is at work and will flush before it rests: it need not be woken.
    in_turn: Cell<bool>,
}

impl<T: Transport> Link<T> {
    pub fn new(channel: T) -> Self {
        Self { channel: RefCell::new(Some(channel)), task: RefCell::new(None), in_turn: Cell::new(false) }
    }

    /// Appends a message. Without effect once the link has ended: whoever waits on it is told then.
    pub fn queue(&self, message: &T::Out) {
        self.append(|out| message.encode(out));
    }

    /// Appends frames with an encoder that needs no message value.
    pub fn append(&self, write: impl FnOnce(&mut BytesMut)) {
        let mut channel = self.channel.borrow_mut();
        let Some(channel) = channel.as_mut() else { return };
        write(channel.outbound());
        if !self.in_turn.get()
            && let Some(task) = &*self.task.borrow()
        {
            task.wake_by_ref();
        }
    }

    /// The transport, until the link has ended.
    pub fn with_transport<R>(&self, act: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.channel.borrow_mut().as_mut().map(act)
    }

    pub fn is_open(&self) -> bool {
        self.channel.borrow().is_some()
    }

    /// Drives the link until it ends. `receive` may queue messages.
    ///
    /// # Errors
    /// [`LinkFault`] unless the peer closed the link between two messages.
    pub async fn run(
        &self,
        mut receive: impl FnMut(T::In) -> Result<(), RuleError>,
    ) -> Result<(), LinkFault> {
        let end = std::future::poll_fn(|cx| {
            self.remember_task(cx);
            self.in_turn.set(true);
            let turn = self.poll_turn(cx, &mut receive);
            self.in_turn.set(false);
            turn
        })
        .await;
        self.close();
        end
    }

    /// Ends the link on this side but leaves its socket open until this process ends: the peer takes the end of
    /// one link for the end of the gateway.
    pub fn abandon(&self) {
        std::mem::forget(self.channel.borrow_mut().take());
    }

    /// Closes the socket; the peer sees the end of the link.
    pub fn close(&self) {
        self.channel.borrow_mut().take();
        if let Some(task) = self.task.borrow_mut().take() {
            task.wake();
        }
    }

    fn remember_task(&self, cx: &mut Context<'_>) {
        match &mut *self.task.borrow_mut() {
            Some(task) => task.clone_from(cx.waker()),
            task => *task = Some(cx.waker().clone()),
        }
    }

    fn poll_turn(
        &self,
        cx: &mut Context<'_>,
        receive: &mut impl FnMut(T::In) -> Result<(), RuleError>,
    ) -> Poll<Result<(), LinkFault>> {
        if let Poll::Ready(end) = self.poll_inbound(cx, receive)? {
            return Poll::Ready(Ok(end));
        }
        match self.poll_outbound(cx) {
            Poll::Ready(Err(error)) => {
                // The peer has gone; what it said before may still lie in the socket.
                match self.poll_inbound(cx, receive)? {
                    Poll::Ready(()) => Poll::Ready(Ok(())),
                    Poll::Pending => Poll::Ready(Err(error.into())),
                }
            }
            _ => Poll::Pending,
        }
    }

    fn poll_inbound(
        &self,
        cx: &mut Context<'_>,
        receive: &mut impl FnMut(T::In) -> Result<(), RuleError>,
    ) -> Result<Poll<()>, LinkFault> {
        for _ in 0..MESSAGES_PER_TURN {
            let message = match self.channel.borrow_mut().as_mut() {
                None => return Ok(Poll::Ready(())),
                Some(channel) => channel.poll_receive(cx),
            };
            match message {
                Poll::Ready(Ok(Some(message))) => receive(message)?,
                Poll::Ready(Ok(None)) => return Ok(Poll::Ready(())),
                Poll::Ready(Err(error)) => return Err(error.into()),
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
        cx.waker().wake_by_ref();
        Ok(Poll::Pending)
    }

    fn poll_outbound(&self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        match self.channel.borrow_mut().as_mut() {
            Some(channel) => channel.poll_flush(cx),
            None => Poll::Pending,
        }
    }
}
