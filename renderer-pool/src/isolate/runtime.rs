//! One V8 isolate with the app in it.

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use deno_core::error::CoreError;
use deno_core::{
    JsRuntime, ModuleId, ModuleSpecifier, PollEventLoopOptions, RuntimeOptions, SharedArrayBufferStore,
    serde_json, v8,
};
use deno_features::{FeatureChecker, UNSTABLE_FEATURES};
use shared::app_metrics::AppMetrics;
use shared::message::control::{LoadFailure, Serving};
use shared::setup::RendererSetup;

use super::background::{BackgroundWork, Outcomes};
use super::code_cache::harvest::harvest;
use super::code_cache::recorder::Recorder;
use super::delivery::{self, Handlers};
use super::error_page::{self, Shown};
use super::extension::{BundleEnv, ErrorPages, KeepCompiled, SharedJobTable};
use super::extensions::{self, Host};
use super::job::Event;
use super::limits::buffers::Buffers;
use super::limits::heap::HeapWatch;
use super::limits::retirement::Wear;
use super::load_problem;
use super::modules::AppModules;
use super::node::ops::{ExitRequested, TemporaryDirectory};
use super::node::permissions::{self, Files};
use super::snapshot;
use super::start_clock::{Phase, StartClock};
use crate::watchdog::probe::{Attachment, Examined, Overrun, Probe};

/// The bundle's entry below the app's directory.
pub const ENTRY: &str = "server/server.js";

/// How long the warming request may take before the isolate is ready without it.
const WARMING_LIMIT: Duration = Duration::from_secs(10);

/// The young generation, in bytes: three semi-spaces of 32 MiB. What a render leaves behind is dead by the time that
/// so much is full, and a dead object costs the collector nothing. It does not grow with what survives, so that an
/// isolate's memory is what it is from the start.
pub const YOUNG_BYTES: usize = 3 * (32 << 20);

/// What an isolate holds, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct HeapUse {
    /// Live and dead objects.
    pub used: u64,
    /// Reserved for the heap.
    pub total: u64,
    /// Held outside the heap.
    pub external: u64,
}

/// The app has ended its isolate.
#[derive(Debug, thiserror::Error)]
#[error("the app called process.exit({})", .0.code)]
pub struct AppExited(ExitRequested);

impl AppExited {
    /// The job that called it; 0 where none ran.
    pub fn job(&self) -> u32 {
        self.0.job
    }
}

/// An isolate whose app is loaded. What V8 refers to is dropped after V8's isolate.
pub struct Isolate {
    handlers: Handlers,
    _attachment: Attachment,
    js: JsRuntime,
    heap: Box<HeapWatch>,
    buffers: Arc<Buffers>,
    probe: Arc<Probe>,
    max_jobs: u64,
    code: Rc<Recorder>,
}

impl Isolate {
    /// Starts an isolate without the app's code, which will come from `code` as far as that has it, watched through
    /// `probe`, timed by `clock`. Must run inside a current-thread tokio runtime.
    ///
    /// # Errors
    /// [`LoadFailure`] when there is no app, or none can run; another try would fail as well.
    pub fn boot(
        setup: &RendererSetup,
        jobs: SharedJobTable,
        code: Rc<Recorder>,
        probe: Arc<Probe>,
        clock: &StartClock,
    ) -> Result<Blank, LoadFailure> {
        code.begin_again();
        let root = setup.app_dir.canonicalize().map_err(|error| LoadFailure {
            file: setup.app_dir.display().to_string(),
            problem: format!("the app's directory cannot be read: {error}"),
            remedy: "point --app to the output of `vite build`".into(),
        })?;
        let entry = load_problem::entry_url(&root)?;
        let files = Files::of_app(&root, &setup.scratch_dir, &setup.access.writable);
        let files = Rc::new(files.map_err(|error| load_problem::own_fault(&error.to_string()))?);
        let modules = Rc::new(AppModules::new(files.clone(), code.clone()));
        let buffers = Buffers::new(usize::try_from(setup.limits.max_external_bytes).unwrap_or(usize::MAX));
        let mut js = new_runtime(setup, modules.clone(), jobs, &code, &buffers);
        clock.ends(Phase::Create);
        let heap = HeapWatch::install(js.v8_isolate(), probe.clone(), buffers.clone());
        {
            let state = js.op_state();
            let mut state = state.borrow_mut();
            let permissions = permissions::permissions(&files, &setup.access.own, &setup.access.egress);
            state.put(permissions.map_err(|error| load_problem::own_fault(&error.to_string()))?);
            let limits = &setup.background;
            state.put(BackgroundWork::new(limits.max_pending, limits.limit_ms));
            state.put(TemporaryDirectory(files.temporary().to_owned()));
            state.put(entry.clone());
            let keep = code.clone();
            state.put::<KeepCompiled>(Rc::new(move |function| keep.compiled(function)));
            if setup.env.get("NODE_ENV").is_some_and(|mode| mode == "development") {
                state.put(error_pages(modules.clone()));
            }
        }
        let handlers = start(&mut js).map_err(|problem| load_problem::own_fault(&problem))?;
        let context = js.main_context();
        let attachment = probe
            .attach(js.v8_isolate(), context)
            .map_err(|error| load_problem::own_fault(&error.to_string()))?;
        let max_jobs = setup.limits.max_jobs_before_recycle;
        let isolate = Self { handlers, _attachment: attachment, js, heap, buffers, probe, max_jobs, code };
        clock.ends(Phase::Boot);
        Ok(Blank { isolate, modules, entry, compiled: None })
    }

