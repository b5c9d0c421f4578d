//! The pool: child processes, the links to them, and the way of a job.
//!
//! ```text
//!   main thread                              each gateway thread
//!   +-----------------------------+          +------------------------------------+
//!   | supervisor (actor)          |  links   | dispatcher (actor)                 |
//!   |   restart, lineup   pure    |--------->|   thread    jobs and calls         |
//!   |   process   fork, exec      |  ports   |   isolate_link, worker_link        |
//!   |   watch     one per child   |          |   job, upload, body                |
//!   +-----------------------------+          +------------------------------------+
//!        | roster: who is there                   | admission: a permit before work
//!        v                                        v
//!     status, readiness, metrics             in_flight: what runs
//! ```
//!
//! Where the user's gateway has functions of its own ([`embedded`]), each thread runs them itself, over a link in memory.
//!
//! The main thread starts processes and tells them to load, drain and end. Jobs never touch it: each gateway
//! thread has a link of its own to each isolate and each fn worker.

mod app_metrics;
mod body;
mod call_flow;
mod calls;
mod catalog;
#[cfg(test)]
pub(crate) mod dice;
mod dispatcher;
mod embedded;
mod error;
mod examination;
mod fields;
mod function_calls;
mod in_flight;
mod isolate_link;
mod job;
mod job_handle;
mod lateness;
mod lineup;
mod link;
mod patience;
mod ports;
mod process;
mod remote;
mod render;
pub mod restart;
mod roster;
mod sample;
mod scratch;
pub(crate) mod slot;
mod status;
mod strength;
mod supervisor;
#[cfg(test)]
mod tests;
mod thread;
mod upload;
mod watch;
mod way;
mod worker_link;
mod worker_transport;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use actix::{Actor, Addr};
use arc_swap::ArcSwap;
use fn_workers::Embedded;
use prometheus::proto::MetricFamily;
use shared::logging::LogFormat;
use shared::setup::{RendererSetup, WorkerSetup};
use tokio::sync::{oneshot, watch as latest};

use crate::admission::{Admission, AdmissionSettings};
use crate::metrics::Metrics;
use app_metrics::AppTotals;
use catalog::{Catalog, Offered};
use embedded::EmbeddedWorker;
use examination::Examinations;
use in_flight::InFlight;
use ports::Ports;
use restart::RestartPolicy;
use roster::Roster;
use scratch::Scratch;
use supervisor::{EndAll, Roll, Supervisor};

pub use app_metrics::AppMetricLimits;
pub use body::{Rendered, RenderedBody};
pub use calls::NativeRequest;
pub use dispatcher::{Dispatcher, OnEarlyHints, RenderJob, RouteTerms};
pub use error::{NativeError, RenderError, RequestBodyError, RollError, StartError};
pub use examination::{ExamineError, Examined};
pub use fields::Fields;
pub use job::is_event_stream;
pub use patience::JobTimes;
pub use remote::RemoteSettings;
pub use roster::{Heap, State};
pub use slot::ChildKind;
pub use status::{ChildStatus, IsolateStatus, PoolStatus, Readiness};
pub use upload::RequestBody;

/// What the pool is made of.
#[derive(Debug, Clone)]
pub struct PoolSettings {
    /// The renderer's program.
    pub renderer_bin: PathBuf,
    /// The fn worker's program.
    pub worker_bin: PathBuf,
    /// Renderer processes.
    pub renderers: usize,
    /// Renderers beside them that are loaded and take a lost one's place.
    pub spares: usize,
    /// Isolates in each of them.
    pub isolates_per_renderer: usize,
    /// Fn workers.
    pub fn_workers: usize,
    /// Gateway threads: each has a link of its own to each isolate and each fn worker.
    pub threads: usize,
    /// What a renderer is told; its variables are also the fn workers' environment.
    pub renderer_setup: RendererSetup,
    /// What an fn worker is told.
    pub worker_setup: WorkerSetup,
    /// Functions and routes of this process itself, beside those of fn workers.
    pub embedded: Option<Arc<Embedded>>,
    /// The patterns of the app's own routes, to tell which of them a worker's routes hide.
    pub app_routes: Vec<String>,
    /// How many metrics the app may register for itself.
    pub app_metrics: AppMetricLimits,
    /// Who may run, and who waits.
    pub admission: AdmissionSettings,
    /// When children that have ended are started again.
    pub restart: RestartPolicy,
    /// How long a child may take to load; it is killed and counted then.
    pub load_timeout: Duration,
    /// How long a job may take.
    pub job_times: JobTimes,
    /// Workers on other machines.
    pub remote: Option<RemoteSettings>,
    /// The longest that a native call may take.
    pub native_call_timeout: Duration,
    /// How long a child that is replaced may take to finish what runs; SIGTERM and SIGKILL follow.
    pub retire_timeout: Duration,
    /// How long a child may take to end once the whole pool does, and all jobs have ended or had their time; SIGTERM and
    /// SIGKILL follow.
    pub child_drain_timeout: Duration,
    /// Which log lines children write, in the syntax of `tracing-subscriber`'s `EnvFilter`.
    pub log_filter: String,
    /// How they write them.
    pub log_format: LogFormat,
}

