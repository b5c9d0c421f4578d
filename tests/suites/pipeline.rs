//! A render pipeline through the gateway: each hook of the notes app, as clients see it.

use std::time::{Duration, Instant};

use tests::http::{Answer, BROWSER};
use tests::metrics::Metrics;
use tests::wait::eventually;
use tests::{App, Cluster};

const CRAWLER: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

async fn notes() -> Cluster {
    Cluster::of(App::NotesReactRouter).start().await
}

async fn as_crawler(cluster: &Cluster, path: &str) -> Answer {
    cluster.answer(cluster.client().get(cluster.url(path)).header("user-agent", CRAWLER)).await
}

/// A request as a browser sends it, over a connection of its own.
fn raw_get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nuser-agent: {BROWSER}\r\nconnection: close\r\n\r\n")
}

/// How many renders the isolate has seen end with this code, and the last of them.
async fn endings(cluster: &Cluster, code: &str) -> Vec<serde_json::Value> {
    let all = cluster.get("/api/ended").await.json();
    all.as_array().unwrap().iter().filter(|ending| ending["code"] == code).cloned().collect()
}

fn render_errors(metrics: &Metrics, code: &str) -> f64 {
    metrics.sum("app_render_errors_total", &[("code", code)])
}

#[tokio::test]
async fn every_hook_shows_itself_in_the_page_or_its_head() {
    let cluster = notes().await;
    let page = cluster.get("/notes/2?locale=de").await;
    let html = page.text();
    assert_eq!(page.status, 200);
    assert_eq!((page.header("x-middleware"), page.header("x-route")), ("ran", "/notes/:id"));
    assert_eq!(page.headers("set-cookie"), ["visits=1; Path=/", "seen=notes; Path=/"]);
    assert!(html.starts_with("<!-- header /notes/:id --><!DOCTYPE html><html lang=\"de\""), "{html}");
    assert!(html.ends_with("</body></html><!-- footer 0 -->"), "{html}");
    assert!(html.contains("<h2>Shells</h2>") && html.contains("\u{20ac} and all"), "{html}");
    assert!(html.contains("[\"store\",({id:") && html.contains("visits:1"), "the state: {html}");
    assert!(!html.contains("State</h2>") && !html.contains("</script> included"), "no script ends early");
    assert!(html.contains("data-patched=\"yes\""), "{html}");
    let request = cluster.client().get(cluster.url("/")).header("cookie", "visits=41");
    assert!(cluster.answer(request).await.text().contains("<p id=\"visits\">42</p>"));
}

#[tokio::test]
async fn a_page_names_its_styles_and_chunks_and_no_others() {
    let cluster = notes().await;
    let (note, home) = (cluster.get("/notes/2").await.text(), cluster.get("/").await.text());
    assert!(note.contains("<link rel=\"stylesheet\" href=\"/assets/note-"), "{note}");
    assert!(note.contains("<link rel=\"modulepreload\" href=\"/assets/note-"), "{note}");
    assert!(!home.contains("/assets/note-"), "{home}");
    let style = note.split("href=\"").find(|part| part.starts_with("/assets/note-")).unwrap();
    let style = cluster.get(&style[..style.find('"').unwrap()]).await;
    assert_eq!(style.status, 200);
    assert!(style.text().contains(".note"));
    assert_eq!(cluster.get("/index.html").await.status, 404);
    assert_eq!(cluster.get("/.vite/manifest.json").await.status, 404);
}

#[tokio::test]
async fn middleware_and_endpoints_stand_around_the_app() {
    let cluster = notes().await;
    let health = cluster.get("/health").await;
    assert_eq!((health.json()["well"].as_bool(), health.header("x-middleware")), (Some(true), "ran"));
    let echo = cluster.post_json("/echo/a%20word", "\"hi\"").await.json();
    assert_eq!((echo["word"].as_str(), echo["text"].as_str()), (Some("a word"), Some("\"hi\"")));
    let api = cluster.get("/api/notes").await;
    assert_eq!((api.header("x-api"), api.json()[0]["title"].as_str()), ("notes", Some("Streams")));
}

