//! Clients' requests that an fn worker answers.

use futures_util::{StreamExt, stream};
use shared::message::control::FunctionInfo;
use shared::message::{Caller, NativeCall, Outcome, Target};
use shared::window::INITIAL_WINDOW;

use super::*;
use crate::pool::catalog::Reported;
use crate::pool::{NativeError, NativeRequest};

type Answering = actix_web::rt::task::JoinHandle<Result<Rendered, NativeError>>;

fn ask(gateway: &Gateway, body: Option<RequestBody>) -> Answering {
    let thread = gateway.thread.clone();
    actix_web::rt::spawn(async move {
        let head = RequestHeadRef {
            method: if body.is_some() { "POST" } else { "GET" },
            url: "http://localhost/_serverFn/a",
            client_ip: "127.0.0.1",
            request_id: "r1",
            has_body: body.is_some(),
            options: HandlerOptions::default(),
        };
        let (target, timeout) = (Target::Function("a".into()), Duration::from_secs(20));
        thread
            .answer_natively(NativeRequest { target, head, headers: &HeaderMap::new(), body, timeout })
            .await
    })
}

impl Worker {
    async fn receive_request(&mut self) -> u64 {
        match self.receive().await {
            ToWorker::Request { id, target, head, .. } => {
                assert_eq!(target, Target::Function("a".into()));
                assert_eq!(head.client_ip, "127.0.0.1");
                id
            }
            other => panic!("no request: {other:?}"),
        }
    }

    async fn say(&mut self, messages: impl IntoIterator<Item = FromWorker>) {
        messages.into_iter().for_each(|message| self.channel.queue(&message));
        self.channel.flush().await.unwrap();
    }
}

fn begun(id: u64) -> FromWorker {
    let headers = vec![("content-type".into(), "application/json".into())];
    FromWorker::Head { id, head: ResponseHead { status: 201, headers } }
}

#[actix_web::test]
async fn a_response_streams_under_its_window() {
    let gateway = gateway();
    let mut worker = gateway.worker(0);
    let answering = ask(&gateway, None);
    let id = worker.receive_request().await;
    worker.say([begun(id), FromWorker::Body { id, bytes: vec![1; INITIAL_WINDOW / 4].into() }]).await;
    let mut rendered = answering.await.unwrap().unwrap();
    assert_eq!(rendered.status, 201);
    assert_eq!(worker.slot.in_flight(), 1);
    assert_eq!(rendered.body.next().await.unwrap().unwrap().len(), INITIAL_WINDOW / 4);
    let credit = u32::try_from(INITIAL_WINDOW / 4).unwrap();
    assert_eq!(worker.receive().await, ToWorker::Credit { id, bytes: credit });
    worker.say([FromWorker::End { id }]).await;
    assert!(rendered.body.next().await.is_none());
    assert_eq!(worker.slot.in_flight(), 0);
}

#[actix_web::test]
async fn a_body_goes_up_and_its_end_too() {
    let gateway = gateway();
    let mut worker = gateway.worker(0);
    let _answering = ask(&gateway, Some(Box::pin(stream::iter([Ok("ab".into()), Ok("c".into())]))));
    let id = worker.receive_request().await;
    assert_eq!(worker.receive().await, ToWorker::Body { id, bytes: "ab".into() });
    assert_eq!(worker.receive().await, ToWorker::Body { id, bytes: "c".into() });
    assert_eq!(worker.receive().await, ToWorker::BodyEnd { id });
}

#[actix_web::test]
async fn a_client_that_leaves_cancels() {
    let gateway = gateway();
    let mut worker = gateway.worker(0);
    let answering = ask(&gateway, None);
    let id = worker.receive_request().await;
    answering.abort();
    assert_eq!(worker.receive().await, ToWorker::Cancel { id });
    assert_eq!(worker.slot.in_flight(), 1, "until the worker has let go of it");
    worker.say([FromWorker::Failed { id, detail: String::new() }]).await;
    while worker.slot.in_flight() > 0 {
        tokio::task::yield_now().await;
    }
}

#[actix_web::test]
async fn a_reading_request_is_tried_on_another_worker_and_a_writing_one_is_not() {
    let gateway = gateway();
    let (mut first, mut second) = (gateway.worker(0), gateway.worker(1));
    let answering = ask(&gateway, None);
    first.receive_request().await;
    drop(first);
    let id = second.receive_request().await;
    second.say([begun(id), FromWorker::End { id }]).await;
    assert_eq!(answering.await.unwrap().unwrap().status, 201);
    assert_eq!(gateway.pool.metrics.native_retries.get(), 1);

    let writing = ask(&gateway, Some(Box::pin(stream::iter([Ok("a".into())]))));
    second.receive_request().await;
    drop(second);
    assert!(matches!(writing.await.unwrap(), Err(NativeError::Lost)));
    assert!(matches!(ask(&gateway, None).await.unwrap(), Err(NativeError::Unavailable)));
}

#[actix_web::test]
async fn only_a_call_that_may_be_repeated_is_sent_again() {
    let gateway = gateway();
    let functions = vec![FunctionInfo { name: "again".into(), idempotent: true }];
    gateway.pool.offer(|offered| offered.here = Reported { functions, routes: Vec::new() });
    for (name, status) in [("again", 200), ("once", 502)] {
        let (mut first, mut second) = (gateway.worker(0), gateway.worker(1));
        // The first of the two is asked first.
        gateway.thread.worker_rotor.set(0);
        let thread = gateway.thread.clone();
        let call = NativeCall {
            name: name.into(),
            caller: Caller::Isolate,
            deadline_ms: 5000,
            request_id: "r".into(),
            head: Bytes::new(),
            input: "1".into(),
        };
        let calling = actix_web::rt::spawn(async move { thread.call(call).await });
        assert!(matches!(first.receive().await, ToWorker::Call { .. }));
        drop(first);
        if status == 200 {
            let ToWorker::Call { id, .. } = second.receive().await else { panic!("no call") };
            second.say([FromWorker::Reply { id, outcome: Outcome::Value("1".into()) }]).await;
        }
        let got = match calling.await.unwrap() {
            Outcome::Value(_) | Outcome::Answer { .. } => 200,
            Outcome::Failed { status, .. } => status,
        };
        assert_eq!(got, status, "{name}");
        drop(second);
        // The thread has to see both links end before the next round.
        while !gateway.thread.workers.borrow().is_empty() {
            tokio::task::yield_now().await;
        }
    }
}
