//! What the pool says of itself: readiness for balancers, status for people.

use std::time::Duration;

use serde::Serialize;
use shared::message::control::Layers;

use super::Pool;
use super::in_flight::Place;
use super::roster::{Heap, Member, State};
use super::slot::ChildKind;

/// Whether requests may be sent here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// More than half of the isolates take jobs.
    Ready,
    /// Not now.
    NotReady {
        /// Why, in words.
        reason: String,
    },
}

/// The pool's state, for `/status`.
#[derive(Debug, Clone, Serialize)]
pub struct PoolStatus {
    /// No new jobs are taken.
    pub draining: bool,
    /// Isolates that take jobs.
    pub ready_isolates: usize,
    /// Isolates that there are when all is well.
    pub isolates: usize,
    /// Jobs that wait for a permit.
    pub queued_jobs: usize,
    /// Jobs and native calls that run.
    pub in_flight: usize,
    /// Milliseconds since the oldest of them started.
    pub oldest_in_flight_ms: Option<u64>,
    /// The child processes.
    pub children: Vec<ChildStatus>,
}

/// A child process, for `/status`.
#[derive(Debug, Clone, Serialize)]
pub struct ChildStatus {
    /// What it is.
    pub kind: ChildKind,
    /// Its place, from 0.
    pub slot: usize,
    /// Its process id.
    pub pid: u32,
    /// It is the gateway's own process: an fn worker that the user has built in.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub embedded: bool,
    /// Its state.
    pub state: State,
    /// Which of the processes that have held its place, from 1.
    pub generation: u64,
    /// How often its place was filled again.
    pub restarts: u64,
    /// Seconds since it was started.
    pub uptime_seconds: u64,
    /// Its isolates; empty for an fn worker.
    pub isolates: Vec<IsolateStatus>,
    /// Native calls that it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_in_flight: Option<usize>,
    /// Its functions; empty for a renderer.
    pub functions: Vec<String>,
    /// How a renderer is locked in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Layers>,
}

/// An isolate, for `/status`.
#[derive(Debug, Clone, Serialize)]
pub struct IsolateStatus {
    /// Its number in its process, from 0.
    pub isolate: usize,
    /// Its state.
    pub state: State,
    /// It has ended; its process is being replaced.
    pub failed: bool,
    /// Jobs that it runs.
    pub in_flight: usize,
    /// Milliseconds since the oldest of them started.
    pub oldest_in_flight_ms: Option<u64>,
    /// Milliseconds that it took to load the app.
    pub startup_ms: Option<u64>,
    /// What it holds.
    pub heap: Heap,
}

impl Pool {
    pub(super) fn readiness(&self) -> Readiness {
        let not_ready = |reason: String| Readiness::NotReady { reason };
        if self.is_draining() {
            return not_ready("draining".into());
        }
        let (ready, all) = (self.roster().isolates_in(State::Ready), self.isolates());
        if ready > all / 2 {
            return Readiness::Ready;
        }
        not_ready(format!("{ready} of {all} isolates are ready, {} are needed", all / 2 + 1))
    }

    pub(super) fn status(&self) -> PoolStatus {
        let roster = self.roster();
        let mut children: Vec<_> = roster.members.iter().map(|member| self.child_status(member)).collect();
        children.sort_by_key(|child| (child.kind, child.slot, child.generation));
        PoolStatus {
            draining: self.is_draining(),
            ready_isolates: roster.isolates_in(State::Ready),
            isolates: self.isolates(),
            queued_jobs: self.admission.waiting(),
            in_flight: self.in_flight.count(),
            oldest_in_flight_ms: self.in_flight.oldest().map(milliseconds),
            children,
        }
    }

    fn child_status(&self, member: &Member) -> ChildStatus {
        let isolates = member.isolate_ids().zip(&member.isolates);
        ChildStatus {
            kind: member.id.kind,
            slot: member.id.slot,
            pid: member.pid,
            embedded: member.embedded,
            state: member.state(),
            generation: member.id.generation,
            restarts: member.id.generation - 1,
            uptime_seconds: member.since.elapsed().as_secs(),
            isolates: isolates
                .map(|(id, isolate)| {
                    let started = self.in_flight.at(Place::Isolate(id)).into_iter().map(|job| job.started);
                    IsolateStatus {
                        isolate: id.isolate,
                        state: isolate.state,
                        failed: isolate.failed,
                        in_flight: self.admission.in_flight(id),
                        oldest_in_flight_ms: started.min().map(|started| milliseconds(started.elapsed())),
                        startup_ms: isolate.startup_ms,
                        heap: isolate.heap,
                    }
                })
                .collect(),
            calls_in_flight: member.worker.as_ref().map(|worker| worker.in_flight()),
            functions: member.functions.clone(),
            sandbox: member.sandbox.clone(),
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
