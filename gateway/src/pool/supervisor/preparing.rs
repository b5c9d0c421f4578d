//! A renderer that is to be started again waits for its time. Meanwhile its process is made ready: started, locked
//! in, its isolates out of the snapshot, the app compiled. When its time has come, it is told to run that.
//!
//! ```text
//!   lost ----------- pause ------------> start
//!          | lead |                        |
//!          +------+-- a prepared process --+--Load--> ready
//! ```

use std::time::Duration;

use actix::{AsyncContext, Context};

use super::starting::Begun;
use super::{Handle, Supervisor};
use crate::pool::slot::{ChildId, ChildKind};
use crate::pool::watch::Command;

/// How long before its start a process is prepared at the most, so that none lies idle for long pauses.
const LEAD: Duration = Duration::from_millis(250);

/// A renderer's process in which nothing of the app has run.
pub(super) struct Prepared(Begun);

impl Prepared {
    /// The name that it has from its start on.
    pub fn id(&self) -> ChildId {
        self.0.handle.id
    }

    /// It is not needed: its watch reports its end, and what it leaves behind is removed then.
    pub fn discard(&self) {
        self.0.handle.tell(Command::Drain(Duration::ZERO));
    }
}

impl Supervisor {
    /// Prepares the process that will be started in the place of `lost` after `pause`.
    pub(super) fn prepare_within(&mut self, lost: ChildId, pause: Duration, ctx: &mut Context<Self>) {
        if lost.kind != ChildKind::Renderer {
            return;
        }
        let place = ChildId { generation: 0, ..lost };
        match pause.checked_sub(LEAD).filter(|early| !early.is_zero()) {
            None => self.prepare(place, ctx),
            Some(early) => {
                ctx.run_later(early, move |supervisor, ctx| supervisor.prepare(place, ctx));
            }
        }
    }

    fn prepare(&mut self, place: ChildId, ctx: &mut Context<Self>) {
        let is_free = |slot: &super::Slot| slot.current.is_none() && slot.prepared.is_none();
        if self.ended.contains(&place.kind) || !self.slot(place).is_some_and(|slot| is_free(slot)) {
            return;
        }
        let Some(id) = self.next_generation(place) else { return };
        match self.begin(id, true, ctx) {
            Ok(begun) => {
                tracing::debug!(child = %id, "a child is prepared");
                if let Some(slot) = self.slot(id) {
                    slot.prepared = Some(Prepared(begun));
                }
            }
            // The start itself tries again, and says so if it cannot.
            Err(error) => {
                tracing::debug!(child = %id, %error, "a child cannot be prepared");
                self.pool.scratch.remove(id);
            }
        }
    }

    /// The process that was prepared for the place, unless it prepared for another build than the one that is
    /// wanted now.
    pub(super) fn take_prepared(&mut self, place: ChildId) -> Option<Prepared> {
        let wanted = self.versions.wanted().0;
        let prepared = self.slot(place)?.prepared.take()?;
        if prepared.0.handle.version == wanted {
            return Some(prepared);
        }
        prepared.discard();
        None
    }

    /// Lets it load the app, as a process that has just been started.
    pub(super) fn load_prepared(&self, prepared: Prepared, ctx: &mut Context<Self>) -> Handle {
        let handle = self.enlist(prepared.0, ctx);
        handle.tell(Command::Load);
        handle
    }
}