#[tokio::test]
async fn each_isolate_hears_that_the_server_has_started_and_one_is_the_first() {
    let cluster = Cluster::of(App::NotesReactRouter).renderers(2).start().await;
    let mut seen = std::collections::BTreeMap::new();
    eventually("both isolates have told of it", async || {
        let told = cluster.get("/started").await.json();
        let told = told.as_array().unwrap();
        assert!(told.len() <= 1, "an isolate is told once: {told:?}");
        if let Some(info) = told.first() {
            seen.insert(info["isolate"].as_str().unwrap().to_owned(), info.clone());
        }
        (seen.len() == 2).then_some(())
    })
    .await;
    for (isolate, info) in &seen {
        assert_eq!(info["address"], cluster.url(""));
        assert_eq!(info["first"], isolate == "0.0");
        assert_eq!(info["buildId"].as_str().unwrap().len(), 16);
    }
    let pid = cluster.kill_renderer(0).await;
    cluster.wait_until_replaced(pid).await;
    eventually("the new isolate has heard of it and is not the first", async || {
        let told = cluster.get("/started").await.json();
        let info = told.as_array().unwrap().first().cloned()?;
        (info["isolate"] == "0.0").then(|| assert_eq!(info["first"], false))
    })
    .await;
    assert_eq!(cluster.log().to_string().matches("probe once at").count(), 1);
}

#[tokio::test]
async fn a_page_streams_its_header_first_and_its_footer_last() {
    let cluster = notes().await;
    let mut connection = cluster.connect().await;
    connection.send(raw_get("/deferred?ms=1500")).await;
    let shell = connection.read_until("id=\"pending\"").await;
    let (head, body) = shell.split_once("\r\n\r\n").unwrap();
    assert!(head.to_ascii_lowercase().contains("transfer-encoding: chunked"), "{head}");
    assert!(body.contains("<!-- header /deferred --><!DOCTYPE html>"), "{body}");
    assert!(!body.contains("id=\"later\"") && !body.contains("<!-- footer"), "{body}");
    let whole = connection.read_to_end().await.body;
    let place = |text: &str| whole.find(text).unwrap_or_else(|| panic!("{text} is not in {whole}"));
    let order = [
        "<!-- header",
        "id=\"pending\"",
        "id=\"later\"",
        "[\"rendered\",1]",
        "</body></html>",
        "<!-- footer 0",
    ];
    assert!(order.map(place).is_sorted(), "{whole}");
}

#[tokio::test]
async fn early_hints_come_first_then_the_header_and_the_footer_last() {
    let cluster = notes().await;
    let mut connection = cluster.connect().await;
    let fields = format!(
        "host: localhost\r\nuser-agent: {BROWSER}\r\naccept: text/html\r\nsec-fetch-mode: navigate\r\n"
    );
    connection.send(format!("GET /deferred?ms=500 HTTP/1.1\r\n{fields}connection: close\r\n\r\n")).await;
    let received = connection.read_until("<!-- footer").await;
    let (hints, rest) = received.split_once("\r\n\r\n").unwrap();
    assert!(hints.starts_with("HTTP/1.1 103 Early Hints\r\n"), "{received}");
    assert!(hints.contains("</assets/client-") && hints.contains("rel=modulepreload"), "{hints}");
    assert!(rest.starts_with("HTTP/1.1 200 OK\r\n"), "{rest}");
    let place = |text: &str| rest.find(text).unwrap_or_else(|| panic!("{text} is not in {rest}"));
    assert!(["<!-- header", "id=\"now\"", "id=\"later\"", "<!-- footer"].map(place).is_sorted(), "{rest}");
}

