//! The supervisor: an actor on the main thread that starts children, watches them, starts them again and ends
//! them.
//!
//! ```text
//!   start --> watch --IsolateReady--> admission opens the isolate
//!     ^         |
//!     |         +--IsolateFailed,
//!     |         |  Retire-----------> a spare takes over, or else a replacement is started; then it is drained
//!     |         +--Ended------------> admission closes all of it; a spare takes over
//!     +---- restart: not too soon, not too often ----+
//! ```
//!
//! While a restart waits for its time, the process that will hold the place is made ready for the app: [`preparing`].
//! Which places take jobs and which hold a spare is [`super::lineup`]'s to say. [`rolling`]: another build of the app.

mod ending;
mod preparing;
mod reports;
mod rolling;
mod starting;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message};
use shared::message::FromChild;
use shared::message::control::LoadFailure;
use tokio::sync::mpsc;

use super::catalog::Reported;
use super::error::StartError;
use super::examination::HandOn;
use super::lineup::Lineup;
use super::restart::{Event, Restart};
use super::roster::{Heap, State};
use super::slot::{ChildId, ChildKind, IsolateId};
use super::strength::Strength;
use super::watch::{Command, Report};
use super::{Pool, Start};
use preparing::Prepared;
pub(super) use rolling::Roll;
use rolling::Versions;

/// How often the functions of this process are asked what they have refused; workers tell it as often.
const OWN_REFUSALS: Duration = Duration::from_secs(1);

/// A link of a gateway thread has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct LinkEnded {
    pub child: ChildId,
    /// The child broke the protocol.
    pub violation: bool,
}

/// End all children of this kind; none is started again.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct EndAll(pub ChildKind);

#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Watched {
    child: ChildId,
    report: Report,
}

/// All gateway threads that are there can use the child's links.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct LinksAttached(ChildId);

/// A place in the pool and the process that holds it.
struct Slot {
    kind: ChildKind,
    number: usize,
    restart: Restart,
    generation: u64,
    /// The process that holds the place.
    current: Option<Handle>,
    /// Those before it that still finish what they run.
    retiring: Vec<Handle>,
    /// The process that will hold the place, once it may be started.
    prepared: Option<Prepared>,
    /// It was ready at least once.
    proven: bool,
}

impl Slot {
    /// A process holds the place, and all of it is ready.
    fn is_whole(&self) -> bool {
        let whole = |child: &Handle| child.attached && child.early.is_empty() && child.loading.is_empty();
        self.current.as_ref().is_some_and(whole)
    }
}

struct Handle {
    id: ChildId,
    /// The number of the build that it loads; always 0 for fn workers.
    version: u64,
    commands: mpsc::Sender<Command>,
    attached: bool,
    /// Isolates that were ready before the gateway threads had their links.
    early: Vec<usize>,
    /// Isolates, or the worker, that are not ready yet.
    loading: HashSet<usize>,
}

impl Handle {
    fn tell(&self, command: Command) {
        // A watch that does not take commands has ended, or has more than it needs.
        let _ = self.commands.try_send(command);
    }
}

/// See the module.
pub(super) struct Supervisor {
    pool: Arc<Pool>,
    slots: Vec<Slot>,
    lineup: Lineup,
    strength: Strength,
    /// Which build renderers load.
    versions: Versions,
    /// Kinds of which none is started any more.
    ended: HashSet<ChildKind>,
}

impl Supervisor {
    pub fn new(pool: Arc<Pool>) -> Self {
        let settings = &pool.settings;
        let slot = |kind, number| Slot {
            kind,
            number,
            restart: Restart::new(settings.restart),
            generation: 0,
            current: None,
            retiring: Vec::new(),
            prepared: None,
            proven: false,
        };
        let renderers =
            (0..settings.renderers + settings.spares).map(|number| slot(ChildKind::Renderer, number));
        let workers = (0..settings.fn_workers).map(|number| slot(ChildKind::FnWorker, number));
        let slots = renderers.chain(workers).collect();
        let lineup = Lineup::new(settings.renderers, settings.spares);
        let strength = Strength::new(settings.renderers * settings.isolates_per_renderer);
        let versions = Versions::new(settings.renderer_setup.app_dir.clone());
        Self { pool, slots, lineup, strength, versions, ended: HashSet::new() }
    }

