//! The gateway as a whole: what is started in which order, and how it ends.
//!
//! ```text
//!  start   static files indexed -> certificates read -> addresses taken -> own functions made ready
//!          -> children spawned -> admin port open
//!          -> all isolates and fn workers ready -> public port open -> "listening on ..."
//!  reload  another build read -> its files served -> renderers change over (reload)
//!  drain   not ready any more -> public port and idle connections closed -> running requests finished
//!          -> pool closed -> own functions finished -> gateway threads ended -> children ended -> admin port closed
//! ```

pub mod assembly;
pub mod code_cache;
pub mod connection;
pub mod files;
pub mod http2;
pub mod listen;
pub mod public;
pub mod reload;
pub mod signals;
pub mod tls;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use actix_web::http::header::{HeaderValue, InvalidHeaderValue};
use fn_workers::registration::RegistrationError;
use fn_workers::{Embedded, Worker};
use prometheus::IntGauge;
use shared::setup::{Access, CodeCacheSetup, PipelineLimits, RendererSetup, WorkerSetup};

use crate::admin::debug::DebugSettings;
use crate::admin::{self, Desk, Phase, SharedPhase};
use crate::admission::AdmissionSettings;
use crate::app::{App, AppError};
use crate::config::settings::CertificateFiles;
use crate::config::value::Listen;
use crate::config::{Settings, environment};
use crate::hooks::Hooks;
use crate::metrics::Metrics;
use crate::pool::restart::RestartPolicy;
use crate::pool::{self, AppMetricLimits, JobTimes, PoolHandle, PoolSettings, ServerAddress, StartError};
use crate::router::build::{Build, Builds};
use crate::router::static_files::index::{Index, IndexSettings};
use crate::scheduling::{GATEWAY_SLICE, set_slice};
use assembly::{Additions, Plan};
use listen::{Bound, Listener};
use public::Public;
use reload::Reloader;
use signals::{Hangups, Signals, Stop};
use tls::Shown;
use tls::certificate::CertificateError;
use tls::reload::Watcher;

/// How often a draining gateway looks whether all requests are answered.
const DRAIN_TICK: Duration = Duration::from_millis(10);

/// How long a child may take to end once all jobs have.
const CHILD_DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the gateway does not run, or does not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The app cannot run.
    #[error(transparent)]
    App(#[from] AppError),
    /// An address cannot be taken.
    #[error(
        "{key} {address} cannot be used\n    to do:   end what uses it, or choose another address, such as \
         --{key} 127.0.0.1:0 for a free port"
    )]
    Address {
        /// The key that names it.
        key: &'static str,
        /// The address.
        address: Listen,
        /// What the system says.
        source: io::Error,
    },
    /// The directory for compiled code cannot be made.
    #[error(
        "code_cache {directory:?} cannot be used\n    to do:   name a directory that this user may make, or switch \
         it off: --code-cache off"
    )]
    CodeCache {
        /// The directory.
        directory: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A certificate cannot be shown.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// TLS does not work here at all.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The pool does not start.
    #[error("the child processes do not start")]
    Start(#[source] StartError),
    /// The system refuses what is always needed.
    #[error("the gateway cannot run")]
    System(#[from] io::Error),
    /// The functions that the user has built in cannot be served.
    #[error("the functions of this gateway cannot be served")]
    Functions(#[from] RegistrationError),
    /// Two metrics with one name.
    #[error("the metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
    /// An address that is no header's value.
    #[error("the own address cannot be named")]
    OwnHost(#[from] InvalidHeaderValue),
    /// The public server ended by itself.
    #[error("the public server ended by itself")]
    Ended,
}

impl From<StartError> for RunError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Load(failure) => Self::App(failure.into()),
            other => Self::Start(other),
        }
    }
}

impl RunError {
    /// 64 when the configuration is at fault, 65 when the app is, 69 when something that is needed is not there, 70 when we are.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::CodeCache { .. } | Self::Certificate(_) => 64,
            Self::App(_) | Self::Functions(_) => 65,
            Self::Address { .. } => 69,
            Self::Start(error) => error.exit_code(),
            Self::System(_) | Self::Tls(_) | Self::Metrics(_) | Self::OwnHost(_) | Self::Ended => 70,
        }
    }
}

/// How the gateway ended when all went as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// What ran was finished, or given up when its time was over.
    Drained,
    /// A second signal did not wait for that.
    Forced(Stop),
}

