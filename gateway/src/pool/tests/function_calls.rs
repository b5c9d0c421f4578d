//! Functions that call functions of other workers.

use shared::message::{Caller, MAX_CALL_DEPTH, NativeCall, Outcome};

use super::*;

fn call(name: &str, caller: Caller) -> NativeCall {
    NativeCall {
        name: name.into(),
        caller,
        deadline_ms: 500,
        request_id: "r1".into(),
        head: "h".into(),
        input: "1".into(),
    }
}

const INNER: Caller = Caller::Function { depth: 1 };

type Running = actix_web::rt::task::JoinHandle<Outcome>;

/// A call that a client makes, on its way to the only worker.
async fn outer(gateway: &Gateway, worker: &mut Worker) -> (u64, Running) {
    let thread = gateway.thread.clone();
    let running = actix_web::rt::spawn(async move { thread.call(call("outer", Caller::Client)).await });
    (received(worker).await.0, running)
}

async fn received(worker: &mut Worker) -> (u64, NativeCall) {
    match worker.receive().await {
        ToWorker::Call { id, call } => (id, call),
        other => panic!("no call: {other:?}"),
    }
}

async fn say(worker: &mut Worker, message: FromWorker) {
    worker.channel.send(&message).await.unwrap();
}

async fn ask(worker: &mut Worker, id: u64, number: u32, caller: Caller) {
    say(worker, FromWorker::Call { id, number, call: call("inner", caller) }).await;
}

#[actix_web::test]
async fn a_function_is_answered_by_another_worker() {
    let gateway = gateway();
    let mut first = gateway.worker(0);
    let (id, running) = outer(&gateway, &mut first).await;
    let mut second = gateway.worker(1);
    ask(&mut first, id, 7, INNER).await;
    let (inner, sent) = received(&mut second).await;
    assert_eq!(sent, call("inner", INNER), "deadline, depth, request and head are carried on");
    let value = |text: &'static str| Outcome::Value(text.into());
    say(&mut second, FromWorker::Reply { id: inner, outcome: value("2") }).await;
    assert_eq!(first.receive().await, ToWorker::Reply { id, number: 7, outcome: value("2") });
    say(&mut first, FromWorker::Reply { id, outcome: value("3") }).await;
    assert_eq!(running.await.unwrap(), value("3"));
    let calls = |caller| gateway.pool.metrics.native_calls.with_label_values(&[caller, "value"]).get();
    assert_eq!((calls("function"), calls("client")), (1, 1));
}

#[actix_web::test]
async fn what_a_function_called_ends_with_it_or_when_it_is_withdrawn() {
    let gateway = gateway();
    let mut first = gateway.worker(0);
    let (id, running) = outer(&gateway, &mut first).await;
    let mut second = gateway.worker(1);
    ask(&mut first, id, 1, INNER).await;
    let (withdrawn, _) = received(&mut second).await;
    say(&mut first, FromWorker::CallCancel { id, number: 1 }).await;
    assert_eq!(second.receive().await, ToWorker::Cancel { id: withdrawn });

    // Its client leaves.
    ask(&mut first, id, 2, INNER).await;
    let (left, _) = received(&mut second).await;
    running.abort();
    assert_eq!(second.receive().await, ToWorker::Cancel { id: left });
    assert_eq!(first.receive().await, ToWorker::Cancel { id });

    // It answers without waiting.
    let (id, running) = outer(&gateway, &mut first).await;
    ask(&mut first, id, 3, INNER).await;
    let (open, _) = received(&mut second).await;
    say(&mut first, FromWorker::Reply { id, outcome: Outcome::Value("1".into()) }).await;
    assert_eq!(second.receive().await, ToWorker::Cancel { id: open });
    running.await.unwrap();

    // Its worker dies.
    let (id, running) = outer(&gateway, &mut first).await;
    ask(&mut first, id, 4, INNER).await;
    let (open, _) = received(&mut second).await;
    drop(first);
    assert_eq!(second.receive().await, ToWorker::Cancel { id: open });
    assert_eq!(running.await.unwrap(), Outcome::failed(502, "the function's worker was lost"));
    let cancelled = gateway.pool.metrics.native_calls.with_label_values(&["function", "cancelled"]);
    assert_eq!((cancelled.get(), second.slot.in_flight()), (4, 0));
}

#[actix_web::test]
async fn what_crosses_the_end_of_its_call_is_let_go() {
    let gateway = gateway();
    let mut worker = gateway.worker(0);
    let (id, running) = outer(&gateway, &mut worker).await;
    say(&mut worker, FromWorker::Reply { id, outcome: Outcome::Value("1".into()) }).await;
    running.await.unwrap();
    ask(&mut worker, id, 1, INNER).await;
    say(&mut worker, FromWorker::CallCancel { id, number: 1 }).await;
    let (_, _running) = outer(&gateway, &mut worker).await;
    assert_eq!(worker.slot.in_flight(), 1, "the link goes on, and nothing was called");
}

#[actix_web::test]
async fn depth_number_and_caller_are_checked() {
    let gateway = gateway();
    let mut first = gateway.worker(0);
    let (id, _running) = outer(&gateway, &mut first).await;
    let _second = gateway.worker(1);
    for (number, caller) in [(1, Caller::Function { depth: MAX_CALL_DEPTH + 1 }), (2, Caller::Client)] {
        ask(&mut first, id, number, caller).await;
        match first.receive().await {
            ToWorker::Reply { number: answered, outcome: Outcome::Failed { status: 500, .. }, .. } => {
                assert_eq!(answered, number);
            }
            other => panic!("{other:?}"),
        }
    }
    for number in 10..75 {
        ask(&mut first, id, number, INNER).await;
    }
    let refused =
        ToWorker::Reply { id, number: 74, outcome: Outcome::failed(503, "too many native calls at a time") };
    // Some of the others come to this worker.
    loop {
        match first.receive().await {
            ToWorker::Call { .. } => {}
            other => break assert_eq!(other, refused),
        }
    }
    // A number that is in use ends the link.
    ask(&mut first, id, 10, INNER).await;
    while let Some(message) = first.channel.receive().await.unwrap() {
        assert!(matches!(message, ToWorker::Call { .. }), "{message:?}");
    }
}
