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
async fn no_spelling_of_a_path_gets_past_its_hook() {
    let cluster = edge().await;
    for path in ["/account", "/account/", "/%61ccount/settings", "/Account/settings", "/account/%73ettings"] {
        let away = cluster.get(path).await;
        assert_eq!((away.status, away.header("location")), (303, "/login"), "{path}");
    }
    for path in ["/account//settings", "/x/../account", "/account/%zz"] {
        let mut connection = cluster.connect().await;
        connection.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await;
        let answer = connection.read_to_end().await;
        assert_eq!(answer.status, 400, "{path}: hooks see no path with two meanings");
    }
    assert_eq!(cluster.get("/accounts").await.status, 200, "another page");
    cluster.stop().await;
}

#[tokio::test]
async fn hooks_see_no_claims_of_strangers() {
    let cluster = edge().await;
    let forged = cluster.client().get(cluster.url("/edge/forwarded")).header("x-forwarded-for", "6.6.6.6");
    assert_eq!(cluster.answer(forged).await.text(), "nobody");
    assert_eq!(cluster.metrics().await.sum("isopod_forged_forwards_total", &[]), 1.0);
    let plain = cluster.client().get(cluster.url("/page"));
    assert_eq!(cluster.answer(plain).await.status, 200);
    assert_eq!(cluster.metrics().await.sum("isopod_forged_forwards_total", &[]), 1.0);
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
    assert_eq!(broken.header("x-content-type-options"), "nosniff");
    assert_eq!(broken.header("referrer-policy"), "strict-origin-when-cross-origin", "the site's own fields");
    let id = broken.header("x-request-id").to_owned();
    let line = |line: &str| (line.contains("a request panicked") && line.contains(&id)).then_some(());
    assert!(cluster.log().find(line).await.is_some(), "{}", cluster.log());
    let refused = [("reason", "panic")];
    assert_eq!(cluster.metrics().await.sum("isopod_refusals_total", &refused), 1.0);
    assert!(others.iter().all(|answer| answer.status == 200));
    assert_eq!(cluster.get("/page").await.status, 200);
    assert_eq!(cluster.metrics().await.sum("isopod_requests_in_flight", &[]), 0.0);
    cluster.stop().await;
}
