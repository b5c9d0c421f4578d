//! Who is who in the pool: names of children and isolates, and the counters of an fn worker that all gateway
//! threads share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde::Serialize;

/// What a child process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildKind {
    /// Hosts isolates.
    Renderer,
    /// Runs native functions.
    FnWorker,
}

impl ChildKind {
    /// The value of the metrics' `kind` label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Renderer => "renderer",
            Self::FnWorker => "fn_worker",
        }
    }
}

/// One child process: its place, and which of the processes that have held it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ChildId {
    pub kind: ChildKind,
    pub slot: usize,
    pub generation: u64,
}

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}.{}", self.kind.label(), self.slot, self.generation)
    }
}

/// The place of what stands for all workers of other machines, in logs and lists.
pub(crate) const ELSEWHERE: ChildId = ChildId { kind: ChildKind::FnWorker, slot: usize::MAX, generation: 0 };

/// One isolate of one renderer process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct IsolateId {
    pub slot: usize,
    pub generation: u64,
    pub isolate: usize,
}

impl IsolateId {
    /// The process that hosts it.
    pub fn child(self) -> ChildId {
        ChildId { kind: ChildKind::Renderer, slot: self.slot, generation: self.generation }
    }
}

impl fmt::Display for IsolateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "renderer {}.{} isolate {}", self.slot, self.generation, self.isolate)
    }
}

/// An fn worker as all gateway threads see it.
#[derive(Debug)]
pub(crate) struct WorkerSlot {
    pub id: ChildId,
    ready: AtomicBool,
    in_flight: AtomicUsize,
    /// The same for each of its lanes: a thread of it, with the links that it reads.
    lanes: Box<[AtomicUsize]>,
}

impl WorkerSlot {
    pub fn new(id: ChildId, lanes: usize) -> Self {
        let lanes = (0..lanes).map(|_| AtomicUsize::new(0)).collect();
        Self { id, ready: AtomicBool::new(false), in_flight: AtomicUsize::new(0), lanes }
    }

    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// How many calls run on a lane.
    pub fn load(&self, lane: usize) -> usize {
        self.lanes[lane].load(Ordering::Relaxed)
    }

    /// Takes a place on a lane for one more call unless the worker runs `limit` calls already.
    pub fn enter(self: &Arc<Self>, lane: usize, limit: usize) -> Option<WorkerPlace> {
        let more = |calls: usize| (calls < limit).then_some(calls + 1);
        let entered = self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        entered.is_ok().then(|| {
            self.lanes[lane].fetch_add(1, Ordering::Relaxed);
            WorkerPlace { slot: Arc::clone(self), lane }
        })
    }
}

/// A call's place on an fn worker; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct WorkerPlace {
    slot: Arc<WorkerSlot>,
    lane: usize,
}

impl Drop for WorkerPlace {
    fn drop(&mut self) {
        self.slot.lanes[self.lane].fetch_sub(1, Ordering::Relaxed);
        self.slot.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
