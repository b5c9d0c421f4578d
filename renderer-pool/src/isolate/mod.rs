//! One isolate on its own thread: from its start to its end.
//!
//! - [`runtime`]: the V8 isolate with the app in it; [`delivery`]: the border to JavaScript.
//! - [`load_problem`]: why an app cannot be loaded.
//! - [`background`]: what finished requests leave behind.
//! - [`shift`]: its event loop while it answers jobs; [`thread_time`]: how long it had nothing to do.
//! - [`extension`], [`extensions`], [`snapshot`]: what the isolate is made of, shared with the build script.
//! - [`code_cache`]: what V8 compiled, kept between starts.
//! - [`modules`]: where the app's code comes from; [`stamps`]: whether it is still what was read; [`node`]: packages, and Node's own modules.
//! - [`excerpt`], [`error_page`]: what development shows of an error.
//! - [`examine`], [`inspector`]: ways to look inside.
//! - [`limits`]: what an isolate may hold, and when it is replaced.
//! - [`start_clock`]: what a start goes into.
//! - `boot/`: the scripts that run before the app.

pub mod background;
pub mod code_cache;
pub mod delivery;
pub mod encoding;
pub mod error_page;
pub mod examine;
pub mod excerpt;
pub mod extension;
pub mod extensions;
pub mod inspector;
pub mod limits;
mod load_problem;
pub mod modules;
pub mod node;
#[cfg(test)]
mod op_count;
pub mod runtime;
mod shift;
pub mod snapshot;
mod stamps;
mod start_clock;
mod thread_time;

use std::cell::RefCell;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use shared::inherited::take_socket;
use shared::message::FromChild;
use shared::message::control::{CodeUse, Examination, LoadFailure, Serving};
use shared::setup::RendererSetup;
use tokio::sync::{mpsc, watch};

use crate::job::{self, JobTable, Link};
use crate::watchdog::probe::Probe;
use code_cache::CodeCache;
use code_cache::recorder::Recorder;
use examine::Examiner;
use inspector::Inspector;
use node::ops as node_ops;
use runtime::{Blank, Isolate};
use shift::Shift;
use start_clock::{Phase, StartClock};

/// What an isolate thread is given.
#[derive(Debug)]
pub struct IsolateThread {
    /// Which isolate of the process, from 0.
    pub isolate: usize,
    /// Its inherited sockets, one for each gateway thread.
    pub links: Vec<RawFd>,
    /// What the gateway wants of it.
    pub setup: RendererSetup,
    /// To the supervisor, through the control thread.
    pub reports: mpsc::Sender<FromChild>,
    /// Looks into it that are wanted.
    pub examinations: mpsc::Receiver<Examination>,
    /// Turns true when the isolate is to finish.
    pub draining: watch::Receiver<bool>,
    /// Of the process, for all of its isolates.
    pub code_cache: Arc<CodeCache>,
    /// Turns to what the app is told once clients can connect.
    pub serving: watch::Receiver<Option<Serving>>,
    /// Turns true when the app is to be loaded.
    pub ordered: watch::Receiver<bool>,
    /// What the watchdog sees of it.
    pub probe: Arc<Probe>,
}

