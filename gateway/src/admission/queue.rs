//! The rule of admission, without clock, threads or sockets.
//!
//! ```text
//!   wanted ---> a ready isolate has a free place? ---- yes ---> grant: the least loaded one
//!                      | no
//!                      v
//!               will a place come in time? ---- no ---> refuse: it would wait in vain
//!                      | yes, or nobody knows
//!                      v
//!               fewer wait than may? -- no ---> refuse the last of the lowest class that is below its own, or itself
//!                      | yes
//!                      v
//!               wait ---> grant | refuse at the deadline
//! ```
//!
//! A place that frees goes to the class that is furthest behind its share (stride scheduling), there to the one whose
//! deadline comes first.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::class::Class;
use super::departures::Departures;
use super::hope::Hope;
use super::limiter::Limiter;
use super::{AdmissionSettings, RefusalReason};
use crate::pool::slot::IsolateId;

/// Names one wish for a permit; later wishes have higher tickets.
pub(super) type Ticket = u64;

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    pub ticket: Ticket,
    /// Not on this isolate.
    pub avoid: Option<IsolateId>,
    pub class: Class,
    /// How long it waits at most.
    pub wait: Duration,
}

/// What happens to the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The isolate takes jobs from now on.
    Opened(IsolateId),
    /// The isolate takes no new jobs; those that it runs keep their places until they are released.
    Closed(IsolateId),
    /// Somebody wants to run a job.
    Wanted(Wish),
    /// The one who waits has gone.
    Abandoned { ticket: Ticket, class: Class, deadline: Instant },
    /// A job leaves its place, or takes one again; [`Queue::may_move`] has been asked.
    Moved { isolate: IsolateId, from: Standing, to: Standing },
    /// A job has left the isolate.
    Released(Release),
    /// The isolate's thread was idle for so much of the time that has passed since it last told.
    Told { isolate: IsolateId, idle: Duration, passed: Duration },
    /// Time has passed.
    Ticked,
    /// No new jobs from now on.
    Drained,
}

/// What a job takes of its isolate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// A place.
    Place,
    /// It feeds a stream that lasts, beside the places.
    Stream,
    /// It waits for a client that takes or sends little, beside the places.
    Slow,
}

/// A job that has left its isolate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Release {
    pub isolate: IsolateId,
    /// As what it was there last.
    pub standing: Standing,
    /// How long it was there, without the time that it waited for its client.
    pub held: Duration,
    /// Its response's head has come, and how long it was there says something of the isolate.
    pub is_answered: bool,
}

/// What the shell is to tell to the one with the ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Run on this isolate; a place on it is taken.
    Grant { ticket: Ticket, isolate: IsolateId, waited: Duration },
    /// Wait; a [`Event::Ticked`] is due at `until`.
    Wait { ticket: Ticket, until: Instant },
    /// Do not run.
    Refuse { ticket: Ticket, reason: RefusalReason },
}

#[derive(Debug)]
struct Isolate {
    id: IsolateId,
    open: bool,
    in_flight: usize,
    streams: usize,
    slow: usize,
    limiter: Limiter,
}

impl Isolate {
    /// All that it runs.
    fn jobs(&self) -> usize {
        self.in_flight + self.streams + self.slow
    }

    fn of(&mut self, standing: Standing) -> &mut usize {
        match standing {
            Standing::Place => &mut self.in_flight,
            Standing::Stream => &mut self.streams,
            Standing::Slow => &mut self.slow,
        }
    }
}

#[derive(Debug)]
struct Waiter {
    since: Instant,
    avoid: Option<IsolateId>,
}

/// Those of one class who wait, the first deadline first.
#[derive(Debug, Default)]
struct Line {
    waiting: BTreeMap<(Instant, Ticket), Waiter>,
    /// How much of its share the class has had; the one with the least is next.
    pass: f64,
}

/// Places on isolates, and who waits for one.
#[derive(Debug)]
pub(super) struct Queue {
    settings: AdmissionSettings,
    isolates: Vec<Isolate>,
    /// Where the search for the least loaded isolate starts, so that ties rotate.
    rotor: usize,
    lines: [Line; Class::ALL.len()],
    departures: Departures,
    hope: Hope,
    drained: bool,
}

