//! What the ecosystem's servers put on a request, in a real renderer.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what it expects in the shortest way")]

mod renderer;

use std::time::{Duration, Instant};

use shared::message::ToChild;
use tokio::time::timeout;

use renderer::{PATIENCE, Renderer};

#[tokio::test]
async fn a_request_knows_its_client_and_its_runtime() {
    let mut renderer = Renderer::with_fetch(
        r#"return Response.json([request.ip, request.runtime.name, typeof request.waitUntil, typeof opts.waitUntil,
             Object.keys(request)]);"#,
    )
    .await;
    let (_, body) = renderer.get("/").await;
    assert_eq!(body, r#"["127.0.0.1","isopod","function","function",[]]"#);
}

#[tokio::test]
async fn work_outlives_its_response_and_a_drain_waits_for_it() {
    let mut renderer = Renderer::with_fetch(
        r#"if (request.url.endsWith("/done")) return new Response(String(globalThis.done));
           globalThis.done ??= 0;
           const work = async (ms) => { await new Promise((end) => setTimeout(end, ms)); globalThis.done++; };
           request.waitUntil(work(request.url.endsWith("/long") ? 400 : 1));
           opts?.waitUntil?.(Promise.reject(new Error("its own affair")));
           return new Response("at once");"#,
    )
    .await;
    assert_eq!(renderer.get("/short").await.1, "at once");
    while renderer.get("/done").await.1 == "0" {}
    assert_eq!(renderer.get("/long").await.1, "at once");
    let started = Instant::now();
    renderer.control.send(&ToChild::Drain).await.unwrap();
    let status = timeout(PATIENCE, renderer.process.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    assert!(started.elapsed() > Duration::from_millis(200), "it did not wait: {:?}", started.elapsed());
}