/// What the app is told of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress {
    /// Where clients connect, as a URL without a path; `unix:PATH` for a socket.
    pub url: String,
    /// Names the app's build.
    pub build_id: String,
}

/// Whether the pool's start has come to an end.
#[derive(Debug, Clone)]
enum Start {
    Pending,
    Ready,
    Failed(StartError),
}

/// What all threads of the gateway share of the pool.
#[derive(Debug)]
pub(crate) struct Pool {
    settings: PoolSettings,
    metrics: Metrics,
    admission: Admission,
    in_flight: Arc<InFlight>,
    /// What the fn workers have.
    catalog: ArcSwap<Catalog>,
    /// The fn worker that this process is itself.
    embedded: Option<EmbeddedWorker>,
    /// What the catalog is made of.
    offered: Mutex<Offered>,
    ports: Ports,
    roster: Mutex<Roster>,
    app_metrics: Mutex<AppTotals>,
    /// What apps are told once clients can connect.
    serving: latest::Sender<Option<ServerAddress>>,
    draining: AtomicBool,
    start: latest::Sender<Start>,
    /// Living children by kind, in the order of [`ChildKind`].
    alive: latest::Sender<[usize; 2]>,
    supervisor: OnceLock<Addr<Supervisor>>,
    scratch: Scratch,
    examinations: Examinations,
}

impl Pool {
    fn new(settings: PoolSettings, metrics: Metrics, scratch: Scratch) -> Self {
        let embedded = settings
            .embedded
            .clone()
            .map(|functions| EmbeddedWorker::new(functions, settings.fn_workers, settings.threads));
        let members = embedded.iter().map(EmbeddedWorker::member).collect();
        let own = embedded.as_ref().map(EmbeddedWorker::offer).unwrap_or_default();
        let offered = Offered { own, ..Offered::default() };
        Self {
            scratch,
            embedded,
            examinations: Examinations::default(),
            admission: Admission::new(settings.admission, metrics.clone()),
            in_flight: Arc::default(),
            catalog: ArcSwap::from_pointee(Catalog::new(&offered, &settings.app_routes)),
            offered: Mutex::new(offered),
            ports: Ports::new(settings.threads),
            roster: Mutex::new(Roster { members }),
            app_metrics: Mutex::new(AppTotals::new(settings.app_metrics)),
            serving: latest::Sender::new(None),
            draining: AtomicBool::new(false),
            start: latest::Sender::new(Start::Pending),
            alive: latest::Sender::new([0, 0]),
            supervisor: OnceLock::new(),
            settings,
            metrics,
        }
    }

    fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn app_metrics(&self) -> MutexGuard<'_, AppTotals> {
        self.app_metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What workers have has changed.
    fn offer(&self, change: impl FnOnce(&mut Offered)) {
        let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut offered);
        self.catalog.store(Arc::new(Catalog::new(&offered, &self.settings.app_routes)));
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Isolates that there are when all is well.
    fn isolates(&self) -> usize {
        self.settings.renderers * self.settings.isolates_per_renderer
    }

    /// The start has come to this end, unless it had come to one before.
    fn settle_start(&self, end: Start) -> bool {
        self.start.send_if_modified(|start| {
            let pending = matches!(start, Start::Pending);
            if pending {
                *start = end;
            }
            pending
        })
    }
}

/// Starts the pool. Call it on the main thread, in its actix system: children are killed when the thread that
/// started them ends.
///
/// # Errors
/// [`StartError::NoProgram`], [`StartError::Scratch`]. What goes wrong later is told by [`PoolHandle::first_ready`].
pub fn start(settings: PoolSettings, metrics: Metrics) -> Result<PoolHandle, StartError> {
    let needed = [(settings.renderers, &settings.renderer_bin), (settings.fn_workers, &settings.worker_bin)];
    for (count, path) in needed {
        if count > 0 && !path.is_file() {
            return Err(StartError::NoProgram { path: path.clone() });
        }
    }
    let temporary = std::env::temp_dir();
    let scratch = Scratch::create_in(&temporary)
        .map_err(|source| StartError::Scratch { path: temporary, source: Arc::new(source) })?;
    let pool = Arc::new(Pool::new(settings, metrics, scratch));
    remote::watch(&pool);
    let supervisor = Supervisor::new(pool.clone()).start();
    // Set once: the pool was made above.
    let _ = pool.supervisor.set(supervisor);
    Ok(PoolHandle { pool })
}

