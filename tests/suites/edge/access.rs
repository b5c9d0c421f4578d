//! Who may come in.

use tests::{Bundle, Cluster};

use super::{echo, said};

#[tokio::test]
async fn addresses_are_let_in_by_what_a_trusted_proxy_says_alone() {
    let cluster = Cluster::of(echo())
        .flag("--trusted-proxy", "127.0.0.1")
        .config("ip_allow = [\"203.0.113.0/24\", \"127.0.0.1\"]\nip_deny = [\"203.0.113.66\"]")
        .start()
        .await;
    for (client, status) in [("203.0.113.9", 200), ("203.0.113.66", 403), ("198.51.100.1", 403)] {
        let request = cluster.client().get(cluster.url("/")).header("x-forwarded-for", client);
        assert_eq!(cluster.answer(request).await.status, status, "{client}");
    }
    assert_eq!(cluster.get("/").await.status, 200);
    let refused = cluster.metrics().await.sum("isopod_refusals_total", &[("reason", "address")]);
    assert_eq!(refused, 2.0);
    cluster.stop().await;

    // From anybody else the header is a forgery: the peer's own address counts.
    let strict = Cluster::of(echo()).config("ip_allow = [\"203.0.113.0/24\"]").start().await;
    let forged = strict.client().get(strict.url("/")).header("x-forwarded-for", "203.0.113.9");
    assert_eq!(strict.answer(forged).await.status, 403);
    strict.stop().await;
}

#[tokio::test]
async fn a_closed_site_shows_its_page_and_lets_its_makers_in() {
    let bundle = echo().file("closed.html", "<h1>Back at nine</h1>");
    let page = bundle.path().join("closed.html").display().to_string();
    let cluster = Cluster::of(bundle)
        .flag("--trusted-proxy", "127.0.0.1")
        .flag("--maintenance-page", &page)
        .config(
            "maintenance = true\nmaintenance_allow = [\"203.0.113.9\"]\nmaintenance_retry_after = \"10m\"",
        )
        .start()
        .await;
    let browser = cluster.client().get(cluster.url("/")).header("accept", "text/html");
    let closed = cluster.answer(browser).await;
    assert_eq!((closed.status, closed.header("retry-after")), (503, "600"));
    assert_eq!(said(&closed), "<h1>Back at nine</h1>");
    let maker = cluster.client().get(cluster.url("/")).header("x-forwarded-for", "203.0.113.9");
    assert_eq!(cluster.answer(maker).await.status, 200);
    let ready = cluster.answer(cluster.client().get(cluster.admin_url("/readyz"))).await;
    assert_eq!(ready.status, 200, "a closed site is healthy");
    let refused = cluster.metrics().await.sum("isopod_refusals_total", &[("reason", "maintenance")]);
    assert_eq!(refused, 1.0);
    cluster.stop().await;
}

#[tokio::test]
async fn not_each_of_many_refusals_gets_a_line() {
    let cluster = Cluster::of(echo()).config("maintenance = true\naccess_log_refusals = 2").start().await;
    for _ in 0..40 {
        assert_eq!(cluster.get("/").await.status, 503);
    }
    let metrics = cluster.metrics().await;
    assert_eq!(metrics.sum("isopod_refusals_total", &[("reason", "maintenance")]), 40.0);
    let skipped = metrics.sum("isopod_access_lines_skipped_total", &[]);
    assert!((1.0..=38.0).contains(&skipped), "{skipped}");
    // The rest of a second is told of in the next one.
    let told = cluster.log();
    let told = told.find(|line| line.contains("without lines of their own").then_some(()));
    let ask = async {
        loop {
            cluster.get("/").await;
        }
    };
    tokio::select! {
        told = told => assert!(told.is_some()),
        _ = ask => {}
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_door_opens_for_names_and_passwords() {
    let config =
        "[[basic_auth]]\npath = \"/staging/$\"\nrealm = \"Staging\"\nusers = [\"ann:plain:let me in\"]";
    let cluster =
        Cluster::of(Bundle::fetch("return new Response('inside')").file("client/staging/a.txt", "file"))
            .config(config)
            .start()
            .await;
    for path in ["/staging", "/staging/", "/Staging/x", "/%73taging/x", "/staging/a.txt"] {
        let closed = cluster.get(path).await;
        assert_eq!(closed.status, 401, "{path}");
        assert_eq!(closed.header("www-authenticate"), "Basic realm=\"Staging\", charset=\"UTF-8\"");
        let known = cluster.client().get(cluster.url(path)).basic_auth("ann", Some("let me in"));
        assert_eq!(cluster.answer(known).await.status, 200, "{path}");
    }
    let wrong = cluster.client().get(cluster.url("/staging")).basic_auth("ann", Some("let me"));
    assert_eq!(cluster.answer(wrong).await.status, 401);
    assert_eq!(cluster.get("/open").await.status, 200);
    let refused = cluster.metrics().await.sum("isopod_refusals_total", &[("reason", "basic_auth")]);
    assert_eq!(refused, 6.0);
    cluster.stop().await;
}

#[tokio::test]
async fn a_site_is_closed_and_opened_while_it_runs() {
    let cluster = Cluster::of(echo()).start().await;
    let admin = |method: &str| {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        cluster.answer(cluster.client().request(method, cluster.admin_url("/maintenance")))
    };
    assert_eq!(admin("GET").await.text(), "open\n");
    assert_eq!(cluster.get("/").await.status, 200);
    assert_eq!(admin("PUT").await.text(), "closed\n");
    assert_eq!(cluster.get("/").await.status, 503);
    let posted = admin("POST").await;
    assert_eq!((posted.status, posted.header("allow")), (405, "GET, HEAD, PUT, DELETE"));
    assert_eq!(admin("DELETE").await.text(), "open\n");
    assert_eq!(cluster.get("/").await.status, 200);
    cluster.stop().await;
}
