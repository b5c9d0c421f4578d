//! Admission: the decision, made before work is queued, to run a job now, to let it wait, or to refuse it.
//!
//! A [`Permit`] is a place on one isolate. It frees when it is dropped, whatever the reason. The rule itself is in
//! [`queue`]; this is its shell over all gateway threads.
//!
//! - [`class`]: documents before server functions before prefetches.
//! - [`hope`]: how long a wait may be expected to be. Pure.
//! - [`limiter`]: how many jobs an isolate runs at a time, found out by measuring. Pure.
//! - [`respite`]: refusals come together.
//! - [`notice`]: lines of the log that would be many. Pure.
//! - [`breaker`]: routes that are given a rest. Pure.

pub mod breaker;
pub mod class;
mod departures;
mod hope;
pub mod limiter;
mod notice;
#[cfg(test)]
mod overload_simulation;
pub mod places;
mod queue;
pub mod rehearsal;
pub mod respite;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod stall_simulation;

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus::IntCounter;
use tokio::sync::oneshot;

use crate::metrics::Metrics;
use crate::pool::slot::IsolateId;
use class::{Class, Shares};
use limiter::Bounds;
use notice::Notice;
use queue::{Action, Event, Queue, Release, Standing, Ticket};

/// How soon one who waits asks again whether his time is over, should his verdict not have come.
const TICK: Duration = Duration::from_millis(5);

/// How often the log says at most that more clients are slow than may be.
const SLOW_NOTICE_EVERY: Duration = Duration::from_secs(10);

/// The bounds of admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionSettings {
    /// The most jobs that an isolate runs at a time; 512 by default.
    pub max_jobs_per_isolate: usize,
    /// Below so many the limit of an isolate does not fall, however slow it is; 2 by default, at most the one above.
    pub min_jobs_per_isolate: usize,
    /// How many streams of events an isolate feeds beside its jobs; 256 by default. More of them take places.
    pub max_event_streams_per_isolate: usize,
    /// How many jobs of an isolate that wait for slow clients take none of its places; 1024 by default. More of them do.
    pub max_slow_clients_per_isolate: usize,
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
        max_jobs_per_isolate: 512,
        min_jobs_per_isolate: 2,
        max_event_streams_per_isolate: 256,
        max_slow_clients_per_isolate: 1024,
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
    /// Whether there is no room at the moment: then there will be more such refusals.
    pub fn is_overload(self) -> bool {
        matches!(self, Self::QueueFull | Self::WouldWait | Self::Shed)
    }

    /// All of them, in their order.
    pub const ALL: [Self; 6] =
        [Self::QueueFull, Self::WouldWait, Self::Shed, Self::QueueTimeout, Self::Draining, Self::NoIsolate];

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
    /// Refusals by reason: looking a label up takes a lock each time.
    refused: [IntCounter; RefusalReason::ALL.len()],
}

#[derive(Debug)]
struct State {
    queue: Queue,
    next_ticket: Ticket,
    waiters: HashMap<Ticket, oneshot::Sender<Verdict>, foldhash::fast::RandomState>,
    /// Empty, with room.
    actions: Vec<Action>,
    /// That more clients are slow than may be.
    slow_notice: Notice,
}

type Verdict = Result<Permit, RefusalReason>;

/// A place for one job on one isolate, until it is dropped.
#[derive(Debug)]
#[must_use = "the place frees when the permit is dropped"]
pub(crate) struct Permit {
    shared: Arc<Shared>,
    isolate: IsolateId,
    granted: Instant,
    /// The response's head has come.
    is_answered: Cell<bool>,
    standing: Cell<Standing>,
    /// So long the job has waited for its client.
    client_time: Cell<Duration>,
    /// It has left its place for its client's sake: how long it takes says nothing of its isolate.
    was_slow: Cell<bool>,
}

impl Permit {
    /// The isolate that is to run the job.
    pub fn isolate(&self) -> IsolateId {
        self.isolate
    }

    /// When it was granted.
    pub fn granted(&self) -> Instant {
        self.granted
    }

    /// The response's head has come.
    pub fn answered(&self) {
        self.is_answered.set(true);
    }

    /// The job has waited so long for its client: that is not its isolate's time.
    pub fn waited_for_client(&self, time: Duration) {
        self.client_time.set(self.client_time.get() + time);
    }

    /// Whether the job takes a place of its isolate now.
    pub fn holds_place(&self) -> bool {
        self.standing.get() == Standing::Place
    }

    /// The job feeds a stream that lasts as long as somebody listens: it leaves its place to others, unless the isolate
    /// feeds as many such streams as it may.
    pub fn lasts(&self) {
        self.stand(Standing::Stream);
    }

