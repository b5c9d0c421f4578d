use shared::message::{Caller, MAX_CALL_BYTES, NativeCall, Outcome};

use super::*;

fn call(name: &str) -> NativeCall {
    NativeCall {
        name: name.into(),
        caller: Caller::Client,
        deadline_ms: 500,
        request_id: "r1".into(),
        head: Bytes::new(),
        input: "1".into(),
    }
}

fn start(gateway: &Gateway, call: NativeCall) -> actix_web::rt::task::JoinHandle<Outcome> {
    let thread = gateway.thread.clone();
    actix_web::rt::spawn(async move { thread.call(call).await })
}

fn status(outcome: &Outcome) -> u16 {
    match outcome {
        Outcome::Value(_) | Outcome::Answer { .. } => 200,
        Outcome::Failed { status, .. } => *status,
    }
}

impl Worker {
    async fn receive_call(&mut self) -> (u64, NativeCall) {
        match self.receive().await {
            ToWorker::Call { id, call } => (id, call),
            other => panic!("no call: {other:?}"),
        }
    }

    async fn reply(&mut self, id: u64, value: &'static str) {
        self.channel.send(&FromWorker::Reply { id, outcome: Outcome::Value(value.into()) }).await.unwrap();
    }
}

#[actix_web::test]
async fn a_job_calls_a_function_without_a_permit_of_its_own() {
    let gateway = gateway();
    let (mut isolate, mut worker) = (gateway.isolate(0), gateway.worker(0));
    let _jobs = [gateway.job(None), gateway.job(None)];
    let (id, _) = isolate.receive_job().await;
    isolate.receive_job().await;
    let request = FromRenderer::Call {
        id,
        call: 3,
        name: "threads.list".into(),
        head: Bytes::new(),
        input: "{}".into(),
    };
    isolate.send([request]).await;
    let (call_id, call) = worker.receive_call().await;
    assert_eq!((&call.name[..], call.caller, &call.request_id[..]), ("threads.list", Caller::Isolate, "r1"));
    assert_eq!(call.deadline_ms, 10_000);
    assert_eq!(worker.slot.in_flight(), 1);
    worker.reply(call_id, "[1]").await;
    let reply = ToRenderer::Reply { id, call: 3, outcome: Outcome::Value("[1]".into()) };
    assert_eq!(isolate.receive().await, reply);
    assert_eq!(worker.slot.in_flight(), 0);
    let calls = gateway.pool.metrics.native_calls.with_label_values(&["isolate", "value"]);
    assert_eq!(calls.get(), 1);
}

#[actix_web::test]
async fn a_call_ends_with_its_job_or_when_the_job_takes_it_back() {
    let gateway = gateway();
    let (mut isolate, mut worker) = (gateway.isolate(0), gateway.worker(0));
    let _job = gateway.job(None);
    let (id, _) = isolate.receive_job().await;
    let request =
        |call| FromRenderer::Call { id, call, name: "slow".into(), head: Bytes::new(), input: "1".into() };
    isolate.send([request(1), request(2)]).await;
    let ((first, _), (second, _)) = (worker.receive_call().await, worker.receive_call().await);
    isolate.send([FromRenderer::CallCancel { id, call: 1 }]).await;
    assert_eq!(worker.receive().await, ToWorker::Cancel { id: first });
    isolate.send([head(id), end(id)]).await;
    assert_eq!(worker.receive().await, ToWorker::Cancel { id: second });
    let cancelled = gateway.pool.metrics.native_calls.with_label_values(&["isolate", "cancelled"]);
    assert_eq!((cancelled.get(), worker.slot.in_flight()), (2, 0));
}

#[actix_web::test]
async fn the_calls_of_one_job_are_bounded() {
    let gateway = gateway();
    let (mut isolate, _worker) = (gateway.isolate(0), gateway.worker(0));
    let _job = gateway.job(None);
    let (id, _) = isolate.receive_job().await;
    isolate
        .send((0..65).map(|call| FromRenderer::Call {
            id,
            call,
            name: "slow".into(),
            head: Bytes::new(),
            input: "1".into(),
        }))
        .await;
    let ToRenderer::Reply { call: 64, outcome, .. } = isolate.receive().await else { panic!("no reply") };
    assert_eq!(status(&outcome), 503);
}

#[actix_web::test]
async fn without_a_worker_a_call_is_unavailable() {
    let gateway = gateway();
    assert_eq!(status(&start(&gateway, call("f")).await.unwrap()), 503);
    let worker = gateway.worker(0);
    worker.slot.set_ready(false);
    assert_eq!(status(&start(&gateway, call("f")).await.unwrap()), 503);
}

#[actix_web::test]
async fn a_worker_that_is_lost_takes_its_calls_along() {
    let gateway = gateway();
    let mut worker = gateway.worker(0);
    let outcome = start(&gateway, call("f"));
    worker.receive_call().await;
    drop(worker);
    assert_eq!(status(&outcome.await.unwrap()), 502);
    assert_eq!(status(&start(&gateway, call("f")).await.unwrap()), 503);
    gateway.pool.in_flight.idle().await;
}

#[actix_web::test]
async fn a_call_beyond_its_deadline_is_given_up() {
    let gateway = gateway();
    let mut worker = gateway.worker(0);
    let outcome = start(&gateway, NativeCall { deadline_ms: 5, ..call("f") });
    let (id, sent) = worker.receive_call().await;
    assert_eq!(sent.deadline_ms, 5);
    assert_eq!(status(&outcome.await.unwrap()), 504);
    assert_eq!(worker.receive().await, ToWorker::Cancel { id });
    worker.reply(id, "late").await;
    let next = start(&gateway, call("f"));
    let (id, _) = worker.receive_call().await;
    worker.reply(id, "2").await;
    assert_eq!(next.await.unwrap(), Outcome::Value("2".into()), "a late reply does not end the link");
}

#[actix_web::test]
async fn calls_go_to_the_least_loaded_worker() {
    let gateway = gateway();
    let (mut first, mut second) = (gateway.worker(0), gateway.worker(1));
    let outcome = start(&gateway, call("f"));
    let (id, _) = first.receive_call().await;
    let _running = start(&gateway, call("f"));
    second.receive_call().await;
    first.reply(id, "1").await;
    outcome.await.unwrap();
    let _third = start(&gateway, call("f"));
    first.receive_call().await;
}

#[actix_web::test]
async fn an_input_that_fits_no_frame_is_refused() {
    let gateway = gateway();
    let _worker = gateway.worker(0);
    let long = NativeCall { input: vec![b' '; MAX_CALL_BYTES + 1].into(), ..call("f") };
    assert_eq!(status(&start(&gateway, long).await.unwrap()), 413);
    assert_eq!(status(&start(&gateway, call(&"f".repeat(10_000))).await.unwrap()), 400);
}
