//! What the default worker answers.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shared::message::Outcome;

use crate::gateway::default_worker;

#[tokio::test]
async fn threads_are_listed_and_searched() {
    let mut gateway = default_worker().await;
    let latest = gateway.value("threads.list", "").await;
    assert_eq!(latest["threads"].as_array().unwrap().len(), 20);
    assert!(latest["total"].as_u64().unwrap() > 20);
    let found = gateway.value("threads.list", r#"{"query":"session cookies","limit":3}"#).await;
    let first = &found["threads"][0];
    assert_eq!(first["title"], "Session cookies that rotate");
    assert!(first["updatedAt"].as_str().unwrap().ends_with('Z'));
    assert!(first["id"].is_string() && first["messages"].is_u64());
}

#[tokio::test]
async fn markdown_is_rendered_and_made_safe() {
    let mut gateway = default_worker().await;
    let input = serde_json::json!({ "markdown": "# Hi there\n\n*you*\n\n<script>x</script>" });
    let rendered = gateway.value("markdown.render", &input.to_string()).await;
    assert_eq!(rendered["words"], 3);
    let html = rendered["html"].as_str().unwrap();
    assert!(html.contains("<h1>Hi there</h1>") && !html.contains("<script"), "{html}");
}

#[tokio::test]
async fn wrong_calls_are_told_what_is_wrong() {
    let mut gateway = default_worker().await;
    let unknown = gateway.failure("threads.lost", "{}").await;
    assert_eq!(unknown, (404, "there is no native function `threads.lost`".into()));
    let (status, message) = gateway.failure("threads.list", r#"{"limit": 3,}"#).await;
    assert_eq!(status, 400);
    assert!(message.contains("line 1 column 13"), "{message}");
    let (status, message) = gateway.failure("threads.list", r#"{"limit": 1000}"#).await;
    assert_eq!((status, message.as_str()), (422, "limit: must be 1 to 100, not 1000"));
    let (status, message) = gateway.failure("threads.list", r#"{"size": 3}"#).await;
    assert_eq!(status, 422);
    assert!(message.contains("unknown field `size`"), "{message}");
    let long = serde_json::json!({ "markdown": "a".repeat(64 * 1024 + 1) });
    assert_eq!(gateway.failure("markdown.render", &long.to_string()).await.0, 422);
    let longer = serde_json::json!({ "markdown": "a".repeat(500 * 1024) });
    assert_eq!(gateway.failure("markdown.render", &longer.to_string()).await.0, 413);
}

#[tokio::test]
async fn many_calls_at_a_time_are_all_answered() {
    let mut gateway = default_worker().await;
    let mut open = std::collections::HashSet::new();
    for _ in 0..100 {
        open.insert(gateway.start("threads.list", r#"{"query":"the"}"#, 10_000).await);
    }
    while !open.is_empty() {
        let (id, outcome) = gateway.reply().await;
        assert!(matches!(outcome, Outcome::Value(_)), "{outcome:?}");
        assert!(open.remove(&id), "{id} is answered twice");
    }
}

#[tokio::test]
async fn an_interrupt_is_left_to_the_gateway() {
    let mut gateway = default_worker().await;
    let pid = Pid::from_raw(i32::try_from(gateway.process.id().unwrap()).unwrap());
    kill(pid, Signal::SIGINT).unwrap();
    gateway.value("threads.list", "{}").await;
}
