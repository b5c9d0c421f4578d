//! How children end, are replaced and are started again.

use std::time::Duration;

use actix::{AsyncContext, Context};
use shared::message::RetireReason;
use shared::message::control::GiveUp;

use super::{Prepared, Supervisor, now};
use crate::pool::Start;
use crate::pool::error::{RollError, StartError};
use crate::pool::restart::Event;
use crate::pool::roster::State;
use crate::pool::slot::{ChildId, ChildKind, IsolateId};
use crate::pool::watch::{Cause, Command, Exit};

/// How often a child may end before it was ever ready, until the pool's start is given up.
const FIRST_ATTEMPTS: u64 = 3;

impl Supervisor {
    /// An isolate has ended: its process is to be replaced.
    pub(super) fn isolate_failed(&mut self, isolate: IsolateId, ctx: &mut Context<Self>) {
        self.pool.admission.close(isolate);
        if let Some(entry) = self.pool.roster().isolate(isolate) {
            (entry.state, entry.failed) = (State::Draining, true);
        }
        self.replace(isolate.child(), "isolate_failed", ctx);
    }

    /// An isolate asks for its replacement, or all of the process do; `closed` says that it takes no more jobs.
    pub(super) fn retire(
        &mut self,
        id: ChildId,
        isolate: Option<usize>,
        reason: RetireReason,
        closed: bool,
        ctx: &mut Context<Self>,
    ) {
        tracing::warn!(child = %id, isolate, reason = reason.label(), "a process will be replaced");
        if let Some(isolate) = isolate.filter(|_| closed) {
            let isolate = IsolateId { slot: id.slot, generation: id.generation, isolate };
            self.pool.admission.close(isolate);
            if let Some(entry) = self.pool.roster().isolate(isolate) {
                entry.state = State::Draining;
            }
        }
        self.replace(id, reason.label(), ctx);
    }

    /// A process must end at once, with all that it runs.
    pub(super) fn gives_up(&mut self, id: ChildId, reason: GiveUp, isolate: Option<usize>, job: Option<u64>) {
        tracing::error!(child = %id, isolate, reason = reason.label(), "a process gives itself up");
        if let Some(job) = job {
            self.pool.in_flight.blame(job);
        }
        self.close(id);
        self.vacate(id);
        if let Some(handle) = self.handle_of(id) {
            handle.tell(Command::Kill);
        }
    }

    /// The process is to be replaced. A spare takes over at once; without one, what still works in it serves until
    /// the replacement is ready.
    pub(super) fn replace(&mut self, id: ChildId, reason: &'static str, ctx: &mut Context<Self>) {
        if self.is_current(id) {
            self.count_replacement(id, reason);
            if let Some(slot) = self.slot(id) {
                slot.retiring.extend(slot.current.take());
            }
            self.restart(id, reason, ctx);
        }
        let serves = self.pool.roster().member(id).is_some_and(|member| {
            !member.leaving && member.isolates.iter().any(|isolate| isolate.state == State::Ready)
        });
        let has_spare = id.kind == ChildKind::Renderer && self.lineup.has_spare();
        if has_spare {
            // The spare takes jobs before this one takes none.
            let taken = self.lineup.vacated(id.slot);
            self.take_over(taken);
        }
        if has_spare || !serves {
            self.drain(id);
        }
    }

    fn count_replacement(&self, id: ChildId, reason: &str) {
        if id.kind == ChildKind::Renderer {
            let isolates = u64::try_from(self.pool.settings.isolates_per_renderer).unwrap_or(1);
            self.pool.metrics.isolate_replacements.with_label_values(&[reason]).inc_by(isolates);
        }
    }

    /// Takes no new work there and lets what runs finish.
    pub(super) fn drain(&mut self, id: ChildId) {
        self.close(id);
        self.vacate(id);
        let settings = &self.pool.settings;
        // When the whole pool ends, its jobs have had their time already.
        let within =
            if self.pool.is_draining() { settings.child_drain_timeout } else { settings.retire_timeout };
        if let Some(handle) = self.handle_of(id) {
            handle.tell(Command::Drain(within));
        }
    }

    pub(super) fn close(&self, id: ChildId) {
        let mut roster = self.pool.roster();
        let Some(member) = roster.member(id) else { return };
        member.leaving = true;
        if let Some(worker) = &member.worker {
            worker.set_ready(false);
        }
        for isolate in &mut member.isolates {
            isolate.state = State::Draining;
        }
        let isolates: Vec<_> = member.isolate_ids().collect();
        drop(roster);
        isolates.into_iter().for_each(|isolate| self.pool.admission.close(isolate));
    }

    pub(super) fn ended(&mut self, id: ChildId, exit: Exit, ctx: &mut Context<Self>) {
        let Exit { cause, status } = exit;
        let expected = cause == Cause::Drained || self.pool.is_draining();
        if expected {
            tracing::info!(child = %id, status, "a child has ended");
        } else {
            tracing::error!(child = %id, status, cause = cause.label(), "a child has ended");
        }
        let loaded = self.handle_of(id).is_some_and(|handle| handle.loading.is_empty());
        if !loaded && !expected && self.is_new_version(id) {
            self.roll_back(RollError::Ended(format!("{status} ({})", cause.label())));
        }
        self.close(id);
        self.pool.ports.forget(id);
        self.pool.roster().remove(id);
        self.pool.examinations.lost(id);
        if id.kind == ChildKind::Renderer {
            self.pool.scratch.remove(id);
        }
        self.pool.app_metrics().retire(id);
        self.vacate(id);
        let was_current = self.is_current(id);
        if let Some(slot) = self.slot(id) {
            slot.retiring.retain(|handle| handle.id != id);
            slot.prepared.take_if(|prepared| prepared.id() == id);
            if was_current {
                slot.current = None;
            }
            if !slot.proven && (id.generation >= FIRST_ATTEMPTS || cause == Cause::LoadTimeout) {
                let reason = format!("{status} ({})", cause.label());
                self.fail_start(StartError::Child { kind: id.kind, slot: id.slot, reason });
            }
        }
        if was_current {
            if !expected {
                self.count_replacement(id, cause.label());
            }
            self.restart(id, cause.label(), ctx);
        }
        self.publish();
    }

    /// Starts another in its place, when the policy says so.
    pub(super) fn restart(&mut self, id: ChildId, reason: &'static str, ctx: &mut Context<Self>) {
        // New jobs are refused by now; what runs may still call native functions.
        let idle = id.kind == ChildKind::Renderer && self.pool.is_draining();
        if idle || self.ended.contains(&id.kind) {
            return;
        }
        let now = now();
        let at = self.slot(id).and_then(|slot| slot.restart.handle(Event::Ended, now));
        let Some(pause) = at.map(|at| at.saturating_duration_since(now)) else { return };
        tracing::info!(child = %id, pause_ms = pause.as_millis(), "a child will be started again");
        let (kind, number) = (id.kind, id.slot);
        self.prepare_within(id, pause, ctx);
        ctx.run_later(pause.max(Duration::from_millis(1)), move |supervisor, ctx| {
            supervisor.start(kind, number, Some(reason), ctx);
        });
    }

    /// The pool's start has failed, unless it had come to its end: then this is but one more fault.
    pub(super) fn fail_start(&mut self, error: StartError) {
        if !self.pool.settle_start(Start::Failed(error)) {
            return;
        }
        self.ended.extend([ChildKind::Renderer, ChildKind::FnWorker]);
        for slot in &self.slots {
            slot.current.iter().chain(&slot.retiring).for_each(|handle| handle.tell(Command::Kill));
            slot.prepared.iter().for_each(Prepared::discard);
        }
    }
}