impl Queue {
    pub fn new(settings: AdmissionSettings) -> Self {
        Self {
            settings,
            isolates: Vec::new(),
            rotor: 0,
            lines: Default::default(),
            departures: Departures::default(),
            hope: Hope::new(settings.queue_wait),
            drained: false,
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.lines.iter().map(|line| line.waiting.len()).sum()
    }

    /// How many jobs the isolate runs, with those that take no place.
    pub fn in_flight(&self, id: IsolateId) -> usize {
        self.isolates.iter().find(|isolate| isolate.id == id).map_or(0, Isolate::jobs)
    }

    /// How many jobs all open isolates may run.
    pub fn limit(&self) -> usize {
        self.isolates.iter().filter(|isolate| isolate.open).map(|isolate| isolate.limiter.limit()).sum()
    }

    /// Takes an event in and appends what follows from it.
    pub fn handle(&mut self, event: Event, now: Instant, actions: &mut Vec<Action>) {
        match event {
            Event::Opened(id) => self.open(id, now),
            Event::Closed(id) => self.close(id),
            Event::Wanted(wish) => return self.want(wish, now, actions),
            Event::Abandoned { ticket, class, deadline } => {
                self.lines[class as usize].waiting.remove(&(deadline, ticket));
            }
            Event::Moved { isolate, from, to } => self.shift(isolate, from, to, now),
            Event::Released(release) => self.release(release, now),
            Event::Told { isolate, idle, passed } => self.told(isolate, idle, passed, now),
            Event::Ticked => {}
            Event::Drained => self.drained = true,
        }
        if self.waiting() > 0 {
            self.refuse_late(now, actions);
            self.grant_waiting(now, actions);
        }
        if self.waiting() == 0 {
            self.departures.pause(now);
            self.hope.expects(Some(0.0), now);
        }
    }

    fn open(&mut self, id: IsolateId, now: Instant) {
        debug_assert!(self.isolates.iter().all(|isolate| isolate.id != id), "{id} opens twice");
        let limiter = Limiter::new(self.settings.bounds(), now);
        self.isolates.push(Isolate { id, open: true, in_flight: 0, streams: 0, slow: 0, limiter });
    }

    fn close(&mut self, id: IsolateId) {
        if let Some(isolate) = self.isolates.iter_mut().find(|isolate| isolate.id == id) {
            isolate.open = false;
        }
        self.forget_idle_closed();
    }

    fn told(&mut self, id: IsolateId, idle: Duration, passed: Duration, now: Instant) {
        if let Some(isolate) = self.isolates.iter_mut().find(|isolate| isolate.id == id) {
            isolate.limiter.told(idle, passed, now);
        }
    }

    fn shift(&mut self, id: IsolateId, from: Standing, to: Standing, now: Instant) {
        if let Some(isolate) = self.isolates.iter_mut().find(|isolate| isolate.id == id) {
            debug_assert!(*isolate.of(from) > 0, "{id} runs nothing that is {from:?}");
            *isolate.of(from) = isolate.of(from).saturating_sub(1);
            *isolate.of(to) += 1;
            isolate.limiter.runs(isolate.in_flight, now);
        }
    }

    /// So many slow clients may keep an isolate's jobs.
    pub fn max_slow_clients(&self) -> usize {
        self.settings.max_slow_clients_per_isolate
    }

    /// Whether one more job may stand so on this isolate. One that goes on always gets its place back, also beyond
    /// those that there are: it is at work already.
    pub fn may_move(&self, id: IsolateId, to: Standing) -> bool {
        let isolate = self.isolates.iter().find(|isolate| isolate.id == id);
        isolate.is_some_and(|isolate| match to {
            Standing::Place => true,
            Standing::Stream => isolate.streams < self.settings.max_event_streams_per_isolate,
            Standing::Slow => isolate.slow < self.settings.max_slow_clients_per_isolate,
        })
    }

    fn release(&mut self, release: Release, now: Instant) {
        let Release { isolate: id, standing, held, is_answered } = release;
        let Some(isolate) = self.isolates.iter_mut().find(|isolate| isolate.id == id) else {
            debug_assert!(false, "{id} is released, but unknown");
            return;
        };
        let places = isolate.of(standing);
        debug_assert!(*places > 0, "{id} is released, but runs nothing");
        *places = places.saturating_sub(1);
        isolate.limiter.runs(isolate.in_flight, now);
        // A stream lasts as long as somebody listens: that says nothing of the isolate.
        if is_answered && standing != Standing::Stream {
            isolate.limiter.answered(held, now);
        }
        if !isolate.open {
            self.forget_idle_closed();
        }
        self.departures.note(now);
    }

    fn forget_idle_closed(&mut self) {
        self.isolates.retain(|isolate| isolate.open || isolate.jobs() > 0);
    }

    fn want(&mut self, wish: Wish, now: Instant, actions: &mut Vec<Action>) {
        let Wish { ticket, avoid, class, wait } = wish;
        let refuse = |reason| Action::Refuse { ticket, reason };
        if self.drained {
            return actions.push(refuse(RefusalReason::Draining));
        }
        if self.waiting() == 0
            && let Some(index) = self.place(avoid)
        {
            let isolate = self.take(index, now);
            return actions.push(Action::Grant { ticket, isolate, waited: Duration::ZERO });
        }
        // Who is late goes, and who can run runs, before somebody is refused for their sake.
        self.refuse_late(now, actions);
        self.grant_waiting(now, actions);
        let expected = self.expected_wait(class, now);
        self.hope.expects(expected, now);
        let is_short = self.waiting() < self.limit();
        let longest = wait.as_secs_f64() * self.hope.part(is_short);
        if expected.is_some_and(|expected| expected > longest) {
            return actions.push(refuse(RefusalReason::WouldWait));
        }
        let deadline = now + wait;
        self.join(class, (deadline, ticket), Waiter { since: now, avoid });
        self.refuse_late(now, actions);
        self.grant_waiting(now, actions);
        if !self.lines[class as usize].waiting.contains_key(&(deadline, ticket)) {
            debug_assert!(!actions.is_empty(), "the wish {ticket} was lost");
            return;
        }
        if self.waiting() > self.settings.queue_limit {
            match self.shed_below(class) {
                Some(ticket) => actions.push(Action::Refuse { ticket, reason: RefusalReason::Shed }),
                None => {
                    self.lines[class as usize].waiting.remove(&(deadline, ticket));
                    return actions.push(refuse(RefusalReason::QueueFull));
                }
            }
        }
        actions.push(Action::Wait { ticket, until: deadline });
    }

    fn join(&mut self, class: Class, key: (Instant, Ticket), waiter: Waiter) {
        let others = self.lines.iter().filter(|line| !line.waiting.is_empty()).map(|line| line.pass);
        // Who comes back has saved nothing up.
        let least = others.reduce(f64::min);
        let line = &mut self.lines[class as usize];
        if line.waiting.is_empty() {
            line.pass = least.map_or(line.pass, |least| line.pass.max(least));
        }
        if least.is_none() {
            self.departures.begin(waiter.since);
        }
        line.waiting.insert(key, waiter);
    }

    /// Takes the last of the lowest class below `class` out of the queue.
    fn shed_below(&mut self, class: Class) -> Option<Ticket> {
        let lower = self.lines[class as usize + 1..].iter_mut();
        let mut filled = lower.rev().filter(|line| !line.waiting.is_empty());
        filled.next()?.waiting.pop_last().map(|((_, ticket), _)| ticket)
    }

    /// Seconds until one more of this class gets a place, as things go now; `None` when too little is known.
    fn expected_wait(&self, class: Class, now: Instant) -> Option<f64> {
        let all = self.departures.per_second(now)?;
        let share = |class: Class| self.settings.shares.of(class);
        let waits = |other: Class| other == class || !self.lines[other as usize].waiting.is_empty();
        let contending: f64 = Class::ALL.into_iter().filter(|other| waits(*other)).map(share).sum();
        let ahead = self.lines[class as usize].waiting.len();
        Some((ahead as f64 + 1.0) / (all * share(class) / contending))
    }

    /// Refuses those whose time is over.
    fn refuse_late(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let reason = match self.isolates.iter().any(|isolate| isolate.open) {
            _ if self.drained => RefusalReason::Draining,
            true => RefusalReason::QueueTimeout,
            false => RefusalReason::NoIsolate,
        };
        for line in &mut self.lines {
            while let Some(first) = line.waiting.first_entry()
                && (self.drained || first.key().0 <= now)
            {
                actions.push(Action::Refuse { ticket: first.key().1, reason });
                first.remove();
            }
        }
    }

    fn grant_waiting(&mut self, now: Instant, actions: &mut Vec<Action>) {
        while let Some((class, key, index)) = self.next() {
            let line = &mut self.lines[class as usize];
            let Some(waiter) = line.waiting.remove(&key) else { return };
            line.pass += 1.0 / self.settings.shares.of(class);
            let (isolate, waited) = (self.take(index, now), now.saturating_duration_since(waiter.since));
            actions.push(Action::Grant { ticket: key.1, isolate, waited });
        }
    }

    /// Who is to have which place. Only one who avoids an isolate is passed by: what is free may be what he avoids.
    fn next(&self) -> Option<(Class, (Instant, Ticket), usize)> {
        self.place(None)?;
        let mut classes = Class::ALL;
        classes.sort_by(|a, b| self.lines[*a as usize].pass.total_cmp(&self.lines[*b as usize].pass));
        classes.into_iter().find_map(|class| {
            let mut waiting = self.lines[class as usize].waiting.iter();
            waiting.find_map(|(key, waiter)| Some((class, *key, self.place(waiter.avoid)?)))
        })
    }

    /// The least loaded open isolate that has a place, by its index.
    fn place(&self, avoid: Option<IsolateId>) -> Option<usize> {
        let count = self.isolates.len();
        let free = |isolate: &Isolate| {
            isolate.open && isolate.in_flight < isolate.limiter.limit() && Some(isolate.id) != avoid
        };
        (0..count)
            .map(|step| (self.rotor + step) % count)
            .filter(|index| free(&self.isolates[*index]))
            .min_by_key(|index| self.isolates[*index].in_flight)
    }

    fn take(&mut self, index: usize, now: Instant) -> IsolateId {
        self.rotor = index + 1;
        let isolate = &mut self.isolates[index];
        isolate.in_flight += 1;
        isolate.limiter.runs(isolate.in_flight, now);
        isolate.id
    }
}

#[cfg(test)]
mod tests;
