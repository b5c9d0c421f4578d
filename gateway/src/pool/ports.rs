//! How new links reach the gateway threads: each thread has a port, which keeps links until its dispatcher is
//! there and hands them on to it afterwards.

use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix::Addr;
use actix::dev::Request;

use super::dispatcher::DispatcherActor;
use super::slot::{ChildId, IsolateId, WorkerSlot};

/// A link's end for one gateway thread.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(super) struct NewLink {
    pub stream: UnixStream,
    pub to: Peer,
}

/// What is at the other end of a link.
#[derive(Debug, Clone)]
pub(super) enum Peer {
    Isolate(IsolateId),
    /// A lane of an fn worker.
    Worker(Arc<WorkerSlot>, usize),
}

impl Peer {
    /// The process there.
    pub fn child(&self) -> ChildId {
        match self {
            Self::Isolate(isolate) => isolate.child(),
            Self::Worker(slot, _) => slot.id,
        }
    }
}

#[derive(Debug, Default)]
struct Port {
    dispatcher: Option<Addr<DispatcherActor>>,
    /// Links that wait for a dispatcher: of living children alone.
    waiting: Vec<NewLink>,
}

/// The ports of all gateway threads.
#[derive(Debug)]
pub(super) struct Ports(Mutex<Vec<Port>>);

impl Ports {
    pub fn new(threads: usize) -> Self {
        Self(Mutex::new((0..threads).map(|_| Port::default()).collect()))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Port>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a free port for the calling thread's dispatcher; `start` makes it from the port's number and the
    /// links that wait there. `None` when more threads come than the pool was made for.
    pub fn attach<D>(
        &self,
        start: impl FnOnce(usize, Vec<NewLink>) -> (Addr<DispatcherActor>, D),
    ) -> Option<D> {
        let mut ports = self.lock();
        let free = |port: &Port| port.dispatcher.as_ref().is_none_or(|dispatcher| !dispatcher.connected());
        let number = ports.iter().position(free)?;
        let (address, dispatcher) = start(number, std::mem::take(&mut ports[number].waiting));
        ports[number].dispatcher = Some(address);
        Some(dispatcher)
    }

    /// Hands a link to a thread. The future ends when the thread can use it, at once if the thread is not there.
    pub fn deliver(&self, number: usize, link: NewLink) -> Option<Request<DispatcherActor, NewLink>> {
        let mut ports = self.lock();
        let port = ports.get_mut(number)?;
        match port.dispatcher.as_ref().filter(|dispatcher| dispatcher.connected()) {
            Some(dispatcher) => Some(dispatcher.send(link)),
            None => {
                port.waiting.push(link);
                None
            }
        }
    }

    /// The child has ended: links to it are of no use.
    pub fn forget(&self, child: ChildId) {
        for port in &mut *self.lock() {
            port.waiting.retain(|link| link.to.child() != child);
        }
    }
}