/// The pool, for all threads of the gateway. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PoolHandle {
    pool: Arc<Pool>,
}

impl PoolHandle {
    /// Waits until all isolates and workers have been ready once.
    ///
    /// # Errors
    /// [`StartError::Load`] when the app cannot run; others when children do not start, or when the pool is
    /// stopped meanwhile. No child is started again after an error.
    pub async fn first_ready(&self) -> Result<(), StartError> {
        let mut start = self.pool.start.subscribe();
        let end = start.wait_for(|start| !matches!(start, Start::Pending)).await;
        match end.as_deref() {
            Ok(Start::Ready) => Ok(()),
            Ok(Start::Failed(error)) => Err(error.clone()),
            Ok(Start::Pending) | Err(_) => Err(StartError::Stopped),
        }
    }

    /// Whether requests may be sent here: more than half of the isolates take jobs, and the pool does not drain.
    pub fn readiness(&self) -> Readiness {
        self.pool.readiness()
    }

    /// The pool's state in detail.
    pub fn status(&self) -> PoolStatus {
        self.pool.status()
    }

    /// Tells the app in every isolate, also in those to come, that clients can connect.
    pub fn announce(&self, server: ServerAddress) {
        self.pool.serving.send_replace(Some(server));
    }

    /// Lets the renderers change over to the build in this directory, one after another; the app hears of its id.
    /// Returns when all of them run it.
    ///
    /// # Errors
    /// [`RollError`]. Unless it is the pool's end, all renderers change back, or have never changed.
    pub async fn roll(&self, app_dir: PathBuf, build_id: String) -> Result<(), RollError> {
        let (done, end) = oneshot::channel();
        let Some(supervisor) = self.pool.supervisor.get() else { return Err(RollError::Stopped) };
        if supervisor.send(Roll { app_dir, build_id, done }).await.is_err() {
            return Err(RollError::Stopped);
        }
        end.await.unwrap_or(Err(RollError::Stopped))
    }

    /// The app's own metrics, added up over all isolates.
    pub fn app_metrics(&self) -> Vec<MetricFamily> {
        self.pool.app_metrics().families()
    }

    /// The dispatcher of the calling gateway thread. The first call on a thread starts it; the thread must run
    /// an actix system's arbiter. At most [`PoolSettings::threads`] threads get links.
    pub fn attach_thread(&self) -> Dispatcher {
        Dispatcher::attach(&self.pool)
    }

    /// Takes memory and CPU time of every child and of the gateway itself into the metrics.
    pub fn sample_processes(&self) {
        self.pool.sample_processes();
    }

    /// No new jobs from now on: those that wait and those that come are refused. What runs goes on.
    pub fn begin_drain(&self) {
        self.pool.draining.store(true, Ordering::Release);
        self.pool.admission.drain();
    }

    /// Lets the functions of this process end what runs, within this time; their calls need the gateway's threads, which
    /// are to end after it.
    pub async fn drain_embedded(&self, within: Duration) {
        self.pool.drain_embedded(within).await;
    }

    /// Waits for running jobs and calls, at most until `deadline` has passed, and ends all children. Call it on
    /// the main thread. Returns when all of them are reaped, or when the kernel holds one back beyond all
    /// time limits, which is logged.
    pub async fn stop(&self, deadline: Duration) {
        self.begin_drain();
        self.pool.settle_start(Start::Failed(StartError::Stopped));
        if tokio::time::timeout(deadline, self.pool.in_flight.idle()).await.is_err() {
            let running = self.pool.in_flight.count();
            tracing::warn!(running, "jobs are cut off: the time to drain is over");
        }
        // Renderers first: what they still run may call native functions.
        for (index, kind) in [ChildKind::Renderer, ChildKind::FnWorker].into_iter().enumerate() {
            self.end_all(index, kind).await;
        }
    }

    async fn end_all(&self, index: usize, kind: ChildKind) {
        let Some(supervisor) = self.pool.supervisor.get() else { return };
        let mut alive = self.pool.alive.subscribe();
        if supervisor.send(EndAll(kind)).await.is_err() {
            return;
        }
        let limit = self.pool.settings.child_drain_timeout
            + watch::TERM_GRACE
            + watch::KILL_GRACE
            + watch::KILL_GRACE;
        if tokio::time::timeout(limit, alive.wait_for(|alive| alive[index] == 0)).await.is_err() {
            tracing::error!(kind = kind.label(), "children do not end, though they were killed");
        }
    }
}
