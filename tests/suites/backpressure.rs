//! Who does not read stops who writes: memory is bounded by windows and socket buffers, whatever the length.

use std::time::Duration;

use h2::RecvStream;
use tests::http::RawConnection;
use tests::http2::Http2;
use tests::metrics::Metrics;
use tests::process::resident_bytes;
use tests::wait::{eventually, settled};
use tests::{Bundle, Cluster};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const MIB: u64 = 1 << 20;

/// More than all windows and socket buffers on the way, far less than an unbounded buffer would take.
const UNDER_WAY: u64 = 24 * MIB;

/// How much a renderer's memory may grow meanwhile: what is under way, and V8's garbage.
const GROWTH: u64 = 96 * MIB;

async fn renderer_memory(cluster: &Cluster) -> u64 {
    resident_bytes(cluster.children("renderer").await[0].pid)
}

#[tokio::test]
async fn a_client_that_reads_nothing_stops_the_stream() {
    let bundle = Bundle::fetch(
        "if (url.pathname === '/pulled') return Response.json({ bytes: globalThis.pulled, cancelled: !!globalThis.cancelled })
         globalThis.pulled = 0
         const chunk = new Uint8Array(65536)
         return new Response(new ReadableStream({
           pull(controller) { globalThis.pulled += chunk.length; controller.enqueue(chunk.slice()) },
           cancel() { globalThis.cancelled = true },
         }))",
    );
    let cluster = Cluster::of(bundle).start().await;
    let before = renderer_memory(&cluster).await;
    let mut connection = cluster.connect().await;
    connection.send("GET /endless HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    connection.read_until("\r\n\r\n").await;
    let pulled =
        settled("bytes pulled", async || cluster.get("/pulled").await.json()["bytes"].as_u64().unwrap())
            .await;
    assert!(pulled < UNDER_WAY, "{pulled} bytes are under way to a client that reads nothing");
    let grown = renderer_memory(&cluster).await.saturating_sub(before);
    assert!(grown < GROWTH, "the renderer grew by {grown} bytes");

    drop(connection);
    eventually("the stream is cancelled", async || {
        cluster.get("/pulled").await.json()["cancelled"].as_bool().unwrap().then_some(())
    })
    .await;
}

/// Jobs that the isolate runs at a time, and clients that keep theirs waiting.
const PLACES: usize = 2;
const SLOW: usize = 8;

/// An isolate with few places, and nobody who cuts slow clients off.
async fn few_places(max_slow_clients: usize, queue_wait: &str) -> Cluster {
    let bundle = Bundle::fetch(
        "const endless = { pull(controller) { controller.enqueue(new Uint8Array(65536)) } }
         if (url.pathname === '/endless') return new Response(new ReadableStream(endless))
         return new Response(request.method === 'POST' ? String((await request.arrayBuffer()).byteLength) : 'ok')",
    );
    let config = format!(
        "max_jobs_per_isolate = {PLACES}
         min_jobs_per_isolate = {PLACES}
         max_slow_clients_per_isolate = {max_slow_clients}
         queue_wait = \"{queue_wait}\"
         job_timeout = \"10m\"
         write_timeout = \"10m\"
         min_download_rate = \"0B\"
         body_timeout = \"10m\"
         min_upload_rate = \"0B\"
         h2c = true"
    );
    Cluster::of(bundle).config(&config).start().await
}

fn slow_clients(metrics: &Metrics) -> f64 {
    metrics.sum("isopod_slow_clients", &[])
}

async fn readers(cluster: &Cluster, count: usize) -> Vec<RawConnection> {
    let mut readers = Vec::new();
    for _ in 0..count {
        let mut connection = cluster.connect().await;
        connection.send("GET /endless HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        readers.push(connection);
    }
    for reader in &mut readers {
        let head = reader.read_until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    }
    readers
}

#[tokio::test]
async fn clients_that_read_by_the_byte_hold_no_places() {
    let cluster = few_places(1024, "20s").await;
    let mut readers = readers(&cluster, SLOW).await;
    cluster.metrics_until("all of them are slow", |now| slow_clients(now) == SLOW as f64).await;
    for _ in 0..50 {
        for reader in &mut readers {
            reader.stream().read_u8().await.unwrap();
        }
        let answer = timeout(Duration::from_secs(2), cluster.get("/")).await.expect("others wait for nobody");
        assert_eq!(answer.status, 200);
    }
    let metrics = cluster.metrics().await;
    assert_eq!((slow_clients(&metrics), metrics.jobs_in_flight()), (SLOW as f64, SLOW as f64), "they go on");
    drop(readers);
    cluster
        .metrics_until("all have ended", |now| now.jobs_in_flight() == 0.0 && slow_clients(now) == 0.0)
        .await;
    cluster.stop().await;
}

/// Takes what has come of a stream, and makes room for as much again: its window is a byte or two.
async fn read_a_little(body: &mut RecvStream) {
    let piece = timeout(Duration::from_secs(10), body.data()).await.expect("bytes come").unwrap().unwrap();
    assert!(piece.len() <= 2, "{} bytes came", piece.len());
    body.flow_control().release_capacity(piece.len()).unwrap();
}

#[tokio::test]
async fn streams_of_http_2_that_are_read_by_the_byte_hold_no_places() {
    let cluster = few_places(1024, "20s").await;
    let socket = TcpStream::connect(cluster.address()).await.unwrap();
    let mut client = Http2::with_window(socket, "localhost", 2).await;
    let mut responses = Vec::new();
    for _ in 0..SLOW {
        responses.push(client.begin("GET", "/endless", &[], false).await.unwrap().0);
    }
    let mut bodies = Vec::new();
    for response in responses {
        let response = timeout(Duration::from_secs(20), response).await.expect("a head comes").unwrap();
        assert_eq!(response.status(), 200);
        bodies.push(response.into_body());
    }
    cluster.metrics_until("all of them are slow", |now| slow_clients(now) == SLOW as f64).await;
    for _ in 0..50 {
        for body in &mut bodies {
            read_a_little(body).await;
        }
        let answer = timeout(Duration::from_secs(2), cluster.get("/")).await.expect("others wait for nobody");
        assert_eq!(answer.status, 200);
    }
    let metrics = cluster.metrics().await;
    assert_eq!((slow_clients(&metrics), metrics.jobs_in_flight()), (SLOW as f64, SLOW as f64), "they go on");
    drop(bodies);
    cluster
        .metrics_until("all have ended", |now| now.jobs_in_flight() == 0.0 && slow_clients(now) == 0.0)
        .await;
    cluster.stop().await;
}

#[tokio::test]
async fn clients_that_send_by_the_byte_hold_no_places() {
    const LENGTH: usize = 100_000;
    let cluster = few_places(1024, "20s").await;
    let mut uploads = Vec::new();
    for _ in 0..SLOW {
        let mut connection = cluster.connect().await;
        let head = format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: {LENGTH}\r\nconnection: close\r\n\r\n"
        );
        connection.send(head).await;
        uploads.push(connection);
    }
    let mut sent = 0;
    eventually("all of them are slow", async || {
        for upload in &mut uploads {
            upload.send("x").await;
        }
        sent += 1;
        (slow_clients(&cluster.metrics().await) == SLOW as f64).then_some(())
    })
    .await;
    for _ in 0..50 {
        for upload in &mut uploads {
            upload.send("x").await;
        }
        sent += 1;
        let answer = timeout(Duration::from_secs(2), cluster.get("/")).await.expect("others wait for nobody");
        assert_eq!(answer.status, 200);
    }
    assert_eq!(cluster.metrics().await.jobs_in_flight(), SLOW as f64, "they go on");
    for mut upload in uploads {
        upload.send("x".repeat(LENGTH - sent)).await;
        let answer = upload.read_to_end_as_text().await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(&LENGTH.to_string()), "{answer}");
    }
    cluster
        .metrics_until("all have ended", |now| now.jobs_in_flight() == 0.0 && slow_clients(now) == 0.0)
        .await;
    cluster.stop().await;
}

