//! The shell over the rule: verdicts reach who waits, and places free on every path.

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
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
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

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_for_its_client_gives_its_place_to_others_and_has_it_again() {
    let admission = one_place();
    let slow = || admission.shared.metrics.slow_clients.get();
    let first = admission.acquire(Wish::DOCUMENT, None).await.unwrap();
    let (second, ()) = tokio::join!(admission.acquire(Wish::DOCUMENT, None), async { first.rest() });
    assert_eq!((slow(), admission.in_flight(ISOLATE)), (1, 2));
    first.resume();
    assert_eq!((slow(), admission.in_flight(ISOLATE)), (0, 2));
    drop(second);
    let refusal = admission.acquire(Wish::DOCUMENT, None).await.unwrap_err();
    assert_eq!(refusal, RefusalReason::QueueTimeout, "the place is the first one's again");
    first.rest();
    drop(first);
    assert_eq!((slow(), admission.in_flight(ISOLATE)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_events_lasts_whatever_its_client_does() {
    let admission = one_place();
    let stream = admission.acquire(Wish::DOCUMENT, None).await.unwrap();
    stream.rest();
    stream.lasts();
    stream.resume();
    assert_eq!(stream.release(now()).standing, Standing::Stream);
    assert_eq!(admission.shared.metrics.slow_clients.get(), 0);
    let other = admission.acquire(Wish::DOCUMENT, None).await;
    assert!(other.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_client_is_not_its_isolates() {
    let admission = one_place();
    let permit = admission.acquire(Wish::DOCUMENT, None).await.unwrap();
    let pass = |milliseconds| tokio::time::advance(Duration::from_millis(milliseconds));
    pass(500).await;
    permit.waited_for_client(Duration::from_millis(480));
    permit.answered();
    pass(300).await;
    permit.waited_for_client(Duration::from_millis(290));
    let Release { held, is_answered, .. } = permit.release(now());
    assert_eq!((held, is_answered), (Duration::from_millis(30), true));
    permit.rest();
    permit.resume();
    assert!(!permit.release(now()).is_answered, "that of a job that has left its place says nothing");
}
