//! Admission: the decision, made before work is queued, to run a job now, to let it wait, or to refuse it.
//!
//! A [`Permit`] is a place on one isolate. It frees when it is dropped, whatever the reason. The rule itself is in
//! [`queue`]; this is its shell over all gateway threads.
//!
//! - [`class`]: documents before server functions before prefetches.
//! - [`limiter`]: how many jobs an isolate runs at a time, found out by measuring. Pure.
//! - [`breaker`]: routes that are given a rest. Pure.

pub mod breaker;
pub mod class;
mod departures;
pub mod limiter;
mod queue;
pub mod rehearsal;
#[cfg(test)]
mod simulation;

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::metrics::Metrics;
use crate::pool::slot::IsolateId;
use class::{Class, Shares};
use limiter::Bounds;
use queue::{Action, Event, Queue, Release, Ticket};

/// How soon one who waits asks again whether his time is over, should his verdict not have come.
const TICK: Duration = Duration::from_millis(5);

/// The bounds of admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionSettings {
    /// The most jobs that an isolate runs at a time; 64 by default.
    pub max_jobs_per_isolate: usize,
    /// Below so many the limit of an isolate does not fall, however slow it is; 2 by default, at most the one above.
    pub min_jobs_per_isolate: usize,
    /// How many streams of events an isolate feeds beside its jobs; 256 by default. More of them take places.
    pub max_event_streams_per_isolate: usize,
    /// Who gets how much while all classes wait.
    pub shares: Shares,
    /// How long a job waits for a permit; 250 ms by default.
    pub queue_wait: Duration,
    /// How many jobs wait at most, over all gateway threads; 1024 by default. 0 lets none wait.
    pub queue_limit: usize,
}

impl AdmissionSettings {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        max_jobs_per_isolate: 64,
        min_jobs_per_isolate: 2,
        max_event_streams_per_isolate: 256,
        shares: Shares::DEFAULT,
        queue_wait: Duration::from_millis(250),
        queue_limit: 1024,
    };

    fn bounds(&self) -> Bounds {
        let max = self.max_jobs_per_isolate.max(1);
        Bounds { min: self.min_jobs_per_isolate.clamp(1, max), max }
    }
}

impl Default for AdmissionSettings {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What somebody wants who wants a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// What kind of work it is.
    pub class: Class,
    /// How long it waits, if not for the usual time.
    pub wait: Option<Duration>,
}

impl Wish {
    /// A document, for the usual time.
    pub const DOCUMENT: Self = Self { class: Class::Document, wait: None };
}

/// Why a job was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RefusalReason {
    /// As many wait as may.
    #[error("too many jobs wait already")]
    QueueFull,
    /// None will have a place in time, as things go.
    #[error("no isolate will have a place in time")]
    WouldWait,
    /// A more important one took the place in the queue.
    #[error("more important jobs wait")]
    Shed,
    /// No isolate had a place within the time to wait.
    #[error("no isolate had a place in time")]
    QueueTimeout,
    /// The gateway takes no new jobs.
    #[error("the gateway is draining")]
    Draining,
    /// No isolate takes jobs.
    #[error("no isolate is ready")]
    NoIsolate,
}

impl RefusalReason {
    /// The value of the metrics' `reason` label.
    pub fn label(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::WouldWait => "would_wait",
            Self::Shed => "shed",
            Self::QueueTimeout => "queue_timeout",
            Self::Draining => "draining",
            Self::NoIsolate => "no_isolate",
        }
    }
}

/// The queue in front of the isolates, shared by all gateway threads. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    queue_wait: Duration,
    metrics: Metrics,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    next_ticket: Ticket,
    waiters: HashMap<Ticket, oneshot::Sender<Verdict>>,
}

type Verdict = Result<Permit, RefusalReason>;

/// A place for one job on one isolate, until it is dropped.
#[derive(Debug)]
#[must_use = "the place frees when the permit is dropped"]
pub(crate) struct Permit {
    shared: Arc<Shared>,
    isolate: IsolateId,
    granted: Instant,
    /// How long the response's head took.
    latency: Cell<Option<Duration>>,
    /// The job feeds a stream that lasts, and has left its place.
    is_stream: Cell<bool>,
}

impl Permit {
    /// The isolate that is to run the job.
    pub fn isolate(&self) -> IsolateId {
        self.isolate
    }

    /// The response's head has come.
    pub fn answered(&self) {
        self.latency.set(Some(now().saturating_duration_since(self.granted)));
    }