    /// Reads and compiles the entry and all that it imports.
    async fn compile(&mut self, entry: &ModuleSpecifier) -> Result<ModuleId, String> {
        self.js.load_main_es_module(entry).await.map_err(|error| describe(&error))
    }

    /// The same, and what is imported later, until the first page is rendered. V8 finds that then.
    async fn compile_first_page(&mut self, entry: &ModuleSpecifier) -> Result<ModuleId, String> {
        let id = self.compile(entry).await?;
        for module in self.code.first_page() {
            self.js.load_side_es_module(&module).await.map_err(|error| describe(&error))?;
        }
        Ok(id)
    }

    async fn run_app(&mut self, id: ModuleId) -> Result<(), String> {
        let evaluated = self.js.mod_evaluate(id);
        self.js
            .with_event_loop_promise(Box::pin(evaluated), PollEventLoopOptions::default())
            .await
            .map_err(|error| describe(&error))?;
        let namespace = self.js.get_module_namespace(id).map_err(|error| describe(&error))?;
        match delivery::set_app(&mut self.js, &self.handlers, &namespace) {
            None => Ok(()),
            Some(problem) => {
                Err(format!("{problem}; an app must `export default {{ fetch(request) {{ .. }} }}`"))
            }
        }
    }

    async fn create_pipeline(&mut self, setup: &RendererSetup) -> Result<(), String> {
        let limits = serde_json::to_string(&setup.pipeline).map_err(|error| error.to_string())?;
        let created = delivery::create_pipeline(&mut self.js, &self.handlers, &limits)
            .ok_or_else(|| "its render pipeline cannot be created".to_owned())?;
        let resolved = Box::pin(self.js.resolve(created));
        let created = self.js.with_event_loop_promise(resolved, PollEventLoopOptions::default()).await;
        created.map(drop).map_err(|error| describe(&error))
    }

    /// Tells the app that clients can connect.
    pub fn tell_serving(&mut self, isolate: usize, serving: &Serving) {
        let info = serde_json::json!({
            "address": serving.address,
            "buildId": serving.build_id,
            "isolate": format!("{}.{isolate}", serving.renderer),
            "first": serving.first && isolate == 0,
        });
        let turn = self.probe.turn();
        delivery::serving(&mut self.js, &self.handlers, &info.to_string());
        drop(turn);
    }

    /// The app's own metrics if they have changed since the last call.
    pub fn take_app_metrics(&mut self) -> Option<AppMetrics> {
        let turn = self.probe.turn();
        let json = delivery::take_metrics(&mut self.js, &self.handlers);
        drop(turn);
        let json = json?;
        serde_json::from_str(&json)
            .inspect_err(|error| tracing::error!(%error, "the app's metrics cannot be read"))
            .ok()
    }

    /// Answers one request to `url` for nobody. A failure is the app's to show to its visitors, not a reason
    /// not to serve it: it is logged.
    ///
    /// # Errors
    /// [`Overrun`] when the app exceeded its limits there: what it has loaded halfway makes the isolate unfit to
    /// serve.
    pub async fn warm(&mut self, url: &str) -> Result<(), Overrun> {
        let Self { js, handlers, probe, .. } = self;
        let answer = async {
            let Some(answered) = delivery::warm(js, handlers, url) else { return };
            let resolved = Box::pin(js.resolve(answered));
            let answered = js.with_event_loop_promise(resolved, PollEventLoopOptions::default());
            match tokio::time::timeout(WARMING_LIMIT, answered).await {
                Ok(Ok(_)) => {}
                // Terminated: told below.
                Ok(Err(_)) if probe.has_overrun() => {}
                Ok(Err(error)) => tracing::warn!(url, "the warming request failed: {}", describe(&error)),
                Err(_) => tracing::warn!(url, limit = ?WARMING_LIMIT, "the warming request took too long"),
            }
        };
        probe.watch(answer).await
    }

