//! An isolate at work: its event loop from readiness to its end.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use shared::message::control::Serving;
use shared::message::{CancelReason, FailureKind, FromChild, RetireReason};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};

use super::background::Outcomes;
use super::examine::Examiner;
use super::inspector::Inspector;
use super::limits::retirement::{self, Verdict};
use super::runtime::{AppExited, ENTRY, Isolate};
use super::thread_time::ThreadTime;
use crate::job::{AllLinksEnded, Event, JobTable};
use crate::watchdog::probe::{Excess, Overrun};
use crate::watchdog::turn::NOBODY;

/// How often an isolate reports what it holds.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// How often one that has jobs does, with how long its thread was idle: the gateway follows it with how many it gives it.
const REPORT_TIME_EVERY: Duration = Duration::from_millis(100);

/// How often an isolate looks whether the app's own metrics have changed.
const APP_METRICS_EVERY: Duration = Duration::from_secs(1);

/// The shortest time between two collections for the sake of buffers.
const COLLECT_EVERY: Duration = Duration::from_secs(1);

/// Why an isolate ends other than by a drain.
#[derive(Debug, thiserror::Error)]
pub enum IsolateEnded {
    #[error(transparent)]
    Links(#[from] AllLinksEnded),
    #[error(transparent)]
    Exited(#[from] AppExited),
}

/// How far an isolate is from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Serving,
    /// It has asked for its replacement, and serves on until that is there.
    Retiring,
    /// It takes no more jobs.
    Closed,
}

/// An isolate at work.
pub struct Shift {
    runtime: Isolate,
    jobs: Rc<RefCell<JobTable>>,
    isolate: usize,
    reports: mpsc::Sender<FromChild>,
    stage: Stage,
    /// Found no room so far.
    unsent: Option<FromChild>,
    collected: Option<Instant>,
    examiner: Examiner,
    inspector: Option<Inspector>,
    /// Where the kernel counts it.
    time: Option<ThreadTime>,
    /// What JavaScript is to hear next; the other one is empty between turns, and both keep their memory.
    events: Vec<Event>,
    due: Vec<Event>,
}

impl Shift {
    /// The work of a ready isolate, on its own thread.
    pub fn new(
        runtime: Isolate,
        jobs: Rc<RefCell<JobTable>>,
        isolate: usize,
        reports: mpsc::Sender<FromChild>,
        examiner: Examiner,
        inspector: Option<Inspector>,
    ) -> Self {
        Self {
            runtime,
            jobs,
            isolate,
            reports,
            stage: Stage::Serving,
            unsent: None,
            collected: None,
            examiner,
            inspector,
            time: ThreadTime::of_this_thread(),
            events: Vec::new(),
            due: Vec::new(),
        }
    }

    /// The isolate's event loop: what came over the links goes to JavaScript, JavaScript runs, what it answered
    /// leaves, all in one turn. The app hears of `serving` once. Ends when `drain` has and no job is left.
    ///
    /// # Errors
    /// [`IsolateEnded`].
    pub async fn answer_jobs(
        &mut self,
        drain: impl Future<Output = ()>,
        serving: impl Future<Output = Serving>,
    ) -> Result<(), IsolateEnded> {
        let (mut drain, mut serving) = (std::pin::pin!(drain), std::pin::pin!(serving));
        let (mut draining, mut served) = (false, false);
        let (mut report_due, mut metrics_due) = (every(REPORT_EVERY), every(APP_METRICS_EVERY));
        let mut time_due = every(REPORT_TIME_EVERY);
        std::future::poll_fn(|cx| {
            if !draining && drain.as_mut().poll(cx).is_ready() {
                draining = true;
                self.jobs.borrow_mut().drain();
            }
            if !served && let Poll::Ready(serving) = serving.as_mut().poll(cx) {
                served = true;
                self.runtime.tell_serving(self.isolate, &serving);
            }
            let flushed = self.turn(cx)?;
            if draining && flushed.is_ready() && self.jobs.borrow().is_empty() && self.runtime.is_idle() {
                self.report_background();
                // The last word on what it counted.
                self.report_app_metrics();
                return Poll::Ready(Ok(()));
            }
            self.look_inside(cx);
            while metrics_due.poll_tick(cx).is_ready() {
                self.report_app_metrics();
            }
            self.report(cx, Pin::new(&mut report_due), Pin::new(&mut time_due));
            Poll::Pending
        })
        .await
    }

    fn look_inside(&mut self, cx: &mut Context<'_>) {
        if let Some(inspector) = &mut self.inspector {
            inspector.poll(cx, self.runtime.js(), ENTRY);
        }
        let examined = self.runtime.examined();
        let outcome = self.examiner.poll(cx, self.runtime.js());
        drop(examined);
        if let Poll::Ready(problem) = outcome {
            let (isolate, problem) = (self.isolate, problem.map(|error| error.to_string()));
            let _ = self.reports.try_send(FromChild::Examined { isolate, problem });
            cx.waker().wake_by_ref();
        }
    }

    /// One turn of the loop; pending when a link takes no more.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, IsolateEnded> {
        if let Poll::Ready(result) = self.jobs.borrow_mut().poll_events(cx, &mut self.events) {
            result?;
        }
        self.deliver();
        if let Err(exited) = self.runtime.poll(cx) {
            self.hand_over(&exited, cx);
            return Err(exited.into());
        }
        if let Some(overrun) = self.runtime.take_overrun() {
            self.end_job(&overrun);
            cx.waker().wake_by_ref();
        }
        if self.stage == Stage::Serving {
            self.judge();
        }
        Ok(self.jobs.borrow_mut().poll_flush(cx, &mut self.events))
    }

