//! How children end, are replaced and are started again.

use std::time::Duration;

use actix::{AsyncContext, Context};

use super::{Supervisor, now};
use crate::pool::Start;
use crate::pool::error::StartError;
use crate::pool::restart::Event;
use crate::pool::roster::State;
use crate::pool::slot::{ChildId, ChildKind, IsolateId};
use crate::pool::watch::{Cause, Command, Exit};

/// How often a child may end before it was ever ready, until the pool's start is given up.
const FIRST_ATTEMPTS: u64 = 3;

impl Supervisor {
    /// The process is to be replaced. What still works in it serves until the replacement is ready.
    pub(super) fn isolate_failed(&mut self, isolate: IsolateId, ctx: &mut Context<Self>) {
        let id = isolate.child();
        self.pool.admission.close(isolate);
        let mut roster = self.pool.roster();
        if let Some(entry) = roster.isolate(isolate) {
            (entry.state, entry.failed) = (State::Draining, true);
        }
        let serves = roster.member(id).is_some_and(|member| {
            !member.leaving && member.isolates.iter().any(|isolate| isolate.state == State::Ready)
        });
        drop(roster);
        if self.is_current(id) {
            if let Some(slot) = self.slot(id) {
                slot.retiring.extend(slot.current.take());
            }
            self.restart(id, "isolate_failed", ctx);
        }
        if !serves {
            self.drain(id);
        }
    }

    /// Takes no new work there and lets what runs finish.
    pub(super) fn drain(&mut self, id: ChildId) {
        self.close(id);
        if let Some(handle) = self.handle_of(id) {
            handle.tell(Command::Drain);
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
        self.close(id);
        self.pool.ports.forget(id);
        self.pool.roster().remove(id);
        self.pool.examinations.lost(id);
        if id.kind == ChildKind::Renderer {
            self.pool.scratch.remove(id);
        }
        self.pool.app_metrics().retire(id);
        let was_current = self.is_current(id);
        if let Some(slot) = self.slot(id) {
            slot.retiring.retain(|handle| handle.id != id);
            if was_current {
                slot.current = None;
            }
            if !slot.proven && (id.generation >= FIRST_ATTEMPTS || cause == Cause::LoadTimeout) {
                let reason = format!("{status} ({})", cause.label());
                self.fail_start(StartError::Child { kind: id.kind, slot: id.slot, reason });
            }
        }
        if was_current {
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
        }
    }
}