    /// Hands events to JavaScript, until one of them is terminated.
    pub fn deliver(&mut self, events: &mut impl Iterator<Item = Event>) {
        delivery::deliver(&mut self.js, &self.handlers, &self.probe, events);
    }

    /// What was terminated since the last call; JavaScript may run again afterwards.
    pub fn take_overrun(&mut self) -> Option<Overrun> {
        let overrun = self.probe.take_overrun()?;
        self.js.v8_isolate().cancel_terminate_execution();
        Some(overrun)
    }

    /// What the isolate has come to, after so many jobs.
    pub fn wear(&self, jobs: u64) -> Wear {
        Wear {
            heap_near_limit: self.heap.was_near_limit(),
            buffers: self.buffers.held(),
            buffer_limit: self.buffers.limit(),
            jobs,
            max_jobs: self.max_jobs,
        }
    }

    /// Keeps what has been compiled by now for the next start, if anything had to be.
    pub fn keep_code(&mut self) {
        harvest(&mut self.js, &self.code);
    }

    /// Collects all garbage now. Takes as long as a full collection takes.
    pub fn collect_garbage(&mut self) {
        self.js.v8_isolate().low_memory_notification();
    }

    /// Runs what is due: timers, completed ops, promises. What JavaScript throws there is logged; the isolate
    /// goes on.
    ///
    /// # Errors
    /// When the app has called `process.exit()`.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Result<(), AppExited> {
        let turn = self.probe.turn();
        let polled = self.js.poll_event_loop(cx, PollEventLoopOptions::default());
        drop(turn);
        if let Some(exit) = self.exit_requested() {
            return Err(AppExited(exit));
        }
        if let Poll::Ready(Err(error)) = polled
            && !self.probe.has_overrun()
        {
            tracing::error!("uncaught in the event loop: {}", describe(&error));
            cx.waker().wake_by_ref();
        }
        Ok(())
    }

    /// Whether no work that a finished request handed to `waitUntil` goes on.
    pub fn is_idle(&self) -> bool {
        self.js.op_state().borrow().borrow::<BackgroundWork>().pending() == 0
    }

    /// How much of such work is pending, and what became of the rest since this was asked last; `None` when
    /// nothing has changed.
    pub fn take_background(&mut self) -> Option<(u32, Outcomes)> {
        self.js.op_state().borrow_mut().borrow_mut::<BackgroundWork>().take_report()
    }

    fn exit_requested(&self) -> Option<ExitRequested> {
        self.js.op_state().borrow().try_borrow::<ExitRequested>().copied()
    }

    fn exit_problem(&self) -> Option<String> {
        self.exit_requested().map(|exit| AppExited(exit).to_string())
    }

    /// What is done until this is dropped is no request's affair: see [`Probe::examined`].
    pub fn examined(&self) -> Examined {
        self.probe.examined()
    }

    /// V8's side of it, to look inside.
    pub fn js(&mut self) -> &mut JsRuntime {
        &mut self.js
    }

    /// What the isolate holds now.
    pub fn heap_use(&mut self) -> HeapUse {
        let statistics = self.js.v8_isolate().get_heap_statistics();
        HeapUse {
            used: statistics.used_heap_size() as u64,
            total: statistics.total_heap_size() as u64,
            external: statistics.external_memory() as u64,
        }
    }
}

/// An isolate in which nothing of the app has run.
pub struct Blank {
    isolate: Isolate,
    modules: Rc<AppModules>,
    entry: ModuleSpecifier,
    /// The app's entry, once that is compiled.
    compiled: Option<ModuleId>,
}

impl Blank {
    /// Reads and compiles the app ahead of the order to load it: what it imports, and what it will import until its
    /// first page is rendered, as far as the code cache knows that. None of it runs.
    ///
    /// `None` when something of it cannot be compiled. Whoever loads the app into another isolate then meets the
    /// reason, unless it has gone.
    pub async fn compile_ahead(mut self, clock: &StartClock) -> Option<Self> {
        let probe = self.isolate.probe.clone();
        self.modules.stamps().begin();
        let compiled = probe.watch(self.isolate.compile_first_page(&self.entry)).await;
        clock.ends(Phase::Load);
        match compiled {
            Ok(Ok(id)) => {
                tracing::debug!(modules = self.modules.stamps().count(), "the app is compiled ahead");
                self.compiled = Some(id);
                Some(self)
            }
            Ok(Err(problem)) => {
                tracing::debug!(problem, "the app cannot be compiled ahead");
                None
            }
            Err(overrun) => {
                let stack = overrun.stack_text();
                tracing::debug!(limit = overrun.excess.label(), stack, "the app cannot be compiled ahead");
                None
            }
        }
    }

