//! What other sites may cause, and what they may read.

use tests::{App, Cluster};

use super::{echo, said};

#[tokio::test]
async fn other_sites_change_nothing() {
    let cluster = Cluster::of(echo())
        .config("csrf_trusted_origin = [\"https://app.example\"]\ncsrf_exempt = [\"/hooks/$\"]")
        .start()
        .await;
    let own = format!("http://{}", cluster.address());
    let post = |path: &str| cluster.client().post(cluster.url(path));
    for (request, status) in [
        (post("/"), 200),
        (post("/").header("sec-fetch-site", "same-origin"), 200),
        (post("/").header("origin", &own), 200),
        (post("/").header("referer", format!("{own}/page")), 200),
        (post("/").header("origin", "https://app.example").header("sec-fetch-site", "cross-site"), 200),
        (post("/").header("sec-fetch-site", "cross-site"), 403),
        (post("/").header("sec-fetch-site", "same-site"), 403),
        (post("/").header("origin", "https://evil.example"), 403),
        (post("/").header("origin", "null"), 403),
        (post("/").header("referer", "https://evil.example/"), 403),
        (post("/hooks/pay").header("origin", "https://pay.example"), 200),
        (cluster.client().delete(cluster.url("/")).header("sec-fetch-site", "cross-site"), 403),
        (cluster.client().get(cluster.url("/")).header("sec-fetch-site", "cross-site"), 200),
    ] {
        let shown = format!("{request:?}");
        assert_eq!(cluster.answer(request).await.status, status, "{shown}");
    }
    let refused = cluster.metrics().await.sum("isopod_refusals_total", &[("reason", "cross_site")]);
    assert_eq!(refused, 6.0);
    cluster.stop().await;
}

#[tokio::test]
async fn what_says_nothing_of_its_origin_is_the_apps_to_judge_or_refused() {
    let cluster = Cluster::of(echo()).config("csrf_unknown = \"refuse\"").start().await;
    assert_eq!(cluster.post_json("/", "{}").await.status, 403);
    assert_eq!(cluster.get("/").await.status, 200);
    cluster.stop().await;
    // By default the app judges, as TanStack Start does for its server functions.
    let app = Cluster::of(App::ThreadsReact).start().await;
    assert_eq!(app.post_json("/api/hello", r#"{"text":"hi"}"#).await.status, 201);
    app.stop().await;
}

#[tokio::test]
async fn sites_that_may_read_are_told_so() {
    let config = "[[cors]]\npath = \"/api/$\"\norigins = [\"https://app.example\"]\nmethods = [\"GET\", \"PUT\"]\n\
                  headers = [\"x-own\"]\nexpose = [\"x-total\"]\ncredentials = true\nmax_age = \"1h\"";
    let cluster = Cluster::of(echo()).config(config).start().await;
    let preflight = |origin: &str| {
        let request = cluster.client().request(reqwest_method("OPTIONS"), cluster.url("/api/a"));
        request.header("origin", origin).header("access-control-request-method", "PUT")
    };
    let allowed = cluster.answer(preflight("https://app.example")).await;
    assert_eq!(allowed.status, 204);
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example"),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-allow-headers", "x-own"),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "3600"),
        ("vary", "origin"),
    ] {
        assert_eq!(allowed.header(name), value, "{name}");
    }
    let refused = cluster.answer(preflight("https://evil.example")).await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (403, ""));

    let put = cluster.client().put(cluster.url("/api/a")).header("origin", "https://app.example");
    let written = cluster.answer(put.header("sec-fetch-site", "cross-site")).await;
    assert_eq!((written.status, said(&written).as_str()), (200, "PUT /api/a"));
    assert_eq!(written.header("access-control-expose-headers"), "x-total");

    let elsewhere = cluster.client().get(cluster.url("/page")).header("origin", "https://app.example");
    assert_eq!(cluster.answer(elsewhere).await.header("access-control-allow-origin"), "");
    let options = cluster.client().request(reqwest_method("OPTIONS"), cluster.url("/page"));
    assert_eq!(said(&cluster.answer(options).await), "OPTIONS /page");
    cluster.stop().await;
}