#[tokio::test]
async fn a_crawler_gets_one_document_with_its_length() {
    let cluster = notes().await;
    let page = as_crawler(&cluster, "/deferred?ms=300").await;
    let html = page.text();
    assert_eq!(page.header("content-length"), page.body.len().to_string());
    assert!(
        html.contains("<p id=\"later\">worth 300 ms of patience</p>") && !html.contains("id=\"pending\"")
    );
    assert!(html.ends_with("</body></html><!-- footer 1 -->"), "{html}");
    let whole = cluster.get("/notes/new").await;
    assert_eq!(whole.header("content-length"), whole.body.len().to_string(), "by its route");
    cluster
        .metrics_until("both were counted", |metrics| {
            metrics.sum("app_pages_total", &[("mode", "whole")]) >= 2.0
        })
        .await;
}

#[tokio::test]
async fn loaders_and_actions_have_their_redirects_statuses_headers_and_cookies() {
    let cluster = notes().await;
    let old = cluster.get("/old").await;
    assert_eq!((old.status, old.header("location")), (308, "/notes/1"));
    assert_eq!(old.headers("set-cookie"), ["moved=1; Path=/", "visits=1; Path=/"]);
    for (path, status, text) in [
        ("/notes/99", 404, "<p id=\"error\">404: There is no note 99.</p>"),
        ("/nowhere", 404, "<h1>Not found</h1>"),
        ("/boom", 500, "<p id=\"error\">boom from the loader</p>"),
    ] {
        let page = cluster.get(path).await;
        assert_eq!(page.status, status, "{path}");
        assert!(page.text().contains(text), "{path}: {}", page.text());
    }
    let post = async |form: &'static str| {
        let request = cluster.client().post(cluster.url("/notes/new")).body(form);
        cluster.answer(request.header("content-type", "application/x-www-form-urlencoded")).await
    };
    let refused = post("title=+").await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("<p id=\"refused\">A note needs a title.</p>"));
    let created = post("title=Made+by+a+form&text=t").await;
    assert_eq!((created.status, created.header("location")), (302, "/notes/4"));
    assert!(cluster.get("/notes/4").await.text().contains("<h2>Made by a form</h2>"));
}

#[tokio::test]
async fn a_component_that_throws_in_the_shell_is_answered_by_its_boundary() {
    let cluster = notes().await;
    let page = cluster.get("/boom-render").await;
    assert!(page.text().contains("boom from the render") || page.status == 500, "{}", page.text());
    assert_eq!(endings(&cluster, "render").await.len(), 1, "it is told once");
}

#[tokio::test]
async fn the_clients_router_asks_for_the_data_of_a_route() {
    let cluster = notes().await;
    let data = cluster.get("/notes/2?_data=note").await;
    assert_eq!((data.status, data.header("x-isopod-data")), (200, "value"));
    assert!(data.text().contains("Shells") && !data.text().contains("<html"), "{}", data.text());
    let moved = cluster.get("/old?_data=old").await;
    assert_eq!((moved.status, moved.header("x-isopod-location")), (204, "/notes/1"));
}

#[tokio::test]
async fn a_render_is_given_up_after_its_delay_and_the_page_ends_whole() {
    let cluster = Cluster::of(App::NotesReactRouter).env("APP_ABORT_DELAY", "200").start().await;
    let started = Instant::now();
    let page = cluster.get("/never").await;
    let took = started.elapsed();
    let html = page.text();
    assert_eq!(page.status, 200);
    assert!(html.contains("$RX(\"B:0\""), "React leaves the boundary to the client: {html}");
    assert!(html.contains("id=\"pending\"") && html.ends_with("</body></html><!-- footer 0 -->"), "{html}");
    assert!(took >= Duration::from_millis(200), "{took:?}");
    let told = endings(&cluster, "timeout").await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0]["name"].as_str(), told[0]["route"].as_str()), (Some("TimeoutError"), Some("/never")));
    let elapsed = told[0]["elapsed"].as_f64().unwrap();
    assert!((200.0..2000.0).contains(&elapsed), "{elapsed}");
    let metrics = cluster
        .metrics_until("no job is left", |metrics| {
            metrics.jobs_in_flight() == 0.0 && render_errors(metrics, "timeout") > 0.0
        })
        .await;
    assert_eq!(render_errors(&metrics, "timeout"), 1.0);
}

