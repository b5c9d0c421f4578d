//! The rule, case by case.

use std::collections::HashSet;

use super::*;

const SETTINGS: AdmissionSettings = AdmissionSettings {
    max_jobs_per_isolate: 2,
    min_jobs_per_isolate: 2,
    max_event_streams_per_isolate: 1,
    max_slow_clients_per_isolate: 1,
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
        let release = Release { isolate: isolate(slot), standing: Standing::Place, held, is_answered: false };
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

    /// A job of the first isolate stands otherwise now.
    fn moved(&mut self, from: Standing, to: Standing) -> Vec<Action> {
        self.handle(Event::Moved { isolate: isolate(0), from, to })
    }

    /// A job of the first isolate has ended, and says nothing of it.
    fn left(&mut self, standing: Standing) -> Vec<Action> {
        let release = Release { isolate: isolate(0), standing, held: Duration::ZERO, is_answered: false };
        self.handle(Event::Released(release))
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
    assert_eq!(bench.handle(Event::Ticked), [Action::Refuse { ticket: 3, reason: RefusalReason::NoIsolate }]);
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
    assert!(bench.queue.may_move(isolate(0), Standing::Stream));
    assert!(matches!(bench.moved(Standing::Place, Standing::Stream)[..], [Action::Grant { ticket: 3, .. }]));
    assert!(!bench.queue.may_move(isolate(0), Standing::Stream), "one is the most");
    assert_eq!(bench.queue.in_flight(isolate(0)), 3);
    bench.left(Standing::Stream);
    assert_eq!(bench.queue.in_flight(isolate(0)), 2);
}

#[test]
fn a_job_that_waits_for_its_client_leaves_its_place_until_that_goes_on() {
    let mut bench = Bench::with_isolates(1);
    bench.granted(1);
    bench.granted(2);
    bench.want(3);
    bench.want(4);
    assert!(matches!(bench.moved(Standing::Place, Standing::Slow)[..], [Action::Grant { ticket: 3, .. }]));
    assert!(!bench.queue.may_move(isolate(0), Standing::Slow), "one is the most");
    assert!(bench.queue.may_move(isolate(0), Standing::Stream), "streams are counted for themselves");
    assert!(bench.queue.may_move(isolate(0), Standing::Place), "also beyond the places that there are");
    assert_eq!(bench.moved(Standing::Slow, Standing::Place), []);
    assert!(bench.queue.may_move(isolate(0), Standing::Slow));
    assert_eq!(bench.queue.in_flight(isolate(0)), 3);
    assert_eq!(bench.left(Standing::Place), [], "three are at work where two have places");
    assert!(matches!(bench.left(Standing::Place)[..], [Action::Grant { ticket: 4, .. }]));
}

#[test]
fn an_isolate_that_tells_that_it_is_idle_has_more_places() {
    let settings = AdmissionSettings { max_jobs_per_isolate: 512, ..SETTINGS };
    let limit_after_a_second = |idle: Option<u64>| {
        let mut bench = Bench { queue: Queue::new(settings), now: Instant::now() };
        bench.handle(Event::Opened(isolate(0)));
        let held = Duration::from_millis(100);
        for tick in 0..1000 {
            bench.want(tick);
            bench.now += Duration::from_millis(1);
            bench.handle(Event::Ticked);
            if bench.queue.in_flight(isolate(0)) >= 64 {
                let standing = Standing::Place;
                bench.handle(Event::Released(Release {
                    isolate: isolate(0),
                    standing,
                    held,
                    is_answered: true,
                }));
            }
            if let Some(idle) = idle.filter(|_| tick % 100 == 0) {
                let (idle, passed) = (Duration::from_millis(idle), Duration::from_millis(100));
                bench.handle(Event::Told { isolate: isolate(0), idle, passed });
            }
        }
        bench.queue.limit()
    };
    let silent = limit_after_a_second(None);
    assert!(limit_after_a_second(Some(80)) > silent, "{silent} without a word");
}
