//! Functions that call functions which their process does not have.

use serde_json::{Value, json};
use shared::head::{RequestHead, ResponseHead};
use shared::message::{
    AnswerKind, CallInput, Caller, FromWorker, MAX_CALL_DEPTH, NativeCall, Outcome, ToWorker,
};

use crate::gateway::{Gateway, LONG_MS, fixture_worker};

impl Gateway {
    /// Calls as another function does, and does not wait.
    async fn call_at(&mut self, name: &str, input: &str, caller: Caller) -> u64 {
        let id = self.fresh_id();
        let call = NativeCall {
            name: name.into(),
            caller,
            deadline_ms: LONG_MS,
            request_id: "r".into(),
            head: page(),
            input: input.to_owned().into(),
        };
        self.send(ToWorker::Call { id, call }).await;
        id
    }

    async fn send(&mut self, message: ToWorker) {
        self.link.as_mut().unwrap().send(&message).await.unwrap();
    }

    /// What the function calls next.
    async fn asked(&mut self) -> (u64, u32, NativeCall) {
        match self.heard().await {
            FromWorker::Call { id, number, call } => (id, number, call),
            other => panic!("{other:?}"),
        }
    }

    async fn give(&mut self, id: u64, number: u32, outcome: Outcome) {
        self.send(ToWorker::Reply { id, number, outcome }).await;
    }
}

/// The head of a page's request.
fn page() -> bytes::Bytes {
    let mut head = bytes::BytesMut::new();
    RequestHead {
        method: "GET".into(),
        url: "http://localhost/page".into(),
        client_ip: "192.0.2.8".into(),
        request_id: "r".into(),
        has_body: false,
        options: shared::head::HandlerOptions::default(),
        headers: vec![("cookie".into(), "a=1".into())],
    }
    .encode(&mut head);
    head.freeze()
}

fn answer(kind: AnswerKind, fields: &[(&str, &str)], body: &str) -> Outcome {
    let field = |(name, value): &(&str, &str)| (name.to_string().into(), value.to_string().into());
    let head = ResponseHead { status: 200, headers: fields.iter().map(field).collect() };
    Outcome::Answer { kind, head, body: body.to_owned().into() }
}

#[tokio::test]
async fn a_call_goes_out_with_request_deadline_and_depth_and_comes_back() {
    let mut gateway = fixture_worker(1, 8).await;
    let id = gateway.call_at("far.call", "\"elsewhere\"", Caller::Isolate).await;
    let (of, number, call) = gateway.asked().await;
    assert_eq!((of, &call.name[..], call.caller), (id, "elsewhere", Caller::Function { depth: 1 }));
    assert_eq!((&call.request_id[..], call.head), ("r", page()));
    assert!(call.deadline_ms <= LONG_MS && call.deadline_ms > LONG_MS - 20_000, "{}", call.deadline_ms);
    let CallInput::Serialized(document) = CallInput::decode(call.input) else { panic!("no document") };
    let document: Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(document["t"]["p"]["v"][0]["s"], "far.call");
    gateway.give(id, number, Outcome::Value("[1,{\"a\":null}]".into())).await;
    assert_eq!(gateway.reply().await, (id, Outcome::Value("[1,{\"a\":null}]".into())));
}

#[tokio::test]
async fn types_cookies_and_what_the_router_acts_on_come_back_as_in_one_process() {
    let mut gateway = fixture_worker(1, 8).await;
    let id = gateway.call_at("far.dates", "\"elsewhere\"", Caller::Isolate).await;
    let (_, number, _) = gateway.asked().await;
    let date = r#"{"t":5,"i":0,"s":"1970-01-02T00:00:00.000Z"}"#;
    gateway.give(id, number, answer(AnswerKind::Serialized, &[("set-cookie", "seen=yes")], date)).await;
    let (_, outcome) = gateway.reply().await;
    assert_eq!(outcome, answer(AnswerKind::Value, &[("set-cookie", "seen=yes")], "86400000"));

    let redirect = json!({ "to": "/login", "statusCode": 303, "isSerializedRedirect": true });
    let not_found = json!({ "data": "gone", "isNotFound": true });
    for (kind, options) in [(AnswerKind::Redirect, redirect), (AnswerKind::NotFound, not_found)] {
        let id = gateway.call_at("far.call", "\"elsewhere\"", Caller::Isolate).await;
        let (_, number, _) = gateway.asked().await;
        gateway.give(id, number, answer(kind, &[], &options.to_string())).await;
        match gateway.reply().await.1 {
            Outcome::Answer { kind: came, body, .. } => {
                assert_eq!((came, serde_json::from_slice::<Value>(&body).unwrap()), (kind, options));
            }
            other => panic!("{other:?}"),
        }
    }
    for (told, expected) in [
        (Outcome::failed(409, "somebody was quicker"), (409, "somebody was quicker")),
        (Outcome::failed(502, "the function's worker was lost"), (502, "the function's worker was lost")),
        (answer(AnswerKind::Response, &[], "a,b"), (500, "the function failed")),
    ] {
        let id = gateway.call_at("far.call", "\"elsewhere\"", Caller::Isolate).await;
        let (_, number, _) = gateway.asked().await;
        gateway.give(id, number, told).await;
        assert_eq!(gateway.reply().await.1, Outcome::failed(expected.0, expected.1));
    }
}

