//! HTTP/2 towards clients: what a connection may and may not do.

use bytes::Bytes;
use h2::Reason;
use tests::http2::{Fate, Frames, Http2, Http2Answer};
use tests::wait::{eventually, settled};
use tests::{Bundle, Cluster};
use tokio::net::TcpStream;

fn app() -> Bundle {
    Bundle::fetch(
        "if (url.pathname === '/hang') await new Promise((_, reject) => {
           request.signal.addEventListener('abort', () => { globalThis.aborts = (globalThis.aborts ?? 0) + 1; reject(request.signal.reason) })
         })
         if (url.pathname === '/aborts') return Response.json(globalThis.aborts ?? 0)
         if (url.pathname === '/read') return new Response(`read:${(await request.arrayBuffer()).byteLength}`)
         if (url.pathname === '/pulled') return Response.json(globalThis.pulled ?? 0)
         if (url.pathname === '/endless') {
           globalThis.pulled = 0
           const chunk = new Uint8Array(65536)
           return new Response(new ReadableStream({
             pull(controller) { globalThis.pulled += chunk.length; controller.enqueue(chunk.slice()) },
           }))
         }
         if (url.pathname === '/breaks') return new Response(new ReadableStream({
           start(controller) { controller.enqueue(new TextEncoder().encode('half')) },
           async pull(controller) {
             await new Promise((done) => setTimeout(done, 100))
             controller.error(new Error('broken on purpose'))
           },
         }))
         if (url.pathname === '/slow') return new Response(new ReadableStream({
           async start(controller) {
             for (let i = 0; i < 5; i++) {
               controller.enqueue(new TextEncoder().encode(`${i};`))
               await new Promise((done) => setTimeout(done, 100))
             }
             controller.close()
           },
         }))
         return Response.json({ url: request.url, headers: [...request.headers] })",
    )
}

async fn cluster(config: &str) -> Cluster {
    Cluster::of(app()).config("h2c = true").config(config).start().await
}

async fn connect(cluster: &Cluster) -> Http2 {
    Http2::over(TcpStream::connect(cluster.address()).await.unwrap(), "shop.example").await
}

fn refusals(metrics: &tests::metrics::Metrics, reason: &str) -> f64 {
    metrics.sum("isopod_refusals_total", &[("reason", reason)])
}

#[tokio::test]
async fn the_bundle_sees_one_request_whatever_the_protocol() {
    let cluster = cluster("").await;
    let mut client = connect(&cluster).await;
    let answer = client.get("/a%20b?q=1", &[("cookie", "a=1"), ("cookie", "b=2"), ("x-own", "1")]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.header("x-request-id").len(), 32);
    assert!(!answer.header("date").is_empty());
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    let seen: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(seen["url"], "http://shop.example/a%20b?q=1", "the scheme is that of the connection");
    let fields = seen["headers"].to_string();
    for field in [r#"["cookie","a=1; b=2"]"#, r#"["host","shop.example"]"#, r#"["x-own","1"]"#] {
        assert!(fields.contains(field), "{field}: {fields}");
    }
    assert_eq!(cluster.get("/").await.status, 200, "HTTP/1.1 is spoken at the same address");
}

#[tokio::test]
async fn many_requests_share_a_connection_and_its_refusals_hurt_no_other() {
    let cluster = cluster("body_limit = \"1KiB\"").await;
    let mut client = connect(&cluster).await;
    let (slow, _) = client.begin("GET", "/slow", &[], false).await.unwrap();
    for (method, path, fields, status) in [
        ("GET", "/a//b", &[][..], 400),
        ("GET", "/", &[("host", "other.example")], 400),
        ("TRACE", "/", &[], 405),
        ("BREW", "/", &[], 501),
        ("POST", "/read", &[("content-length", "1025")], 413),
    ] {
        let (response, _) = client.begin(method, path, fields, method == "POST").await.unwrap();
        assert_eq!(response.await.unwrap().status(), status, "{method} {path}");
    }
    let long = "x".repeat(100_000);
    assert_eq!(client.get("/", &[("x-long", &long)]).await.status, 431);
    let longer = "x".repeat(200_000);
    assert_eq!(client.get("/", &[("x-long", &longer)]).await.status, 431, "h2 answers that by itself");
    // The connection's task counts h2's own when it has sent it.
    let metrics =
        cluster.metrics_until("both are counted", |metrics| refusals(metrics, "head_too_large") == 2.0).await;
    assert_eq!(refusals(&metrics, "head_malformed"), 0.0, "the reset behind h2's answer is none of its own");
    let (response, mut upload) = client.begin("POST", "/read", &[], true).await.unwrap();
    upload.send_data(Bytes::from_static(&[0; 1000]), true).unwrap();
    assert_eq!(Http2Answer::read(response.await.unwrap()).await.unwrap().body, "read:1000");
    assert_eq!(Http2Answer::read(slow.await.unwrap()).await.unwrap().body, "0;1;2;3;4;");
    let head = client.begin("HEAD", "/", &[], false).await.unwrap().0.await.unwrap();
    assert_eq!((head.status().as_u16(), head.body().is_end_stream()), (200, true));
}