impl IsolateThread {
    /// Runs the isolate until it has drained, the app turns out not to run, or a link ends. The reason goes to
    /// the supervisor.
    pub fn run(self) {
        let (isolate, reports) = (self.isolate, self.reports.clone());
        let tokio = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(tokio) => tokio,
            Err(error) => {
                let reason = format!("its event loop cannot start: {error}");
                // The process is as good as gone: whether the report gets through changes nothing.
                let _ = reports.blocking_send(FromChild::IsolateFailed { isolate, reason });
                return;
            }
        };
        tokio.block_on(async {
            if let Err(report) = self.serve().await {
                let _ = reports.send(report).await;
            }
        });
    }

    async fn serve(mut self) -> Result<(), FromChild> {
        let clock = StartClock::new();
        let isolate = self.isolate;
        let failed = move |reason| FromChild::IsolateFailed { isolate, reason };
        let links = self.links.iter().map(|fd| take_socket(*fd).map(Link::new));
        let links = links.collect::<Result<_, _>>().map_err(|error| failed(error.to_string()))?;
        let jobs = Rc::new(RefCell::new(JobTable::new(links, self.setup.max_jobs_per_isolate)));
        self.probe.know_jobs(jobs.borrow().wire_ids());
        let code = Recorder::new(self.code_cache.clone());
        self.probe.set_limit(Duration::from_millis(self.setup.limits.max_load_turn_ms));
        let mut runtime = self.start(&jobs, &code, &clock).await.map_err(FromChild::LoadFailed)?;
        let (cached, compiled) = code.counts();
        runtime.keep_code();
        clock.ends(Phase::Keep);
        self.probe.set_limit(Duration::from_millis(self.setup.limits.max_turn_ms));
        let (startup_ms, phases) = (clock.elapsed_ms(), clock.phases());
        tracing::debug!(isolate, startup_ms, ?phases, cached, compiled, "the app is loaded");
        let ready =
            FromChild::IsolateReady { isolate, startup_ms, code: CodeUse { cached, compiled }, phases };
        if self.reports.send(ready).await.is_err() {
            return Ok(());
        }
        let (_, none) = mpsc::channel(1);
        let examiner = Examiner::new(std::mem::replace(&mut self.examinations, none));
        let inspector = self.setup.inspect.filter(|_| isolate == 0).map(Inspector::at);
        let mut shift = Shift::new(runtime, jobs, isolate, self.reports.clone(), examiner, inspector);
        let serving = wait_for_serving(self.serving.clone());
        let served = shift.answer_jobs(wait_for_drain(&mut self.draining), serving).await;
        served.map_err(|error| failed(error.to_string()))
    }

    /// An isolate for the app that was ordered. One that has to wait for the order has the app compiled by then.
    async fn ordered_blank(
        &self,
        jobs: &Rc<RefCell<JobTable>>,
        code: &Rc<Recorder>,
        clock: &StartClock,
    ) -> Result<Blank, LoadFailure> {
        let boot = || Isolate::boot(&self.setup, jobs.clone(), code.clone(), self.probe.clone(), clock);
        let blank = boot()?;
        if *self.ordered.borrow() {
            return Ok(blank);
        }
        let ahead = blank.compile_ahead(clock).await;
        self.wait_for_order(clock).await;
        match ahead.filter(Blank::is_fresh) {
            Some(blank) => Ok(blank),
            None => boot(),
        }
    }

    /// Waits until the app is to be loaded; the time before does not count to its start.
    async fn wait_for_order(&self, clock: &StartClock) {
        let mut ordered = self.ordered.clone();
        if !*ordered.borrow() {
            // The sender lives as long as the process; without one there is nobody to serve.
            let _ = ordered.wait_for(|ordered| *ordered).await;
            clock.waited();
        }
    }

    /// An isolate with the app loaded and warmed; not warmed if the app exceeds its limits then, since what that
    /// leaves behind is not fit to serve.
    async fn start(
        &self,
        jobs: &Rc<RefCell<JobTable>>,
        code: &Rc<Recorder>,
        clock: &StartClock,
    ) -> Result<Isolate, LoadFailure> {
        let load = async || {
            let blank = self.ordered_blank(jobs, code, clock).await?;
            blank.load(&self.setup, clock).await
        };
        let mut runtime = load().await?;
        let path = &self.setup.warmup_path;
        let warmed = runtime.warm(&format!("http://localhost{path}")).await;
        clock.ends(Phase::Warm);
        let Err(overrun) = warmed else { return Ok(runtime) };
        let (excess, stack) = (overrun.excess.label(), overrun.stack_text());
        tracing::error!(
            url = path,
            limit = excess,
            stack,
            "the warming request was terminated; the isolate serves without it"
        );
        drop(runtime);
        load().await
    }
}

async fn wait_for_drain(draining: &mut watch::Receiver<bool>) {
    // The sender lives as long as the process; without one there is nobody to serve.
    let _ = draining.wait_for(|draining| *draining).await;
}

/// Returns when clients can connect; never without a supervisor to say so.
async fn wait_for_serving(mut serving: watch::Receiver<Option<Serving>>) -> Serving {
    match serving.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(serving)) => serving.clone(),
        _ => std::future::pending().await,
    }
}