    /// The job feeds a stream that lasts as long as somebody listens: it leaves its place to others, unless the isolate
    /// feeds as many such streams as it may.
    pub fn lasts(&self) {
        let mut actions = Vec::new();
        let mut state = self.shared.lock();
        if self.is_stream.get() || !state.queue.may_park(self.isolate) {
            return;
        }
        self.is_stream.set(true);
        state.queue.handle(Event::Parked(self.isolate), now(), &mut actions);
        self.shared.tell(state, actions);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.metrics.jobs_in_flight.dec();
        self.shared.apply(Event::Released(Release {
            isolate: self.isolate,
            is_stream: self.is_stream.get(),
            held: now().saturating_duration_since(self.granted),
            latency: self.latency.get(),
        }));
    }
}

impl Admission {
    pub fn new(settings: AdmissionSettings, metrics: Metrics) -> Self {
        let queue_wait = settings.queue_wait;
        let state = State { queue: Queue::new(settings), next_ticket: 0, waiters: HashMap::new() };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), queue_wait, metrics }) }
    }

    /// The isolate takes jobs from now on.
    pub fn open(&self, isolate: IsolateId) {
        self.shared.apply(Event::Opened(isolate));
    }

    /// The isolate takes no new jobs; may be said more than once.
    pub fn close(&self, isolate: IsolateId) {
        self.shared.apply(Event::Closed(isolate));
    }

    /// No new jobs from now on: those that wait and those that come are refused.
    pub fn drain(&self) {
        self.shared.apply(Event::Drained);
    }

    /// How many jobs the isolate runs, over all gateway threads.
    pub fn in_flight(&self, isolate: IsolateId) -> usize {
        self.shared.lock().queue.in_flight(isolate)
    }

    /// How many jobs wait.
    pub fn waiting(&self) -> usize {
        self.shared.lock().queue.waiting()
    }

    /// A permit on the least loaded isolate, other than `avoid`. Dropping the future leaves the queue.
    ///
    /// # Errors
    /// The refusal, at the latest when the time to wait is over. It has been counted.
    pub async fn acquire(&self, wish: Wish, avoid: Option<IsolateId>) -> Verdict {
        let verdict = match self.shared.want(wish, avoid) {
            Reply::Decided(verdict) => verdict,
            Reply::Waiting(waiting) => waiting.verdict().await,
        };
        if let Err(reason) = &verdict {
            self.shared.metrics.refusals.with_label_values(&[reason.label()]).inc();
        }
        verdict
    }
}

enum Reply {
    Decided(Verdict),
    Waiting(Waiting),
}

/// One who waits; leaves the queue when dropped without a verdict.
struct Waiting {
    shared: Arc<Shared>,
    ticket: Ticket,
    class: Class,
    deadline: Instant,
    /// When to ask next whether the time is over.
    ask: Instant,
    is_decided: bool,
    verdict: oneshot::Receiver<Verdict>,
}

impl Waiting {
    async fn verdict(mut self) -> Verdict {
        loop {
            tokio::select! {
                biased;
                verdict = &mut self.verdict => {
                    self.is_decided = true;
                    return verdict.unwrap_or(Err(RefusalReason::QueueTimeout));
                }
                () = tokio::time::sleep_until(self.ask.into()) => {
                    // Refuses this one, unless a grant is on its way.
                    self.shared.apply(Event::Ticked);
                    self.ask = now() + TICK;
                }
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.is_decided {
            let Self { ticket, class, deadline, .. } = *self;
            self.shared.apply(Event::Abandoned { ticket, class, deadline });
        }
    }
}

/// The clock of the runtime, which tests can stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn want(self: &Arc<Self>, wish: Wish, avoid: Option<IsolateId>) -> Reply {
        let mut actions = Vec::new();
        let mut state = self.lock();
        // Read under the lock, so that deadlines grow with the tickets.
        let now = now();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let wait = wish.wait.unwrap_or(self.queue_wait);
        let wanted = queue::Wish { ticket, avoid, class: wish.class, wait };
        state.queue.handle(Event::Wanted(wanted), now, &mut actions);
        let until = actions.iter().find_map(|action| match action {
            Action::Wait { until, .. } => Some(*until),
            _ => None,
        });
        if let Some(until) = until {
            let (sender, verdict) = oneshot::channel();
            state.waiters.insert(ticket, sender);
            self.tell(state, actions);
            let (shared, class, is_decided) = (self.clone(), wish.class, false);
            let (deadline, ask) = (until, until);
            return Reply::Waiting(Waiting { shared, ticket, class, deadline, ask, is_decided, verdict });
        }
        // Decided: no sender is registered, so the verdict comes back here.
        let own = self.tell(state, actions);
        Reply::Decided(own.unwrap_or(Err(RefusalReason::QueueTimeout)))
    }

    fn apply(self: &Arc<Self>, event: Event) {
        let mut actions = Vec::new();
        let mut state = self.lock();
        if let Event::Abandoned { ticket, .. } = event {
            state.waiters.remove(&ticket);
        }
        state.queue.handle(event, now(), &mut actions);
        self.tell(state, actions);
    }

