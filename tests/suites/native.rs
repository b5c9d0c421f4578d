//! Native functions: from a page's loader in the isolate, and over HTTP.

use tests::load::each;
use tests::nats::{Nats, StartWorker};
use tests::wait::eventually;
use tests::{App, Bundle, Cluster};

async fn a_page_uses_both_functions(app: App) {
    show_both_functions(&Cluster::of(app).start().await).await;
}

async fn show_both_functions(cluster: &Cluster) {
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
    call_directly(&Cluster::of(app).start().await, app).await;
}

async fn call_directly(cluster: &Cluster, app: App) {
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

async fn pages_and_browsers_are_answered_by_another_machine(app: App) {
    let nats = Nats::start("").await;
    let cluster =
        Cluster::of(app).fn_workers(0).flag("--threads", "1").flag("--nats", &nats.url()).start().await;
    let _worker = StartWorker::built("fn-workers", &nats.url()).spawn().await;
    cluster
        .metrics_until("the gateway knows the worker", |metrics| {
            metrics.sum("isopod_nats_workers", &[]) + metrics.sum("isopod_nats_connections", &[]) == 2.0
        })
        .await;
    show_both_functions(&cluster).await;
    call_directly(&cluster, app).await;
}

#[tokio::test]
async fn pages_and_browsers_of_react_are_answered_by_another_machine() {
    pages_and_browsers_are_answered_by_another_machine(App::ThreadsReact).await;
}

#[tokio::test]
async fn pages_and_browsers_of_solid_are_answered_by_another_machine() {
    pages_and_browsers_are_answered_by_another_machine(App::ThreadsSolid).await;
}

#[tokio::test]
async fn a_worker_that_dies_under_calls_costs_those_alone_that_may_not_be_repeated() {
    let cluster = Cluster::of(Bundle::fetch("return new Response('app')"))
        .fn_workers(2)
        .flag("--fn-worker-bin", env!("CARGO_BIN_EXE_remote-worker"))
        .start()
        .await;
    const CALLS: usize = 16;
    let serving = &cluster;
    let statuses = async |name: &str| {
        let path = &format!("/_native/{name}");
        each(0..CALLS, CALLS, |id| async move {
            serving.post_json(path, format!(r#"{{"id":{id},"millis":1500}}"#)).await.status
        })
        .await
    };
    let killing = async {
        eventually("all calls run", async || {
            let workers = cluster.children("fn_worker").await;
            (workers.iter().map(|worker| worker.in_flight).sum::<u64>() == 2 * CALLS as u64).then_some(())
        })
        .await;
        cluster.kill_fn_worker(0).await;
    };
    let (once, again, ()) = tokio::join!(statuses("remote.once"), statuses("remote.again"), killing);
    assert_eq!(again, [200; CALLS], "{}", cluster.log());
    assert!(once.iter().all(|status| [200, 502].contains(status)), "{once:?}");
    let lost = once.iter().filter(|status| **status == 502).count();
    assert!((1..CALLS).contains(&lost), "{once:?}");
    let retries = cluster.metrics().await.sum("isopod_native_retries_total", &[]);
    assert!(retries >= 1.0 && retries <= CALLS as f64, "{retries}");
}
