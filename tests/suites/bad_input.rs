//! What no client should send: answered with 4xx before any isolate hears of it.

use std::collections::HashMap;

use tests::http::RawAnswer;
use tests::metrics::Metrics;
use tests::{Bundle, Cluster};

/// An app that counts its requests, and tells of itself at `/count`, `/read` and `/seen`.
fn app() -> Bundle {
    Bundle::fetch(
        "globalThis.jobs = (globalThis.jobs ?? 0) + 1
         if (url.pathname === '/count') return new Response(`count:${--globalThis.jobs}`)
         if (url.pathname === '/echo') return new Response(request.body)
         if (url.pathname === '/read') return new Response(`read:${(await request.arrayBuffer()).byteLength}`)
         return Response.json({ url: request.url, headers: [...request.headers] })",
    )
}

async fn ask(cluster: &Cluster, request: impl AsRef<[u8]>) -> RawAnswer {
    let mut connection = cluster.connect().await;
    connection.send(request).await;
    connection.read_to_end().await
}

/// What has been refused so far for this reason.
fn refused(metrics: &Metrics, reason: &str) -> f64 {
    metrics.sum("isopod_refusals_total", &[("reason", reason)])
}

/// Waits until so many requests in all have been refused for this reason. Only then is the next one sent.
async fn counted(cluster: &Cluster, reason: &str, times: f64) {
    let what = format!("{reason} is counted {times} times");
    cluster.metrics_until(&what, |metrics| refused(metrics, reason) == times).await;
}

/// Asserts that none of the requests so far became a job.
async fn nothing_reached_an_isolate(cluster: &Cluster) {
    assert_eq!(cluster.get("/count").await.text(), "count:0");
}