    /// Hands verdicts to those who wait; returns the one for which nobody is registered, which is the caller's.
    fn tell(self: &Arc<Self>, mut state: MutexGuard<'_, State>, actions: Vec<Action>) -> Option<Verdict> {
        self.metrics.queued_jobs.set(i64::try_from(state.queue.waiting()).unwrap_or(i64::MAX));
        self.metrics.job_limit.set(i64::try_from(state.queue.limit()).unwrap_or(i64::MAX));
        let verdicts: Vec<_> = actions
            .into_iter()
            .filter_map(|action| match action {
                Action::Wait { .. } => None,
                Action::Grant { ticket, isolate, waited } => {
                    Some((state.waiters.remove(&ticket), Ok(self.permit(isolate, waited))))
                }
                Action::Refuse { ticket, reason } => Some((state.waiters.remove(&ticket), Err(reason))),
            })
            .collect();
        // A permit whose receiver has gone is dropped here, and locks again.
        drop(state);
        let mut own = None;
        for (waiter, verdict) in verdicts {
            match waiter {
                Some(waiter) => drop(waiter.send(verdict)),
                None => own = Some(verdict),
            }
        }
        own
    }

    fn permit(self: &Arc<Self>, isolate: IsolateId, waited: Duration) -> Permit {
        self.metrics.queue_wait_seconds.observe(waited.as_secs_f64());
        self.metrics.jobs_in_flight.inc();
        let (latency, is_stream) = (Cell::new(None), Cell::new(false));
        Permit { shared: self.clone(), isolate, granted: now(), latency, is_stream }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const ISOLATE: IsolateId = IsolateId { slot: 0, generation: 1, isolate: 0 };

    fn one_place() -> Admission {
        let settings = AdmissionSettings { max_jobs_per_isolate: 1, queue_limit: 1, ..Default::default() };
        let admission = Admission::new(settings, Metrics::new().unwrap());
        admission.open(ISOLATE);
        admission
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_waits_its_time_and_is_refused() {
        let admission = one_place();
        let _permit = admission.acquire(Wish::DOCUMENT, None).await.unwrap();
        let start = tokio::time::Instant::now();
        assert_eq!(admission.acquire(Wish::DOCUMENT, None).await.unwrap_err(), RefusalReason::QueueTimeout);
        assert_eq!(start.elapsed(), Duration::from_millis(250));
        assert_eq!(admission.waiting(), 0);
        assert_eq!(admission.shared.metrics.refusals.with_label_values(&["queue_timeout"]).get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_permit_goes_to_the_one_who_waits() {
        let admission = one_place();
        let permit = admission.acquire(Wish::DOCUMENT, None).await.unwrap();
        let (second, ()) = tokio::join!(admission.acquire(Wish::DOCUMENT, None), async { drop(permit) });
        assert_eq!(second.unwrap().isolate(), ISOLATE);
        assert_eq!(admission.in_flight(ISOLATE), 0);
        assert_eq!(admission.shared.metrics.jobs_in_flight.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_leaves_frees_his_place_in_the_queue() {
        let admission = one_place();
        let permit = admission.acquire(Wish::DOCUMENT, None).await.unwrap();
        let mut leaver = Box::pin(admission.acquire(Wish::DOCUMENT, None));
        assert!(leaver.as_mut().now_or_never().is_none());
        assert_eq!(admission.acquire(Wish::DOCUMENT, None).await.unwrap_err(), RefusalReason::QueueFull);
        drop(leaver);
        assert_eq!(admission.waiting(), 0);
        drop(permit);
        assert!(admission.acquire(Wish::DOCUMENT, None).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_grant_to_one_who_has_just_gone_returns() {
        let admission = one_place();
        let permit = admission.acquire(Wish::DOCUMENT, None).await.unwrap();
        let mut leaver = Box::pin(admission.acquire(Wish::DOCUMENT, None));
        assert!(leaver.as_mut().now_or_never().is_none());
        drop(permit);
        assert_eq!(admission.in_flight(ISOLATE), 1, "the grant is on its way");
        drop(leaver);
        assert_eq!(admission.in_flight(ISOLATE), 0);
    }

    #[test]
    fn places_are_kept_over_many_threads() {
        let settings =
            AdmissionSettings { max_jobs_per_isolate: 3, min_jobs_per_isolate: 3, ..Default::default() };
        let admission = Admission::new(settings, Metrics::new().unwrap());
        admission.open(ISOLATE);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                    runtime.block_on(async {
                        for _ in 0..500 {
                            let permit = admission.acquire(Wish::DOCUMENT, None).await.unwrap();
                            assert!(admission.in_flight(ISOLATE) <= 3);
                            tokio::task::yield_now().await;
                            drop(permit);
                        }
                    });
                });
            }
        });
        assert_eq!((admission.in_flight(ISOLATE), admission.waiting()), (0, 0));
    }
}