    fn slot(&mut self, id: ChildId) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.kind == id.kind && slot.number == id.slot)
    }

    fn handle_of(&mut self, id: ChildId) -> Option<&mut Handle> {
        let slot = self.slot(id)?;
        slot.current.iter_mut().chain(&mut slot.retiring).find(|handle| handle.id == id)
    }

    fn is_current(&mut self, id: ChildId) -> bool {
        self.slot(id).and_then(|slot| slot.current.as_ref()).is_some_and(|handle| handle.id == id)
    }

    fn hear(&mut self, id: ChildId, message: FromChild, ctx: &mut Context<Self>) {
        match message {
            FromChild::IsolateReady { isolate, startup_ms, code, phases } => {
                self.count_code(code);
                self.observe_start(phases);
                let isolate = IsolateId { slot: id.slot, generation: id.generation, isolate };
                if let Some(isolate) = self.pool.roster().isolate(isolate) {
                    isolate.startup_ms = Some(startup_ms);
                }
                self.loaded(id, isolate.isolate, ctx);
            }
            FromChild::WorkerReady { functions, routes } => {
                let reported = Reported { functions, routes };
                if let Some(failure) = self.pool.clash(&reported) {
                    return self.refuse_worker(id, failure);
                }
                if let Some(member) = self.pool.roster().member(id) {
                    member.functions =
                        reported.functions.iter().map(|function| function.name.clone()).collect();
                }
                self.pool.offer(|offered| offered.here = reported);
                self.loaded(id, 0, ctx);
            }
            FromChild::LoadFailed(failure) => self.load_failed(id, failure),
            FromChild::Sandboxed(layers) => self.locked_in(id, layers),
            FromChild::SetupRefused(refusal) => {
                tracing::error!(child = %id, "{refusal}");
                self.fail_start(StartError::Setup(refusal));
            }
            FromChild::Examined { isolate, problem } => {
                self.pool
                    .examinations
                    .examined(IsolateId { slot: id.slot, generation: id.generation, isolate }, problem);
            }
            FromChild::IsolateFailed { isolate, reason } => {
                tracing::error!(child = %id, isolate, reason, "an isolate failed; its process will be replaced");
                self.isolate_failed(IsolateId { slot: id.slot, generation: id.generation, isolate }, ctx);
            }
            FromChild::GivesUp { reason, isolate, job } => self.gives_up(id, reason, isolate, job),
            FromChild::AppMetrics { isolate, metrics } => {
                let isolate = IsolateId { slot: id.slot, generation: id.generation, isolate };
                return self.take_app_metrics(isolate, metrics);
            }
            FromChild::Refused(counts) => return self.take_refusals(id, &counts),
            FromChild::Retire { isolate, reason, closed } => self.retire(id, isolate, reason, closed, ctx),
            FromChild::IsolateStats { isolate, heap_used_bytes, heap_total_bytes, external_bytes, idle } => {
                let heap =
                    Heap { used_bytes: heap_used_bytes, total_bytes: heap_total_bytes, external_bytes };
                let isolate = IsolateId { slot: id.slot, generation: id.generation, isolate };
                return self.take_stats(isolate, heap, idle);
            }
            FromChild::Background { isolate, pending, finished, failed, refused, timed_out } => {
                self.take_background(
                    IsolateId { slot: id.slot, generation: id.generation, isolate },
                    pending,
                    [
                        ("finished", finished),
                        ("failed", failed),
                        ("refused", refused),
                        ("timed_out", timed_out),
                    ],
                );
            }
        }
        self.publish();
    }

    /// A lane of the child is ready: it gets work as soon as all gateway threads have their links.
    fn loaded(&mut self, id: ChildId, lane: usize, ctx: &mut Context<Self>) {
        let Some(handle) = self.handle_of(id) else { return };
        if !handle.loading.remove(&lane) {
            return tracing::error!(child = %id, lane, "a child reports ready what it does not have, or twice");
        }
        if !handle.attached {
            return handle.early.push(lane);
        }
        self.open(id, lane, ctx);
    }

    fn open(&mut self, id: ChildId, lane: usize, ctx: &mut Context<Self>) {
        match id.kind {
            ChildKind::Renderer => {
                let mut roster = self.pool.roster();
                let Some(member) = roster.member(id).filter(|member| !member.leaving) else { return };
                member.isolates[lane].state = State::Standby;
                drop(roster);
                if self.lineup.is_active(id.slot) {
                    self.lineup.opened(id.slot);
                    self.activate(id);
                }
            }
            ChildKind::FnWorker => {
                if let Some(worker) = self.pool.roster().member(id).and_then(|member| member.worker.as_ref())
                {
                    worker.set_ready(true);
                }
            }
        }
        let now = now();
        let Some(slot) = self.slot(id) else { return };
        let whole = slot
            .current
            .as_ref()
            .is_some_and(|handle| handle.id == id && handle.loading.is_empty() && handle.early.is_empty());
        if !whole {
            return;
        }
        slot.restart.handle(Event::Ready, now);
        slot.proven = true;
        let before: Vec<_> = slot.retiring.iter().map(|handle| handle.id).collect();
        tracing::info!(child = %id, "a child is ready");
        if id.kind == ChildKind::Renderer {
            let taken = self.lineup.filled(id.slot);
            self.take_over(taken);
        }
        before.into_iter().for_each(|id| self.drain(id));
        let needed =
            |slot: &&Slot| slot.kind == ChildKind::FnWorker || slot.number < self.pool.settings.renderers;
        if self.slots.iter().filter(needed).all(|slot| slot.proven) && self.pool.settle_start(Start::Ready) {
            self.start_spares(ctx);
        }
        self.roll_on(ctx);
    }

    /// The child's isolates that are loaded take jobs from now on.
    fn activate(&self, id: ChildId) {
        let mut roster = self.pool.roster();
        let Some(member) = roster.member(id) else { return };
        let mut opened = Vec::new();
        for (isolate, entry) in member.isolates.iter_mut().enumerate() {
            if entry.state == State::Standby {
                entry.state = State::Ready;
                opened.push(IsolateId { slot: id.slot, generation: id.generation, isolate });
            }
        }
        drop(roster);
        opened.into_iter().for_each(|isolate| self.pool.admission.open(isolate));
    }

    /// The spare in this place takes a lost one's role over.
    fn take_over(&mut self, place: Option<usize>) {
        let Some(place) = place else { return };
        let spare = ChildId { kind: ChildKind::Renderer, slot: place, generation: 0 };
        let Some(spare) = self.slot(spare).and_then(|slot| slot.current.as_ref()).map(|handle| handle.id)
        else {
            return;
        };
        tracing::info!(child = %spare, "a spare takes over");
        self.activate(spare);
    }

    /// In the child's place nothing may be left that takes jobs.
    fn vacate(&mut self, id: ChildId) {
        if id.kind != ChildKind::Renderer {
            return;
        }
        let place = id.slot;
        let occupied = self.pool.roster().is_occupied(place);
        if !occupied {
            let taken = self.lineup.vacated(place);
            self.take_over(taken);
        }
    }

    /// A worker has what this process has itself: it takes no calls.
    fn refuse_worker(&mut self, id: ChildId, failure: LoadFailure) {
        self.load_failed(id, failure);
        if let Some(handle) = self.handle_of(id) {
            handle.tell(Command::Kill);
        }
    }

    fn load_failed(&mut self, id: ChildId, failure: LoadFailure) {
        let LoadFailure { file, problem, remedy } = &failure;
        tracing::error!(child = %id, file, problem, remedy, "the app cannot run");
        self.roll_failed(id, &failure);
        self.fail_start(StartError::Load(failure));
    }

    /// Shows the state of the pool in the metrics, and to those who wait for children to end.
    fn publish(&mut self) {
        let roster = self.pool.roster();
        let ready = roster.isolates_in(State::Ready);
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for state in State::ALL {
            let labels = &[state.label()];
            self.pool.metrics.isolates.with_label_values(labels).set(count(roster.isolates_in(state)));
            self.pool.metrics.fn_workers.with_label_values(labels).set(count(roster.workers_in(state)));
        }
        let alive = [ChildKind::Renderer, ChildKind::FnWorker].map(|kind| roster.alive(kind));
        drop(roster);
        self.pool.alive.send_replace(alive);
        if let Some(time) = self.strength.observe(ready, now()) {
            self.pool.metrics.recovery_seconds.observe(time.as_secs_f64());
            tracing::info!(milliseconds = time.as_millis(), "the pool is at full strength again");
        }
    }
}