impl End {
    /// 0, or the second signal's.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Drained => 0,
            Self::Forced(stop) => stop.exit_code(),
        }
    }
}

/// The addresses with their real ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// Where clients connect.
    pub listen: Listen,
    /// Whether they need TLS.
    pub is_secure: bool,
    /// The admin port.
    pub admin: SocketAddr,
}

/// Finds the static files of an app.
///
/// # Errors
/// When one cannot be read.
pub fn index(app: &App, settings: &Settings) -> Result<Index, AppError> {
    let base_path = settings.base_path.clone();
    let dir = app.client_dir();
    Index::of(&dir, &IndexSettings { base_path, memory: settings.static_memory }).map_err(|error| AppError {
        file: dir,
        problem: format!("cannot be read: {error}"),
        remedy: "make it readable for this user, or run `vite build` again".into(),
    })
}

/// What the user's own code adds to the gateway.
#[derive(Default)]
pub struct Extensions {
    /// Hooks and routes.
    pub hooks: Option<Arc<dyn Hooks>>,
    /// What makes the worker whose functions run in this process.
    pub worker: Option<MakeWorker>,
}

/// Makes a worker, once.
pub type MakeWorker = Box<dyn FnOnce() -> Worker>;

/// Runs the gateway until it is told to stop, with the user's `extensions`, if there are some. `listening` is called once
/// clients can connect. Must run on the main thread, in an actix system: children are killed when the thread that started
/// them ends.
///
/// # Errors
/// [`RunError`] when it does not start, or does not go on.
pub async fn run(
    settings: Settings,
    app: App,
    environment: &BTreeMap<String, String>,
    extensions: Extensions,
    listening: impl FnOnce(Addresses),
) -> Result<End, RunError> {
    let started = Instant::now();
    // Before there are other threads: they inherit it.
    if let Err(error) = set_slice(Some(GATEWAY_SLICE)) {
        tracing::info!(%error, "the kernel's usual time slices stay: refusals may take some milliseconds longer");
    }
    let (mut signals, hangups) = (Signals::new()?, Hangups::new()?);
    let build_id = app.build_id()?;
    let files = index(&app, &settings)?;
    tracing::info!(files = files.files(), in_memory_bytes = files.memory(), "static files indexed");
    let builds = Builds::new(Build::new(Arc::new(files), app.direct_functions.clone()));
    let certificates = &settings.protocols.certificates;
    let shown = if certificates.is_empty() { None } else { Some(certificates_of(certificates)?) };
    let acceptor = shown.as_ref().map(Shown::acceptor).transpose()?;
    let public = bound("listen", &settings.listen, settings.protocols.reuse_port)?;
    let admin = bound("admin", &Listen::Tcp(settings.admin), false)?;
    if let Some(address) = settings.debugging.inspect {
        // A renderer will bind it; that it can is known now.
        drop(bound("inspect", &Listen::Tcp(address), false)?);
    }
    let admin_address = match admin.address() {
        Listen::Tcp(address) => *address,
        Listen::Unix(_) => settings.admin,
    };
    let listen = public.address().clone();
    let addresses = Addresses { listen: listen.clone(), is_secure: acceptor.is_some(), admin: admin_address };
    let links = settings.processes.renderers * settings.processes.isolates * settings.processes.threads;
    files::raise_limit(settings.clients.max_connections, links);

    let Extensions { hooks, worker } = extensions;
    let metrics = Metrics::new()?;
    let (wanted, limit) = (&settings.processes.code_cache, settings.processes.code_cache_limit);
    let code_cache = code_cache::prepare(wanted, limit, environment)
        .map_err(|(directory, source)| RunError::CodeCache { directory, source })?;
    let mut pool_settings = pool_settings(&settings, &app, environment, code_cache, addresses.admin);
    if let Some(make) = worker {
        let functions = Embedded::open(make(), &pool_settings.worker_setup)?;
        pool_settings.embedded = Some(Arc::new(functions));
    }
    let pool = pool::start(pool_settings, metrics.clone())?;
    if let Some(shown) = shown {
        let watcher = Watcher::new(shown, settings.protocols.certificates.clone(), metrics.clone());
        actix_web::rt::spawn(watcher.run(settings.protocols.tls_reload));
    }
    let phase = SharedPhase::default();
    let debug = DebugSettings {
        enabled: settings.debugging.endpoints,
        max_bytes: settings.debugging.max_result_bytes,
    };
    let edge = Arc::clone(&settings.edge);
    let settings = Arc::new(settings);
    let reloader =
        Reloader::new(Arc::clone(&settings), builds.clone(), pool.clone(), phase.clone(), metrics.clone());
    actix_web::rt::spawn(reload_on_hangup(hangups, reloader.clone()));
    let desk = Desk {
        pool: pool.clone(),
        metrics: metrics.clone(),
        phase: phase.clone(),
        started,
        debug,
        edge,
        reloader,
    };
    let admin = opened("admin", admin).and_then(|listener| match listener {
        Listener::Tcp(listener) => Ok(admin::server(listener, desk)?),
        Listener::Unix(_) => Err(io::Error::from(io::ErrorKind::Unsupported).into()),
    });
    let in_flight = metrics.requests_in_flight.clone();
    let drain_timeout = settings.drain_timeout;
    let mut running = Running { pool, phase, admin: None, public: None, in_flight, drain_timeout };
    let outcome = async {
        let admin = admin?;
        running.admin = Some(admin.handle());
        actix_web::rt::spawn(admin);
        tokio::select! {
            ready = running.pool.first_ready() => ready?,
            stop = signals.next() => return Ok(stop),
        }
        let additions = Additions { hooks, routes: app.routes.clone() };
        let own_host = match &addresses.listen {
            Listen::Tcp(address) => HeaderValue::from_str(&address.to_string())?,
            Listen::Unix(_) => HeaderValue::from_static("localhost"),
        };
        let plan = Plan::new(settings, builds, metrics, own_host, additions);
        let (public, server) =
            Public::new(opened("listen", public)?, listen, plan, acceptor, running.pool.clone())?;
        running.public = Some(public);
        let mut server = actix_web::rt::spawn(server);
        running.phase.enter(Phase::Serving);
        let url = match &addresses.listen {
            Listen::Tcp(address) if addresses.is_secure => format!("https://{address}"),
            Listen::Tcp(address) => format!("http://{address}"),
            Listen::Unix(path) => format!("unix:{}", path.display()),
        };
        listening(addresses);
        running.pool.announce(ServerAddress { url, build_id });
        tokio::select! {
            _ = &mut server => Err(RunError::Ended),
            stop = signals.next() => Ok(stop),
        }
    }
    .await;
    running.end(outcome, &mut signals).await
}

