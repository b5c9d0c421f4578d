//! A gateway with middleware of the user's own: the program of `examples/edge`.

use tests::{Bundle, Cluster};

async fn edge() -> Cluster {
    start(
        "const context = opts?.context ?? null
         return Response.json({ path: url.pathname, context })",
    )
    .await
}

/// The gateway with its middleware, in front of an app that answers so, with functions in Rust.
async fn start(app: &str) -> Cluster {
    let source = format!(
        "export default {{ async fetch(request, opts) {{
           if (request.headers.has('x-isopod-warmup')) return new Response()
           const url = new URL(request.url)\n{app}\n}} }}\n"
    );
    Cluster::of(Bundle::new(&source).file("client/a.txt", "file"))
        .program("edge-example")
        .flag("--fn-worker-bin", env!("CARGO_BIN_EXE_values-worker"))
        .start()
        .await
}

#[tokio::test]
async fn the_context_reaches_the_app() {
    let cluster = edge().await;
    let plain = cluster.get("/page").await;
    assert_eq!(
        plain.json()["context"],
        serde_json::json!({ "locale": "en", "user": null }),
        "{}",
        cluster.log()
    );
    let request = cluster.client().get(cluster.url("/page")).header("accept-language", "fr, de-AT;q=0.9");
    let ann = cluster.answer(request.header("cookie", "a=b; session=token-of-ann")).await;
    let expected = serde_json::json!({ "locale": "de", "user": { "name": "ann", "admin": true } });
    assert_eq!(ann.json()["context"], expected);
    assert_eq!(ann.header("content-language"), "de");
    assert_eq!(cluster.get("/a.txt").await.header("content-language"), "en", "hooks see files too");
    let started = cluster.log().find(|line| line.contains("the edge is up").then_some(()));
    assert!(started.await.is_some(), "on_server_started is called");
    cluster.stop().await;
}

#[tokio::test]
async fn the_context_reaches_a_function_in_rust_that_the_app_calls() {
    let app =
        "return new Response(await globalThis[Symbol.for('isopod.host')].callNative('values.visitor', null))";
    let cluster = start(app).await;
    assert_eq!(cluster.get("/page").await.text(), "somebody reads en", "{}", cluster.log());
    let request = cluster.client().get(cluster.url("/page")).header("accept-language", "de");
    let ann = cluster.answer(request.header("cookie", "session=token-of-ann")).await;
    assert_eq!(ann.text(), "ann reads de");
    cluster.stop().await;
}

#[tokio::test]
async fn a_hook_can_answer_and_a_route_needs_no_isolate() {
    let cluster = edge().await;
    let away = cluster.get("/account/settings").await;
    assert_eq!((away.status, away.header("location")), (303, "/login"));
    assert_eq!(away.header("content-language"), "en", "hooks see the answers of others");
    let inside =
        cluster.client().get(cluster.url("/account/settings")).header("cookie", "session=token-of-bob");
    assert_eq!(cluster.answer(inside).await.json()["path"], "/account/settings");
    let bob =
        cluster.client().get(cluster.url("/edge/whoami")).header("cookie", "session=token-of-bob; locale=pl");
    let bob = cluster.answer(bob).await;
    assert_eq!(bob.json(), serde_json::json!({ "locale": "pl", "user": { "name": "bob", "admin": false } }));
    assert_eq!(cluster.get("/edge/whoami/locale").await.text(), "en");
    assert_eq!(
        cluster.post_json("/edge/whoami", "{}").await.json()["path"],
        "/edge/whoami",
        "other methods are the app's"
    );
    let counted = cluster.metrics().await.sum("isopod_requests_total", &[("route", "route")]);
    assert_eq!(counted, 2.0);
    cluster.stop().await;
}

#[tokio::test]
async fn a_hook_that_panics_costs_its_own_request_alone() {
    let cluster = edge().await;
    let others: Vec<_> = (0..8).map(|_| cluster.get("/page")).collect();
    let broken = cluster.client().get(cluster.url("/page")).header("cookie", "session=broken");
    let (broken, others) = tokio::join!(cluster.answer(broken), futures_util::future::join_all(others));
    assert_eq!(broken.status, 500);
    assert!(!broken.text().contains("session that cannot be read"), "{}", broken.text());
    assert!(others.iter().all(|answer| answer.status == 200));
    assert_eq!(cluster.get("/page").await.status, 200);
    assert_eq!(cluster.metrics().await.sum("isopod_requests_in_flight", &[]), 0.0);
    cluster.stop().await;
}