#[tokio::test]
async fn more_slow_clients_than_may_keep_their_places() {
    let cluster = few_places(1, "10s").await;
    let mut slow = readers(&cluster, PLACES + 1).await;
    let answer = cluster.get("/").await;
    assert_eq!(answer.status, 503, "{PLACES} of them have places, and one is beside");
    let metrics = cluster.metrics().await;
    assert_eq!((slow_clients(&metrics), metrics.jobs_in_flight()), (1.0, PLACES as f64 + 1.0));
    let line = |line: &str| line.contains("max_slow_clients_per_isolate").then(|| line.to_owned());
    let line = timeout(Duration::from_secs(10), cluster.log().find(line)).await.expect("the log says so");
    let line = line.unwrap();
    assert!(line.contains("isolate=renderer 0.") && line.contains("limit=1"), "{line}");
    slow.pop();
    cluster.metrics_until("one has left", |now| now.jobs_in_flight() == PLACES as f64).await;
    assert_eq!(cluster.get("/").await.status, 200, "a place is free, or another is beside in its stead");
    drop(slow);
    cluster.metrics_until("all have ended", |now| now.jobs_in_flight() == 0.0).await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_bundle_that_reads_nothing_stops_the_upload() {
    let bundle = Bundle::fetch(
        "if (url.pathname === '/upload') await new Promise(() => {})
         return new Response('ok')",
    );
    let cluster = Cluster::of(bundle).config("body_limit = \"4GiB\"").start().await;
    let before = renderer_memory(&cluster).await;
    let mut connection = cluster.connect().await;
    connection.send("POST /upload HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4000000000\r\n\r\n").await;
    let piece = vec![b'x'; 64 * 1024];
    let mut sent = 0u64;
    while let Ok(written) = timeout(Duration::from_secs(1), connection.stream().write(&piece)).await {
        sent += u64::try_from(written.unwrap()).unwrap();
        assert!(sent < 4 * UNDER_WAY, "nothing stops the upload");
    }
    assert!(sent < UNDER_WAY, "{sent} bytes are under way to a bundle that reads nothing");
    let grown = renderer_memory(&cluster).await.saturating_sub(before);
    assert!(grown < GROWTH, "the renderer grew by {grown} bytes");

    assert_eq!(cluster.get("/").await.text(), "ok", "other requests are answered meanwhile");
    drop(connection);
    cluster.metrics_until("the job is gone", |metrics| metrics.jobs_in_flight() == 0.0).await;
}

#[tokio::test]
async fn a_slow_reader_gets_every_byte() {
    let bundle = Bundle::fetch(
        "let left = 200
         return new Response(new ReadableStream({
           pull(controller) {
             controller.enqueue(new Uint8Array(65536).fill(left))
             if (--left === 0) controller.close()
           },
         }))",
    );
    let cluster = Cluster::of(bundle).start().await;
    let mut answer = cluster.client().get(cluster.url("/")).send().await.unwrap();
    let mut received = Vec::new();
    while let Some(chunk) = answer.chunk().await.unwrap() {
        received.extend_from_slice(&chunk);
        tokio::task::yield_now().await;
    }
    let expected = (1..=200u8).rev().flat_map(|byte| std::iter::repeat_n(byte, 65536));
    assert!(received.into_iter().eq(expected), "the bytes are not those that were written");
}