    /// The job waits for its client: it leaves its place to others, unless as many do so as may.
    pub fn rest(&self) {
        if self.standing.get() == Standing::Place && self.stand(Standing::Slow) {
            self.was_slow.set(true);
        }
    }

    /// The client goes on, and so does the job: it takes a place again, also beyond those that there are.
    pub fn resume(&self) {
        if self.standing.get() == Standing::Slow {
            self.stand(Standing::Place);
        }
    }

    /// Says whether it is so, if it may.
    fn stand(&self, to: Standing) -> bool {
        let (isolate, from) = (self.isolate, self.standing.get());
        if from == to {
            return true;
        }
        let mut state = self.shared.lock();
        if !state.queue.may_move(isolate, to) {
            let is_told = to == Standing::Slow && state.slow_notice.is_written(now());
            let limit = state.queue.max_slow_clients();
            drop(state);
            if is_told {
                tell_too_many_slow(isolate, limit);
            }
            return false;
        }
        self.standing.set(to);
        self.shared.count_slow(from, to);
        let (mut actions, now) = (std::mem::take(&mut state.actions), now());
        state.queue.handle(Event::Moved { isolate, from, to }, now, &mut actions);
        self.shared.tell(state, actions, now);
        true
    }

    fn release(&self, now: Instant) -> Release {
        Release {
            isolate: self.isolate,
            standing: self.standing.get(),
            held: now.saturating_duration_since(self.granted).saturating_sub(self.client_time.get()),
            is_answered: self.is_answered.get() && !self.was_slow.get(),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.metrics.jobs_in_flight.dec();
        self.shared.count_slow(self.standing.get(), Standing::Place);
        self.shared.apply_at(|now| Event::Released(self.release(now)));
    }
}

impl Admission {
    pub fn new(settings: AdmissionSettings, metrics: Metrics) -> Self {
        let queue_wait = settings.queue_wait;
        let (queue, waiters, actions) = (Queue::new(settings), HashMap::default(), Vec::new());
        let slow_notice = Notice::new(SLOW_NOTICE_EVERY);
        let state = State { queue, next_ticket: 0, waiters, actions, slow_notice };
        let refused = RefusalReason::ALL.map(|reason| metrics.refusals.with_label_values(&[reason.label()]));
        let state = Mutex::new(state);
        Self { shared: Arc::new(Shared { state, queue_wait, metrics, refused }) }
    }

    /// The isolate takes jobs from now on.
    pub fn open(&self, isolate: IsolateId) {
        self.shared.apply(Event::Opened(isolate));
    }

    /// The isolate takes no new jobs; may be said more than once.
    pub fn close(&self, isolate: IsolateId) {
        self.shared.apply(Event::Closed(isolate));
    }

    /// The isolate's thread was idle for so much of the time that has passed since it last told: it had jobs, and neither
    /// ran nor waited for a core.
    pub fn told(&self, isolate: IsolateId, idle: Duration, passed: Duration) {
        let seconds = &self.shared.metrics.isolate_seconds;
        let idle = idle.min(passed);
        seconds.with_label_values(&["idle"]).inc_by(idle.as_secs_f64());
        seconds.with_label_values(&["busy"]).inc_by((passed - idle).as_secs_f64());
        self.shared.apply(Event::Told { isolate, idle, passed });
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

    /// Decides at once whether somebody runs, waits or is refused.
    ///
    /// # Errors
    /// The refusal. It has been counted.
    pub fn enter(&self, wish: Wish, avoid: Option<IsolateId>) -> Result<Turn, RefusalReason> {
        let entered = self.shared.want(wish, avoid);
        entered.inspect_err(|reason| self.shared.count(*reason))
    }

    /// A permit on the least loaded isolate, other than `avoid`. Dropping the future leaves the queue.
    ///
    /// # Errors
    /// The refusal, at the latest when the time to wait is over. It has been counted.
    pub async fn acquire(&self, wish: Wish, avoid: Option<IsolateId>) -> Verdict {
        self.enter(wish, avoid)?.permit().await
    }
}

/// A place on an isolate, or one in the queue for it. Dropping it frees either.
#[derive(Debug)]
pub struct Turn(Entered);

#[derive(Debug)]
enum Entered {
    Granted(Permit),
    Waiting(Waiting),
}

impl Turn {
    /// The permit. Dropping the future leaves the queue.
    ///
    /// # Errors
    /// The refusal, at the latest when the time to wait is over. It has been counted.
    pub(crate) async fn permit(self) -> Verdict {
        match self.0 {
            Entered::Granted(permit) => Ok(permit),
            Entered::Waiting(waiting) => {
                let shared = Arc::clone(&waiting.shared);
                // Under a light load nobody waits: the future is no part of those of pages.
                Box::pin(waiting.verdict()).await.inspect_err(|reason| shared.count(*reason))
            }
        }
    }
}

/// One who waits; leaves the queue when dropped without a verdict.
#[derive(Debug)]
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

fn tell_too_many_slow(isolate: IsolateId, limit: usize) {
    tracing::warn!(
        %isolate,
        limit,
        "more clients are slow than max_slow_clients_per_isolate allows: their requests keep the places of others"
    );
}

/// The clock of the runtime, which tests can stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_slow(&self, from: Standing, to: Standing) {
        let change = i64::from(to == Standing::Slow) - i64::from(from == Standing::Slow);
        if change != 0 {
            self.metrics.slow_clients.add(change);
        }
    }

