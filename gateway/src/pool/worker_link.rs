//! A gateway thread's link to an fn worker, and the native calls that run over it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use shared::link::Channel;
use shared::message::{FromWorker, NativeCall, Outcome, ToWorker};
use tokio::sync::oneshot;

use super::in_flight::Entry;
use super::link::{Link, LinkFault, RuleError};
use super::slot::WorkerSlot;
use super::thread::Thread;

/// The calls that a worker may have running at a time, over all gateway threads; more are answered with 503.
pub(super) const MAX_CALLS_PER_WORKER: usize = 1024;

/// One thread's link to one fn worker.
#[derive(Debug)]
pub(super) struct WorkerLink {
    pub slot: Arc<WorkerSlot>,
    link: Link<ToWorker, FromWorker>,
    calls: RefCell<HashMap<u64, oneshot::Sender<Outcome>>>,
}

impl WorkerLink {
    pub fn new(slot: Arc<WorkerSlot>, channel: Channel<ToWorker, FromWorker>) -> Self {
        Self { slot, link: Link::new(channel), calls: RefCell::default() }
    }

    /// Whether it takes calls.
    pub fn is_ready(&self) -> bool {
        self.slot.is_ready() && self.is_open()
    }

    pub fn is_open(&self) -> bool {
        self.link.is_open()
    }

    /// Sends a call; `None` when the worker has as many as it may. Dropping the returned value cancels it.
    pub fn begin(
        self: &Rc<Self>,
        id: u64,
        call: NativeCall,
        enter: impl FnOnce() -> Entry,
    ) -> Option<PendingCall> {
        if !self.slot.enter(MAX_CALLS_PER_WORKER) {
            return None;
        }
        let (sender, outcome) = oneshot::channel();
        self.calls.borrow_mut().insert(id, sender);
        self.link.queue(&ToWorker::Call { id, call });
        Some(PendingCall { id, link: self.clone(), outcome, _entry: enter() })
    }

    /// Drives the link until it ends.
    pub async fn run(&self, thread: &Thread) -> Result<(), LinkFault> {
        self.link.run(|FromWorker::Reply { id, outcome }| self.receive(id, outcome, thread)).await
    }

    /// Tells all who wait that the worker is lost. The socket closes unless it is to outlive this thread.
    pub fn lose_calls(&self, keep_socket: bool) {
        if keep_socket {
            self.link.abandon();
        }
        self.link.close();
        self.calls.borrow_mut().clear();
    }

    fn receive(&self, id: u64, outcome: Outcome, thread: &Thread) -> Result<(), RuleError> {
        let caller = self.calls.borrow_mut().remove(&id);
        match caller {
            Some(caller) => drop(caller.send(outcome)),
            // The reply crossed a cancel.
            None if thread.was_issued(id) => {}
            None => return Err(RuleError::UnknownId(id)),
        }
        Ok(())
    }
}

/// A call that runs; cancelled when dropped before its outcome.
#[derive(Debug)]
pub(super) struct PendingCall {
    id: u64,
    link: Rc<WorkerLink>,
    outcome: oneshot::Receiver<Outcome>,
    _entry: Entry,
}

impl PendingCall {
    /// The call's outcome; `None` when the worker is lost.
    pub async fn outcome(&mut self) -> Option<Outcome> {
        (&mut self.outcome).await.ok()
    }
}

impl Drop for PendingCall {
    fn drop(&mut self) {
        self.link.slot.leave();
        if self.link.calls.borrow_mut().remove(&self.id).is_some() {
            self.link.link.queue(&ToWorker::Cancel { id: self.id });
        }
    }
}
