//! What a link keeps of the calls that are open on it.

use shared::message::Outcome;
use shared::window::{ReceiveWindow, SendWindow};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tokio_util::time::delay_queue;

use crate::exchange::LinkSide;

/// A call or request whose handler has not ended.
pub(super) struct OpenCall {
    pub(super) cancellation: CancellationToken,
    /// Set while the handler runs on and its caller waits.
    pub(super) deadline: Option<delay_queue::Key>,
    /// Nobody has been answered, and somebody waits: not so once the caller has gone.
    pub(super) is_awaited: bool,
    pub(super) exchange: Option<OpenExchange>,
    /// What it has called in other processes, by number.
    pub(super) asked: Vec<(u32, oneshot::Sender<Outcome>)>,
    pub(super) _open: TaskTrackerToken,
}

/// A request and its response.
pub(super) struct OpenExchange {
    pub(super) side: LinkSide,
    pub(super) received: ReceiveWindow,
    pub(super) sent: SendWindow,
    pub(super) stage: Stage,
    /// It is a call: what answers it before it streams is a reply.
    pub(super) is_call: bool,
}

impl OpenExchange {
    pub(super) fn new(side: LinkSide, is_call: bool) -> Self {
        let (received, sent) = (ReceiveWindow::default(), SendWindow::default());
        Self { side, received, sent, stage: Stage::Silent, is_call }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Silent,
    Headed,
    Over,
}
