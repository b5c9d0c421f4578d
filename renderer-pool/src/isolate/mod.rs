//! One isolate on its own thread: from its start to its end.
//!
//! - [`runtime`]: the V8 isolate with the app in it; [`delivery`]: the border to JavaScript.
//! - [`background`]: what finished requests leave behind.
//! - [`extension`], [`extensions`], [`snapshot`]: what the isolate is made of, shared with the build script.
//! - [`code_cache`]: what V8 compiled, kept between starts.
//! - [`modules`]: where the app's code comes from; [`node`]: packages, and Node's own modules.
//! - [`excerpt`], [`error_page`]: what development shows of an error.
//! - [`examine`], [`inspector`]: ways to look inside.
//! - `boot/`: the scripts that run before the app.

pub mod background;
pub mod code_cache;
pub mod delivery;
pub mod error_page;
pub mod examine;
pub mod excerpt;
pub mod extension;
pub mod extensions;
pub mod inspector;
pub mod modules;
pub mod node;
#[cfg(test)]
mod op_count;
pub mod runtime;
pub mod snapshot;

use std::cell::RefCell;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use shared::inherited::take_socket;
use shared::message::FromChild;
use shared::message::control::{CodeUse, Examination, Serving};
use shared::setup::RendererSetup;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::job::{self, AllLinksEnded, JobTable, Link};
use background::Outcomes;
use code_cache::CodeCache;
use code_cache::recorder::Recorder;
use examine::Examiner;
use inspector::Inspector;
use node::ops as node_ops;
use runtime::{AppExited, ENTRY, Isolate};

/// How often an isolate reports what it holds.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// How often an isolate looks whether the app's own metrics have changed.
const APP_METRICS_EVERY: Duration = Duration::from_secs(1);

/// Why an isolate ends other than by a drain.
#[derive(Debug, thiserror::Error)]
enum IsolateEnded {
    #[error(transparent)]
    Links(#[from] AllLinksEnded),
    #[error(transparent)]
    Exited(#[from] AppExited),
}

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
        let started = Instant::now();
        let isolate = self.isolate;
        let failed = move |reason| FromChild::IsolateFailed { isolate, reason };
        let links = self.links.iter().map(|fd| take_socket(*fd).map(Link::new));
        let links = links.collect::<Result<_, _>>().map_err(|error| failed(error.to_string()))?;
        let jobs = Rc::new(RefCell::new(JobTable::new(links, self.setup.max_jobs_per_isolate)));
        let code = Recorder::new(self.code_cache.clone());
        let mut runtime =
            Isolate::load(&self.setup, jobs.clone(), code.clone()).await.map_err(FromChild::LoadFailed)?;
        runtime.warm(&format!("http://localhost{}", self.setup.warmup_path)).await;
        let (cached, compiled) = code.counts();
        runtime.keep_code();
        let startup_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(isolate, startup_ms, cached, compiled, "the app is loaded");
        let ready = FromChild::IsolateReady { isolate, startup_ms, code: CodeUse { cached, compiled } };
        if self.reports.send(ready).await.is_err() {
            return Ok(());
        }
        self.answer_jobs(&mut runtime, &jobs).await.map_err(|error| failed(error.to_string()))
    }

    /// The isolate's event loop: what came over the links goes to JavaScript, JavaScript runs, what it answered
    /// leaves, all in one turn.
    async fn answer_jobs(
        &mut self,
        runtime: &mut Isolate,
        jobs: &RefCell<JobTable>,
    ) -> Result<(), IsolateEnded> {
        let mut events = Vec::new();
        let mut report_due = tokio::time::interval(REPORT_EVERY);
        report_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut drain = std::pin::pin!(wait_for_drain(self.draining.clone()));
        let mut draining = false;
        let (_, none) = mpsc::channel(1);
        let mut examiner = Examiner::new(std::mem::replace(&mut self.examinations, none));
        let mut inspector = self.setup.inspect.filter(|_| self.isolate == 0).map(Inspector::at);
        let mut metrics_due = tokio::time::interval(APP_METRICS_EVERY);
        metrics_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut serving = std::pin::pin!(wait_for_serving(self.serving.clone()));
        let mut served = false;
        std::future::poll_fn(|cx| {
            if !draining && drain.as_mut().poll(cx).is_ready() {
                draining = true;
                jobs.borrow_mut().drain();
            }
            if let Poll::Ready(result) = jobs.borrow_mut().poll_events(cx, &mut events) {
                result?;
            }
            if !served && let Poll::Ready(serving) = serving.as_mut().poll(cx) {
                served = true;
                runtime.tell_serving(self.isolate, &serving);
            }
            runtime.deliver(events.drain(..));
            runtime.poll(cx)?;
            let mut table = jobs.borrow_mut();
            let flushed = table.poll_flush(cx, &mut events);
            if draining && table.is_empty() && flushed.is_ready() && runtime.is_idle() {
                self.report_background(runtime);
                // The last word on what it counted.
                self.report_app_metrics(runtime);
                return Poll::Ready(Ok(()));
            }
            if let Some(inspector) = &mut inspector {
                inspector.poll(cx, runtime.js(), ENTRY);
            }
            if let Poll::Ready(problem) = examiner.poll(cx, runtime.js()) {
                let (isolate, problem) = (self.isolate, problem.map(|error| error.to_string()));
                let _ = self.reports.try_send(FromChild::Examined { isolate, problem });
                cx.waker().wake_by_ref();
            }
            while metrics_due.poll_tick(cx).is_ready() {
                self.report_app_metrics(runtime);
            }
            while report_due.poll_tick(cx).is_ready() {
                self.report_heap(runtime);
                self.report_background(runtime);
            }
            Poll::Pending
        })
        .await
    }

    fn report_app_metrics(&self, runtime: &mut Isolate) {
        // Asked for only when there is room, since it tells each change once.
        let Ok(room) = self.reports.try_reserve() else { return };
        if let Some(metrics) = runtime.take_app_metrics() {
            room.send(FromChild::AppMetrics { isolate: self.isolate, metrics });
        }
    }

    fn report_heap(&self, runtime: &mut Isolate) {
        let heap = runtime.heap_use();
        // A report that finds no room is followed by a newer one.
        let _ = self.reports.try_send(FromChild::IsolateStats {
            isolate: self.isolate,
            heap_used_bytes: heap.used,
            heap_total_bytes: heap.total,
            external_bytes: heap.external,
        });
    }

    fn report_background(&self, runtime: &mut Isolate) {
        let Some((pending, outcomes)) = runtime.take_background() else { return };
        let Outcomes { finished, failed, refused, timed_out } = outcomes;
        let report =
            FromChild::Background { isolate: self.isolate, pending, finished, failed, refused, timed_out };
        // The counts of a report that finds no room are lost: the queue is full only while the gateway hangs.
        let _ = self.reports.try_send(report);
    }
}

async fn wait_for_drain(mut draining: watch::Receiver<bool>) {
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
