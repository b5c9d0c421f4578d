//! The rule of admission, without clock, threads or sockets.
//!
//! ```text
//!   wanted ---> a ready isolate has a free place? ---- yes ---> grant: the least loaded one
//!                      | no
//!                      v
//!               fewer wait than may? -- yes ---> wait, first come first served ---> grant | refuse at the deadline
//!                      | no
//!                      v
//!                    refuse
//! ```

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{AdmissionSettings, RefusalReason};
use crate::pool::slot::IsolateId;

/// Names one wish for a permit; later wishes have higher tickets.
pub(super) type Ticket = u64;

/// What happens to the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The isolate takes jobs from now on.
    Opened(IsolateId),
    /// The isolate takes no new jobs; those that it runs keep their places until they are released.
    Closed(IsolateId),
    /// Somebody wants to run a job, on any isolate but `avoid`.
    Wanted { ticket: Ticket, avoid: Option<IsolateId> },
    /// The one who waits has gone.
    Abandoned(Ticket),
    /// A job has left the isolate.
    Released(IsolateId),
    /// Time has passed.
    Ticked,
    /// No new jobs from now on.
    Drained,
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
}

#[derive(Debug)]
struct Waiter {
    since: Instant,
    deadline: Instant,
    avoid: Option<IsolateId>,
}

/// Places on isolates, and who waits for one.
#[derive(Debug)]
pub(super) struct Queue {
    settings: AdmissionSettings,
    isolates: Vec<Isolate>,
    /// Where the search for the least loaded isolate starts, so that ties rotate.
    rotor: usize,
    waiting: BTreeMap<Ticket, Waiter>,
    drained: bool,
}