/// Serves the build that is there now, whenever the operator asks.
async fn reload_on_hangup(mut hangups: Hangups, reloader: Reloader) {
    loop {
        hangups.next().await;
        tracing::info!("SIGHUP: another build of the app is to be served");
        // How it ends is logged and counted.
        let _ = reloader.reload().await;
    }
}

/// What must be ended again.
struct Running {
    pool: PoolHandle,
    phase: SharedPhase,
    admin: Option<ServerHandle>,
    public: Option<Public>,
    in_flight: IntGauge,
    drain_timeout: Duration,
}

impl Running {
    /// Drains after a signal; after an error there is nothing to wait for.
    async fn end(self, outcome: Result<Stop, RunError>, signals: &mut Signals) -> Result<End, RunError> {
        let stop = match outcome {
            Ok(stop) => stop,
            Err(error) => {
                self.pool.stop(Duration::ZERO).await;
                return Err(error);
            }
        };
        tracing::info!(?stop, "draining; a second signal ends at once");
        tokio::select! {
            () = self.drain() => Ok(End::Drained),
            stop = signals.next() => Ok(End::Forced(stop)),
        }
    }

    /// What runs may still need the pool, and what waits may still be run: the pool is closed after the last
    /// request, but before the threads whose links it watches.
    async fn drain(self) {
        let deadline = tokio::time::Instant::now() + self.drain_timeout;
        self.phase.enter(Phase::Draining);
        let public = match self.public {
            Some(public) => Some(public.drain().await),
            None => None,
        };
        if tokio::time::timeout_at(deadline, last_request(&self.in_flight)).await.is_err() {
            tracing::warn!(
                requests = self.in_flight.get(),
                "requests are cut off: the time to drain is over"
            );
        }
        self.pool.begin_drain();
        self.pool.drain_embedded(deadline.saturating_duration_since(tokio::time::Instant::now())).await;
        if let Some(public) = public {
            // Flushes what clients have not taken yet.
            let _ = tokio::time::timeout_at(deadline, public.stop(true)).await;
        }
        self.pool.stop(deadline.saturating_duration_since(tokio::time::Instant::now())).await;
        if let Some(admin) = self.admin {
            admin.stop(false).await;
        }
    }
}

