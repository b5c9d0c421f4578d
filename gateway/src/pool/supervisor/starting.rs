//! How a place in the pool is filled.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use actix::{AsyncContext, Context};
use shared::setup::{RendererSetup, SandboxMode, Setup};
use tokio::sync::mpsc;

use super::{Handle, LinksAttached, Prepared, Supervisor, Watched};
use crate::pool::error::StartError;
use crate::pool::ports::{NewLink, Peer};
use crate::pool::process::{self, Plan};
use crate::pool::roster::Member;
use crate::pool::slot::{ChildId, ChildKind, IsolateId, WorkerSlot};
use crate::scheduling::RENDERER_SLICE;

/// Commands to one child that wait for its watch.
const COMMANDS: usize = 8;

/// A process that has just been started, and our ends of its links.
pub(super) struct Begun {
    pub handle: Handle,
    pid: u32,
    links: Vec<Vec<UnixStream>>,
    worker: Option<Arc<WorkerSlot>>,
}

impl Supervisor {
    /// Fills a place. `reason` says why it became free, `None` at the pool's start.
    pub(super) fn start(
        &mut self,
        kind: ChildKind,
        number: usize,
        reason: Option<&'static str>,
        ctx: &mut Context<Self>,
    ) {
        if self.ended.contains(&kind) {
            return;
        }
        let place = ChildId { kind, slot: number, generation: 0 };
        let Some(slot) = self.slot(place) else { return };
        if slot.current.is_some() {
            slot.prepared.iter().for_each(Prepared::discard);
            return;
        }
        if let Some(reason) = reason {
            self.pool.metrics.restarts.with_label_values(&[kind.label(), reason]).inc();
        }
        let (id, started) = match self.take_prepared(place) {
            Some(prepared) => (prepared.id(), Ok(self.load_prepared(prepared, ctx))),
            None => {
                let Some(id) = self.next_generation(place) else { return };
                (id, self.spawn(id, ctx))
            }
        };
        match started {
            Ok(handle) => {
                if let Some(slot) = self.slot(id) {
                    slot.current = Some(handle);
                }
            }
            Err(error) => {
                tracing::error!(child = %id, %error, "a child cannot be started");
                let path = self.program(kind).to_owned();
                self.fail_start(StartError::Spawn { path, source: Arc::new(error) });
                self.restart(id, "spawn_failed", ctx);
            }
        }
        self.publish();
    }

    /// Fills the places of spares for the first time.
    pub(super) fn start_spares(&mut self, ctx: &mut Context<Self>) {
        let (renderers, spares) = (self.pool.settings.renderers, self.pool.settings.spares);
        for number in renderers..renderers + spares {
            self.start(ChildKind::Renderer, number, None, ctx);
        }
    }

    fn program(&self, kind: ChildKind) -> &Path {
        match kind {
            ChildKind::Renderer => &self.pool.settings.renderer_bin,
            ChildKind::FnWorker => &self.pool.settings.worker_bin,
        }
    }

    /// The name of the next process in a place.
    pub(super) fn next_generation(&mut self, place: ChildId) -> Option<ChildId> {
        let slot = self.slot(place)?;
        slot.generation += 1;
        Some(ChildId { generation: slot.generation, ..place })
    }

    fn spawn(&self, id: ChildId, ctx: &mut Context<Self>) -> io::Result<Handle> {
        let begun = self.begin(id, false, ctx)?;
        Ok(self.enlist(begun, ctx))
    }

    /// Starts a process and its watch; it is nobody's yet. A renderer that `waits` loads the app when it is told to.
    pub(super) fn begin(&self, id: ChildId, waits: bool, ctx: &mut Context<Self>) -> io::Result<Begun> {
        let settings = &self.pool.settings;
        let nothing = BTreeMap::new();
        let (version, app_dir) = match id.kind {
            ChildKind::Renderer => self.versions.wanted(),
            ChildKind::FnWorker => (0, PathBuf::new()),
        };
        let (lanes, setup, env, worker) = match id.kind {
            ChildKind::Renderer => {
                // The bundle gets its variables with the set-up and can see no others.
                let setup = RendererSetup {
                    app_dir,
                    scratch_dir: self.pool.scratch.make(id)?,
                    inspect: settings.renderer_setup.inspect.filter(|_| id.slot == 0),
                    waits,
                    ..settings.renderer_setup.clone()
                };
                (settings.isolates_per_renderer, Setup::Renderer(setup), &nothing, None)
            }
            ChildKind::FnWorker => {
                let lanes = settings.worker_setup.arbiters;
                let worker = Some(Arc::new(WorkerSlot::new(id, lanes)));
                (lanes, Setup::Worker(settings.worker_setup.clone()), &settings.renderer_setup.env, worker)
            }
        };
        let spawned = process::spawn(&Plan {
            program: self.program(id.kind),
            lanes,
            threads: settings.threads,
            slice: match id.kind {
                ChildKind::Renderer => Some(RENDERER_SLICE),
                ChildKind::FnWorker => None,
            },
            no_new_privs: settings.renderer_setup.sandbox != SandboxMode::Off,
            env,
            log_filter: &settings.log_filter,
            log_format: settings.log_format,
        })?;
        let pid = spawned.pid;
        // The isolates of a renderer are ready one by one, the threads of a worker together.
        let loading = if worker.is_none() { lanes } else { 1 };
        let (watch, links) = spawned.watch(setup, loading, settings.load_timeout);
        let watch = watch.announcing(id, self.pool.serving.subscribe());
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let supervisor = ctx.address();
        let report = move |report| {
            let told = supervisor.send(Watched { child: id, report });
            async move {
                let _ = told.await;
            }
        };
        actix::spawn(watch.run(inbox, report));
        let handle = Handle {
            id,
            version,
            commands,
            attached: false,
            early: Vec::new(),
            loading: (0..loading).collect(),
        };
        Ok(Begun { handle, pid, links, worker })
    }

    /// The process belongs to the pool from now on.
    pub(super) fn enlist(&self, begun: Begun, ctx: &mut Context<Self>) -> Handle {
        let Begun { handle, pid, links, worker } = begun;
        let id = handle.id;
        tracing::info!(child = %id, pid, "a child was started");
        let isolates = if worker.is_none() { links.len() } else { 0 };
        self.pool.roster().members.push(Member::new(id, pid, isolates, worker.clone()));
        self.hand_out(id, links, worker, ctx);
        handle
    }

    /// Gives each gateway thread its link to each lane of the child.
    fn hand_out(
        &self,
        id: ChildId,
        lanes: Vec<Vec<UnixStream>>,
        worker: Option<Arc<WorkerSlot>>,
        ctx: &mut Context<Self>,
    ) {
        let mut deliveries = Vec::new();
        for (lane, links) in lanes.into_iter().enumerate() {
            for (thread, stream) in links.into_iter().enumerate() {
                let to = match &worker {
                    Some(worker) => Peer::Worker(worker.clone(), lane),
                    None => {
                        Peer::Isolate(IsolateId { slot: id.slot, generation: id.generation, isolate: lane })
                    }
                };
                deliveries.extend(self.pool.ports.deliver(thread, NewLink { stream, to }));
            }
        }
        let supervisor = ctx.address();
        actix::spawn(async move {
            // A thread that has gone needs no links.
            futures_util::future::join_all(deliveries).await;
            let _ = supervisor.send(LinksAttached(id)).await;
        });
    }
}