/// The clock of the runtime, which tests can stop.
fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.pool.embedded.is_some() {
            ctx.run_interval(OWN_REFUSALS, |supervisor, _| supervisor.take_own_refusals());
        }
        // Spares follow when all others are ready.
        let renderers = self.pool.settings.renderers;
        let needed = |slot: &&Slot| slot.kind == ChildKind::FnWorker || slot.number < renderers;
        let places: Vec<_> = self.slots.iter().filter(needed).map(|slot| (slot.kind, slot.number)).collect();
        for (kind, number) in places {
            self.start(kind, number, None, ctx);
        }
    }
}

impl Handler<Watched> for Supervisor {
    type Result = ();

    fn handle(&mut self, Watched { child, report }: Watched, ctx: &mut Self::Context) {
        match report {
            Report::Said(message) => self.hear(child, message, ctx),
            Report::Ended(exit) => self.ended(child, exit, ctx),
        }
    }
}

impl Handler<LinksAttached> for Supervisor {
    type Result = ();

    fn handle(&mut self, LinksAttached(id): LinksAttached, ctx: &mut Self::Context) {
        let Some(handle) = self.handle_of(id) else { return };
        handle.attached = true;
        while let Some(lane) = self.handle_of(id).and_then(|handle| handle.early.pop()) {
            self.open(id, lane, ctx);
        }
        self.publish();
    }
}