/// Returns when no request is being answered.
async fn last_request(in_flight: &IntGauge) {
    while in_flight.get() > 0 {
        tokio::time::sleep(DRAIN_TICK).await;
    }
}

/// The certificates, read and checked.
///
/// # Errors
/// [`RunError::Certificate`] for the first that is not right.
pub fn certificates_of(files: &[CertificateFiles]) -> Result<Shown, RunError> {
    Ok(Shown::read(files)?)
}

fn bound(key: &'static str, address: &Listen, reuse_port: bool) -> Result<Bound, RunError> {
    Bound::to(address, reuse_port).map_err(|source| RunError::Address {
        key,
        address: address.clone(),
        source,
    })
}

fn opened(key: &'static str, bound: Bound) -> Result<Listener, RunError> {
    let address = bound.address().clone();
    bound.open().map_err(|source| RunError::Address { key, address, source })
}

fn pool_settings(
    settings: &Settings,
    app: &App,
    environment: &BTreeMap<String, String>,
    code_cache: Option<CodeCacheSetup>,
    admin: SocketAddr,
) -> PoolSettings {
    let (processes, jobs) = (&settings.processes, &settings.jobs);
    PoolSettings {
        renderer_bin: processes.renderer_bin.clone(),
        worker_bin: processes.fn_worker_bin.clone(),
        renderers: processes.renderers,
        spares: processes.spares,
        isolates_per_renderer: processes.isolates,
        fn_workers: processes.fn_workers,
        threads: processes.threads,
        renderer_setup: RendererSetup {
            app_dir: app.dir.clone(),
            env: environment::visible(&settings.env, environment),
            max_jobs_per_isolate: jobs.max_jobs_per_isolate
                + jobs.max_event_streams_per_isolate
                + jobs.max_slow_clients_per_isolate,
            max_heap_bytes: processes.max_heap_bytes,
            limits: processes.isolate_limits,
            warmup_path: processes.warmup_path.clone(),
            code_cache,
            // Each process's own, when it is made.
            scratch_dir: PathBuf::new(),
            sandbox: processes.sandbox,
            v8_flags: processes.v8_flags.clone(),
            inspect: settings.debugging.inspect,
            access: Access { own: vec![admin], ..settings.access.clone() },
            background: jobs.background.clone(),
            pipeline: PipelineLimits {
                hook_timeout_ms: u32::try_from(processes.hook_timeout.as_millis()).unwrap_or(u32::MAX),
                max_metrics: u32::try_from(processes.max_app_metrics).unwrap_or(u32::MAX),
                max_series: u32::try_from(processes.max_app_metric_series).unwrap_or(u32::MAX),
            },
            waits: false,
        },
        app_metrics: AppMetricLimits {
            metrics: processes.max_app_metrics,
            series: processes.max_app_metric_series,
        },
        worker_setup: WorkerSetup {
            arbiters: processes.fn_worker_threads,
            mailbox: processes.fn_worker_mailbox,
            forms: processes.form_limits,
            values: processes.value_limits,
        },
        embedded: None,
        app_routes: app.routes.clone(),
        admission: AdmissionSettings {
            max_jobs_per_isolate: jobs.max_jobs_per_isolate,
            min_jobs_per_isolate: jobs.min_jobs_per_isolate,
            max_event_streams_per_isolate: jobs.max_event_streams_per_isolate,
            max_slow_clients_per_isolate: jobs.max_slow_clients_per_isolate,
            shares: jobs.shares,
            queue_wait: jobs.queue_wait,
            queue_limit: jobs.queue_limit,
        },
        restart: RestartPolicy {
            initial_backoff: processes.restart_backoff,
            max_backoff: processes.restart_backoff_max,
            restarts_per_minute: processes.restarts_per_minute,
            stable_after: processes.restart_stable_after,
        },
        load_timeout: processes.load_timeout,
        job_times: JobTimes { abort_delay: jobs.abort_delay, abort_grace: jobs.abort_grace },
        remote: settings.remote.clone(),
        native_call_timeout: jobs.native_call_timeout,
        retire_timeout: settings.drain_timeout,
        child_drain_timeout: CHILD_DRAIN_TIMEOUT,
        log_filter: settings.log_filter.clone(),
        log_format: settings.log_format,
    }
}