#[tokio::test]
async fn a_loader_that_never_ends_is_answered_by_the_fatal_page() {
    let cluster = Cluster::of(App::NotesReactRouter).env("APP_ABORT_DELAY", "200").start().await;
    let page = cluster.get("/stuck").await;
    assert_eq!((page.status, page.header("x-shell-error")), (504, "TimeoutError"));
    assert!(page.text().contains("<h1 id=\"fatal\">504</h1>"), "{}", page.text());
    assert_eq!(endings(&cluster, "timeout").await.len(), 1);
    cluster.metrics_until("no job is left", |metrics| metrics.jobs_in_flight() == 0.0).await;
}

#[tokio::test]
async fn a_client_that_leaves_aborts_the_render_and_is_counted() {
    const VISITS: usize = 5;
    let cluster = notes().await;
    let mut fastest = Duration::MAX;
    for visit in 1..=VISITS {
        let mut answer = cluster.client().get(cluster.url("/never")).send().await.unwrap();
        assert!(answer.chunk().await.unwrap().is_some(), "the shell is here");
        let aborted = || cluster.log().to_string().matches("signal aborted: AbortError").count();
        drop(answer);
        let left = Instant::now();
        while aborted() < visit {
            assert!(left.elapsed() < Duration::from_secs(10), "the signal does not abort\n{}", cluster.log());
            tokio::task::yield_now().await;
        }
        fastest = fastest.min(left.elapsed());
    }
    assert!(fastest < Duration::from_millis(10), "from the closed socket to JavaScript: {fastest:?}");
    let told = endings(&cluster, "cancel").await;
    assert_eq!(told.len(), VISITS, "each is told once: {told:?}");
    assert!(told.iter().all(|ending| ending["name"] == "AbortError"));
    cluster
        .metrics_until("all are counted and no job is left", |metrics| {
            metrics.jobs_in_flight() == 0.0
                && render_errors(metrics, "cancel") == 5.0
                && metrics.sum("isopod_job_failures_total", &[("cause", "client_gone")]) == 5.0
        })
        .await;
}

#[tokio::test]
async fn a_skipped_request_is_the_gateways_and_a_cancelled_one_nobodys() {
    let cluster = notes().await;
    assert_eq!(cluster.get("/skipped").await.status, 404);
    assert!(cluster.get("/robots.txt").await.text().starts_with("User-agent"));
    let write = cluster.answer(cluster.client().post(cluster.url("/robots.txt"))).await;
    assert_eq!((write.status, write.header("allow")), (405, "GET, HEAD"));
    assert_eq!(cluster.get("/forbidden").await.status, 403);
    let mut connection = cluster.connect().await;
    connection.send(raw_get("/cancelled")).await;
    let mut received = Vec::new();
    let end = tokio::io::AsyncReadExt::read_to_end(connection.stream(), &mut received).await;
    assert!(received.is_empty(), "{end:?}: {}", String::from_utf8_lossy(&received));
    cluster.metrics_until("no job is left", |metrics| metrics.jobs_in_flight() == 0.0).await;
}

#[tokio::test]
async fn the_apps_metrics_are_added_up_over_isolates_and_never_fall() {
    let cluster = Cluster::of(App::NotesReactRouter).renderers(2).start().await;
    for _ in 0..6 {
        assert_eq!(cluster.get("/notes").await.status, 200);
    }
    // Each isolate has rendered its warming page, too.
    let counted = |metrics: &Metrics| metrics.sum("app_pages_total", &[("mode", "stream")]);
    let metrics = cluster
        .metrics_until("every page is counted", |metrics| {
            counted(metrics) == 8.0 && metrics.sum("app_isolates", &[]) == 2.0
        })
        .await;
    assert_eq!(metrics.sum("app_page_seconds_count", &[]), 8.0);
    let pid = cluster.kill_renderer(1).await;
    cluster.wait_until_replaced(pid).await;
    cluster
        .metrics_until("the new isolate is there, nothing is lost", |metrics| {
            counted(metrics) == 9.0 && metrics.sum("app_isolates", &[]) == 2.0
        })
        .await;
}