#[tokio::test]
async fn a_deadline_and_a_cancel_withdraw_the_call() {
    let mut gateway = fixture_worker(1, 8).await;
    let brief = gateway.call_at("far.brief", "\"elsewhere\"", Caller::Isolate).await;
    let (_, number, call) = gateway.asked().await;
    assert!(call.deadline_ms <= 50, "{}", call.deadline_ms);
    let mut heard = [gateway.heard().await, gateway.heard().await];
    heard.sort_by_key(|message| matches!(message, FromWorker::Reply { .. }));
    assert_eq!(heard[0], FromWorker::CallCancel { id: brief, number });
    let FromWorker::Reply { outcome: Outcome::Failed { status: 504, .. }, .. } = &heard[1] else {
        panic!("{heard:?}")
    };

    let id = gateway.call_at("far.call", "\"elsewhere\"", Caller::Isolate).await;
    let (_, number, _) = gateway.asked().await;
    gateway.cancel(id).await;
    assert_eq!(gateway.heard().await, FromWorker::CallCancel { id, number });
    // Its answer has crossed the withdrawal.
    gateway.give(id, number, Outcome::Value("1".into())).await;
    assert_eq!(gateway.value("test.echo", "2").await, json!(2));
}

#[tokio::test]
async fn functions_call_each_other_only_so_deep() {
    let mut gateway = fixture_worker(1, 8).await;
    let last = Caller::Function { depth: MAX_CALL_DEPTH - 1 };
    let id = gateway.call_at("far.call", "\"elsewhere\"", last).await;
    let (_, number, call) = gateway.asked().await;
    assert_eq!(call.caller, Caller::Function { depth: MAX_CALL_DEPTH });
    gateway.give(id, number, Outcome::Value("1".into())).await;
    assert_eq!(gateway.reply().await, (id, Outcome::Value("1".into())));
    let deepest = Caller::Function { depth: MAX_CALL_DEPTH };
    let id = gateway.call_at("far.call", "\"elsewhere\"", deepest).await;
    assert_eq!(gateway.reply().await, (id, Outcome::failed(500, "the function failed")));
    gateway.logged("at the end of 16 functions that call each other").await;
}

#[tokio::test]
async fn what_a_function_calls_does_not_wait_for_the_place_that_its_caller_holds() {
    // One call at a time, and nothing may wait.
    let mut gateway = fixture_worker(1, 1).await;
    let outer = gateway.call_at("far.call", "\"elsewhere\"", Caller::Isolate).await;
    let (_, number, _) = gateway.asked().await;
    gateway.start("test.hold", "", LONG_MS).await;
    // Elsewhere it calls a function of this process.
    let inner = gateway.call_at("test.echo", "3", Caller::Function { depth: 2 }).await;
    assert_eq!(gateway.reply().await, (inner, Outcome::Value("3".into())));
    gateway.give(outer, number, Outcome::Value("4".into())).await;
    assert_eq!(gateway.reply().await, (outer, Outcome::Value("4".into())));
}

#[tokio::test]
async fn a_call_has_only_so_many_calls_open_and_none_when_it_has_ended() {
    let mut gateway = fixture_worker(1, 8).await;
    let id = gateway.call_at("far.many", "65", Caller::Isolate).await;
    let mut open = Vec::new();
    while open.len() < 64 {
        open.push(gateway.asked().await.1);
    }
    for number in open {
        gateway.give(id, number, Outcome::Value("null".into())).await;
    }
    let (_, outcome) = gateway.reply().await;
    let Outcome::Value(json) = outcome else { panic!("{outcome:?}") };
    let statuses: Vec<u16> = serde_json::from_slice(&json).unwrap();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 64);
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 1);

    let id = gateway.call_at("far.late", "null", Caller::Isolate).await;
    assert_eq!(gateway.reply().await, (id, Outcome::Value("null".into())));
    gateway.logged("late: the call that this one belongs to has ended").await;
}
