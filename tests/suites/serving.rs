//! Both apps, as a browser and other clients see them.

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tests::http::{Answer, BROWSER};
use tests::{App, Cluster};

/// Declares each check as one test for each app.
macro_rules! for_both_apps {
    ($($check:ident),* $(,)?) => {
        mod react {
            $(#[tokio::test] async fn $check() { super::$check(tests::App::ThreadsReact).await; })*
        }
        mod solid {
            $(#[tokio::test] async fn $check() { super::$check(tests::App::ThreadsSolid).await; })*
        }
    };
}

for_both_apps!(
    pages_are_rendered,
    a_deferred_value_streams_in_after_its_shell,
    server_routes_answer_as_the_bundle_says,
    a_streamed_route_arrives_as_it_is_written,
    an_upload_streams_in_whole,
    cookies_are_read_and_set,
    an_error_is_a_page_and_hurts_no_other_request,
    head_has_the_head_of_get_and_no_body,
    the_bundle_sees_only_what_it_may_of_the_environment,
);

async fn pages_are_rendered(app: App) {
    let cluster = Cluster::of(app).start().await;
    let home = cluster.get("/").await;
    assert_eq!(home.status, 200);
    assert!(home.header("content-type").starts_with("text/html"), "{:?}", home.headers);
    assert!(home.text().contains("<h1>Threads</h1>"));
    let links = cluster.get("/links-100").await.text();
    assert!((1..=100).all(|id| links.contains(&format!("href=\"/threads/{id}\""))));
    assert!(cluster.get("/threads/7").await.text().contains("Thread 7 by"));

    let missing = cluster.get("/no/such/page").await;
    assert_eq!(missing.status, 404);
    assert!(missing.text().contains("id=\"not-found\""));
    assert_eq!(cluster.get("/threads/none").await.status, 404, "a loader's notFound()");

    let old = cluster.get("/old").await;
    assert_eq!((old.status, old.header("location")), (307, "/"));
    cluster.stop().await;
}

async fn a_deferred_value_streams_in_after_its_shell(app: App) {
    let cluster = Cluster::of(app).start().await;
    let mut page = cluster.client().get(cluster.url("/deferred")).send().await.unwrap();
    let mut html = String::new();
    while !html.contains("id=\"shell\"") {
        let chunk = page.chunk().await.unwrap().expect("the shell comes before the page ends");
        html.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(!html.contains("id=\"deferred-value\""), "the shell waited for the value: {html}");
    while let Some(chunk) = page.chunk().await.unwrap() {
        html.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(html.contains("id=\"deferred-value\"") && html.contains("worth 300 ms of patience"), "{html}");
    assert!(html.trim_end().ends_with('>') && html.contains("</html>"), "{html}");
}

async fn server_routes_answer_as_the_bundle_says(app: App) {
    let cluster = Cluster::of(app).start().await;
    let hello = cluster.get("/api/hello").await;
    assert_eq!(hello.json()["hello"], "world");
    assert_eq!(hello.json()["method"], "GET");
    assert_eq!(hello.json()["runtime"], "isopod");
    assert_eq!(hello.headers("set-cookie"), ["hello=world; Path=/; HttpOnly", "seen=yes; Path=/"]);
    for connection_header in ["connection", "keep-alive", "upgrade", "te", "trailer"] {
        assert!(hello.headers(connection_header).is_empty(), "{connection_header}");
    }

    let posted = cluster.post_json("/api/hello", r#"{"text":"żółw 🐢"}"#).await;
    assert_eq!((posted.status, posted.header("x-hello")), (201, "post"));
    assert_eq!(posted.json(), serde_json::json!({ "text": "żółw 🐢" }));
}

async fn a_streamed_route_arrives_as_it_is_written(app: App) {
    let cluster = Cluster::of(app).start().await;
    let mut answer = cluster.client().get(cluster.url("/api/stream")).send().await.unwrap();
    let (mut text, mut first) = (String::new(), None);
    while let Some(chunk) = answer.chunk().await.unwrap() {
        first.get_or_insert_with(Instant::now);
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    let expected: String = (0..10).map(|number| format!("chunk {number}\n")).collect();
    assert_eq!(text, expected);
    let took = first.unwrap().elapsed();
    assert!(took >= Duration::from_millis(700), "ten chunks, 100 ms apart, came within {took:?}");
}

async fn an_upload_streams_in_whole(app: App) {
    let cluster = Cluster::of(app).start().await;
    for size in [0, 1, 64 * 1024, 256 * 1024 + 1, 3_000_000] {
        let body: Vec<u8> =
            (0..size).map(|at: u32| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        let sha256: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
        let answer = cluster.answer(cluster.client().post(cluster.url("/api/upload")).body(body)).await;
        assert_eq!(answer.json(), serde_json::json!({ "bytes": size, "sha256": sha256 }));
    }
}

async fn cookies_are_read_and_set(app: App) {
    let cluster = Cluster::of(app).start().await;
    let first = cluster.get("/visits").await;
    assert!(first.text().contains("<p id=\"visits\">1</p>"), "{}", first.text());
    assert!(first.header("set-cookie").starts_with("visits=1; "), "{:?}", first.headers);
    let request = cluster.client().get(cluster.url("/visits")).header("cookie", "a=b; visits=4");
    let fifth = cluster.answer(request).await;
    assert!(fifth.text().contains("<p id=\"visits\">5</p>"), "{}", fifth.text());
    assert!(fifth.header("set-cookie").starts_with("visits=5; "), "{:?}", fifth.headers);
}

async fn an_error_is_a_page_and_hurts_no_other_request(app: App) {
    let cluster = Cluster::of(app).start().await;
    let renderer = cluster.children("renderer").await[0].pid;
    let mut running = cluster.client().get(cluster.url("/api/stream")).send().await.unwrap();
    running.chunk().await.unwrap().expect("it streams");
    for _ in 0..20 {
        let boom = cluster.get("/boom").await;
        assert_eq!(boom.status, 500);
        assert!(boom.text().contains("Something went wrong"), "{}", boom.text());
        assert!(!boom.text().contains("server.js") && !boom.text().contains("    at "), "{}", boom.text());
    }
    let rest = Answer::read(running).await.unwrap().text();
    assert!(rest.ends_with("chunk 9\n"), "{rest}");
    assert_eq!(cluster.get("/").await.status, 200);
    assert_eq!(cluster.children("renderer").await[0].pid, renderer, "the isolate goes on");
}

async fn head_has_the_head_of_get_and_no_body(app: App) {
    let cluster = Cluster::of(app).start().await;
    let mut connection = cluster.connect().await;
    let request = |method: &str, path: &str, more: &str| {
        format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nuser-agent: {BROWSER}\r\n{more}\r\n")
    };
    connection.send(request("HEAD", "/", "")).await;
    let head = connection.read_until("\r\n\r\n").await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200") && head.contains("text/html"), "{head}");
    // Any byte of a body would stand before the next answer.
    connection.send(request("GET", "/api/hello", "connection: close\r\n")).await;
    let answers = connection.read_until("\"hello\"").await;
    let second = &answers[answers.find("\r\n\r\n").unwrap() + 4..];
    assert!(second.starts_with("HTTP/1.1 200"), "{second}");
}

async fn the_bundle_sees_only_what_it_may_of_the_environment(app: App) {
    let cluster = Cluster::of(app)
        .env("GREETING", "hello")
        .flag("--env", "PUBLIC_*")
        .variable("PUBLIC_URL", "https://example.org")
        .variable("DATABASE_PASSWORD", "secret")
        .start()
        .await;
    let mut names: Vec<String> = serde_json::from_value(cluster.get("/api/env").await.json()).unwrap();
    names.sort();
    assert_eq!(names, ["GREETING", "NODE_ENV", "PUBLIC_URL"]);
}