    /// Whether what was compiled ahead is still what a load would read.
    pub fn is_fresh(&self) -> bool {
        let is_fresh = self.modules.stamps().end();
        if !is_fresh {
            tracing::debug!("the app has changed since it was compiled ahead");
        }
        is_fresh
    }

    /// Loads the app.
    ///
    /// # Errors
    /// [`LoadFailure`] when the app cannot run; another try would fail as well.
    pub async fn load(self, setup: &RendererSetup, clock: &StartClock) -> Result<Isolate, LoadFailure> {
        let Self { mut isolate, modules, entry, compiled } = self;
        let probe = isolate.probe.clone();
        let load = async {
            let id = match compiled {
                Some(id) => id,
                None => isolate.compile(&entry).await?,
            };
            clock.ends(Phase::Load);
            isolate.run_app(id).await
        };
        let loaded = probe.watch(load).await;
        loaded.map_err(|overrun| load_problem::overrun(&overrun, setup))?.map_err(|problem| {
            let cause = modules.take_failure().filter(|failure| problem.contains(&failure.problem));
            cause.unwrap_or_else(|| LoadFailure {
                file: ENTRY.into(),
                problem: isolate.exit_problem().unwrap_or(problem),
                remedy: "run `vite build` again, and try the build under Node to see the same error".into(),
            })
        })?;
        let created = probe.watch(isolate.create_pipeline(setup)).await;
        created.map_err(|overrun| load_problem::overrun(&overrun, setup))?.map_err(|problem| {
            LoadFailure {
                file: ENTRY.into(),
                problem,
                remedy:
                    "the hook onServerCreated must succeed before the app can serve: fix what it reports, or \
                     raise hook_timeout"
                        .into(),
            }
        })?;
        clock.ends(Phase::Evaluate);
        // From here on failed imports are the requests' own affair.
        modules.take_failure();
        Ok(isolate)
    }
}

fn new_runtime(
    setup: &RendererSetup,
    modules: Rc<AppModules>,
    jobs: SharedJobTable,
    code: &Rc<Recorder>,
    buffers: &Arc<Buffers>,
) -> JsRuntime {
    let max_heap = usize::try_from(setup.max_heap_bytes).unwrap_or(usize::MAX);
    let limits = v8::CreateParams::default()
        .array_buffer_allocator(buffers.allocator())
        .set_max_old_generation_size_in_bytes(max_heap)
        .set_initial_young_generation_size_in_bytes(YOUNG_BYTES)
        .set_max_young_generation_size_in_bytes(YOUNG_BYTES);
    let host = Host {
        jobs: Some(jobs),
        env: BundleEnv(setup.env.clone()),
        node: Some(modules.packages().services()),
    };
    let mut js = JsRuntime::new(RuntimeOptions {
        module_loader: Some(modules),
        extensions: extensions::all(host),
        startup_snapshot: Some(snapshot::SNAPSHOT),
        residual_lazy_js_sources: snapshot::SCRIPTS,
        residual_lazy_esm_sources: snapshot::MODULES,
        create_params: Some(limits),
        // Where buffers are while they are transferred.
        shared_array_buffer_store: Some(SharedArrayBufferStore::default()),
        #[cfg(test)]
        op_metrics_factory_fn: Some(super::op_count::counting()),
        eval_context_code_cache_cbs: code.cache().is_on().then(|| code.for_commonjs()),
        inspector: setup.inspect.is_some(),
        ..Default::default()
    });
    js.op_state().borrow_mut().put(Arc::new(all_features()));
    if setup.inspect.is_none() {
        // Deno lets V8 look up the place of each function on the stack with each `new Error`, and V8 parses functions
        // again for that. The inspector shows these places; an error's own stack is written when it is read.
        js.v8_isolate().set_capture_stack_trace_for_uncaught_exceptions(false, 0);
    }
    js
}

fn error_pages(modules: Rc<AppModules>) -> ErrorPages {
    ErrorPages(Box::new(move |stack, request_id, url, accept| {
        let excerpt = modules.excerpt(stack);
        error_page::page(Shown { stack, excerpt: excerpt.as_deref(), request_id, url }, accept)
    }))
}

/// Deno ends the process where a script uses a feature of its own that is off.
fn all_features() -> FeatureChecker {
    let mut features = FeatureChecker::default();
    for feature in UNSTABLE_FEATURES {
        features.enable_feature(feature.name);
    }
    features
}

fn start(js: &mut JsRuntime) -> Result<Handlers, String> {
    let script = "Deno.core.loadExtScript('ext:isopod/start.js')";
    let handlers = js.execute_script("isopod:start", script).map_err(|error| error.to_string())?;
    Handlers::from_object(js, &handlers)
}

fn describe(error: &CoreError) -> String {
    error.to_string()
}
