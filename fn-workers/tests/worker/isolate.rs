//! What a job in an isolate is answered.

use serde_json::{Value, json};
use shared::message::{AnswerKind, Outcome};

use crate::gateway::fixture_worker;

/// An answer's kind, status, fields and JSON.
fn parts(outcome: Outcome) -> (AnswerKind, u16, Vec<(String, String)>, Value) {
    let Outcome::Answer { kind, head, body } = outcome else { panic!("{outcome:?}") };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let fields = head.headers.iter().map(|(name, value)| (text(name), text(value))).collect();
    let json = serde_json::from_slice(&body).unwrap_or_else(|_| json!(text(&body)));
    (kind, head.status, fields, json)
}

#[tokio::test]
async fn a_function_knows_the_page_s_request_and_sets_cookies_on_it() {
    let mut gateway = fixture_worker(1, 8).await;
    let (kind, _, fields, value) = parts(gateway.call_for_job("start.greet", "null", "a=1").await);
    assert_eq!((kind, value), (AnswerKind::Value, json!("Ada by nobody at 192.0.2.8")));
    assert!(
        fields.iter().any(|(name, value)| name == "set-cookie" && value.starts_with("seen=yes;")),
        "{fields:?}"
    );
    let refused = gateway.call_for_job("start.greet", "null", "banned=1").await;
    assert_eq!(refused, Outcome::failed(403, "go away"));
    let plain = gateway.call_for_job("test.echo", "[1]", "").await;
    assert_eq!(plain, Outcome::Value("[1]".into()), "nothing beside the value costs nothing");
}

#[tokio::test]
async fn redirects_and_responses_arrive_as_such() {
    let mut gateway = fixture_worker(1, 8).await;
    let (kind, status, _, options) = parts(gateway.call_for_job("start.elsewhere", "null", "").await);
    assert_eq!((kind, status, &options["to"]), (AnswerKind::Redirect, 307, &json!("/threads/$id")));
    let (kind, _, _, options) = parts(gateway.call_for_job("start.nothing", "null", "").await);
    assert_eq!((kind, &options["isNotFound"]), (AnswerKind::NotFound, &json!(true)));
    let (kind, status, fields, body) = parts(gateway.call_for_job("start.file", "null", "").await);
    assert_eq!((kind, status, body), (AnswerKind::Response, 200, json!("a,b")));
    assert_eq!(fields, [("content-type".to_owned(), "text/csv".to_owned())]);
    // A client that speaks plain JSON gets values and failures alone.
    assert_eq!(gateway.failure("start.nothing", "").await.0, 404);
    assert_eq!(gateway.value("start.greet", "").await, json!("Ada by nobody at "));
}
