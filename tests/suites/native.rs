//! Native functions: from a page's loader in the isolate, and over HTTP.

use tests::{App, Cluster};

async fn a_page_uses_both_functions(app: App) {
    let cluster = Cluster::of(app).start().await;
    let page = cluster.get("/native").await;
    let html = page.text();
    assert_eq!(page.status, 200, "{html}\n{}", cluster.log());
    assert!(html.contains("native threads</h1>"), "{html}");
    assert!(html.contains("<strong>Rust</strong>"), "{html}");
    let calls = cluster.metrics().await.sum("isopod_native_calls_total", &[("caller", "isolate")]);
    assert_eq!(calls, 2.0);
}

#[tokio::test]
async fn a_react_page_uses_both_functions() {
    a_page_uses_both_functions(App::ThreadsReact).await;
}

#[tokio::test]
async fn a_solid_page_uses_both_functions() {
    a_page_uses_both_functions(App::ThreadsSolid).await;
}

#[tokio::test]
async fn functions_are_called_over_http() {
    let cluster = Cluster::of(App::ThreadsReact).start().await;
    let list = cluster.post_json("/_native/threads.list", r#"{"query":"session cookies","limit":2}"#).await;
    assert_eq!(list.status, 200, "{}", list.text());
    assert!(list.header("content-type").starts_with("application/json"));
    assert_eq!(list.json()["threads"][0]["title"], "Session cookies that rotate");

    for (name, input, status, said) in [
        ("threads.none", "{}", 404, "threads.none"),
        ("threads.list", r#"{"limit":}"#, 400, "line 1 column 10"),
        ("threads.list", r#"{"limit":0}"#, 422, "limit: must be 1 to 100"),
    ] {
        let answer = cluster.post_json(&format!("/_native/{name}"), input).await;
        assert_eq!(answer.status, status, "{name} {input}: {}", answer.text());
        assert!(answer.text().contains(said), "{name} {input}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_lost_worker_comes_back() {
    let cluster = Cluster::of(App::ThreadsReact).start().await;
    let lost = cluster.kill_fn_worker(0).await;
    cluster.wait_until_replaced(lost).await;
    assert_eq!(cluster.get("/native").await.status, 200);
    let restarts = cluster.metrics().await.sum("isopod_restarts_total", &[("kind", "fn_worker")]);
    assert!(restarts >= 1.0);
    cluster.stop().await;
}