impl Queue {
    pub fn new(settings: AdmissionSettings) -> Self {
        Self { settings, isolates: Vec::new(), rotor: 0, waiting: BTreeMap::new(), drained: false }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many jobs the isolate runs.
    pub fn in_flight(&self, id: IsolateId) -> usize {
        self.isolates.iter().find(|isolate| isolate.id == id).map_or(0, |isolate| isolate.in_flight)
    }

    /// Takes an event in and appends what follows from it.
    pub fn handle(&mut self, event: Event, now: Instant, actions: &mut Vec<Action>) {
        match event {
            Event::Opened(id) => self.open(id),
            Event::Closed(id) => self.close(id),
            Event::Wanted { ticket, avoid } => return self.want(ticket, avoid, now, actions),
            Event::Abandoned(ticket) => {
                self.waiting.remove(&ticket);
            }
            Event::Released(id) => self.release(id),
            Event::Ticked => {}
            Event::Drained => self.drained = true,
        }
        if !self.waiting.is_empty() {
            self.refuse_late(now, actions);
            self.grant_waiting(now, actions);
        }
    }

    fn open(&mut self, id: IsolateId) {
        debug_assert!(self.isolates.iter().all(|isolate| isolate.id != id), "{id} opens twice");
        self.isolates.push(Isolate { id, open: true, in_flight: 0 });
    }

    fn close(&mut self, id: IsolateId) {
        if let Some(isolate) = self.isolates.iter_mut().find(|isolate| isolate.id == id) {
            isolate.open = false;
        }
        self.forget_idle_closed();
    }

    fn release(&mut self, id: IsolateId) {
        let Some(isolate) = self.isolates.iter_mut().find(|isolate| isolate.id == id) else {
            debug_assert!(false, "{id} is released, but unknown");
            return;
        };
        debug_assert!(isolate.in_flight > 0, "{id} is released, but runs nothing");
        isolate.in_flight = isolate.in_flight.saturating_sub(1);
        if !isolate.open {
            self.forget_idle_closed();
        }
    }

    fn forget_idle_closed(&mut self) {
        self.isolates.retain(|isolate| isolate.open || isolate.in_flight > 0);
    }

    fn want(&mut self, ticket: Ticket, avoid: Option<IsolateId>, now: Instant, actions: &mut Vec<Action>) {
        if self.drained {
            return actions.push(Action::Refuse { ticket, reason: RefusalReason::Draining });
        }
        if self.waiting.is_empty()
            && let Some(isolate) = self.take_place(avoid)
        {
            return actions.push(Action::Grant { ticket, isolate, waited: Duration::ZERO });
        }
        let deadline = now + self.settings.queue_wait;
        self.waiting.insert(ticket, Waiter { since: now, deadline, avoid });
        let first = actions.len();
        self.refuse_late(now, actions);
        self.grant_waiting(now, actions);
        if !self.waiting.contains_key(&ticket) {
            debug_assert!(actions.len() > first, "the wish {ticket} was lost");
        } else if self.waiting.len() > self.settings.queue_limit {
            self.waiting.remove(&ticket);
            actions.push(Action::Refuse { ticket, reason: RefusalReason::QueueFull });
        } else {
            actions.push(Action::Wait { ticket, until: deadline });
        }
    }

    /// Refuses those whose time is over. Deadlines grow with the tickets, so they are the first ones.
    fn refuse_late(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let reason = match self.isolates.iter().any(|isolate| isolate.open) {
            _ if self.drained => RefusalReason::Draining,
            true => RefusalReason::QueueTimeout,
            false => RefusalReason::NoIsolate,
        };
        while let Some(first) = self.waiting.first_entry()
            && (self.drained || first.get().deadline <= now)
        {
            actions.push(Action::Refuse { ticket: *first.key(), reason });
            first.remove();
        }
    }

    fn grant_waiting(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let mut after = 0;
        while let Some((&ticket, waiter)) = self.waiting.range(after..).next() {
            let (avoid, since) = (waiter.avoid, waiter.since);
            match self.take_place(avoid) {
                Some(isolate) => {
                    self.waiting.remove(&ticket);
                    actions.push(Action::Grant {
                        ticket,
                        isolate,
                        waited: now.saturating_duration_since(since),
                    });
                }
                // Only one who avoids an isolate is passed by: what is free may be what he avoids.
                None if avoid.is_some() => {}
                None => return,
            }
            after = ticket + 1;
        }
    }

    /// Takes a place on the least loaded open isolate that has one.
    fn take_place(&mut self, avoid: Option<IsolateId>) -> Option<IsolateId> {
        let count = self.isolates.len();
        let free = |isolate: &Isolate| {
            isolate.open
                && isolate.in_flight < self.settings.max_jobs_per_isolate
                && Some(isolate.id) != avoid
        };
        let index = (0..count)
            .map(|step| (self.rotor + step) % count)
            .filter(|index| free(&self.isolates[*index]))
            .min_by_key(|index| self.isolates[*index].in_flight)?;
        self.rotor = index + 1;
        self.isolates[index].in_flight += 1;
        Some(self.isolates[index].id)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const SETTINGS: AdmissionSettings =
        AdmissionSettings { max_jobs_per_isolate: 2, queue_wait: Duration::from_millis(250), queue_limit: 3 };

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
            self.handle(Event::Wanted { ticket, avoid: None })
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
        bench.handle(Event::Released(isolate(1)));
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
        assert_eq!(
            bench.handle(Event::Released(isolate(0))),
            [Action::Grant { ticket: 3, isolate: isolate(0), waited }]
        );
    }

    #[test]
    fn a_full_queue_refuses_and_a_late_one_is_refused() {
        let mut bench = Bench::with_isolates(1);
        for ticket in 0..5 {
            bench.want(ticket);
        }
        assert_eq!(bench.want(5), [Action::Refuse { ticket: 5, reason: RefusalReason::QueueFull }]);
        bench.handle(Event::Abandoned(3));
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
        assert_eq!(bench.handle(Event::Released(isolate(0))), []);
        assert_eq!(bench.queue.in_flight(isolate(0)), 1);
        assert!(matches!(bench.handle(Event::Released(isolate(1)))[..], [Action::Grant { ticket: 4, .. }]));
    }

    #[test]
    fn a_retry_avoids_the_isolate_that_turned_it_away_and_holds_nobody_up() {
        let mut bench = Bench::with_isolates(1);
        let retry = Event::Wanted { ticket: 1, avoid: Some(isolate(0)) };
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
}