impl Handler<LinkEnded> for Supervisor {
    type Result = ();

    fn handle(&mut self, LinkEnded { child, violation }: LinkEnded, _: &mut Self::Context) {
        // The whole process goes: a thread without its link would never get work to it again.
        if self.pool.roster().member(child).is_none_or(|member| member.leaving && !violation) {
            return;
        }
        self.close(child);
        self.vacate(child);
        if let Some(handle) = self.handle_of(child) {
            handle.tell(if violation { Command::Kill } else { Command::Suspect });
        }
        self.publish();
    }
}

impl Handler<HandOn> for Supervisor {
    type Result = bool;

    fn handle(&mut self, HandOn { child, examination }: HandOn, _: &mut Self::Context) -> bool {
        self.handle_of(child)
            .is_some_and(|handle| handle.commands.try_send(Command::Examine(examination)).is_ok())
    }
}

impl Handler<EndAll> for Supervisor {
    type Result = ();

    fn handle(&mut self, EndAll(kind): EndAll, _: &mut Self::Context) {
        self.ended.insert(kind);
        if kind == ChildKind::Renderer {
            self.roll_stopped();
        }
        let children = self.slots.iter().filter(|slot| slot.kind == kind);
        children.clone().filter_map(|slot| slot.prepared.as_ref()).for_each(Prepared::discard);
        let children: Vec<_> = children
            .flat_map(|slot| slot.current.iter().chain(&slot.retiring))
            .map(|handle| handle.id)
            .collect();
        children.into_iter().for_each(|id| self.drain(id));
        self.publish();
    }
}
