//! Another build of the app takes the place of the one that runs, one renderer after another.
//!
//! ```text
//!   roll --> spares first --> each other renderer: one that has loaded the build takes jobs, then the old one drains
//!                  |                 |
//!                  +--cannot run it--+--> the build before is wanted again, and what has changed already changes back
//! ```
//!
//! Nothing is replaced while a renderer loads, so that there are never fewer isolates than there should be.

use std::path::PathBuf;

use actix::{Context, Handler, Message};
use shared::message::control::LoadFailure;
use tokio::sync::oneshot;

use super::Supervisor;
use crate::pool::error::RollError;
use crate::pool::slot::{ChildId, ChildKind};

/// Let another build take the place of the one that runs.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(in crate::pool) struct Roll {
    pub app_dir: PathBuf,
    pub build_id: String,
    /// Told how it ended.
    pub done: oneshot::Sender<Result<(), RollError>>,
}

/// A build that renderers load.
#[derive(Debug, Clone)]
struct Version {
    number: u64,
    app_dir: PathBuf,
    /// `None` for the one that the gateway was started with.
    build_id: Option<String>,
}

/// Which build is wanted.
#[derive(Debug)]
pub(super) struct Versions {
    wanted: Version,
    newest: u64,
    rolling: Option<Rolling>,
}

/// A change that is under way.
#[derive(Debug)]
struct Rolling {
    before: Version,
    done: oneshot::Sender<Result<(), RollError>>,
}

impl Versions {
    pub fn new(app_dir: PathBuf) -> Self {
        Self { wanted: Version { number: 0, app_dir, build_id: None }, newest: 0, rolling: None }
    }

    /// The number and the directory of the build that renderers are to load.
    pub fn wanted(&self) -> (u64, PathBuf) {
        (self.wanted.number, self.wanted.app_dir.clone())
    }
}

impl Supervisor {
    /// Replaces the next renderer that runs another build than the wanted one, once all are ready.
    pub(super) fn roll_on(&mut self, ctx: &mut Context<Self>) {
        let wanted = self.versions.wanted.number;
        let renderers = || self.slots.iter().filter(|slot| slot.kind == ChildKind::Renderer);
        if self.pool.is_draining() || !renderers().all(|slot| slot.is_whole()) {
            return;
        }
        let outdated =
            renderers().filter_map(|slot| slot.current.as_ref()).filter(|child| child.version != wanted);
        // Spares have the new build before they take a role over.
        let next = outdated.map(|child| child.id).min_by_key(|id| self.lineup.is_active(id.slot));
        match next {
            Some(id) => self.replace(id, "reload", ctx),
            None => {
                if let Some(rolling) = self.versions.rolling.take() {
                    tracing::info!(app = %self.versions.wanted.app_dir.display(), "all renderers run the new build");
                    let _ = rolling.done.send(Ok(()));
                }
            }
        }
    }

    /// Whether this child loads a build that is only now taking the other's place.
    pub(super) fn is_new_version(&mut self, id: ChildId) -> bool {
        let wanted = self.versions.wanted.number;
        self.versions.rolling.is_some() && self.handle_of(id).is_some_and(|handle| handle.version == wanted)
    }

    /// The new build cannot run: the one before is wanted again.
    pub(super) fn roll_back(&mut self, error: RollError) {
        let Some(Rolling { before, done }) = self.versions.rolling.take() else { return };
        tracing::error!(%error, "the new build is given up; the one before goes on");
        self.versions.wanted = before;
        self.tell_build_id();
        let _ = done.send(Err(error));
    }

    /// The child says that the build cannot run, while that is only now taking the other's place.
    pub(super) fn roll_failed(&mut self, id: ChildId, failure: &LoadFailure) {
        if self.is_new_version(id) {
            self.roll_back(RollError::Load(failure.clone()));
        }
    }

    /// Renderers end for good: whoever waits for a change hears of it.
    pub(super) fn roll_stopped(&mut self) {
        if let Some(rolling) = self.versions.rolling.take() {
            let _ = rolling.done.send(Err(RollError::Stopped));
        }
    }

    fn tell_build_id(&self) {
        let Some(build_id) = &self.versions.wanted.build_id else { return };
        self.pool.serving.send_if_modified(|server| {
            if let Some(server) = server {
                server.build_id.clone_from(build_id);
            }
            false
        });
    }
}

impl Handler<Roll> for Supervisor {
    type Result = ();

    fn handle(&mut self, Roll { app_dir, build_id, done }: Roll, ctx: &mut Context<Self>) {
        if self.versions.rolling.is_some() {
            let _ = done.send(Err(RollError::Busy));
            return;
        }
        self.versions.newest += 1;
        let number = self.versions.newest;
        let wanted = Version { number, app_dir, build_id: Some(build_id) };
        let mut before = std::mem::replace(&mut self.versions.wanted, wanted);
        if before.build_id.is_none() {
            before.build_id = self.pool.serving.borrow().as_ref().map(|server| server.build_id.clone());
        }
        self.versions.rolling = Some(Rolling { before, done });
        self.tell_build_id();
        self.roll_on(ctx);
    }
}
