use std::time::Instant;

use actix_web::rt::task::yield_now;

use super::*;

/// Longer than a test may take.
const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(20);

/// How long a thread rests that has so long.
fn rested(gateway: &Gateway, time: Duration) -> Duration {
    let began = Instant::now();
    gateway.thread.rest_for(time);
    began.elapsed()
}

#[actix_web::test]
async fn a_thread_rests_until_an_isolate_has_answered() {
    let gateway = gateway();
    assert!(rested(&gateway, SHORT) >= SHORT, "no child is there");
    let mut isolate = gateway.isolate(0);
    let answer = gateway.job(None);
    let (id, _) = isolate.receive_job().await;
    assert!(rested(&gateway, SHORT) >= SHORT, "the isolate is at work");
    isolate.send([head(id), body(id, "page"), end(id)]).await;
    assert!(rested(&gateway, LONG) < LONG);
    assert_eq!(answer.await.unwrap().unwrap().body.whole(), Some(4));
    assert!(rested(&gateway, SHORT) >= SHORT, "what it said has been heard");
}

#[actix_web::test]
async fn a_thread_does_not_rest_on_a_child_that_has_gone() {
    let gateway = gateway();
    let (isolate, worker) = (gateway.isolate(0), gateway.worker(0));
    let id = isolate.id;
    // The links' tasks send what they begin with.
    yield_now().await;
    drop(isolate);
    assert!(rested(&gateway, LONG) < LONG, "its link's end is to be noticed");
    while gateway.thread.isolate_link(id).is_some() {
        yield_now().await;
    }
    assert!(rested(&gateway, SHORT) >= SHORT, "it is known, and the worker says nothing");
    drop(worker);
    assert!(rested(&gateway, LONG) < LONG);
}
