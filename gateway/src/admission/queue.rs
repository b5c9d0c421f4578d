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
use super::limiter::Limiter;
use super::{AdmissionSettings, RefusalReason};
use crate::pool::slot::IsolateId;

/// Names one wish for a permit; later wishes have higher tickets.
pub(super) type Ticket = u64;

/// What part of its time one who waits may be expected to wait: the rest is for what the estimate does not know.
const HOPE: f64 = 0.7;

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
    /// A job has become a stream that lasts: it leaves its place, if the isolate may have one more such stream.
    Parked(IsolateId),
    /// A job has left the isolate.
    Released(Release),
    /// Time has passed.
    Ticked,
    /// No new jobs from now on.
    Drained,
}

/// A job that has left its isolate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Release {
    pub isolate: IsolateId,
    /// It was parked.
    pub is_stream: bool,
    /// How long it was there.
    pub held: Duration,
    /// How long its response's head took, if it came.
    pub latency: Option<Duration>,
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
    limiter: Limiter,
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
    drained: bool,
}

impl Queue {
    pub fn new(settings: AdmissionSettings) -> Self {
        let departures = Departures::default();
        Self {
            settings,
            isolates: Vec::new(),
            rotor: 0,
            lines: Default::default(),
            departures,
            drained: false,
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.lines.iter().map(|line| line.waiting.len()).sum()
    }

    /// How many jobs the isolate runs, streams included.
    pub fn in_flight(&self, id: IsolateId) -> usize {
        self.isolates
            .iter()
            .find(|isolate| isolate.id == id)
            .map_or(0, |isolate| isolate.in_flight + isolate.streams)
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
            Event::Parked(id) => self.park(id),
            Event::Released(release) => self.release(release, now),
            Event::Ticked => {}
            Event::Drained => self.drained = true,
        }
        if self.waiting() > 0 {
            self.refuse_late(now, actions);
            self.grant_waiting(now, actions);
        }
        if self.waiting() == 0 {
            self.departures.forget();
        }
    }

    fn open(&mut self, id: IsolateId, now: Instant) {
        debug_assert!(self.isolates.iter().all(|isolate| isolate.id != id), "{id} opens twice");
        let limiter = Limiter::new(self.settings.bounds(), now);
        self.isolates.push(Isolate { id, open: true, in_flight: 0, streams: 0, limiter });
    }

    fn close(&mut self, id: IsolateId) {
        if let Some(isolate) = self.isolates.iter_mut().find(|isolate| isolate.id == id) {
            isolate.open = false;
        }
        self.forget_idle_closed();
    }

    fn park(&mut self, id: IsolateId) {
        if let Some(isolate) = self.isolates.iter_mut().find(|isolate| isolate.id == id) {
            debug_assert!(isolate.in_flight > 0, "{id} runs nothing that could last");
            isolate.in_flight = isolate.in_flight.saturating_sub(1);
            isolate.streams += 1;
        }
    }

    /// Whether one more stream may leave its place on this isolate.
    pub fn may_park(&self, id: IsolateId) -> bool {
        let isolate = self.isolates.iter().find(|isolate| isolate.id == id);
        isolate.is_some_and(|isolate| isolate.streams < self.settings.max_event_streams_per_isolate)
    }

    fn release(&mut self, release: Release, now: Instant) {
        let Release { isolate: id, is_stream, held, latency } = release;
        let Some(isolate) = self.isolates.iter_mut().find(|isolate| isolate.id == id) else {
            debug_assert!(false, "{id} is released, but unknown");
            return;
        };
        let places = if is_stream { &mut isolate.streams } else { &mut isolate.in_flight };
        debug_assert!(*places > 0, "{id} is released, but runs nothing");
        *places = places.saturating_sub(1);
        // A stream lasts as long as somebody listens: that says nothing of the isolate.
        if let Some(latency) = latency.filter(|_| !is_stream) {
            isolate.limiter.answered(latency, held, now);
        }
        if !isolate.open {
            self.forget_idle_closed();
        }
        self.departures.note(now);
    }