/// A head that is fine, but for `fields`.
fn head<'a>(path: &'a [u8], fields: &[(&'a str, &'a [u8])]) -> Vec<(&'a str, &'a [u8])> {
    let fine =
        [(":method", &b"GET"[..]), (":scheme", b"http"), (":authority", b"shop.example"), (":path", path)];
    [&fine[..], fields].concat()
}

#[tokio::test]
async fn heads_that_are_none_are_reset_and_counted() {
    let cluster = cluster("").await;
    let mut client = Frames::over(TcpStream::connect(cluster.address()).await.unwrap()).await;
    let no_path = &head(b"", &[])[..3];
    let mut so_far = 0.0;
    for fields in [
        &head(b"/", &[("content-length", b"0"), ("content-length", b"1")])[..],
        &head(b"/", &[("content-length", b"-1")]),
        &head(b"/", &[("transfer-encoding", b"chunked")]),
        &head(b"/", &[("connection", b"close")]),
        &head(b"/a b", &[]),
        &head(b"/a<b>", &[]),
        no_path,
    ] {
        assert_eq!(client.ask(fields).await, Fate::Reset(Reason::PROTOCOL_ERROR), "{fields:?}");
        so_far += 1.0;
        cluster.metrics_until("it is counted", |metrics| refusals(metrics, "head_malformed") == so_far).await;
    }
    assert_eq!(client.ask(&head(b"/", &[])).await, Fate::Answered, "the connection goes on");
    assert_eq!(client.ask(&head("/caf\u{e9}".as_bytes(), &[])).await, Fate::Answered, "h2 lets it pass");
    let metrics = cluster.metrics_until("it is counted", |metrics| refusals(metrics, "target") == 1.0).await;
    assert_eq!(metrics.sum("isopod_requests_total", &[("status", "400")]), so_far + 1.0);
    assert_eq!(metrics.sum("isopod_requests_total", &[("status", "200")]), 1.0);
}

#[tokio::test]
async fn a_head_that_breaks_the_protocol_ends_the_connection_and_is_counted() {
    let cluster = cluster("").await;
    let bad_method = [&[(":method", &b"G T"[..])], &head(b"/", &[])[1..]].concat();
    let mut so_far = 0.0;
    for fields in [head(b"/", &[("X-Upper", b"1")]), head(b"/", &[("x-nul", b"a\0b")]), bad_method] {
        let mut client = Frames::over(TcpStream::connect(cluster.address()).await.unwrap()).await;
        assert_eq!(client.ask(&fields).await, Fate::GoAway(Reason::PROTOCOL_ERROR), "{fields:?}");
        so_far += 1.0;
        cluster.metrics_until("it is counted", |metrics| refusals(metrics, "h2_violation") == so_far).await;
    }
    assert_eq!(cluster.metrics().await.sum("isopod_requests_total", &[]), 0.0);
}