#[tokio::test]
async fn a_page_of_another_site_gets_past_a_door_with_its_password_and_reads_refusals() {
    let config = "ip_deny = [\"203.0.113.66\"]\n\
                  [[cors]]\npath = \"/staging/$\"\norigins = [\"https://app.example\"]\ncredentials = true\n\
                  headers = [\"authorization\"]\n\
                  [[basic_auth]]\npath = \"/staging/$\"\nusers = [\"ann:plain:let me in\"]";
    let cluster = Cluster::of(echo()).flag("--trusted-proxy", "127.0.0.1").config(config).start().await;
    let ask = |method: &str, path: &str, origin: &str| {
        let request = cluster.client().request(reqwest_method(method), cluster.url(path));
        request.header("origin", origin)
    };
    let preflight = |path: &str, origin: &str| {
        let request = ask("OPTIONS", path, origin).header("access-control-request-method", "GET");
        request.header("access-control-request-headers", "authorization")
    };
    let allows = |answer: &tests::http::Answer| answer.header("access-control-allow-origin").to_owned();
    let app = "https://app.example";

    let allowed = cluster.answer(preflight("/staging/a", app)).await;
    assert_eq!((allowed.status, allows(&allowed).as_str()), (204, app));
    assert_eq!(allowed.header("access-control-allow-headers"), "authorization");
    assert_eq!(allowed.header("access-control-allow-credentials"), "true");
    let refused = cluster.answer(ask("GET", "/staging/a", app)).await;
    assert_eq!((refused.status, allows(&refused).as_str()), (401, app));
    assert!(refused.header("www-authenticate").starts_with("Basic"));
    let entered = ask("GET", "/staging/a", app).basic_auth("ann", Some("let me in"));
    let entered = cluster.answer(entered).await;
    assert_eq!((entered.status, allows(&entered).as_str()), (200, app));

    // Others get no further than before.
    let foreign = cluster.answer(preflight("/staging/a", "https://evil.example")).await;
    assert_eq!((foreign.status, allows(&foreign).as_str()), (403, ""));
    let foreign = cluster.answer(ask("GET", "/staging/a", "https://evil.example")).await;
    assert_eq!((foreign.status, allows(&foreign).as_str()), (401, ""));
    // What is no preflight needs the password, whatever its method.
    assert_eq!(cluster.answer(ask("OPTIONS", "/staging/a", app)).await.status, 401);
    let shut_out = preflight("/staging/a", app).header("x-forwarded-for", "203.0.113.66");
    let shut_out = cluster.answer(shut_out).await;
    assert_eq!((shut_out.status, allows(&shut_out).as_str()), (403, app));

    let admin = cluster.client().put(cluster.admin_url("/maintenance"));
    assert_eq!(cluster.answer(admin).await.text(), "closed\n");
    assert_eq!(cluster.answer(preflight("/staging/a", app)).await.status, 204);
    let closed = cluster.answer(ask("GET", "/staging/a", app)).await;
    assert_eq!((closed.status, allows(&closed).as_str()), (503, app));
    assert!(!closed.header("retry-after").is_empty());
    cluster.stop().await;
}

fn reqwest_method(name: &str) -> reqwest::Method {
    reqwest::Method::from_bytes(name.as_bytes()).unwrap()
}

#[tokio::test]
async fn responses_get_the_fields_that_they_lack() {
    let bundle = tests::Bundle::fetch(
        "return new Response('ok', { headers: { 'referrer-policy': 'no-referrer', 'x-powered-by': 'app' } })",
    )
    .file("client/a.txt", "file");
    let config = "security_headers = \"strict\"\nhsts = \"24h\"\n\
                  [[headers]]\nset = { x-a = \"1\" }\nremove = [\"x-powered-by\"]\n\
                  [[headers]]\npath = \"/p/$id\"\nadd = { x-a = [\"2\", \"3\"] }";
    let cluster = Cluster::of(bundle).flag("--trusted-proxy", "127.0.0.1").config(config).start().await;
    let page = cluster.get("/p/7").await;
    assert_eq!(page.headers("x-a"), ["1", "2", "3"]);
    assert_eq!((page.header("referrer-policy"), page.header("x-powered-by")), ("no-referrer", ""));
    assert_eq!(
        (page.header("x-frame-options"), page.header("strict-transport-security")),
        ("SAMEORIGIN", "")
    );
    let secure = cluster.client().get(cluster.url("/")).header("x-forwarded-proto", "https");
    let hsts = cluster.answer(secure).await;
    assert_eq!(hsts.header("strict-transport-security"), "max-age=86400; includeSubDomains");
    let file = cluster.get("/a.txt").await;
    assert_eq!((file.header("x-a"), file.header("x-content-type-options")), ("1", "nosniff"));
    cluster.stop().await;
}
