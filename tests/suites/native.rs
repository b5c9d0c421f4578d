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

/// The path of a direct function, from what the build has written down.
fn direct_path(app: App, name: &str) -> String {
    let manifest = std::fs::read(app.dist().join("isopod.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let functions = &manifest["functions"];
    let direct = functions["direct"].as_object().unwrap();
    let (id, _) = direct.iter().find(|(_, native)| *native == name).expect("a direct function");
    format!("{}{id}", functions["base"].as_str().unwrap())
}

async fn a_direct_function_needs_no_isolate(app: App) {
    let cluster = Cluster::of(app).start().await;
    let path = direct_path(app, "threads.list");
    let before = cluster.metrics().await.sum("isopod_requests_total", &[("route", "bundle")]);
    let payload = r#"{"t":{"t":10,"i":0,"p":{"k":["data"],"v":[{"t":10,"i":1,"p":{"k":["limit"],"v":[{"t":0,"s":2}]},"o":0}]},"o":0},"f":127,"m":[]}"#;
    let call = |payload: &str| {
        let encoded: String = payload.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let url = cluster.url(&format!("{path}?payload={encoded}"));
        cluster.client().get(url).header("x-tsr-serverFn", "true")
    };
    let own = |payload: &str| call(payload).header("sec-fetch-site", "same-origin");
    let answer = cluster.answer(own(payload)).await;
    assert_eq!((answer.status, answer.header("x-tss-serialized")), (200, "true"), "{}", answer.text());
    assert!(answer.text().contains(r#""total""#), "{}", answer.text());
    let posted = cluster.client().post(cluster.url(&path)).header("x-tsr-serverFn", "true");
    let refused = cluster.answer(posted.header("origin", cluster.url(""))).await;
    assert_eq!((refused.status, refused.header("allow")), (405, "GET"));
    let foreign = cluster.answer(call("").header("sec-fetch-site", "cross-site")).await;
    assert_eq!(foreign.status, 403);
    let nobody = cluster.answer(call(payload)).await;
    assert_eq!(nobody.status, 403, "as Start has it: a call that does not say where it comes from");
    let broken = cluster.answer(own("{")).await;
    assert_eq!(broken.status, 400, "{}", broken.text());
    let metrics = cluster.metrics().await;
    assert_eq!(metrics.sum("isopod_requests_total", &[("route", "bundle")]), before, "no isolate was asked");
    assert_eq!(metrics.sum("isopod_native_calls_total", &[("caller", "client")]), 3.0);
}

#[tokio::test]
async fn a_direct_function_of_react_needs_no_isolate() {
    a_direct_function_needs_no_isolate(App::ThreadsReact).await;
}

#[tokio::test]
async fn a_direct_function_of_solid_needs_no_isolate() {
    a_direct_function_needs_no_isolate(App::ThreadsSolid).await;
}
