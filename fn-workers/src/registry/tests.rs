//! Calls as a link makes them.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::*;
use crate::error::Invalid;
use crate::function::Function;
use crate::handler::State;
use crate::worker::Worker;

#[derive(Debug, Default, Deserialize, Serialize, TS)]
struct Point {
    #[serde(default)]
    x: i32,
    #[serde(default)]
    y: i32,
}

async fn same(point: Point) -> Result<Point, FunctionError> {
    Ok(point)
}

async fn scaled(point: Point, factor: State<i32>, context: Context) -> Result<String, FunctionError> {
    Ok(format!("{} by {}", point.x * *factor, context.function()))
}

async fn seen(_: (), context: Context) -> Result<(Option<Point>, Option<String>), FunctionError> {
    let trace = context.trace_id().map(str::to_owned);
    Ok((context.request().gateway_context()?, trace))
}

async fn huge(_: ()) -> Result<Vec<u64>, FunctionError> {
    Ok(vec![u64::MAX; 100_000])
}

async fn lost(_: ()) -> Result<(), FunctionError> {
    Err(FunctionError::new(409, "somebody was quicker").because("row 7 of table `secret`"))
}

fn registry() -> Registry {
    let no_negative_x = |point: &Point| match point.x {
        0.. => Ok(()),
        _ => Err(Invalid::field("x", "must not be negative")),
    };
    let no_negative_y = |point: &Point| match point.y {
        0.. => Ok(()),
        _ => Err(Invalid::field("y", "must not be negative")),
    };
    let same = Function::read("same", same).validate(no_negative_x).validate(no_negative_y);
    Worker::new()
        .state(Arc::new(3))
        .blocking_threads(1)
        .function(same.body_limit(100).deadline(Duration::from_secs(1)))
        .function(Function::write("scaled", scaled))
        .function(Function::read("seen", seen))
        .function(Function::read("huge", huge))
        .function(Function::write("lost", lost))
        .build()
        .unwrap()
}

fn call(name: &str, input: &str) -> NativeCall {
    NativeCall {
        name: name.into(),
        caller: Caller::Client,
        deadline_ms: 5000,
        request_id: "r".into(),
        head: Bytes::new(),
        input: input.to_owned().into(),
    }
}

async fn answer(name: &str, input: &str) -> Outcome {
    let (deadline, cancellation) = (Instant::now(), CancellationToken::new());
    registry().call(call(name, input), None, deadline, cancellation, None).await.unwrap()
}

async fn failure(name: &str, input: &str) -> (u16, String) {
    match answer(name, input).await {
        Outcome::Failed { status, message } => (status, message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_handler_gets_what_the_gateways_hooks_know_and_the_trace() {
    for caller in [Caller::Isolate, Caller::Client] {
        let context = shared::head::JobContext::from_json(r#"{"x":1,"y":2}"#.into()).unwrap();
        let head = RequestHead {
            method: "GET".into(),
            url: "http://example.com/".into(),
            client_ip: "::1".into(),
            request_id: "r".into(),
            has_body: false,
            options: shared::head::HandlerOptions { context: Some(context), ..Default::default() },
            headers: vec![(
                "traceparent".into(),
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
            )],
        };
        let mut encoded = bytes::BytesMut::new();
        head.encode(&mut encoded);
        let call = NativeCall { caller, head: encoded.freeze(), ..call("seen", "null") };
        let (deadline, cancellation) = (Instant::now(), CancellationToken::new());
        let outcome = registry().call(call, None, deadline, cancellation, None).await.unwrap();
        let told = r#"[{"x":1,"y":2},"0af7651916cd43dd8448eb211c80319c"]"#;
        assert_eq!(outcome, Outcome::Value(told.into()), "{caller:?}");
    }
    assert_eq!(answer("seen", "null").await, Outcome::Value("[null,null]".into()));
}

#[tokio::test]
async fn a_handler_gets_its_input_its_state_and_its_context() {
    assert_eq!(answer("scaled", r#"{"x":2}"#).await, Outcome::Value(r#""6 by scaled""#.into()));
}

#[tokio::test]
async fn an_absent_input_is_null_or_an_empty_object() {
    for input in ["", " ", "null", "{}"] {
        assert_eq!(answer("same", input).await, Outcome::Value(r#"{"x":0,"y":0}"#.into()));
    }
}

#[tokio::test]
async fn what_is_no_json_is_400_with_the_position() {
    for (input, position) in [
        (r#"{"x": }"#, "line 1 column 7"),
        (r#"{"x": 1"#, "line 1 column 7"),
        (r#"{"x": 1} {}"#, "line 1 column 10"),
        ("{\"x\":\n\"\u{1}\"}", "line 2 column"),
    ] {
        let (status, message) = failure("same", input).await;
        assert_eq!(status, 400, "{message}");
        assert!(message.contains(position), "{message}");
    }
}

#[tokio::test]
async fn a_field_of_another_type_is_422_with_its_path() {
    let (status, message) = failure("same", r#"{"x": "two"}"#).await;
    assert_eq!(status, 422);
    assert!(message.starts_with("x: invalid type: string \"two\", expected i32"), "{message}");
    assert!(failure("same", "[[]]").await.1.starts_with("[0]: "));
}

#[tokio::test]
async fn validators_report_together() {
    let refused = failure("same", r#"{"x":-1,"y":-1}"#).await;
    assert_eq!(refused, (422, "x: must not be negative; y: must not be negative".into()));
}

#[tokio::test]
async fn limits_hold_in_both_directions() {
    let (status, message) = failure("same", &" ".repeat(101)).await;
    assert_eq!((status, message.as_str()), (413, "the input has 101 bytes, the limit is 100"));
    assert_eq!(failure("huge", "").await, (500, "the function failed".into()));
}

#[tokio::test]
async fn a_handlers_error_shows_its_public_half() {
    assert_eq!(failure("lost", "").await, (409, "somebody was quicker".into()));
    assert_eq!(failure("none", "").await, (404, "there is no native function `none`".into()));
}

#[test]
fn the_nearer_deadline_counts() {
    let registry = registry();
    assert_eq!(registry.time_for("same", 5000), Duration::from_secs(1));
    assert_eq!(registry.time_for("lost", 5000), Duration::from_secs(5));
    assert_eq!(registry.time_for("same", 10), Duration::from_millis(10));
}

#[test]
fn names_and_methods_are_known() {
    let registry = registry();
    assert_eq!(registry.names(), ["huge", "lost", "same", "scaled", "seen"]);
    assert_eq!(registry.method("same"), Some(Method::Read));
    assert_eq!(registry.method("lost"), Some(Method::Write));
    assert_eq!(registry.method("none"), None);
}
