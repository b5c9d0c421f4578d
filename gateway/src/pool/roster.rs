//! Who is in the pool and in which state: kept by the supervisor, read by `/status` and the metrics.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use shared::message::control::Layers;

use super::slot::{ChildId, ChildKind, IsolateId, WorkerSlot};

/// The state of an isolate, and of a child as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Loads.
    Starting,
    /// Loaded, and waits to take a lost one's place.
    Standby,
    /// Takes work.
    Ready,
    /// Finishes what runs, and takes nothing new.
    Draining,
}

impl State {
    /// All states, for metrics that show each.
    pub(super) const ALL: [Self; 4] = [Self::Starting, Self::Standby, Self::Ready, Self::Draining];

    /// The value of the metrics' `state` label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Standby => "standby",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}

/// Bytes that an isolate holds, as it said last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Heap {
    /// On V8's heap.
    pub used_bytes: u64,
    /// Reserved for V8's heap.
    pub total_bytes: u64,
    /// Outside of it, held by objects on it.
    pub external_bytes: u64,
}

#[derive(Debug)]
pub(super) struct Isolate {
    pub state: State,
    /// It has ended, while its process has not.
    pub failed: bool,
    pub startup_ms: Option<u64>,
    pub heap: Heap,
}

#[derive(Debug)]
pub(super) struct Member {
    pub id: ChildId,
    pub pid: u32,
    pub since: Instant,
    /// It is this process itself and none of its children.
    pub embedded: bool,
    /// It is to end, or is about to.
    pub leaving: bool,
    /// Empty for an fn worker.
    pub isolates: Vec<Isolate>,
    /// For an fn worker alone.
    pub worker: Option<Arc<WorkerSlot>>,
    pub functions: Vec<String>,
    /// How a renderer is locked in, as soon as it has said so.
    pub sandbox: Option<Layers>,
}

impl Member {
    pub fn new(id: ChildId, pid: u32, isolates: usize, worker: Option<Arc<WorkerSlot>>) -> Self {
        let isolate =
            || Isolate { state: State::Starting, failed: false, startup_ms: None, heap: Heap::default() };
        Self {
            id,
            pid,
            since: Instant::now(),
            embedded: false,
            leaving: false,
            isolates: (0..isolates).map(|_| isolate()).collect(),
            worker,
            functions: Vec::new(),
            sandbox: None,
        }
    }

    /// All of it works, or did and now ends.
    pub fn state(&self) -> State {
        let all = |state| match &self.worker {
            Some(worker) => worker.is_ready() && state == State::Ready,
            None => self.isolates.iter().all(|isolate| isolate.state == state),
        };
        match () {
            () if self.leaving => State::Draining,
            () if all(State::Ready) => State::Ready,
            () if all(State::Standby) => State::Standby,
            () => State::Starting,
        }
    }

    pub fn isolate_ids(&self) -> impl Iterator<Item = IsolateId> {
        let (slot, generation) = (self.id.slot, self.id.generation);
        (0..self.isolates.len()).map(move |isolate| IsolateId { slot, generation, isolate })
    }
}

/// All living children.
#[derive(Debug, Default)]
pub(super) struct Roster {
    pub members: Vec<Member>,
}

impl Roster {
    pub fn member(&mut self, id: ChildId) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == id)
    }

    pub fn isolate(&mut self, id: IsolateId) -> Option<&mut Isolate> {
        self.member(id.child())?.isolates.get_mut(id.isolate)
    }

    pub fn remove(&mut self, id: ChildId) -> Option<Member> {
        let index = self.members.iter().position(|member| member.id == id)?;
        Some(self.members.remove(index))
    }

    /// How many isolates are in this state.
    pub fn isolates_in(&self, state: State) -> usize {
        let isolates = self.members.iter().flat_map(|member| &member.isolates);
        isolates.filter(|isolate| isolate.state == state && !isolate.failed).count()
    }

    /// Whether an isolate in this place takes jobs, or could at once.
    pub fn is_occupied(&self, slot: usize) -> bool {
        let here = |member: &&Member| member.id.kind == ChildKind::Renderer && member.id.slot == slot;
        let mut members = self.members.iter().filter(here).filter(|member| !member.leaving);
        members.any(|member| {
            member.isolates.iter().any(|isolate| matches!(isolate.state, State::Ready | State::Standby))
        })
    }

    /// How many fn workers are in this state.
    pub fn workers_in(&self, state: State) -> usize {
        let workers = self.members.iter().filter(|member| member.id.kind == ChildKind::FnWorker);
        workers.filter(|member| member.state() == state).count()
    }

    /// How many child processes of this kind live.
    pub fn alive(&self, kind: ChildKind) -> usize {
        self.members.iter().filter(|member| member.id.kind == kind && !member.embedded).count()
    }
}