    fn count(&self, reason: RefusalReason) {
        self.refused[reason as usize].inc();
    }

    fn want(self: &Arc<Self>, wish: Wish, avoid: Option<IsolateId>) -> Result<Turn, RefusalReason> {
        let mut state = self.lock();
        let mut actions = std::mem::take(&mut state.actions);
        // Read under the lock, so that deadlines grow with the tickets.
        let now = now();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let wait = wish.wait.unwrap_or(self.queue_wait);
        let wanted = queue::Wish { ticket, avoid, class: wish.class, wait };
        state.queue.handle(Event::Wanted(wanted), now, &mut actions);
        if let [Action::Refuse { ticket: refused, reason }] = actions[..]
            && refused == ticket
        {
            // Under an overload most of those who come: nothing else has changed.
            actions.clear();
            state.actions = actions;
            return Err(reason);
        }
        if let [Action::Grant { ticket: granted, isolate, waited }] = actions[..]
            && granted == ticket
        {
            // Mostly so: there is a place, and nobody waits.
            actions.clear();
            state.actions = actions;
            self.count_jobs(&state.queue);
            drop(state);
            return Ok(Turn(Entered::Granted(self.permit(isolate, waited, now))));
        }
        let until = actions.iter().find_map(|action| match action {
            Action::Wait { until, .. } => Some(*until),
            _ => None,
        });
        if let Some(until) = until {
            let (sender, verdict) = oneshot::channel();
            state.waiters.insert(ticket, sender);
            self.tell(state, actions, now);
            let (shared, class, is_decided) = (self.clone(), wish.class, false);
            let (deadline, ask) = (until, until);
            let waiting = Waiting { shared, ticket, class, deadline, ask, is_decided, verdict };
            return Ok(Turn(Entered::Waiting(waiting)));
        }
        // Decided: no sender is registered, so the verdict comes back here.
        let own = self.tell(state, actions, now);
        own.unwrap_or(Err(RefusalReason::QueueTimeout)).map(|permit| Turn(Entered::Granted(permit)))
    }

    fn apply(self: &Arc<Self>, event: Event) {
        self.apply_at(|_| event);
    }

    /// The same with the time, which is read under the lock.
    fn apply_at(self: &Arc<Self>, event: impl FnOnce(Instant) -> Event) {
        let mut state = self.lock();
        let mut actions = std::mem::take(&mut state.actions);
        let now = now();
        let event = event(now);
        if let Event::Abandoned { ticket, .. } = event {
            state.waiters.remove(&ticket);
        }
        state.queue.handle(event, now, &mut actions);
        self.tell(state, actions, now);
    }

    /// Hands verdicts to those who wait; returns the one for which nobody is registered, which is the caller's.
    fn tell(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        mut actions: Vec<Action>,
        now: Instant,
    ) -> Option<Verdict> {
        self.count_jobs(&state.queue);
        if actions.is_empty() {
            state.actions = actions;
            return None;
        }
        let verdicts: Vec<_> = actions
            .drain(..)
            .filter_map(|action| match action {
                Action::Wait { .. } => None,
                Action::Grant { ticket, isolate, waited } => {
                    Some((state.waiters.remove(&ticket), Ok(self.permit(isolate, waited, now))))
                }
                Action::Refuse { ticket, reason } => Some((state.waiters.remove(&ticket), Err(reason))),
            })
            .collect();
        state.actions = actions;
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

    fn count_jobs(&self, queue: &Queue) {
        self.metrics.queued_jobs.set(i64::try_from(queue.waiting()).unwrap_or(i64::MAX));
        self.metrics.job_limit.set(i64::try_from(queue.limit()).unwrap_or(i64::MAX));
    }

    fn permit(self: &Arc<Self>, isolate: IsolateId, waited: Duration, granted: Instant) -> Permit {
        self.metrics.queue_wait_seconds.observe(waited.as_secs_f64());
        self.metrics.jobs_in_flight.inc();
        Permit {
            shared: self.clone(),
            isolate,
            granted,
            is_answered: Cell::default(),
            standing: Cell::new(Standing::Place),
            client_time: Cell::default(),
            was_slow: Cell::default(),
        }
    }
}

#[cfg(test)]
mod tests;
