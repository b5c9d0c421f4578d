//! Routes in Rust, as the gateway asks for them.

use serde_json::json;
use shared::message::Target;
use shared::message::control::{FromChild, ToChild};
use shared::setup::{FormLimits, Setup, ValueLimits, WorkerSetup};

use crate::fixture;
use crate::gateway::{Gateway, Got, Sent, fixture_worker, spawn_fixture};

async fn ask(gateway: &mut Gateway, method: &str, path: &str, body: &str) -> Got {
    let url = format!("http://localhost{path}");
    let request = Sent { method: method.into(), url, headers: Vec::new(), body: body.into() };
    gateway.answer(Target::Route, &request).await
}

#[tokio::test]
async fn a_route_takes_parameters_queries_and_bodies() {
    let mut gateway = fixture_worker(1, 8).await;
    let got = ask(&mut gateway, "GET", "/api/threads/7?page=2", "").await;
    assert_eq!((got.status, got.header("x-stamp")), (200, Some("1")));
    assert_eq!(serde_json::from_str::<serde_json::Value>(got.text()).unwrap(), json!({ "id": 7, "page": 2 }));
    let got = ask(&mut gateway, "POST", "/api/threads/7", r#"{"title":"Tea"}"#).await;
    assert_eq!((got.status, got.text()), (201, "7 Tea by Ada"));
    let got = ask(&mut gateway, "GET", "/api/files/a/b%20c.txt", "").await;
    assert_eq!(got.text(), "a/b c.txt");
    let got = ask(&mut gateway, "GET", "/api/events", "").await;
    assert_eq!(
        (got.header("content-type"), got.text()),
        (Some("text/event-stream"), "data: 1\n\ndata: 2\n\n")
    );
}

#[tokio::test]
async fn an_index_has_the_middleware_of_its_groups_and_what_breaks_out_has_none() {
    let mut gateway = fixture_worker(1, 8).await;
    for path in ["/api/posts", "/api/posts/"] {
        let got = ask(&mut gateway, "GET", path, "").await;
        assert_eq!((got.status, got.text(), got.header("x-stamp")), (200, "Grace", Some("1")), "{path}");
    }
    let got = ask(&mut gateway, "GET", "/api/posts/free", "").await;
    assert_eq!((got.status, got.text(), got.header("x-stamp")), (200, "nobody", None));
    assert_eq!(ask(&mut gateway, "GET", "/api_/posts/free", "").await.status, 404);
}

#[tokio::test]
async fn methods_without_a_handler_are_answered() {
    let mut gateway = fixture_worker(1, 8).await;
    let got = ask(&mut gateway, "HEAD", "/api/threads/7", "").await;
    assert_eq!((got.status, got.header("content-length"), got.text()), (200, Some("17"), ""));
    let got = ask(&mut gateway, "OPTIONS", "/api/threads/7", "").await;
    assert_eq!((got.status, got.header("allow")), (204, Some("GET, POST, HEAD, OPTIONS")));
    let got = ask(&mut gateway, "DELETE", "/api/threads/7", "").await;
    assert_eq!((got.status, got.header("allow")), (405, Some("GET, POST, HEAD, OPTIONS")));
}

#[tokio::test]
async fn what_does_not_fit_is_told() {
    let mut gateway = fixture_worker(1, 8).await;
    let got = ask(&mut gateway, "GET", "/api/threads/seven", "").await;
    assert_eq!(got.status, 422);
    assert!(
        got.text().contains("id: invalid value: string \\\"seven\\\", expected a whole number"),
        "{}",
        got.text()
    );
    let got = ask(&mut gateway, "POST", "/api/threads/7", r#"{"title": }"#).await;
    assert_eq!(got.status, 400, "{}", got.text());
    let long = format!(r#"{{"title":"{}"}}"#, "x".repeat(200));
    assert_eq!(ask(&mut gateway, "POST", "/api/threads/7", &long).await.status, 413);
    assert_eq!(ask(&mut gateway, "GET", "/api/other", "").await.status, 404);
}

#[tokio::test]
async fn the_gateway_is_told_of_routes_and_where_they_stand() {
    let mut gateway = spawn_fixture(fixture::RUN);
    let setup =
        WorkerSetup { arbiters: 1, mailbox: 8, forms: FormLimits::default(), values: ValueLimits::default() };
    gateway.tell(ToChild::Setup(Setup::Worker(setup))).await;
    let FromChild::WorkerReady { routes, .. } = gateway.hear().await else { panic!("not ready") };
    let patterns: Vec<_> = routes.iter().map(|route| route.pattern.as_str()).collect();
    assert_eq!(
        patterns,
        ["/api/threads/$id", "/api/files/$", "/api/upload", "/api/events", "/api/posts/", "/api/posts/free"]
    );
    assert!(routes[0].registered_at.contains("fixture.rs:"), "{routes:?}");
}
