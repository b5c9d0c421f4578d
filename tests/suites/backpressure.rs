//! Who does not read stops who writes: memory is bounded by windows and socket buffers, whatever the length.

use std::time::Duration;

use tests::process::resident_bytes;
use tests::wait::{eventually, settled};
use tests::{Bundle, Cluster};
use tokio::io::AsyncWriteExt;
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