#[tokio::test]
async fn ambiguous_paths_are_refused() {
    let cluster = Cluster::of(app()).start().await;
    for path in [
        "/a%00b",
        "//",
        "//a",
        "/a//b",
        "/../a",
        "/a/../b",
        "/%2e%2e/a",
        "/a%2fb/%2e%2e/c",
        "/%",
        "/%zz",
        "/a\\b",
    ] {
        let answer =
            ask(&cluster, format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"))
                .await;
        assert!(answer.is_client_error(), "{path}: {}", answer.status);
    }
    nothing_reached_an_isolate(&cluster).await;
}

#[tokio::test]
async fn heads_that_are_none_are_refused() {
    let cluster = Cluster::of(app()).start().await;
    let mut so_far: HashMap<&str, f64> = HashMap::new();
    for (head, status, reason) in [
        ("GARBAGE", 400, "head_malformed"),
        ("GET", 400, "head_malformed"),
        ("GET / HTTP/9.9\r\nhost: localhost", 505, "version"),
        ("GET / HTTP/1.1", 400, "host"),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b", 400, "host"),
        ("GET / HTTP/1.1\r\nhost: a b", 400, "host"),
        ("GET / HTTP/1.1\r\nhost: user@localhost", 400, "host"),
        ("GET / HTTP/1.1\r\nhost: localhost/path", 400, "host"),
        ("GET / HTTP/1.1\r\nhost: localhost:port", 400, "host"),
        ("GET / HTTP/1.1\r\nhost: localhost\r\nbad header: x", 400, "head_malformed"),
        ("GET / HTTP/1.1\r\nhost: localhost\r\nx: a\0b", 400, "head_malformed"),
        ("G\u{e9}T / HTTP/1.1\r\nhost: localhost", 400, "head_malformed"),
        ("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1", 400, "body_length"),
        ("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999999999999999", 400, "body_length"),
        ("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2", 400, "body_length"),
        (
            "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\ntransfer-encoding: chunked",
            400,
            "body_length",
        ),
        ("GET ftp://localhost/ HTTP/1.1\r\nhost: localhost", 400, "target"),
        ("TRACE / HTTP/1.1\r\nhost: localhost", 405, "method"),
        ("BREW / HTTP/1.1\r\nhost: localhost", 501, "method"),
        ("CONNECT localhost:22 HTTP/1.1\r\nhost: localhost:22", 405, "method"),
        ("GET /_native/a/b HTTP/1.1\r\nhost: localhost", 404, "no_function"),
        ("GET /_native/a HTTP/1.1\r\nhost: localhost", 405, "native_method"),
        ("POST /_native/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0", 415, "media_type"),
    ] {
        let answer = ask(&cluster, format!("{head}\r\nconnection: close\r\n\r\n")).await;
        assert_eq!(answer.status, status, "{head:?}");
        let times = so_far.entry(reason).or_default();
        *times += 1.0;
        counted(&cluster, reason, *times).await;
    }
    nothing_reached_an_isolate(&cluster).await;
}

#[tokio::test]
async fn a_head_beyond_its_limit_is_431() {
    let cluster = Cluster::of(app()).start().await;
    let long = "x".repeat(65 * 1024);
    let header = ask(&cluster, format!("GET / HTTP/1.1\r\nhost: localhost\r\nx-long: {long}\r\n\r\n")).await;
    assert_eq!(header.status, 431);
    let many: String = (0..5000).map(|number| format!("x-{number}: 0123456789\r\n")).collect();
    let fields = ask(&cluster, format!("GET / HTTP/1.1\r\nhost: localhost\r\n{many}\r\n")).await;
    assert_eq!(fields.status, 431);
    let path = ask(&cluster, format!("GET /{long} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
    assert_eq!(path.status, 431);
    counted(&cluster, "head_too_large", 3.0).await;
    nothing_reached_an_isolate(&cluster).await;
}

#[tokio::test]
async fn what_is_no_request_behind_a_good_one_is_answered_and_counted() {
    let cluster = Cluster::of(app()).start().await;
    for (bad, status, message, reason, so_far) in [
        ("GARBAGE", "400", "cannot be read.\n", "head_malformed", 1.0),
        ("GET / HTTP/9.9\r\nhost: localhost", "505", "is not spoken here.\n", "version", 2.0),
    ] {
        let good = "GET /read HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let mut connection = cluster.connect().await;
        connection.send(format!("{good}{good}{bad}\r\n\r\n{good}")).await;
        let text = connection.read_to_end_as_text().await;
        let statuses: Vec<_> =
            text.match_indices("HTTP/1.1 ").map(|(at, _)| &text[at + 9..at + 12]).collect();
        assert_eq!(statuses, ["200", "200", status], "{bad}: nothing behind it is read: {text}");
        assert!(text.ends_with(message), "{text}");
        counted(&cluster, reason, 1.0).await;
        let all = cluster.metrics().await.sum("isopod_refusals_total", &[]);
        assert_eq!(all, so_far, "{bad}: once");
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_body_beyond_its_limit_is_413() {
    let cluster = Cluster::of(app()).config("body_limit = \"1KiB\"").start().await;
    let announced = ask(
        &cluster,
        "POST /read HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1025\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert_eq!(announced.status, 413);
    counted(&cluster, "body_too_large", 1.0).await;
    nothing_reached_an_isolate(&cluster).await;

    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    let head =
        "POST /read HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    let fits = ask(&cluster, format!("{head}{chunk}0\r\n\r\n")).await;
    assert!(fits.body.contains("read:1024"), "{fits:?}");
    let streamed = ask(&cluster, format!("{head}{chunk}1\r\nx\r\n0\r\n\r\n")).await;
    assert_eq!(streamed.status, 413);
    counted(&cluster, "body_too_large", 2.0).await;
    cluster.metrics_until("the job is gone", |metrics| metrics.jobs_in_flight() == 0.0).await;
}

/// The head of a request whose body comes in chunks.
fn chunked(path: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         accept: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
}

#[tokio::test]
async fn a_body_that_is_none_is_400() {
    let cluster = Cluster::of(app()).start().await;
    let mut so_far = 0.0;
    for (path, body, comes_later) in [
        ("/read", "ZZ\r\n", false),
        ("/read", "ZZ\r\n", true),
        ("/read", "3\r\nabc\r\nZZ\r\n", false),
        ("/read", "3\r\nabc\r\nZZ\r\n", true),
        ("/read", "3\r\nabcd\r\n", false),
        ("/read", "3\r\nabcd\r\n", true),
        ("/_native/foo", "ZZ\r\n", false),
        ("/_native/foo", "3\r\nabc\r\nZZ\r\n", true),
    ] {
        let mut connection = cluster.connect().await;
        connection.send(chunked(path)).await;
        if comes_later {
            let begun = |metrics: &Metrics| metrics.sum("isopod_requests_in_flight", &[]) == 1.0;
            cluster.metrics_until("the request has begun", begun).await;
        }
        connection.send(body).await;
        let text = connection.read_to_end_as_text().await;
        assert!(text.starts_with("HTTP/1.1 400 "), "{path} {body:?}: {text:?}");
        assert!(text.contains("{\"error\":\"The body of this request is not complete.\"}\n"), "{text:?}");
        so_far += 1.0;
        counted(&cluster, "body_broken", so_far).await;
    }
    let metrics = cluster
        .metrics_until("no job is left", |metrics| {
            metrics.jobs_in_flight() == 0.0 && metrics.sum("isopod_requests_in_flight", &[]) == 0.0
        })
        .await;
    assert_eq!(metrics.sum("isopod_requests_total", &[("status", "400")]), so_far);
    assert_eq!(metrics.sum("isopod_requests_total", &[("status", "499")]), 0.0);
}

#[tokio::test]
async fn what_is_no_request_behind_a_body_is_taken_for_a_part_of_it() {
    let cluster = Cluster::of(app()).start().await;
    let request = "POST /read HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n\r\nabcGARBAGE\r\n\r\n";
    assert_eq!(ask(&cluster, request).await.status, 400);
    counted(&cluster, "body_broken", 1.0).await;
    assert_eq!(cluster.metrics().await.sum("isopod_refusals_total", &[]), 1.0, "once");
}

#[tokio::test]
async fn a_body_that_is_none_behind_the_head_of_its_answer_is_counted() {
    let cluster = Cluster::of(app()).start().await;
    let mut connection = cluster.connect().await;
    connection.send(chunked("/echo") + "3\r\nabc\r\n").await;
    assert!(connection.read_until("abc").await.starts_with("HTTP/1.1 200 "));
    connection.send("ZZ\r\n").await;
    let text = connection.read_to_end_as_text().await;
    assert!(!text.ends_with("0\r\n\r\n"), "it does not end as if it were whole: {text:?}");
    counted(&cluster, "body_broken", 1.0).await;
    let line = |line: &str| (line.contains("body_broken") && line.contains("/echo")).then(|| line.to_owned());
    let line = cluster.log().find(line).await.unwrap();
    assert!(line.contains("200") && line.contains("cut"), "{line}");
    cluster.metrics_until("the job is gone", |metrics| metrics.jobs_in_flight() == 0.0).await;
}

#[tokio::test]
async fn a_body_that_breaks_off_ends_its_job() {
    let cluster = Cluster::of(app()).start().await;
    let mut connection = cluster.connect().await;
    connection.send("POST /read HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\nhalf").await;
    cluster.metrics_until("the job runs", |metrics| metrics.jobs_in_flight() == 1.0).await;
    drop(connection);
    cluster.metrics_until("the job is gone", |metrics| metrics.jobs_in_flight() == 0.0).await;
    assert!(cluster.get("/read").await.text().starts_with("read:0"));
    let metrics = cluster.metrics().await;
    assert_eq!(metrics.sum("isopod_requests_total", &[("status", "499")]), 1.0, "its client has gone");
    assert_eq!(refused(&metrics, "body_broken"), 0.0);
}

#[tokio::test]
async fn a_strangers_word_on_where_it_comes_from_is_not_taken() {
    let cluster = Cluster::of(app()).start().await;
    let forged = || {
        let request = cluster.client().get(cluster.url("/seen"));
        let request = request.header("host", "shop.example").header("x-forwarded-proto", "https");
        let request = request.header("x-forwarded-host", "evil.example").header("x-forwarded-for", "6.6.6.6");
        request.header("forwarded", "for=6.6.6.6;host=evil.example;proto=https")
    };
    let seen = cluster.answer(forged()).await.json();
    assert_eq!(seen["url"], "http://shop.example/seen");
    assert!(!seen.to_string().contains("evil.example") && !seen.to_string().contains("6.6.6.6"), "{seen}");
}

#[tokio::test]
async fn a_trusted_proxys_word_is_taken() {
    let cluster = Cluster::of(app()).config("trusted_proxy = [\"127.0.0.1\"]").start().await;
    let request = cluster.client().get(cluster.url("/seen?q=1")).header("x-forwarded-proto", "https");
    let request = request.header("x-forwarded-host", "shop.example").header("x-forwarded-for", "203.0.113.9");
    assert_eq!(cluster.answer(request).await.json()["url"], "https://shop.example/seen?q=1");
}