    /// The app has ended its isolate: the job that did pays for it, so that it does not end another one as well;
    /// those that can run elsewhere do.
    fn hand_over(&mut self, exited: &AppExited, cx: &mut Context<'_>) {
        let mut jobs = self.jobs.borrow_mut();
        jobs.fail(exited.job(), FailureKind::Threw, &exited.to_string());
        jobs.displace(&mut self.events);
        jobs.drain();
        // What a full socket does not take is lost with the isolate.
        let _ = jobs.poll_flush(cx, &mut self.events);
    }

    fn deliver(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        std::mem::swap(&mut due, &mut self.events);
        let mut rest = due.drain(..);
        loop {
            self.runtime.deliver(&mut rest);
            match self.runtime.take_overrun() {
                Some(overrun) => self.end_job(&overrun),
                None => break,
            }
        }
        drop(rest);
        self.due = due;
    }

    /// A job has exceeded its limits and was terminated. What else waits for JavaScript here may wait in vain, since
    /// V8 drops its queue of microtasks: those jobs that can run elsewhere do.
    fn end_job(&mut self, overrun: &Overrun) {
        let Overrun { excess, job, url, .. } = overrun;
        let (excess, stack) = (*excess, overrun.stack_text());
        let mut jobs = self.jobs.borrow_mut();
        // In a turn that serves nobody by name, such as a timer's that the app made for itself.
        let job = if *job == NOBODY { jobs.only() } else { *job };
        let label = jobs.label(job);
        let url = if label.url.is_empty() { url } else { &label.url };
        tracing::error!(
            request_id = label.request_id,
            url,
            trace_id = label.trace_id(),
            span_id = label.span_id(),
            isolate = self.isolate,
            limit = excess.label(),
            stack,
            "a request was terminated and its isolate will be replaced"
        );
        let (kind, reason) = match excess {
            Excess::Turn => (FailureKind::TurnLimit, RetireReason::TurnLimit),
            Excess::Heap => (FailureKind::HeapLimit, RetireReason::HeapLimit),
        };
        if jobs.fail(job, kind, excess.label()) {
            self.events.push(Event::Cancel { key: job, reason: CancelReason::Timeout });
        }
        jobs.displace(&mut self.events);
        jobs.drain();
        drop(jobs);
        self.retire(reason, Stage::Closed);
    }

    fn judge(&mut self) {
        let started = self.jobs.borrow().started();
        let verdict = match retirement::judge(&self.runtime.wear(started), false) {
            Verdict::Collect if self.may_collect() => {
                self.runtime.collect_garbage();
                retirement::judge(&self.runtime.wear(started), true)
            }
            verdict => verdict,
        };
        if let Verdict::Retire(reason) = verdict {
            let heap = self.runtime.heap_use();
            tracing::warn!(
                isolate = self.isolate,
                reason = reason.label(),
                jobs = started,
                heap = heap.used,
                external = heap.external,
                "an isolate asks for its replacement"
            );
            self.retire(reason, Stage::Retiring);
        }
    }

    fn may_collect(&mut self) -> bool {
        let due = self.collected.is_none_or(|last| last.elapsed() >= COLLECT_EVERY);
        if due {
            self.collected = Some(Instant::now());
        }
        due
    }

    fn retire(&mut self, reason: RetireReason, stage: Stage) {
        if stage <= self.stage {
            return;
        }
        self.stage = stage;
        let closed = stage == Stage::Closed;
        self.unsent = Some(FromChild::Retire { isolate: Some(self.isolate), reason, closed });
        self.send_unsent();
    }

    fn send_unsent(&mut self) {
        if let Some(report) = self.unsent.take()
            && let Err(mpsc::error::TrySendError::Full(report)) = self.reports.try_send(report)
        {
            self.unsent = Some(report);
        }
    }

    fn report(
        &mut self,
        cx: &mut Context<'_>,
        mut due: Pin<&mut Interval>,
        mut time_due: Pin<&mut Interval>,
    ) {
        self.send_unsent();
        let (mut is_due, mut idle) = (false, None);
        while due.poll_tick(cx).is_ready() {
            is_due = true;
            self.report_background();
        }
        // Without jobs there is nothing to tell of its time, and nothing is to wake it for it.
        if let Some(time) = self.time.as_mut().filter(|_| !self.jobs.borrow().is_empty()) {
            while time_due.poll_tick(cx).is_ready() {
                idle = time.lap(Instant::now());
                is_due |= idle.is_some();
            }
        }
        if is_due {
            let heap = self.runtime.heap_use();
            // A report that finds no room is followed by a newer one.
            let _ = self.reports.try_send(FromChild::IsolateStats {
                isolate: self.isolate,
                heap_used_bytes: heap.used,
                heap_total_bytes: heap.total,
                external_bytes: heap.external,
                idle,
            });
        }
    }

    fn report_app_metrics(&mut self) {
        // Asked for only when there is room, since it tells each change once.
        let Ok(room) = self.reports.try_reserve() else { return };
        if let Some(metrics) = self.runtime.take_app_metrics() {
            room.send(FromChild::AppMetrics { isolate: self.isolate, metrics });
        }
    }

    fn report_background(&mut self) {
        let Some((pending, outcomes)) = self.runtime.take_background() else { return };
        let Outcomes { finished, failed, refused, timed_out } = outcomes;
        let report =
            FromChild::Background { isolate: self.isolate, pending, finished, failed, refused, timed_out };
        // The counts of a report that finds no room are lost: the queue is full only while the gateway hangs.
        let _ = self.reports.try_send(report);
    }
}

/// A tick at once and then after every `period`, not in bursts after a pause.
fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