    fn forget_idle_closed(&mut self) {
        self.isolates.retain(|isolate| isolate.open || isolate.in_flight + isolate.streams > 0);
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
            let isolate = self.take(index);
            return actions.push(Action::Grant { ticket, isolate, waited: Duration::ZERO });
        }
        // Who is late goes, and who can run runs, before somebody is refused for their sake.
        self.refuse_late(now, actions);
        self.grant_waiting(now, actions);
        if self.expected_wait(class, now).is_some_and(|expected| expected > wait.as_secs_f64() * HOPE) {
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
            let (isolate, waited) = (self.take(index), now.saturating_duration_since(waiter.since));
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

    fn take(&mut self, index: usize) -> IsolateId {
        self.rotor = index + 1;
        let isolate = &mut self.isolates[index];
        isolate.in_flight += 1;
        isolate.limiter.runs(isolate.in_flight);
        isolate.id
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const SETTINGS: AdmissionSettings = AdmissionSettings {
        max_jobs_per_isolate: 2,
        min_jobs_per_isolate: 2,
        max_event_streams_per_isolate: 1,
        queue_limit: 3,
        ..AdmissionSettings::DEFAULT
    };

    fn isolate(slot: usize) -> IsolateId {
        IsolateId { slot, generation: 1, isolate: 0 }
    }

    struct Bench {
        queue: Queue,
        now: Instant,
    }

    impl Bench {
        fn with_isolates(count: usize) -> Self {
            let mut bench = Self { queue: Queue::new(SETTINGS), now: Instant::now() };
            for slot in 0..count {
                assert_eq!(bench.handle(Event::Opened(isolate(slot))), []);
            }
            bench
        }

        fn handle(&mut self, event: Event) -> Vec<Action> {
            let mut actions = Vec::new();
            self.queue.handle(event, self.now, &mut actions);
            actions
        }

        fn want(&mut self, ticket: Ticket) -> Vec<Action> {
            self.want_for(ticket, Class::Document)
        }

        fn want_for(&mut self, ticket: Ticket, class: Class) -> Vec<Action> {
            let wait = SETTINGS.queue_wait;
            self.handle(Event::Wanted(Wish { ticket, avoid: None, class, wait }))
        }

        fn released(&mut self, slot: usize) -> Vec<Action> {
            let held = Duration::from_millis(1);
            let release = Release { isolate: isolate(slot), is_stream: false, held, latency: None };
            self.handle(Event::Released(release))
        }

        /// Releases so many places, one every millisecond; who got them.
        fn served(&mut self, places: u32) -> Vec<Ticket> {
            let mut served = Vec::new();
            for _ in 0..places {
                self.now += Duration::from_millis(1);
                served.extend(self.released(0).into_iter().filter_map(|action| match action {
                    Action::Grant { ticket, .. } => Some(ticket),
                    _ => None,
                }));
            }
            served
        }

        fn granted(&mut self, ticket: Ticket) -> usize {
            match self.want(ticket)[..] {
                [Action::Grant { ticket: granted, isolate, waited: Duration::ZERO }] if granted == ticket => {
                    isolate.slot
                }
                ref other => panic!("no grant: {other:?}"),
            }
        }
    }

    #[test]
    fn the_least_loaded_isolate_is_taken_and_ties_rotate() {
        let mut bench = Bench::with_isolates(3);
        let first: HashSet<_> = (0..3).map(|ticket| bench.granted(ticket)).collect();
        assert_eq!(first.len(), 3, "each isolate got one job");
        bench.released(1);
        assert_eq!(bench.granted(3), 1);
    }

    #[test]
    fn one_who_waits_is_granted_the_place_that_frees() {
        let mut bench = Bench::with_isolates(1);
        bench.granted(1);
        bench.granted(2);
        assert!(matches!(bench.want(3)[..], [Action::Wait { ticket: 3, .. }]));
        bench.now += Duration::from_millis(20);
        let waited = Duration::from_millis(20);
        assert_eq!(bench.released(0), [Action::Grant { ticket: 3, isolate: isolate(0), waited }]);
    }

    #[test]
    fn a_full_queue_refuses_and_a_late_one_is_refused() {
        let mut bench = Bench::with_isolates(1);
        for ticket in 0..5 {
            bench.want(ticket);
        }
        assert_eq!(bench.want(5), [Action::Refuse { ticket: 5, reason: RefusalReason::QueueFull }]);
        let deadline = bench.now + SETTINGS.queue_wait;
        bench.handle(Event::Abandoned { ticket: 3, class: Class::Document, deadline });
        assert!(matches!(bench.want(6)[..], [Action::Wait { ticket: 6, .. }]), "a leaver makes room at once");
        bench.now += SETTINGS.queue_wait;
        let late = |ticket| Action::Refuse { ticket, reason: RefusalReason::QueueTimeout };
        assert_eq!(bench.handle(Event::Ticked), [late(2), late(4), late(6)]);
    }

    #[test]
    fn without_an_isolate_a_job_waits_for_one() {
        let mut bench = Bench::with_isolates(0);
        assert!(matches!(bench.want(1)[..], [Action::Wait { .. }]));
        assert!(matches!(bench.want(2)[..], [Action::Wait { .. }]));
        assert!(matches!(
            bench.handle(Event::Opened(isolate(0)))[..],
            [Action::Grant { .. }, Action::Grant { .. }]
        ));
        bench.handle(Event::Closed(isolate(0)));
        bench.want(3);
        bench.now += SETTINGS.queue_wait;
        assert_eq!(
            bench.handle(Event::Ticked),
            [Action::Refuse { ticket: 3, reason: RefusalReason::NoIsolate }]
        );
    }

    #[test]
    fn a_place_on_a_closed_isolate_is_not_given_again() {
        let mut bench = Bench::with_isolates(2);
        for ticket in 0..4 {
            bench.granted(ticket);
        }
        bench.want(4);
        bench.handle(Event::Closed(isolate(0)));
        assert_eq!(bench.released(0), []);
        assert_eq!(bench.queue.in_flight(isolate(0)), 1);
        assert!(matches!(bench.released(1)[..], [Action::Grant { ticket: 4, .. }]));
    }

    #[test]
    fn a_retry_avoids_the_isolate_that_turned_it_away_and_holds_nobody_up() {
        let mut bench = Bench::with_isolates(1);
        let (avoid, wait) = (Some(isolate(0)), SETTINGS.queue_wait);
        let retry = Event::Wanted(Wish { ticket: 1, avoid, class: Class::Document, wait });
        assert!(matches!(bench.handle(retry)[..], [Action::Wait { .. }]));
        assert!(matches!(bench.want(2)[..], [Action::Grant { ticket: 2, .. }]));
        let granted = bench.handle(Event::Opened(isolate(1)));
        assert_eq!(granted, [Action::Grant { ticket: 1, isolate: isolate(1), waited: Duration::ZERO }]);
    }

    #[test]
    fn drained_refuses_who_waits_and_who_comes() {
        let mut bench = Bench::with_isolates(1);
        bench.granted(1);
        bench.granted(2);
        bench.want(3);
        let refused = |ticket| [Action::Refuse { ticket, reason: RefusalReason::Draining }];
        assert_eq!(bench.handle(Event::Drained), refused(3));
        assert_eq!(bench.want(4), refused(4));
    }

    #[test]
    fn the_first_deadline_comes_first() {
        let mut bench = Bench::with_isolates(1);
        bench.granted(1);
        bench.granted(2);
        bench.want(3);
        let wait = Duration::from_millis(100);
        bench.handle(Event::Wanted(Wish { ticket: 4, avoid: None, class: Class::Document, wait }));
        assert_eq!(bench.served(2), [4, 3]);
    }

    #[test]
    fn a_full_queue_sheds_from_the_low_end() {
        let mut bench = Bench::with_isolates(1);
        bench.granted(1);
        bench.granted(2);
        bench.want_for(3, Class::Prefetch);
        bench.want_for(4, Class::ServerFunction);
        bench.want_for(5, Class::Prefetch);
        let shed = |ticket| Action::Refuse { ticket, reason: RefusalReason::Shed };
        assert_eq!(bench.want_for(6, Class::ServerFunction)[0], shed(5));
        assert_eq!(bench.want(7)[0], shed(3));
        let full = [Action::Refuse { ticket: 8, reason: RefusalReason::QueueFull }];
        assert_eq!(bench.want_for(8, Class::ServerFunction), full, "not for one of its own class");
        assert_eq!(bench.want(9)[0], shed(6));
    }

    #[test]
    fn classes_get_their_shares_while_all_wait() {
        let settings = AdmissionSettings { queue_limit: 1000, ..SETTINGS };
        let mut bench = Bench { queue: Queue::new(settings), now: Instant::now() };
        bench.handle(Event::Opened(isolate(0)));
        bench.granted(1000);
        bench.granted(1001);
        for ticket in 0..300u64 {
            bench.want_for(ticket, Class::ALL[usize::try_from(ticket % 3).unwrap()]);
        }
        let served = bench.served(100);
        let of = |class: u64| served.iter().filter(|ticket| **ticket % 3 == class).count();
        assert!(
            (68..=72).contains(&of(0)) && (23..=27).contains(&of(1)) && (4..=6).contains(&of(2)),
            "{served:?}"
        );
    }

    #[test]
    fn who_would_wait_in_vain_is_told_at_once() {
        let settings = AdmissionSettings { queue_limit: 10_000, ..SETTINGS };
        let mut bench = Bench { queue: Queue::new(settings), now: Instant::now() };
        bench.handle(Event::Opened(isolate(0)));
        bench.granted(10_000);
        bench.granted(10_001);
        (0..30).for_each(|ticket| drop(bench.want(ticket)));
        assert_eq!(bench.served(20).len(), 20, "one every millisecond");
        let mut waiting = 0;
        let refused = (100..1000).find(|ticket| {
            let actions = bench.want(*ticket);
            waiting += usize::from(matches!(actions[..], [Action::Wait { .. }]));
            actions == [Action::Refuse { ticket: *ticket, reason: RefusalReason::WouldWait }]
        });
        assert!(refused.is_some() && (150..=210).contains(&(waiting + 10)), "{waiting} wait for 250 ms");
        assert!(
            matches!(bench.want_for(5000, Class::ServerFunction)[..], [Action::Wait { .. }]),
            "a line of its own"
        );
    }

    #[test]
    fn a_stream_that_lasts_leaves_its_place() {
        let mut bench = Bench::with_isolates(1);
        bench.granted(1);
        bench.granted(2);
        bench.want(3);
        assert!(bench.queue.may_park(isolate(0)));
        assert!(matches!(bench.handle(Event::Parked(isolate(0)))[..], [Action::Grant { ticket: 3, .. }]));
        assert!(!bench.queue.may_park(isolate(0)), "one is the most");
        assert_eq!(bench.queue.in_flight(isolate(0)), 3);
        let stream = Release { isolate: isolate(0), is_stream: true, held: Duration::ZERO, latency: None };
        bench.handle(Event::Released(stream));
        assert_eq!(bench.queue.in_flight(isolate(0)), 2);
    }
}
