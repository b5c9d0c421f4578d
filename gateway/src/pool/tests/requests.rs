//! Clients' requests that an fn worker answers.

use futures_util::{StreamExt, stream};
use shared::message::control::FunctionInfo;
use shared::message::worker::MAX_INLINE_BODY_BYTES;
use shared::message::{Caller, NativeCall, Outcome, Target};
use shared::window::INITIAL_WINDOW;

use super::*;
use crate::pool::catalog::Reported;
use crate::pool::{NativeError, NativeRequest, RequestBodyError};

type Answering = actix_web::rt::task::JoinHandle<Result<Rendered, NativeError>>;

fn ask(gateway: &Gateway, body: Option<RequestBody>) -> Answering {
    ask_with(gateway, body, None)
}

fn ask_with(gateway: &Gateway, body: Option<RequestBody>, body_length: Option<usize>) -> Answering {
    ask_within(gateway, body, body_length, Duration::from_secs(20))
}

fn ask_within(
    gateway: &Gateway,
    body: Option<RequestBody>,
    body_length: Option<usize>,
    timeout: Duration,
) -> Answering {
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
        let target = Target::Function("a".into());
        thread
            .answer_natively(NativeRequest {
                target,
                head,
                headers: Fields::of(&HeaderMap::new()),
                body,
                body_length,
                timeout,
            })
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
async fn a_short_body_goes_with_its_request_and_a_short_response_comes_whole() {
    let gateway = gateway();
    let mut worker = gateway.worker(0);
    let answering =
        ask_with(&gateway, Some(Box::pin(stream::iter([Ok("ab".into()), Ok("c".into())]))), Some(3));
    let ToWorker::Request { id, head, body, .. } = worker.receive().await else { panic!("no request") };
    assert_eq!((head.has_body, &body[..]), (false, &b"abc"[..]));
    let head = ResponseHead { status: 201, headers: Vec::new() };
    worker.say([FromWorker::Whole { id, head, body: "whole".into() }]).await;
    let mut rendered = answering.await.unwrap().unwrap();
    assert_eq!((rendered.status, rendered.body.whole()), (201, Some(5)));
    assert_eq!(worker.slot.in_flight(), 0);
    assert_eq!(rendered.body.next().await.unwrap().unwrap(), "whole");
    assert!(rendered.body.next().await.is_none());
}

#[actix_web::test]
async fn a_short_body_that_breaks_off_or_is_longer_than_it_says_reaches_no_worker() {
    let gateway = gateway();
    let worker = gateway.worker(0);
    let broken = RequestBodyError::Broken;
    let answering = ask_with(&gateway, Some(Box::pin(stream::iter([Ok("ab".into()), Err(broken)]))), Some(3));
    assert_eq!(answering.await.unwrap().unwrap_err(), NativeError::Body(broken));
    let longer = stream::iter([Ok(vec![0; MAX_INLINE_BODY_BYTES].into()), Ok("x".into())]);
    let answering = ask_with(&gateway, Some(Box::pin(longer)), Some(3));
    assert_eq!(answering.await.unwrap().unwrap_err(), NativeError::Body(RequestBodyError::TooLarge));
    assert_eq!(worker.slot.in_flight(), 0);
    let body_errors =
        gateway.pool.metrics.native_calls.with_label_values(&["client", NativeError::Body(broken).label()]);
    assert!(body_errors.get() > 0);
}

#[actix_web::test]
async fn calls_go_to_the_thread_of_a_worker_that_has_the_fewest() {
    let gateway = gateway();
    let slot = Arc::new(WorkerSlot::new(ChildId { kind: ChildKind::FnWorker, slot: 0, generation: 1 }, 2));
    let mut lanes: Vec<_> = (0..2)
        .map(|lane| {
            let (stream, theirs) = StdUnixStream::pair().unwrap();
            gateway.thread.attach(NewLink { stream, to: Peer::Worker(slot.clone(), lane) });
            Worker { slot: slot.clone(), channel: channel(theirs) }
        })
        .collect();
    slot.set_ready(true);
    let _stuck = ask(&gateway, None);
    lanes[0].receive_request().await;
    for _ in 0..3 {
        let answering = ask(&gateway, None);
        let id = lanes[1].receive_request().await;
        let head = ResponseHead { status: 200, headers: Vec::new() };
        lanes[1].say([FromWorker::Whole { id, head, body: Bytes::new() }]).await;
        assert_eq!(answering.await.unwrap().unwrap().status, 200);
    }
    assert_eq!((slot.load(0), slot.load(1), slot.in_flight()), (1, 0, 1));
}

#[actix_web::test]
async fn a_worker_that_does_not_even_answer_for_its_deadline_is_answered_for() {
    let gateway = gateway();
    let mut worker = gateway.worker(0);
    let answering = ask_within(&gateway, None, None, Duration::from_millis(10));
    let id = worker.receive_request().await;
    assert_eq!(answering.await.unwrap().unwrap_err(), NativeError::Timeout);
    assert_eq!(worker.receive().await, ToWorker::Cancel { id });
    assert_eq!(worker.slot.in_flight(), 1, "until the worker has let go of it");
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
    let functions =
        vec![FunctionInfo { name: "again".into(), idempotent: true, registered_at: "a.rs:1:1".into() }];
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