#[tokio::test]
async fn a_stream_that_is_reset_ends_its_job() {
    let cluster = cluster("").await;
    let mut client = connect(&cluster).await;
    for aborts in 1..=3 {
        let (response, mut stream) = client.begin("GET", "/hang", &[], false).await.unwrap();
        cluster.metrics_until("it runs", |metrics| metrics.jobs_in_flight() == 1.0).await;
        stream.send_reset(Reason::CANCEL);
        drop(response);
        eventually("its signal aborts", async || {
            (client.get("/aborts", &[]).await.body == aborts.to_string()).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_body_of_another_length_than_announced_is_told_from_a_client_that_gave_up() {
    let cluster = cluster("").await;
    let mut client = connect(&cluster).await;
    let begin = ("content-length", "5");
    for (so_far, is_short) in [(1.0, true), (2.0, false)] {
        let (response, mut upload) = client.begin("POST", "/read", &[begin], true).await.unwrap();
        cluster.metrics_until("it runs", |metrics| metrics.jobs_in_flight() == 1.0).await;
        upload.send_data(Bytes::from_static(if is_short { b"abc" } else { b"abcdef" }), true).unwrap();
        assert_eq!(response.await.unwrap_err().reason(), Some(Reason::PROTOCOL_ERROR));
        cluster.metrics_until("it is counted", |metrics| refusals(metrics, "body_broken") == so_far).await;
    }
    let (response, mut upload) = client.begin("POST", "/read", &[begin], true).await.unwrap();
    cluster.metrics_until("it runs", |metrics| metrics.jobs_in_flight() == 1.0).await;
    upload.send_reset(Reason::PROTOCOL_ERROR);
    drop(response);
    let gone = [("status", "499")];
    let metrics = cluster
        .metrics_until("it has gone", |metrics| metrics.sum("isopod_requests_total", &gone) == 1.0)
        .await;
    assert_eq!(refusals(&metrics, "body_broken"), 2.0);
    assert_eq!(metrics.sum("isopod_requests_total", &[("status", "400")]), 2.0);
    assert_eq!(client.get("/", &[]).await.status, 200, "the connection goes on");
}

#[tokio::test]
async fn a_client_that_goes_away_ends_all_of_its_jobs() {
    let cluster = cluster("").await;
    let mut client = connect(&cluster).await;
    let mut running = Vec::new();
    for _ in 0..10 {
        running.push(client.begin("GET", "/hang", &[], false).await.unwrap());
    }
    cluster.metrics_until("all run", |metrics| metrics.jobs_in_flight() == 10.0).await;
    drop((running, client));
    cluster.metrics_until("none is left", |metrics| metrics.jobs_in_flight() == 0.0).await;
}

#[tokio::test]
async fn a_stream_that_breaks_is_reset_and_not_ended() {
    let cluster = cluster("").await;
    let mut client = connect(&cluster).await;
    let response = client.begin("GET", "/breaks", &[], false).await.unwrap().0.await.unwrap();
    assert_eq!(response.status(), 200);
    let error = Http2Answer::read(response).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
    assert_eq!(client.get("/", &[]).await.status, 200, "the connection goes on");
}

#[tokio::test]
async fn a_stream_that_nobody_reads_holds_its_window_and_nothing_else() {
    let cluster = cluster("").await;
    let mut client = connect(&cluster).await;
    let stalled = client.begin("GET", "/endless", &[], false).await.unwrap().0.await.unwrap();
    let pulled =
        settled("bytes pulled", async || cluster.get("/pulled").await.json().as_u64().unwrap()).await;
    assert!(pulled < 1 << 20, "{pulled} bytes are under way to a stream that nobody reads");
    assert_eq!(client.get("/", &[]).await.status, 200, "other streams of the connection go on");
    drop(stalled);
    cluster.metrics_until("its job is gone", |metrics| metrics.jobs_in_flight() == 0.0).await;
}

#[tokio::test]
async fn a_stream_that_is_read_too_slowly_is_reset() {
    let cluster = cluster("write_timeout = \"300ms\"").await;
    let mut client = connect(&cluster).await;
    let mut body = client.begin("GET", "/endless", &[], false).await.unwrap().0.await.unwrap().into_body();
    cluster.metrics_until("it is counted", |metrics| refusals(metrics, "read_slow") == 1.0).await;
    let end = async {
        loop {
            match body.data().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return error.reason(),
                None => return None,
            }
        }
    };
    assert_eq!(end.await, Some(Reason::CANCEL));
    assert_eq!(client.get("/", &[]).await.status, 200, "the connection goes on");
    cluster.metrics_until("its job is gone", |metrics| metrics.jobs_in_flight() == 0.0).await;
}

#[tokio::test]
async fn more_streams_than_may_be_wait_at_the_client() {
    let cluster = cluster("h2_max_streams = 3").await;
    let mut client = connect(&cluster).await;
    client.get("/", &[]).await;
    let mut running = Vec::new();
    for _ in 0..3 {
        running.push(client.begin("GET", "/hang", &[], false).await.unwrap());
    }
    cluster.metrics_until("three run", |metrics| metrics.jobs_in_flight() == 3.0).await;
    let fourth = client.begin("GET", "/", &[], false);
    let fourth = async { Http2Answer::read(fourth.await.unwrap().0.await.unwrap()).await.unwrap().status };
    let others = async {
        let waits = tokio::time::timeout(std::time::Duration::from_millis(200), std::future::pending::<()>());
        assert!(waits.await.is_err());
        drop(running.pop());
    };
    let (status, ()) = tokio::join!(fourth, others);
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_flood_of_resets_ends_the_connection() {
    let cluster = cluster("").await;
    let mut client = connect(&cluster).await;
    for _ in 0..5000 {
        let Ok((response, mut stream)) = client.begin("GET", "/hang", &[], false).await else { break };
        stream.send_reset(Reason::CANCEL);
        drop(response);
        tokio::task::yield_now().await;
    }
    assert_eq!(client.end().await, Some(Reason::ENHANCE_YOUR_CALM));
    cluster.metrics_until("it is counted", |metrics| refusals(metrics, "h2_flood") >= 1.0).await;
    cluster.metrics_until("no job is left", |metrics| metrics.jobs_in_flight() == 0.0).await;
    assert_eq!(cluster.get("/").await.status, 200);
}

#[tokio::test]
async fn a_drain_lets_streams_finish_and_ends_the_connection() {
    let cluster = cluster("").await;
    let children = cluster.child_pids();
    let mut client = connect(&cluster).await;
    let mut idle = connect(&cluster).await;
    idle.get("/", &[]).await;
    let (slow, _) = client.begin("GET", "/slow", &[], false).await.unwrap();
    let slow = slow.await.unwrap();
    cluster.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(Http2Answer::read(slow).await.unwrap().body, "0;1;2;3;4;");
    assert_eq!(client.end().await, None, "a clean end");
    assert_eq!(idle.end().await, None, "a clean end");
    cluster.exit(children).await.expect_code(0);
}

#[tokio::test]
async fn an_idle_connection_is_told_to_end() {
    let cluster = cluster("keep_alive = \"1s\"").await;
    let mut client = connect(&cluster).await;
    client.get("/", &[]).await;
    assert_eq!(client.end().await, None);
}
